"""The options of `dgedit fill`: files and ranges apart, what is told, coloured, and cut short."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dgedit import cli
from dgedit.commands.tokens import counter
from dgedit.errors import EngineError, Exit
from dgedit.request.run import run
from dgedit.text.diff import painted
from dgedit_engine.types import Draft, Hole, InfillRequest, ModelError, Passage, Step
from overhttp import until
from scripted import Scripted

Capture = pytest.CaptureFixture[bytes]
REQUEST = InfillRequest((Passage("", (Hole(),)),))
GREEN = b"\x1b[32m+"


@pytest.fixture
def file(folder: Path) -> Path:
    path = folder / "a.py"
    path.write_bytes("\ufeffü = 1\r\ndef f():\r\n    return ü\r\n".encode())
    return path


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_file_and_range_are_the_plain_way(file: Path, scripted: Scripted, capfd: Capture) -> None:
    odd = file.rename("a:3.py")
    args = ["fill", "-w", "--file", "a:3.py", "--range", "1", "--range", "::f"]
    assert cli.run(args) == Exit.OK
    assert odd.read_bytes() == b"\xef\xbb\xbffilled\r\ndef f():\r\n    filled\r\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("a.py b.py --range 1", "--range goes with one file, not 2"),
        ("--range 1", "no FILE is given"),
        ("a.py --range x", "not a range: 'x'"),
        ("a.py::g", "a.py defines no 'g' with a body"),
        ("a.py:1 --dry-run --check", "--dry-run and --check exclude each other"),
        ("a.py:1 --dry-run --write", "--dry-run and --write exclude each other"),
        ("a.py:1 --dry-run --print", "--dry-run and --print exclude each other"),
        ("a.py:1 --check --interactive", "--check and --interactive exclude each other"),
        ("a.py:1 --diff --json", "--diff and --json exclude each other"),
        ("a.py:1 -i", "--interactive needs a terminal; elsewhere, --diff and --write work"),
        ("a.py:1 -i -q", "--interactive and --quiet exclude each other"),
        ("a.py:1 --time 0", "must be more than 0, not 0"),
        ("a.py:1 --time nan", "must be more than 0, not nan"),
        ("a.py:1 --color blue", "not 'blue'"),
    ],
)
def test_options_that_cannot_be_are_one_line(
    file: Path, scripted: Scripted, capfdbinary: Capture, args: str, words: str
) -> None:
    Path("b.py").write_text("b")
    assert cli.run(["fill", *args.split()]) in (Exit.USAGE, Exit.INPUT)
    out, err = capfdbinary.readouterr()
    assert (out, err.count(b"\n")) == (b"", 1)
    assert words in err.decode()
    assert not scripted.requests


def test_json_has_the_bytes_of_the_file_as_it_is(
    file: Path, scripted: Scripted, capfdbinary: Capture
) -> None:
    assert cli.run(["fill", "--json", "a.py::f"]) == Exit.OK
    (hole,) = json.loads(capfdbinary.readouterr().out)["holes"]
    assert hole["start"] == {"line": 3, "column": 5}
    assert hole["span"] == {"start": 21, "end": 29}
    data = file.read_bytes()
    assert data[hole["bytes"]["start"] : hole["bytes"]["end"]].decode() == "return ü"


def test_dry_run_tells_holes_and_context_and_asks_no_model(
    file: Path, scripted: Scripted, capfdbinary: Capture
) -> None:
    args = ["fill", "a.py:1", "a.py::f", "-m", "say", "--strength", "0.5", "--dry-run"]
    assert cli.run([*args, "--json"]) == Exit.OK
    told = json.loads(capfdbinary.readouterr().out)
    assert [hole["start"]["line"] for hole in told["holes"]] == [1, 3]
    count = counter("tiny")
    assert count is not None and told["counted"]
    parts = [("say", 0), ("ü = 1", 0), ("\ndef f():\n    ", 0), ("return ü", 0), ("\n", 0)]
    assert [part["tokens"] for part in told["given"]] == [count(text) for text, _ in parts]
    assert told["tokens"] == sum(count(text) for text, _ in parts)
    assert cli.run(args) == Exit.OK
    out = capfdbinary.readouterr().out.decode()
    assert "hole 2  a.py:3:5-3:13  bytes 25-34, 8 characters" in out
    assert re.search(rf"^in all +{told['tokens']} tokens$", out, re.MULTILINE)
    assert not scripted.requests


def test_dry_run_loads_no_tensors(file: Path) -> None:
    code = """
import sys
from dgedit import cli
assert cli.run(["fill", "a.py:1", "--dry-run"]) == 0
print(sorted({"torch", "textual", "rich"} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b"[]\n"


def test_vocabulary_that_is_no_file_is_guessed(folder: Path) -> None:
    from dgedit_engine.nano.names import TINY

    assert counter("tiny")("a b") == counter(str(TINY))("a b") > 1  # type: ignore[misc]
    Path("x.gguf").touch()
    assert counter("x.gguf") is None


@pytest.mark.parametrize("extra", [[], ["--quiet"]])
def test_check_prints_a_diff_unless_it_is_to_be_quiet(
    file: Path, scripted: Scripted, capfdbinary: Capture, extra: list[str]
) -> None:
    assert cli.run(["fill", "--check", "a.py:1", *extra]) == Exit.NO
    out, err = capfdbinary.readouterr()
    assert ((b"filled" in out), err) == (not extra, b"")


def test_quiet_draws_nothing(
    file: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for args, drawn in (["--quiet"], False), ([], True):
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        assert cli.run(["fill", "a.py:1", *args]) == Exit.OK
        assert ("~" in screen.getvalue()) == drawn


@pytest.mark.parametrize(
    ("color", "environment", "terminal", "colored"),
    [
        ("auto", {}, True, True),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {}, False, False),
        ("never", {}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
    ],
)
def test_diff_is_coloured_where_colours_are_wanted(
    file: Path,
    scripted: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: Capture,
    color: str,
    environment: dict[str, str],
    terminal: bool,
    colored: bool,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in ({"TERM": "xterm"} | environment).items():
        monkeypatch.setenv(name, value)
    scripted.texts = ("\x1b[2J",)
    screen = Terminal()
    if terminal:
        monkeypatch.setattr(sys, "stdout", screen)
    assert cli.run(["fill", "a.py:1", "--color", color]) == Exit.OK
    out = screen.getvalue().encode() or capfdbinary.readouterr().out
    assert (GREEN in out) == colored
    assert (b"\x1b[2J" in out) == (not terminal and not colored)  # exact for a program alone


def test_settings_say_whether_to_colour(
    file: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    monkeypatch.setenv("DGEDIT_COLOR", "always")
    assert cli.run(["fill", "a.py:1"]) == Exit.OK
    assert GREEN in capfdbinary.readouterr().out


def test_painted_tells_a_head_from_a_line_that_looks_like_one() -> None:
    diff = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n--- x\n+++ y\n z\n"
    shown = painted(diff)
    assert shown.count("\x1b[1m") == 3
    assert "\x1b[31m--- x\x1b[m\n\x1b[32m+++ y\x1b[m\n z\n" in shown
    assert re.sub(r"\x1b\[\d*m", "", shown) == diff


class Slow(Scripted):
    """Gives these steps, some time apart, for ever."""

    def __init__(self, *steps: tuple[str, float, bool], seconds: float = 0.02) -> None:
        super().__init__()
        self.steps, self.seconds = steps, seconds

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        try:
            for index in range(1, 10_000):
                text, score, settled = self.steps[min(index, len(self.steps)) - 1]
                pieces = (text,) if text else ()
                draft = Draft(pieces, (0.5,) * len(pieces), (settled,) * len(pieces))
                yield Step(index, 10_000, (draft,), score=score)
                time.sleep(self.seconds)
        finally:
            self.closed += 1


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([("a", -1.0, False), ("ab", -2.0, False)], "ab"),  # a draft grows
        ([("ab", -1.0, False), ("zz", -2.0, False)], "ab"),  # noise does not replace it
        ([("ab", -1.0, False), ("zz", -0.5, True)], "zz"),
        ([("", 0.0, True)], ""),
    ],
)
def test_time_ends_it_at_the_best_so_far_which_nobody_has_judged(
    steps: list[tuple[str, float, bool]], text: str
) -> None:
    backend = Slow(*steps)
    started = time.monotonic()
    infill = run(REQUEST, backend, seconds=0.2)
    assert time.monotonic() - started < 20
    assert (infill.texts, infill.stopped) == ((text,), "cap")
    until(lambda: backend.closed == 1)


class Stuck(Slow):
    """Gives one step, and the next when it is told to."""

    def __init__(self) -> None:
        super().__init__(("x", -1.0, False))
        self.go = threading.Event()

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        for step in super().infill(request):
            yield step
            assert self.go.wait(60)


def test_time_ends_a_step_that_takes_longer() -> None:
    """As one does in which a file of a megabyte is judged."""
    backend = Stuck()
    infill = run(REQUEST, backend, seconds=0.05)
    assert (infill.texts, infill.steps, backend.closed) == (("x",), 1, 0)
    backend.go.set()
    until(lambda: backend.closed == 1)


def test_errors_within_the_time_are_the_engine_s() -> None:
    class Failing(Scripted):
        def infill(self, request: InfillRequest) -> Iterator[Step]:
            raise ModelError("no such thing")
            yield

    with pytest.raises(EngineError, match="no such thing"):
        run(REQUEST, Failing(), seconds=100)


def test_time_that_is_not_reached_changes_nothing() -> None:
    assert run(REQUEST, Scripted(), seconds=100).stopped == "settled"


def test_time_that_is_over_writes_nothing_unless_it_is_told_to(
    file: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    backend, before = Slow(("x", -1.0, True)), file.read_bytes()
    monkeypatch.setattr("dgedit.engines.connect.connect", lambda *args, **options: backend)
    command = ["fill", "-w", "a.py:1", "--time", "0.05"]
    assert cli.run(command) == Exit.UNSETTLED
    assert file.read_bytes() == before
    assert cli.run([*command, "--accept-unsettled"]) == Exit.OK
    assert file.read_bytes().startswith(b"\xef\xbb\xbfx\r\n")


@pytest.mark.parametrize("command", ["fill", "pipe"])
def test_help_fits_a_screen_with_an_example(
    command: str, capfdbinary: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.run([command, "--help"]) == Exit.OK
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert 24 <= len(lines) <= 50 and max(map(len, lines)) <= 80
    assert any(f"dgedit {command} " in line and "-m" in line for line in lines)
    for title in ("What to fill:", "How it is filled:", "What comes of it:", "By whom:"):
        assert title in lines
