"""Every command that the README shows runs as it is written there.

Placeholders alone are filled in: `OWNER/NAME` is a repository of a hub on loopback. What opens the
editor is left by its key. `make`, `dgedit eval` and the pull of nano, which take minutes, are run
elsewhere. The commands share a warm engine, as a user's do.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import every_format
from dgedit.errors import Exit
from fakehub import Hub, serving

ROOT = Path(__file__).parents[1]
_LONG = 120  # seconds
_MINUTES = ("make ", "dgedit eval ", "dgedit model pull nano")


def commands(block: str) -> list[str]:
    """A block's lines that begin with a prompt, with those that they go on in, without remarks."""
    joined = block.replace("\\\n", " ")
    lines = [line[2:] for line in joined.splitlines() if line.startswith("$ ")]
    return [re.sub(r"\s+# .*", "", line) for line in lines]


def opens_the_editor(line: str) -> bool:
    return re.search(r"\bdgedit (-|\.|demo)", line) is not None


BLOCKS = re.findall(r"^```console\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
SHOWN = [[one for one in commands(block) if not one.startswith(_MINUTES)] for block in BLOCKS]
PLAIN = [[line for line in block if not opens_the_editor(line)] for block in SHOWN]
EDITOR = [line for block in SHOWN for line in block if opens_the_editor(line)]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with a model as released, and the same in a GGUF file."""
    folder = tmp_path_factory.mktemp("hub")
    for name in ("plain", "q8_0"):
        every_format.made(name, folder / name)
    config = json.loads((folder / "plain" / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 262_144
    (folder / "plain" / "config.json").write_text(json.dumps(config))
    files = {path.name: path.read_bytes() for path in (folder / "plain").iterdir()}
    files["X.gguf"] = next((folder / "q8_0").glob("*.gguf")).read_bytes()
    with serving(files, "owner/name") as found:
        yield found


@pytest.fixture(scope="module")
def sockets() -> Iterator[Path]:
    """A folder for the warm engine's socket, whose path must be short; none is left behind."""
    with tempfile.TemporaryDirectory(prefix="dgedit-") as folder:
        yield Path(folder)
        env = os.environ | {"XDG_RUNTIME_DIR": folder}
        subprocess.run([sys.executable, "-m", "dgedit", "engine", "stop"], env=env, check=True)


@pytest.fixture
def env(tmp_path: Path, hub: Hub, sockets: Path) -> dict[str, str]:
    """What a user's shell has, in a repository that holds the demo."""
    shutil.copytree(ROOT / "demo", tmp_path / "demo")
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    kept = {key: value for key, value in os.environ.items() if "OFFLINE" not in key}
    kept.pop("HF_TOKEN", None)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ours = {"PATH": path, "HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1", "TERM": "xterm-256color"}
    ours |= {"XDG_RUNTIME_DIR": str(sockets), "DGEDIT_ENGINE": "warm"}
    return kept | ours | {"XDG_STATE_HOME": str(tmp_path / "state")}


def _marked(block: list[str]) -> object:
    slow = [pytest.mark.slow] if any("model pull" in line for line in block) else []
    return pytest.param(block, id=block[0][:40], marks=slow)


def filled_in(line: str) -> str:
    return line.replace("OWNER/NAME", "owner/name").replace(" NAME", " name")


def test_readme_shows_each_use() -> None:
    lines = [line for block in SHOWN for line in block]
    for word in ("fill", "pipe", "model", "config", "engine", "watch", "doctor"):
        assert any(re.search(rf"\bdgedit {word}\b", line) for line in lines), word
    assert len(EDITOR) >= 3


def test_reference_is_what_the_program_says() -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "docs" / "reference.py"], capture_output=True, text=True, check=True
    )
    assert made.stdout == (ROOT / "docs" / "commands.md").read_text(), "run `make docs`"


@pytest.mark.parametrize("block", [_marked(block) for block in PLAIN if block])
def test_commands_run_as_written(block: list[str], env: dict[str, str], tmp_path: Path) -> None:
    for line in map(filled_in, block):
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LONG,
        )
        assert done.returncode in (Exit.OK, Exit.UNSETTLED), (line, done.stderr)


@pytest.mark.parametrize("line", EDITOR)
def test_editor_opens_as_written(line: str, env: dict[str, str], tmp_path: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        ["bash", "-c", line],
        cwd=tmp_path,
        env=env,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        preexec_fn=_take_terminal,
    )
    os.close(slave)
    stop = threading.Timer(_LONG, process.kill)
    stop.start()
    try:
        screen = b""
        while b"Ctrl+Q" not in screen and b"^q" not in screen:  # the footer: it takes keys now
            screen += os.read(master, 65536)
        os.write(master, b"\x11")
        with pytest.raises(OSError):  # the terminal is let go
            while os.read(master, 65536):
                continue
        assert process.wait(_LONG) == Exit.OK
    finally:
        stop.cancel()
        process.kill()
        process.wait()
        os.close(master)


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
