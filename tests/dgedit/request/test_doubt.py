"""Why an infill is not written without asking, and how that is said."""

from __future__ import annotations

import pytest

from dgedit.request.doubt import doubt, doubts, told
from dgedit_engine.types import Candidate, Draft, Infill, Stopped

DRAFT = Draft(("x",), (0.5,), (True,))


def candidate(faults: int | None = None, certainty: float | None = None) -> Candidate:
    return Candidate(DRAFT, -0.5, "draft", faults, certainty)


@pytest.mark.parametrize(
    ("faults", "certainty", "stopped", "kind", "words"),
    [
        (1, 0.99, "settled", "breaks", "breaks the syntax (1 error)"),
        (2, 0.01, "cap", "breaks", "breaks the syntax (2 errors)"),  # the gravest is said
        (0, 0.12, "settled", "unsure", "unsure (12%)"),
        (None, 0.12, "cap", "unsure", "unsure (12%)"),
        (None, 0.349, "settled", "unsure", "unsure (34%)"),  # never as high as the caution
        (0, 0.29, "settled", "unsure", "unsure (29%)"),
        (0, 0.0, "settled", "unsure", "unsure (0%)"),
        (0, 0.35, "cap", "unsettled", "did not settle"),
        (None, None, "cap", "unsettled", "did not settle"),
    ],
)
def test_doubt_has_a_kind_and_words(
    faults: int | None, certainty: float | None, stopped: Stopped, kind: str, words: str
) -> None:
    found = doubt(candidate(faults, certainty), stopped, caution=0.35)
    assert found is not None and (found.kind, found.words) == (kind, words)


@pytest.mark.parametrize(("faults", "certainty"), [(None, None), (0, 0.35), (0, None), (None, 1.0)])
def test_what_is_sure_or_what_nobody_can_tell_is_in_no_doubt(
    faults: int | None, certainty: float | None
) -> None:
    for stopped in ("settled", "unchanged"):
        assert doubt(candidate(faults, certainty), stopped, caution=0.35) is None
    assert doubt(None, "settled", caution=0.35) is None


def test_caution_is_the_least_certainty_that_is_enough() -> None:
    assert doubt(candidate(0, 0.0), "settled", caution=0) is None
    assert doubt(candidate(0, 0.999), "settled", caution=1) is not None
    assert doubt(candidate(0, 1.0), "settled", caution=1) is None


def test_doubt_is_about_the_first_candidate_of_each_hole() -> None:
    offered = ((candidate(0, 0.9), candidate(3, 0.1)), (candidate(3, 0.1), candidate(0, 0.9)))
    infill = Infill(("x", "x"), 0.0, 1, 0.0, "settled", offered)
    kinds = [one and one.kind for one in doubts(infill, caution=0.35)]
    assert kinds == [None, "breaks"]


def test_holes_without_candidates_are_in_doubt_only_where_they_did_not_settle() -> None:
    assert doubts(Infill(("x", "y"), 0.0, 1, 0.0, "settled"), caution=0.35) == [None, None]
    assert all(doubts(Infill(("x", "y"), 0.0, 1, 0.0, "cap"), caution=0.35))


def test_places_in_doubt_are_told_in_one_line_that_stays_short() -> None:
    unsure = doubt(candidate(0, 0.1), "settled", caution=0.35)
    assert told(["a:1", "a:2"], [None, None]) == ""
    assert told(["a:1", "b:2"], [None, unsure]) == "b:2: unsure (10%)"
    said = told([f"a:{n}" for n in range(1, 7)], [unsure, None, *[unsure] * 4])
    assert said == "a:1: unsure (10%), a:3: unsure (10%), a:4: unsure (10%), and 2 more"
