"""Editors' own clients drive `dgedit lsp`. Each is skipped where it is not installed.

VS Code's needs Node, and `npm install vscode-languageclient@11 jest-mock-vscode` with NODE_PATH on
its `node_modules`. Seen to pass with vscode-languageclient 11.0.0 on Node 20.20; in Neovim 0.12.4,
and in 0.11.4, which asks but shows no ghost text; in Emacs 30.2 with its eglot 1.17.30 and with
lsp-mode 10.0.0; in Helix 25.07.1; in Kakoune 2022.10.31 with kakoune-lsp 21.0.2.
"""

from __future__ import annotations

import json
import os
import re
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
ROOT = HERE.parents[2]
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


class Screen:
    """An editor in a terminal of tmux."""

    def __init__(self, folder: Path, *command: str) -> None:
        self._folder = folder
        variables = ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "HOME")
        self._variables = dict.fromkeys(variables, str(folder)) | {"PYTHONPATH": PATH}
        self.say("new-session", "-d", "-x", "80", "-y", "20", shlex.join(command))

    def say(self, *said: str) -> str:
        """Have tmux do something; return what it says."""
        tmux = shutil.which("tmux") or ""
        command = [tmux, "-S", str(self._folder / "tmux"), "-f", "/dev/null", *said]
        return run(command, self._folder, **self._variables).stdout

    def press(self, keys: str, fact: str | Callable[[], bool]) -> None:
        """Press keys until something is so: before the server has started they do nothing. Escape
        comes between, for what they have opened meanwhile.
        """
        for attempt in range(15):
            if attempt:
                self.say("send-keys", "Escape")
            self.say("send-keys", *keys.split())
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                if fact in self.seen() if isinstance(fact, str) else fact():
                    return
                time.sleep(0.1)
        raise AssertionError(self.seen())

    def seen(self) -> str:
        """What is on the screen."""
        return self.say("capture-pane", "-p")


def server(folder: Path) -> str:
    """The path of a command that is the server."""
    command = folder / "server"
    command.write_text(f"#!/bin/sh\nexec {shlex.join(COMMAND)}\n")
    command.chmod(0o755)
    return str(command)


def test_helix_fills_the_body_of_a_function(tmp_path: Path) -> None:
    helix = shutil.which("hx") or shutil.which("helix")
    if helix is None or shutil.which("tmux") is None:
        pytest.skip("Helix or tmux is not installed")
    (tmp_path / "helix").mkdir()
    (tmp_path / "helix" / "languages.toml").write_text(
        f"[language-server.dgedit]\ncommand = {json.dumps(server(tmp_path))}\n\n"
        '[[language]]\nname = "python"\nlanguage-servers = ["dgedit"]\n'
    )
    path, text = tmp_path / "a.py", 'def half(x):\n    """é😀"""\n    pass\n'
    path.write_text(text)
    screen = Screen(tmp_path, helix, "a.py")
    try:
        screen.press("Escape", "a.py")
        screen.press("Space a", "Fill body of half")
        screen.press("Down Down Enter", "return x / 2")
        screen.press(": w Enter", lambda: "return" in path.read_text())
    finally:
        screen.say("kill-server")
    assert path.read_text() == text.replace("pass", "return x / 2")


def test_kakoune_fills_a_body_and_what_is_selected(tmp_path: Path) -> None:
    if not all(map(shutil.which, ("kak", "kak-lsp", "tmux"))):
        pytest.skip("Kakoune, kakoune-lsp or tmux is not installed")
    said = (ROOT / "docs" / "editors.md").read_text()
    (setup,) = re.findall(r"```kak\n(.*?)```", said, re.DOTALL)
    (tmp_path / "kak").mkdir()
    setup = setup.replace("[dgedit]", f"[dgedit]\ncommand = {json.dumps(server(tmp_path))}")
    (tmp_path / "kak" / "kakrc").write_text(setup)
    (tmp_path / ".git").mkdir()
    path, text = tmp_path / "a.py", 'def half(x):\n    """é😀"""\n    pass\n'
    path.write_text(text)
    screen = Screen(tmp_path, "kak", "a.py")
    try:
        screen.press("j", "2:1")
        screen.press(":lsp-code-actions Enter", "Fill body of half")
        screen.press("Tab Tab Enter", "return x / 2")
        screen.press("u", "pass")
        screen.press("g g j j g i E", "3:8")
        screen.press(":lsp-code-actions Enter", "Fill selection")
        screen.press("Tab Enter", "return x / 2")
        screen.press(":w Enter", lambda: "return" in path.read_text())
    finally:
        screen.say("kill-server")
    assert path.read_text() == text.replace("pass", "return x / 2")
