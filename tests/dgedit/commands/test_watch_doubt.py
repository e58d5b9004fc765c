"""Markers that `dgedit watch` leaves as they are, since their infills are in doubt."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dgedit import cli
from dgedit.commands.watch import fill
from dgedit.errors import Exit
from dgedit.files.document import Document, Span
from dgedit.request.doubt import Doubt
from dgedit_engine.types import Infill
from scripted import Scripted
from watched import Watched

Capture = pytest.CaptureFixture[str]
QUIET = 0.6  # seconds in which something would have happened

STAYS = "the marker stays (--accept-unsettled fills it all the same)"


@pytest.mark.parametrize(
    ("judged", "why"),
    [
        ({"stopped": "cap"}, "did not settle"),
        ({"certainty": (0.34,)}, "unsure (34%)"),
        ({"faults": (2,), "certainty": (0.9,)}, "breaks the syntax (2 errors)"),
    ],
)
def test_infill_in_doubt_is_not_written_unless_it_is_told_to(
    folder: Path, scripted: Scripted, capsys: Capture, judged: dict[str, Any], why: str
) -> None:
    for name, value in judged.items():
        setattr(scripted, name, value)
    file = folder / "a.py"
    file.write_text("\n<FILL: b>")
    before = file.stat()
    assert cli.run(["watch", "--once"]) == Exit.UNSETTLED
    assert capsys.readouterr() == ("", f"dgedit: a.py:2: {why}; {STAYS}\n")
    assert (file.read_text(), file.stat()) == ("\n<FILL: b>", before)  # not even saved
    assert cli.run(["watch", "--once", "--accept-unsettled"]) == Exit.OK
    assert capsys.readouterr() == ("a.py:2  0.0 s\n", "")
    assert file.read_text() == "\nfilled"


def test_markers_beside_one_in_doubt_are_filled(
    folder: Path, scripted: Scripted, capsys: Capture
) -> None:
    scripted.texts, scripted.certainty = ("1\n1", "2", "3"), (0.9, 0.1, 0.8)
    (folder / "a.py").write_bytes(b"<FILL>\r\n<FILL>\r\n<FILL>\r\n<FILL: c>\r\n")
    assert cli.run(["watch", "--once"]) == Exit.UNSETTLED
    out, err = capsys.readouterr()
    assert [line.split("  ")[0] for line in out.splitlines()] == ["a.py:1", "a.py:4", "a.py:5"]
    assert err == f"dgedit: a.py:3: unsure (10%); {STAYS}\n"
    assert (folder / "a.py").read_bytes() == b"1\r\n1\r\n<FILL>\r\n3\r\n1\r\n1\r\n"
    assert len(scripted.requests) == 2


def test_marker_in_doubt_is_asked_about_once_each_time() -> None:
    asked: list[str] = []
    saved: list[str] = []
    answers = iter(["no", "yes", "no", "yes"])

    def ask(document: Document, spans: Sequence[Span], words: str) -> Infill:
        asked.append(words)
        return Infill(tuple(next(answers) for _ in spans), 0.0, 1, 0.0, "settled")

    def save(document: Document) -> Document:
        saved.append(document.text)
        return document

    def judge(infill: Infill) -> list[Doubt | None]:
        return [Doubt("unsure", "unsure") if text == "no" else None for text in infill.texts]

    text = Document.from_text("<FILL>\n<FILL: b>\n<FILL>\n<FILL: c>\n")
    done = list(fill(text, ask, save, marker="<FILL>", judge=judge))
    assert asked == ["", "b", "c"]
    assert [one.lines for one in done] == [(3,), (), (4,)]
    assert [[line for line, _ in one.left] for one in done] == [[1], [2], []]
    assert saved == ["<FILL>\n<FILL: b>\nyes\n<FILL: c>\n", "<FILL>\n<FILL: b>\nyes\nyes\n"]


def test_caution_and_accepting_are_of_the_watch(folder: Path, scripted: Scripted) -> None:
    scripted.certainty = (0.5,)
    (folder / "a.py").write_text("<FILL>")
    assert cli.run(["watch", "--once", "--caution", "0.6"]) == Exit.UNSETTLED
    assert (folder / "a.py").read_text() == "<FILL>"
    assert cli.run(["watch", "--once"]) == Exit.OK
    assert (folder / "a.py").read_text() == "filled"


def test_file_that_stays_as_it_was_is_not_asked_about_again(
    folder: Path, scripted: Scripted, capsys: Capture
) -> None:
    scripted.certainty = (0.1,)
    (folder / "a.py").write_text("<FILL>")
    assert cli.run(["watch", "--once", ".", "a.py"]) == Exit.UNSETTLED  # given out twice
    assert len(scripted.requests) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_marker_in_doubt_stays_and_why_is_said_once(folder: Path) -> None:
    home = folder / "home"
    home.mkdir()
    file = home / "a.py"
    with Watched(home, certainty=(0.9, 0.1)) as watched:
        file.write_text("<FILL: one>\n<FILL: one>\n")
        watched.wait_for(lambda: b"stays" in watched.err)
        assert file.read_text() == "filled\n<FILL: one>\n"
        time.sleep(QUIET)
        assert watched.asked == 1  # what it wrote itself is not filled again
        file.touch()
        time.sleep(QUIET)
        assert watched.asked == 1  # nor what has not changed
        file.write_text("<FILL: two>\n<FILL: one>\n" + "# more\n")
        watched.wait_for_text(file, "filled\nfilled\n# more\n")  # each alone, and so the first
        file.write_text("<FILL: one>\n<FILL: one>\n# 1\n")
        watched.wait_for(lambda: watched.err.count(b"stays") == 2)  # it was filled meanwhile
        file.write_text("<FILL: one>\n<FILL: one>\n# 2\n")
        watched.wait_for_text(file, "filled\n<FILL: one>\n# 2\n")
        time.sleep(QUIET)
        code, _, err = watched.end()
    assert (code, err.count("stays")) == (130, 2)
    why = "a.py:2: unsure (10%); the marker stays (--accept-unsettled fills it all the same)"
    assert err.splitlines()[1] == f"dgedit: {why}"
