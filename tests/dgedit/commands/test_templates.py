"""`--blank` of fill and pipe: what is asked, what changes, and what is refused."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from dgedit import cli
from dgedit.errors import Exit
from dgedit_engine.types import Hole
from scripted import Scripted

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def puzzle(folder: Path) -> Path:
    path = folder / "p.sudoku"
    path.write_bytes(b"# a \xff\r\n1.3\r\n.2.\nend\r\n")
    return path


def hole(scripted: Scripted) -> Hole:
    (found,) = scripted.requests[-1].holes
    return found


@pytest.mark.parametrize("given", [".", "auto"])
def test_whole_file_is_one_template(puzzle: Path, scripted: Scripted, given: str) -> None:
    scripted.texts = ["93\n721"]
    assert cli.run(["fill", "-w", "p.sudoku", "--blank", given]) == Exit.OK
    found = hole(scripted)
    assert (found.text, found.blanks) == (".3\n.2.", (0, 3, 5))
    assert found.alphabet == ("123456789" if given == "auto" else "")
    assert puzzle.read_bytes() == b"# a \xff\r\n193\r\n721\nend\r\n"


def test_range_is_trimmed_to_its_blanks_and_else_kept(puzzle: Path, scripted: Scripted) -> None:
    scripted.texts = ["9"]
    args = ["fill", "-w", "p.sudoku:2", "--blank", ".", "--alphabet", "7-9"]
    assert cli.run(args) == Exit.OK
    assert hole(scripted) == Hole(".", (0,), "789")
    assert puzzle.read_bytes() == b"# a \xff\r\n193\r\n.2.\nend\r\n"


def test_engine_that_changes_what_stays_changes_no_file(
    puzzle: Path, scripted: Scripted, capfd: Capture
) -> None:
    before = puzzle.read_bytes()
    scripted.texts = ["93\r\n7219"]
    assert cli.run(["fill", "-w", "p.sudoku", "--blank", "."]) == Exit.ENGINE
    assert "fills no templates" in capfd.readouterr().err and puzzle.read_bytes() == before
    scripted.texts = ["9x\n7y1"]  # as long, but what it says elsewhere is not taken
    assert cli.run(["fill", "-w", "p.sudoku", "--blank", "."]) == Exit.OK
    assert puzzle.read_bytes() == b"# a \xff\r\n193\r\n721\nend\r\n"


def test_markers_are_filled_as_ever_beside_templates(folder: Path, scripted: Scripted) -> None:
    (folder / "a.txt").write_text("x = <FILL>\ny = ?\n")
    scripted.texts = ["1"]
    args = ["fill", "-w", "a.txt", "--blank", "?"]
    assert cli.run(args) == Exit.OK
    assert (folder / "a.txt").read_text() == "x = 1\ny = ?\n"
    assert hole(scripted) == Hole()


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ("p.sudoku --blank _", Exit.INPUT, "p.sudoku has no blank '_' from line 1 on to fill"),
        ("p.sudoku:3- --blank .  --range 1", Exit.INPUT, "no blank '.' from line 1 on to fill"),
        ("p.sudoku --blank ..", Exit.USAGE, "a blank is one character, not '..'"),
        ("p.sudoku --alphabet 1-9", Exit.USAGE, "--alphabet goes with --blank"),
        ("a.txt --blank auto", Exit.USAGE, "a.txt has no blank of its kind"),
    ],
)
def test_bad_input_is_one_line(
    puzzle: Path, scripted: Scripted, capfd: Capture, args: str, code: Exit, words: str
) -> None:
    Path("a.txt").write_text("a\n")
    assert cli.run(["fill", *args.split()]) == code
    error = capfd.readouterr().err
    assert words in error and error.count("\n") == 1 and not scripted.requests


def test_pipe_fills_blanks_and_gives_back_what_it_cannot(
    scripted: Scripted, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def feed(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    feed(b"a ? b\n")
    scripted.texts = ["x"]
    assert cli.run(["pipe", "--blank", "?"]) == Exit.OK
    assert capfd.readouterr().out == "a x b\n"
    feed(b"a b\n")
    assert cli.run(["pipe", "--blank", "?"]) == Exit.INPUT
    assert capfd.readouterr().out == "a b\n"
