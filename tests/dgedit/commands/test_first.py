"""The first use of a machine without a model: what is offered on a terminal, what a script gets."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import every_format
from dgedit import cli
from dgedit.commands import nano as fetching
from dgedit.engines import connect as backend
from dgedit.models import nano
from dgedit.models import store as models
from dgedit_engine.nano import parts
from fakebase import FakeBase, fake_base, without_base
from scripted import Scripted

Capture = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeBase:
    """A base that is not here yet."""
    monkeypatch.delenv("DGEDIT_MODEL")
    made = fake_base(monkeypatch, tmp_path / "site", b"GGUF of nano" * 100)
    made.hide()
    return made


def run(capfd: Capture, *words: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = cli.run(list(words))
    return code, *capfd.readouterr()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that nothing larger fits."""
    monkeypatch.setattr("dgedit_engine.memory.devices.free_bytes", lambda device: 10**9)


@pytest.fixture
def pulled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was fetched of the hub."""
    fetched: list[str] = []

    def fetch(name: str, *, quant: str | None, say: Callable[[str], None]) -> str:
        fetched.append(f"{name} {quant}")
        say(f"{name} is fetched")
        place = models.placed(name)
        place.parent.mkdir(parents=True)
        every_format.made("q8_0", place)
        return name

    monkeypatch.setattr("dgedit.commands.pull.fetched", fetch)
    return fetched


@pytest.fixture
def asked(fake: FakeBase, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A file to be filled; what was done of "fetch" and "connect" in its course."""
    (folder / "a.py").write_text("x = <FILL>\n")
    done: list[str] = []

    def connect(*which: Any, **more: Any) -> Scripted:
        if "fetch" not in done:
            nano.check()
        done.append("connect")
        return Scripted()

    monkeypatch.setattr(backend, "connect", connect)
    monkeypatch.setattr(fetching, "fetch", lambda: done.append("fetch"))
    return done


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, answer: str) -> Terminal:
    screen = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


@pytest.mark.parametrize(
    "words", ["fill a.py", "fill a.py --json", "fill a.py -w", "watch --once", "watch"]
)
def test_without_a_terminal_it_is_one_line_and_code_5(
    asked: list[str], capfd: Capture, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgedit.commands.watch.Watching.saved", lambda self: self.present())
    assert run(capfd, *words.split()) == (5, "", f"dgedit: {parts.MISSING}\n")
    assert asked == []
    assert Path("a.py").read_text() == "x = <FILL>\n"


def test_pipe_gives_the_text_back(asked: list[str], fake: FakeBase) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{fake.code}\nfrom dgedit.cli import main\nmain()", "pipe"],
        input=b"x = <FILL>\n",
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (5, b"x = <FILL>\n")
    assert done.stderr.decode() == f"dgedit: {parts.MISSING}\n"


@pytest.mark.parametrize("answer", ["\n", "y\n"])
@pytest.mark.parametrize("words", ["fill a.py -w", "watch --once"])
def test_on_a_terminal_it_is_fetched_if_one_says_yes(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, answer: str, words: str
) -> None:
    screen = on_a_terminal(monkeypatch, answer)
    assert cli.run(words.split()) == 0
    assert asked == ["fetch", "connect"]
    assert screen.getvalue().startswith(
        "nano's base is not installed. Fetch it now (253 MB)? [Y/n]:"
    )
    assert Path("a.py").read_text() == "x = filled\n"


@pytest.mark.parametrize("words", ["fill a.py -w", "watch --once"])
def test_no_leaves_it(asked: list[str], monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    screen = on_a_terminal(monkeypatch, "n\n")
    assert cli.run(words.split()) == 5
    assert asked == []
    assert screen.getvalue().endswith(f"dgedit: {parts.MISSING}\n")


def on_a_card(monkeypatch: pytest.MonkeyPatch, gigabytes: float) -> None:
    """Have a GPU with so much free."""
    devices = "dgedit_engine.memory.devices."
    monkeypatch.setattr(devices + "device_of", lambda name: SimpleNamespace(type="cuda"))
    monkeypatch.setattr(devices + "free_bytes", lambda device: int(gigabytes * 1e9))


@pytest.mark.parametrize(
    ("free", "bits", "kept"),
    [
        (8, "int4", ", kept in int4: 6.7 GB of memory"),
        (11, "int8", ", kept in int8: 9.5 GB of memory"),
        (40, None, ""),
    ],
)
def test_best_that_fits_is_offered_beside_nano(
    asked: list[str],
    pulled: list[str],
    monkeypatch: pytest.MonkeyPatch,
    free: float,
    bits: str | None,
    kept: str,
) -> None:
    on_a_card(monkeypatch, free)
    screen = on_a_terminal(monkeypatch, "x\n2\n")
    asked.append("fetch")  # what was connected to is another one's business
    monkeypatch.setattr(backend, "connect", first_without(asked))
    assert cli.run(["fill", "a.py", "-w"]) == 0
    name = "dreamon" if bits else "qwen-coder-7b"
    assert pulled == [f"{name} {bits}"] and models.default() == name
    first, second = screen.getvalue().splitlines()[1:3]
    assert first.startswith("  1  nano: 253 MB, licence Gemma terms; 47% of single lines pass")
    score = 90.8 if bits else 92.6
    said = f"licence Apache-2.0; {score}% of single lines pass (DreamOn's table, arXiv 2602.01326"
    assert second.startswith(f"  2  {name}: 15.2 GB{kept}, {said}")
    assert screen.getvalue().count("Which is fetched (1, 2, or n for none)? [1]:") == 2
    assert Path("a.py").read_text() == "x = filled\n"


def first_without(asked: list[str]) -> Callable[..., Scripted]:
    """Connects to an engine, but for the first time, when there is no base."""

    def connect(*which: Any, **more: Any) -> Scripted:
        asked.append("connect")
        if asked.count("connect") == 1:
            raise nano.NoBase(parts.MISSING)
        return Scripted()

    return connect


@pytest.mark.parametrize(("answer", "code"), [("\n", 0), ("1\n", 0), ("n\n", 5)])
def test_nano_is_what_enter_takes(
    asked: list[str], pulled: list[str], monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    on_a_card(monkeypatch, 8)
    on_a_terminal(monkeypatch, answer)
    assert cli.run(["fill", "a.py", "-w"]) == code
    assert (asked, pulled) == ([] if code else ["fetch", "connect"], [])


@pytest.mark.parametrize("words", ["--model nano", "--verifier nano"])
def test_who_names_nano_is_offered_nothing_else(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    on_a_card(monkeypatch, 8)
    screen = on_a_terminal(monkeypatch, "y\n")
    assert cli.run(["fill", "a.py", "-w", *words.split()]) == 0
    assert "Fetch it now (253 MB)? [Y/n]:" in screen.getvalue()


@pytest.mark.parametrize("words", ["--json", "--events", "-q", "--json --check"])
def test_programs_are_not_asked(
    asked: list[str], monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    screen = on_a_terminal(monkeypatch, "y\n")
    assert cli.run(["fill", "a.py", *words.split()]) == 5
    assert (asked, screen.getvalue()) == ([], f"dgedit: {parts.MISSING}\n")


def test_other_models_are_not_hindered(
    folder: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_base(monkeypatch)
    (folder / "a.py").write_text("x = <FILL>\n")
    monkeypatch.setattr("dgedit.engines.connect.open_here", lambda *given: Scripted())
    assert run(capfd, "fill", "a.py", "-q", "-w")[0] == 0
    assert Path("a.py").read_text() == "x = filled\n"
