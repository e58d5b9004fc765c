"""A large model on a CPU: what is said before it begins, and asked on a terminal."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from dgedit import cli
from dgedit.commands import waiting
from dgedit.errors import Exit
from scripted import Scripted

Capture = pytest.CaptureFixture[str]
SAID = "m has 9.0 GB, and on a CPU one fill takes minutes"


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose weights are a hole of 9 GB, and a file to fill."""
    Path("a.py").write_text("x = 1\ny = 2\n")
    place = Path("models/m")
    place.mkdir(parents=True)
    with (place / "model.safetensors").open("wb") as file:
        file.truncate(9_000_000_000)
    monkeypatch.setattr(waiting, "_DEVICES", ())
    monkeypatch.setattr(sys, "platform", "linux")
    return place


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("", True),
        ("--device cpu", True),
        ("--device cuda", False),
        ("--engine http://127.0.0.1:9", False),
        ("--quiet", False),
    ],
)
def test_script_is_told_and_not_asked(
    scripted: Scripted, capfd: Capture, args: str, said: bool
) -> None:
    assert cli.run(["fill", "a.py:1", "--model", "models/m", *args.split()]) == Exit.OK
    assert (f"dgedit: {SAID}\n" in capfd.readouterr().err) == said
    assert len(scripted.requests) == 1


def test_pipe_is_told(scripted: Scripted, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x = <FILL>\n")))
    assert cli.run(["pipe", "--model", "models/m"]) == Exit.OK
    assert SAID in capfd.readouterr().err and scripted.requests


def test_watch_is_told(scripted: Scripted, capfd: Capture) -> None:
    Path("b.py").write_text("x = <FILL>\n")
    args = ["watch", "b.py", "--once", "--model", "models/m"]
    assert cli.run(args) == Exit.OK
    assert SAID in capfd.readouterr().err and scripted.requests


def test_small_model_and_one_on_a_gpu_are_not_told_of(
    model: Path, scripted: Scripted, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_DEVICES", ("/dev/null",))
    assert cli.run(["fill", "a.py:1", "--model", "models/m"]) == Exit.OK
    monkeypatch.setattr(waiting, "_DEVICES", ())
    with (model / "model.safetensors").open("wb") as file:
        file.truncate(waiting.LARGE - 1)
    assert cli.run(["fill", "a.py:1", "--model", "models/m"]) == Exit.OK
    assert "minutes" not in capfd.readouterr().err and len(scripted.requests) == 2


@pytest.mark.parametrize(("answer", "code"), [("y\n", Exit.OK), ("\n", Exit.OK), ("n\n", Exit.NO)])
def test_terminal_is_asked(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, answer: str, code: Exit
) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", shown)
    assert cli.run(["fill", "a.py:1", "--model", "models/m"]) == code
    assert f"{SAID}. Go on?" in shown.getvalue()
    assert len(scripted.requests) == (code == Exit.OK)


def test_who_wants_json_is_not_asked(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    monkeypatch.setattr(sys, "stderr", shown)
    assert cli.run(["fill", "a.py:1", "--model", "models/m", "--json"]) == Exit.OK
    assert SAID in shown.getvalue() and "Go on?" not in shown.getvalue()
