"""Columns as clients count them, and as we do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgedit.protocol.positions import ENCODINGS, PositionEncoding, paired, to_column, to_units

SIZES = {"utf-8": (1, 2, 3, 4), "utf-16": (1, 1, 1, 2), "utf-32": (1, 1, 1, 1)}


def size(char: str, encoding: str) -> int:
    """Units of a character, from its number alone."""
    bounds = (0x80, 0x800, 0x10000, 0x110000)
    return SIZES[encoding][next(at for at, bound in enumerate(bounds) if ord(char) < bound)]


LINES = st.text(st.sampled_from("ab é€\u2028😀\U0010ffff\ud83d\ude00"), max_size=12).map(paired)


@given(LINES, st.sampled_from(ENCODINGS))
def test_every_character_has_the_units_that_it_has(line: str, encoding: PositionEncoding) -> None:
    units = 0
    for column, char in enumerate(line):
        assert to_units(line, column, encoding) == units
        for inside in range(size(char, encoding)):
            assert to_column(line, units + inside, encoding) == column
        units += size(char, encoding)
    for past in (0, 1, 10**9):
        assert to_column(line, units + past, encoding) == len(line)


@pytest.mark.parametrize(
    ("encoding", "units", "column"),
    [("utf-16", 2, 1), ("utf-16", 3, 2), ("utf-8", 3, 1), ("utf-8", 5, 2), ("utf-32", 2, 2)],
)
def test_place_inside_of_a_character_is_its_start(
    encoding: PositionEncoding, units: int, column: int
) -> None:
    assert to_column("x😀y", units, encoding) == column


def test_halves_that_meet_are_a_pair() -> None:
    assert paired("\ud83d" + "\ude00") == "😀"
    assert paired("\ude00\ud83d") == "\ude00\ud83d"
