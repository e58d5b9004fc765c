"""What saving changes of a text: ends of touched lines, and the end of the last one."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from dgedit.text.tidying import Tidying, tidied

LINES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b ", " \t", "", "c\t "]), st.sampled_from(["\n", "\r\n", "\r"])
    ),
    max_size=6,
).map(lambda lines: "".join(map("".join, lines)))
TEXTS = st.tuples(LINES, st.sampled_from(["", "a", "b ", "  "])).map("".join)


def after(text: str, saved: str, wanted: Tidying, **more: object) -> str:
    change = tidied(text, saved, (0, 0), wanted, newline="\n", **more)  # type: ignore[arg-type]
    return text if change is None else change.apply(text)


def test_only_touched_lines_lose_their_blanks() -> None:
    saved, text = "a \nb \nc \n", "a \nbx \nc \nd \t\n  "
    assert after(text, saved, Tidying(trim=True)) == "a \nbx\nc \nd\n"
    assert after(saved, saved, Tidying(trim=True)) == saved
    assert after("a  \r\nb", "", Tidying(trim=True)) == "a\r\nb"


def test_last_line_is_ended_once() -> None:
    wanted = Tidying(final_newline=True)
    assert after("a", "", wanted) == "a\n"
    assert after("", "", wanted) == ""
    assert after("a\r", "", wanted) == "a\r"
    assert after("a\n  ", "", Tidying(trim=True, final_newline=True)) == "a\n"


def test_blanks_beside_a_hole_stay_and_so_does_an_end_that_is_one() -> None:
    wanted = Tidying(trim=True, final_newline=True)
    assert after("a = \nb ", "", wanted, holes=[(4, 4)]) == "a = \nb\n"
    assert after("a = ", "", wanted, holes=[(4, 4)]) == "a = "
    every = Tidying(newline="\r\n")
    assert after("a\nb\nc\n", "", every, holes=[(2, 5)]) == "a\r\nb\nc\r\n"


def test_cursor_stays_on_its_line() -> None:
    change = tidied("a  ", "", (3, 3), Tidying(True, True), newline="\n")
    assert change is not None and change.selection == (1, 1)
    change = tidied("a", "", (1, 1), Tidying(True, True), newline="\n")
    assert change is not None and change.selection == (1, 1)


@given(TEXTS, TEXTS, st.sampled_from([None, "\n", "\r\n"]), st.booleans(), st.booleans())
def test_nothing_else_is_changed_and_once_is_enough(
    text: str, saved: str, newline: str | None, trim: bool, final: bool
) -> None:
    wanted = Tidying(trim, final, newline)
    new = after(text, saved, wanted)
    assert re.sub(r"\s", "", new) == re.sub(r"\s", "", text)
    if trim:
        assert after(text, "", Tidying(trim=True)) == re.sub(r"[ \t]+(?=[\r\n]|\Z)", "", text)
    if newline:
        assert set(re.findall(r"\r\n|\n|\r", new)) <= {newline}
    assert after(new, saved, Tidying(False, final, newline)) == new
