"""Several holes are cut out of a text, and filled jointly and in turn."""

from __future__ import annotations

import json

import pytest

from dgedit_engine.eval import command, holes
from dgedit_engine.eval.holes import ManyHoles, draw
from dgedit_engine.eval.texts import held_out
from dgedit_engine.types import Hole
from scripted import Scripted

LINES = ("a = 1\n", "if a:\n", "    b = 2  \n", "\n", "c = a\n")


def test_lines_are_cut_without_their_indentation() -> None:
    one = ManyHoles("a.py", LINES, (2, 4))
    (passage,) = one.request().passages
    assert passage.parts == ("a = 1\nif a:\n    ", Hole(), "  \n\n", Hole(), "\n")
    assert one.gold == ["b = 2", "c = a"]


def test_fewer_holes_are_the_first_of_more() -> None:
    few, more = (draw(held_out(None), most=most, limit=3, seed=1) for most in (2, 4))
    assert len(few) == len(more) == 3
    for one in more:
        assert len(one.cut) == 4 and all(
            b - a >= 3 for a, b in zip(one.cut, one.cut[1:], strict=False)
        )
        assert len(one.request().holes) == 4
    same = [one for one in few if one.path == more[0].path]
    assert not same or same[0].cut == more[0].cut[:2]


def test_ways_are_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = ManyHoles("a.py", LINES, (2, 4))
    engine = Scripted(texts=("b = 2", "c = 9"), certainty=(0.9,))
    monkeypatch.setattr(command, "open_engine", lambda model, device: engine)
    monkeypatch.setattr(holes, "draw", lambda *given, **more: [one])
    assert holes.main(["--counts", "1", "2"]) == 0
    *_, line = capsys.readouterr().out.splitlines()
    first, jointly, turns = json.loads(line)["rows"]
    assert (first["holes"], first["way"], first["exact"]) == (1, "jointly", "1 of 1")
    assert (jointly["way"], jointly["exact"], jointly["similarity"]) == ("jointly", "1 of 2", 90.0)
    # each request of its own begins with the first text
    assert (turns["way"], turns["exact"], turns["similarity"]) == ("in turn", "1 of 2", 80.0)
    assert [len(asked.holes) for asked in engine.requests] == [1, 2, 1, 1]
    assert engine.requests[-1].passages[0].parts[0] == "a = 1\nif a:\n    b = 2  \n\n"


@pytest.mark.parametrize(("words", "code"), [("--model /nowhere", 5), ("--counts 0", 2)])
def test_what_is_wrong_is_said_in_a_line(
    capsys: pytest.CaptureFixture[str], words: str, code: int
) -> None:
    assert holes.main(words.split()) == code
    assert capsys.readouterr().err.count("\n") == 1
