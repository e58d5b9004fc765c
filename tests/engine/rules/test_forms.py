"""Forms: what of a text is a slot, which slots are blanks, and what is refused in one line."""

from __future__ import annotations

import pytest

from dgedit_engine.rules import proteins
from dgedit_engine.rules.forms import graph, protein, puzzle

SMALL = "..43\n..1.\n21..\n.3..\n"


def blanks(text: str, blank: str = ".") -> list[int]:
    return [place for place, one in enumerate(text) if one == blank]


def test_puzzle_is_its_cells_in_order() -> None:
    found = puzzle(SMALL, blanks(SMALL), range(len(SMALL)))
    assert "".join(SMALL[place] for place in found.places) == SMALL.replace("\n", "")
    assert found.choices == "1234"
    assert list(found.given) == [one != "." for one in SMALL.replace("\n", "")]


@pytest.mark.parametrize("apart", ["\n", "", "a heading\n"])
def test_puzzle_among_others_is_found_around_its_hole(apart: str) -> None:
    line = SMALL.replace("\n", "")
    text = f"{line}\n{apart}{line}\n{apart}{line}\n"
    start = text.index(line, 20)
    found = puzzle(text, [start, start + 1], range(start, start + 2))
    assert list(found.places) == list(range(start, start + 16))


def test_other_blanks_are_read_as_blanks() -> None:
    text = SMALL.replace(".", "x")
    assert puzzle(text, blanks(text, "x"), range(len(text))).given.count(False) == 10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("12.4\n", "cells, not 4"),
        ("11..\n....\n....\n....\n", "stands twice"),
        ("9" + "." * 15, "9"),
    ],
)
def test_puzzle_that_cannot_be_solved_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        puzzle(text, blanks(text), range(len(text)))


def test_graph_is_its_labels() -> None:
    text = "graph { a [c=1]; b [c=?]; a -- b }"
    found = graph(text, blanks(text, "?"), range(len(text)))
    assert [text[place] for place in found.places] == ["1", "?"]
    assert list(found.given) == [True, False]
    with pytest.raises(ValueError, match="label of a is wrong"):
        graph(text.replace("?", "1"), [], range(1))


def test_protein_is_the_sequence_around_the_blanks() -> None:
    text = ">one A?\nMK?L\nAC\n>two\nGG??GG\n"
    start = text.index("?", 10)
    found = protein(text, [start], range(start, start + 1))
    assert "".join(text[place] for place in found.places) == "MK?LAC"
    assert list(found.given) == [True, True, False, True, True, True]
    start = text.index("??")
    assert len(protein(text, [start, start + 1], range(start, start + 2)).places) == 6


def test_long_protein_is_read_through_a_window_around_the_blanks() -> None:
    text = ">long\n" + "A" * 600 + "?" + "C" * 50
    place = text.index("?")
    found = protein(text, [place], range(place, place + 1))
    assert len(found.places) == proteins.WINDOW
    assert place in found.places
    wide = ">x\n?" + "A" * 300 + "?"
    with pytest.raises(ValueError, match="302 residues apart; 256"):
        protein(wide, blanks(wide, "?"), range(3, len(wide)))
