"""Editors' own clients drive `dgedit lsp`. Each is skipped where it is not installed.

VS Code's needs Node, and `npm install vscode-languageclient@11 jest-mock-vscode` with NODE_PATH on
its `node_modules`. Seen to pass with vscode-languageclient 11.0.0 on Node 20.20; in Neovim 0.12.4,
and in 0.11.4, which asks but shows no ghost text; in Emacs 30.2 with its eglot 1.17.30 and with
lsp-mode 10.0.0; in Helix 25.07.1.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lspclient import DRIVER, at
from scripted import PATH

HERE = Path(__file__).parent
SAID = {"texts": ["return x / 2"], "certainty": [0.9]}
COMMAND = [sys.executable, "-c", DRIVER, json.dumps(SAID)]


def run(command: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": PATH} | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def scripted(name: str, *options: str, script: str, folder: Path) -> dict[str, Any]:
    """What an editor wrote down that ran a script of ours; skipped where it is not installed."""
    if (program := shutil.which(name)) is None:
        pytest.skip(f"{name} is not installed")
    (folder / "a.py").touch()
    out = folder / "out"
    run(
        [program, *options, str(HERE / script), "a.py"],
        folder,
        COMMAND=json.dumps(COMMAND),
        OUT=str(out),
        HOME=str(folder),
        XDG_STATE_HOME=str(folder),
    )
    said: dict[str, Any] = json.loads(out.read_text())
    assert "error" not in said, said
    return said


def test_vs_codes_client_shows_ghost_text_and_what_is_left_of_it(tmp_path: Path) -> None:
    wanted = "require.resolve('vscode-languageclient/node'); require.resolve('jest-mock-vscode')"
    node = shutil.which("node")
    if node is None or subprocess.run([node, "-e", wanted], capture_output=True).returncode:
        pytest.skip("vscode-languageclient is not installed")
    done = run([node, str(HERE / "vscode_client.js"), *COMMAND], tmp_path)
    first, second = json.loads(done.stdout)
    assert first == [{"text": "return x / 2", "start": at(1, 4), "end": at(1, 4)}]
    assert second == [{"text": "turn x / 2", "start": at(1, 6), "end": at(1, 6)}]


def test_neovim_takes_code_actions_and_ghost_text(tmp_path: Path) -> None:
    options = ("--headless", "-u", "NONE", "-i", "NONE", "-n", "-S")
    said = scripted("nvim", *options, script="nvim_client.lua", folder=tmp_path)
    typed = "def half(x):\n    y = 1 # <FILL>\n    return 0  # é😀"
    assert said["typed"] == typed
    assert said["titles"] == ["Fill here", "Fill all <FILL> markers", "Fill body of half"]
    assert said["filled"] == typed.replace("<FILL>", "return x / 2")
    where = {"start": said["position"], "end": said["position"]}
    assert said["items"] == [{"insertText": "return x / 2", "range": where}]
    if "accepted" in said:  # 0.12
        assert said["shown"] == "return x / 2"
        assert said["accepted"] == said["filled"] + ";return x / 2"


def test_emacs_takes_a_code_action_by_eglot_and_ghost_text_by_lsp_mode(tmp_path: Path) -> None:
    said = scripted("emacs", "--batch", "-Q", "-l", script="emacs_client.el", folder=tmp_path)
    assert said["titles"] == ["Fill here", "Fill body of half"]
    assert said["filled"] == 'def half(x):\n    """é😀"""; return x / 2\n'
    if "mode" in said:
        assert said["mode"] is True  # it comes on by itself
        assert said["shown"] == "return x / 2"
        assert said["accepted"] == said["filled"] + 'z = "é😀" + return x / 2'


def test_helix_fills_the_body_of_a_function(tmp_path: Path) -> None:
    helix, tmux = shutil.which("hx") or shutil.which("helix"), shutil.which("tmux")
    if helix is None or tmux is None:
        pytest.skip("Helix or tmux is not installed")
    command = tmp_path / "server"
    command.write_text(f"#!/bin/sh\nexec {shlex.join(COMMAND)}\n")
    command.chmod(0o755)
    (tmp_path / "helix").mkdir()
    (tmp_path / "helix" / "languages.toml").write_text(
        f"[language-server.dgedit]\ncommand = {json.dumps(str(command))}\n\n"
        '[[language]]\nname = "python"\nlanguage-servers = ["dgedit"]\n'
    )
    path, text = tmp_path / "a.py", 'def half(x):\n    """é😀"""\n    pass\n'
    path.write_text(text)
    variables = {"PYTHONPATH": PATH, "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}

    def terminal(*said: str) -> str:
        command = [tmux, "-S", str(tmp_path / "tmux"), "-f", "/dev/null", *said]
        return run(command, tmp_path, **variables).stdout

    def press(keys: str, fact: Callable[[], bool]) -> None:
        """Press keys until something is so: before the server has started they do nothing."""
        for _ in range(15):
            terminal("send-keys", *keys.split())
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                if fact():
                    return
                time.sleep(0.1)
        raise AssertionError(terminal("capture-pane", "-p"))

    terminal("new-session", "-d", "-x", "80", "-y", "20", shlex.join([helix, "a.py"]))
    try:
        press("Escape", lambda: "a.py" in terminal("capture-pane", "-p"))
        press("Space a", lambda: "Fill body of half" in terminal("capture-pane", "-p"))
        press("Down Down Enter", lambda: "return x / 2" in terminal("capture-pane", "-p"))
        press(": w Enter", lambda: "return" in path.read_text())
    finally:
        terminal("kill-server")
    assert path.read_text() == text.replace("pass", "return x / 2")
