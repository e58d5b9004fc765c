"""The candidates that are offered for each hole."""

from __future__ import annotations

import pytest

from dgedit_engine.decode.offers import different, offered
from dgedit_engine.types import OFFERED, Candidate, Draft, Hole, InfillRequest, Passage


def candidate(text: str, score: float = -1.0, certainty: float | None = None) -> Candidate:
    draft = Draft((text,), (0.5,), (True,)) if text else Draft((), (), ())
    return Candidate(draft, score, "draft", certainty=certainty)


def texts(found: tuple[Candidate, ...] | list[Candidate]) -> list[str]:
    return [one.draft.text for one in found]


def asked(*parts: str | Hole, candidates: int | None = None) -> InfillRequest:
    return InfillRequest((Passage("a.py", parts),), candidates=candidates)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["a", "b"], ["a", "b"]),
        (["f(a)", "f( a )\n", "f(b)"], ["f(a)", "f(b)"]),  # white space
        (["f(a)", "f(a) + 1", "f(b)"], ["f(a)", "f(b)"]),  # goes on
        (["f(a) + 1", "f(a)", "f(b)"], ["f(a) + 1", "f(b)"]),  # begins so
        (["", "a", ""], ["", "a"]),
    ],
)
def test_candidates_differ_by_more_than_white_space_or_a_prefix(
    given: list[str], kept: list[str]
) -> None:
    assert texts(different([candidate(one) for one in given])) == kept


def test_no_candidate_with_an_error_beside_a_sound_one() -> None:
    found = [candidate("1"), candidate("(2"), candidate("3")]
    (own,) = offered(asked("x = ", Hole(), "\n"), [found])
    assert texts(own) == ["1", "3"] and [one.faults for one in own] == [0, 0]


def test_where_all_have_errors_all_are_offered_and_none_is_sure() -> None:
    found = [candidate("(1", certainty=0.9), candidate("[2", certainty=0.8)]
    (own,) = offered(asked("x = ", Hole(), "\n"), [found])
    assert texts(own) == ["(1", "[2"] and all(one.breaks for one in own)
    assert [one.certainty for one in own] == [0.0, 0.0]


def test_at_most_four_or_as_many_as_are_asked_for() -> None:
    found = [candidate(str(number)) for number in range(2, 10)]
    (own,) = offered(asked("x = ", Hole(), "\n"), [found])
    assert len(own) == OFFERED == 4
    (own,) = offered(asked("x = ", Hole(), "\n", candidates=6), [found])
    assert len(own) == 6


def test_each_hole_is_judged_with_the_others_first_candidates() -> None:
    request = asked("x = ", Hole(), Hole(), "\n")
    left, right = [candidate("f("), candidate("f")], [candidate("1)"), candidate("(1)")]
    own = offered(request, [left, right])
    assert [texts(one) for one in own] == [["f("], ["1)"]]


def test_hole_without_a_candidate_has_an_empty_one() -> None:
    own = offered(asked("x = ", Hole(), "\n"), [[]])
    assert [texts(one) for one in own] == [[""]]


def test_error_is_that_of_the_hole_that_brings_it() -> None:
    request = asked("x = ", Hole(), "\ny = ", Hole(), "\nz = ", Hole(), "\n")
    found = [[candidate("1")], [candidate("(2")], [candidate("3"), candidate("[4")]]
    own = offered(request, found)
    assert [[bool(one.faults) for one in hole] for hole in own] == [[False], [True], [False]]


def test_what_is_offered_first_is_sound_beside_what_is_offered_first_elsewhere() -> None:
    """A hole was judged beside a candidate that another had lost meanwhile."""
    request = asked("x = ", Hole(), Hole(), "\n")
    own = offered(request, [[candidate("f("), candidate("g")], [candidate("[1]"), candidate("1)")]])
    firsts = "".join(one[0].draft.text for one in own)
    assert firsts in ("f(1)", "g[1]") and not any(one[0].breaks for one in own)


def test_first_ones_that_break_their_file_together_are_to_blame_each() -> None:
    files = (
        Passage("a.py", ("x = ", Hole(), "\ny = 1\n")),
        Passage("b.py", ("z = ", Hole(), "\n")),
    )
    found = [[candidate("(1", certainty=0.9)], [candidate("2", certainty=0.9)]]
    own = offered(InfillRequest(files), found)
    assert [[one.certainty for one in hole] for hole in own] == [[0.0], [0.9]]
