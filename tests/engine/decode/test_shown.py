"""What may be drawn over a finished infill."""

from __future__ import annotations

import pytest

from dgedit_engine.decode.shown import Shown
from dgedit_engine.types import Draft, Hole, InfillRequest, Passage

REQUEST = InfillRequest((Passage("a.py", ("x = ", Hole(), "\n")),))


def draft(text: str, sure: float) -> tuple[Draft, ...]:
    return (Draft((text,), (sure,), (True,)),)


@pytest.mark.parametrize(
    ("text", "sure", "shown"),
    [
        ("2", 0.6, "2"),
        ("2", 0.4, "1"),  # less sure
        ("2", 0.5, "1"),  # no surer
        ("(2", 0.9, "1"),  # breaks the syntax
    ],
)
def test_nothing_worse_is_drawn_over_it(text: str, sure: float, shown: str) -> None:
    first = Shown.of(REQUEST, draft("1", 0.5))
    assert first.errors == 0
    assert first.over(REQUEST, draft(text, sure)).drafts[0].text == shown


def test_what_mends_a_broken_one_may_be_drawn() -> None:
    first = Shown.of(REQUEST, draft("(1", 0.5))
    assert first.errors > 0
    assert first.over(REQUEST, draft("1", 0.6)).drafts[0].text == "1"
