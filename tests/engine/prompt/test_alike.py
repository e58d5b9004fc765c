"""Which lines of the rest of a file a small model is shown."""

from __future__ import annotations

import pytest

from dgedit_engine.prompt.alike import alike

FILLER, MORE, REST = (
    "\n".join(f"value_{n} = compute(value_{n - 1}, self)" for n in range(start, start + 60))
    for start in (0, 100, 200)
)
TARGET = "def parse_header(stream):\n    return Header.of(stream.first_line())\n"
NEAR = "header = parse_header(stream)\nself.check(compute)\n"


def words(text: str) -> list[int]:
    """Count words as tokens."""
    return [1] * len(text.split())


def test_rare_names_in_common_count_more_than_frequent_ones() -> None:
    found = alike(f"{FILLER}\n{TARGET}\n{MORE}", NEAR, words, 30)
    assert "def parse_header(stream):" in found and "first_line" in found


@pytest.mark.parametrize("room", [0, 5, 13, 30, 80])
def test_no_more_is_shown_than_there_is_room_for(room: int) -> None:
    found = alike(f"{FILLER}\n{TARGET}\n{MORE}", NEAR, words, room)
    assert len(words(found)) <= room and bool(found) is (room > 20)


def test_lines_keep_their_order_and_are_set_apart() -> None:
    second = "    Header.write(stream)\n"
    text = f"{FILLER}\n{TARGET}\n{MORE}\n{second}\n{REST}"
    found = alike(text, NEAR + "Header.write\n", words, 60)
    lines = [line for line in found.split("\n") if line]
    places = [text.split("\n").index(line) for line in lines]
    assert places == sorted(places) and {TARGET.split("\n")[0], second.strip("\n")} <= {*lines}
    assert "\n\n" in found


@pytest.mark.parametrize("text", ["", "\n\n", "a\n+\n", FILLER])
def test_nothing_is_shown_without_a_name_in_common(text: str) -> None:
    assert alike(text, "total = other\n", words, 100) == ""
