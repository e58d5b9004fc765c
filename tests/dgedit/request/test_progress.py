"""The picture of a step: what it says without colour, and that it never outgrows the terminal."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dgedit.request.progress import picture, status, watch
from dgedit_engine.types import Draft, Hole, InfillRequest, Passage, Step
from scripted import Scripted

REQUEST = InfillRequest((Passage("", ("a ", Hole())),))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Makes stderr a terminal. No fixture: pytest puts its own stderr back before the test runs."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "10")
    return stream


def step(*pieces: tuple[str, bool], index: int = 1) -> Step:
    texts = tuple(piece for piece, _ in pieces)
    settled = tuple(one for _, one in pieces)
    return Step(index, 12, (Draft(texts, (0.5,) * len(pieces), settled),))


def styles(one: Step, before: Step | None = None) -> dict[str, str]:
    text = picture(one, before, least=0, most=20)
    return {text.plain[s.start : s.end]: str(s.style).strip() for s in text.spans}


def test_picture_tells_settled_draft_and_changed_apart_without_colour() -> None:
    before = step(("same", True), ("soft", False), ("was", False), ("old", True))
    after = step(("same", True), ("soft", False), ("now", False), ("new", True))
    assert styles(after, before) == {
        "soft": "dim italic",
        "now": "dim italic underline",
        "new": "underline",
    }


def test_picture_has_the_indentation_and_the_syntax_of_the_holes_line() -> None:
    parts = 'def f():\n    """Say."""\n    x = ', Hole(), "\n"
    request = InfillRequest((Passage("a.py", parts),))
    text = picture(step(("None", True), (" # b", True)), None, least=0, most=9, request=request)
    assert text.plain == "    x = None # b"
    colours = {text.plain[s.start : s.end]: str(s.style) for s in text.spans if s.style}
    assert "bright_blue" in colours["None"] and "dim" in colours["# b"]
    several = picture(step(("\x1b", True)), None, least=0, most=9, request=request)
    assert several.plain == "    x = ␛"


def test_picture_shows_control_characters() -> None:
    assert picture(step(("\x1b[2J\u202e", True)), None, least=0, most=5).plain == "␛[2J‹U+202E›"


def test_picture_keeps_between_least_and_most_rows() -> None:
    assert picture(step(("a", True)), None, least=4, most=9).plain == "a\n\n\n"
    many = step(*((f"{n}\n", True) for n in range(50)))
    assert picture(many, None, least=0, most=3).plain == "0\n1\n2"


def test_picture_of_a_long_draft_shows_where_it_is_not_settled() -> None:
    pieces = [(f"{n}\n", n < 30) for n in range(50)]
    shown = picture(step(*pieces), None, least=0, most=5).plain
    assert shown.split() == ["28", "29", "30", "31", "32"]


def test_status_says_how_far_and_how_settled() -> None:
    one = step(("a", True), ("b", False), ("c", True), ("d", True), index=3)
    one = replace(one, forwards=1)
    said = "refining, step 3 · 75% settled · 6 tok/s · 0.5 s · 1 forward · nano · cpu"
    assert status(one, 0.5, "nano · cpu") == said


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (step(), "refining, step 1 · 2.0 s"),
        (replace(step(("a", False), ("b", False)), phase="draft"), "drafting, step 1 · 1 tok/s"),
        (replace(step(("a", True)), phase="repair"), "repairing, step 1 · all settled, checking"),
        (step(*[("a", n > 0) for n in range(300)]), "refining, step 1 · 99% settled"),
        (replace(step(("a", True), index=9), last=True), "ready · 9 steps"),
        (replace(step(("a", True)), last=True, stopped="cap"), "ready, not all settled · 1 step"),
    ],
)
def test_status_claims_no_end_before_the_end(one: Step, said: str) -> None:
    assert status(one, 2.0, "x").startswith(said)


def test_watch_passes_the_steps_and_erases_its_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    backend = Scripted(("one two three",))
    steps = list(watch(backend.infill(REQUEST), backend))
    assert steps == list(Scripted(("one two three",)).infill(REQUEST))
    drawn = terminal.getvalue()
    assert "step 1 · 33% settled" in drawn
    assert "ready · 3 steps" in drawn
    assert drawn.rstrip().endswith("\x1b[2K")


def test_watch_draws_first_last_and_few_between(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)

    def many() -> Iterator[Step]:
        for index in range(1, 1001):
            one = step(("x", index % 2 == 0), index=index)
            yield Step(index, 1000, one.drafts, last=index == 1000)

    started = time.monotonic()
    list(watch(many(), Scripted()))
    most = (time.monotonic() - started) * 30 + 3  # the first, the last, and once more to erase it
    drawn = terminal.getvalue()
    assert "step 1 " in drawn and "1000 steps" in drawn
    assert drawn.count("tok/s") <= most


def test_watch_never_outgrows_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    backend = Scripted(("\n".join(f"line {n}" for n in range(100)),))
    list(watch(backend.infill(REQUEST), backend))
    frames = terminal.getvalue().split("tok/s")
    assert max(frame.count("\n") for frame in frames) < 10


@pytest.mark.parametrize("dumb", [True, False])
def test_watch_is_silent_where_nobody_looks(monkeypatch: pytest.MonkeyPatch, dumb: bool) -> None:
    stream = open_terminal(monkeypatch) if dumb else io.StringIO()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "dumb" if dumb else "xterm")
    backend = Scripted()
    assert len(list(watch(backend.infill(REQUEST), backend))) == 3
    assert stream.getvalue() == ""


@pytest.mark.parametrize("drawn", [True, False])
def test_closing_watch_closes_the_steps(monkeypatch: pytest.MonkeyPatch, drawn: bool) -> None:
    terminal = open_terminal(monkeypatch)
    if not drawn:
        monkeypatch.setenv("TERM", "dumb")
    backend = Scripted()
    source = backend.infill(REQUEST)
    steps = watch(source, backend)
    next(steps)
    steps.close()
    assert backend.closed == 1
    assert (terminal.getvalue() != "") == drawn


def test_watch_uses_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = open_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    backend = Scripted(("one two three",))
    list(watch(backend.infill(REQUEST), backend))
    assert "\x1b[2;3m" in terminal.getvalue()
    assert "\x1b[3" not in terminal.getvalue().replace("\x1b[3m", "")
