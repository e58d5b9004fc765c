"""Steps and infills survive the trip through JSON."""

from __future__ import annotations

import json

import pytest

from dgedit.wire import infill_from_json, infill_to_json, step_from_json, step_to_json
from dgedit_engine.types import Candidate, Draft, Infill, Step

DRAFT = Draft(("a", "\n\u2028", "\ud800😀", ""), (0.1, 1.0, 1e-9, 0.0), (True, False, True, False))

CANDIDATE = Candidate((DRAFT, Draft((), (), ())), -1.5, "draft", faults=2)


@pytest.mark.parametrize(
    "step",
    [
        Step(1, 12, (DRAFT, Draft((), (), ()))),
        Step(12, 12, (DRAFT,), last=True, stopped="cap", score=-0.1234567890123),
        Step(3, 3, (DRAFT,), True, "settled", -1.5, (CANDIDATE, CANDIDATE), "repair", 71),
    ],
)
def test_step_survives_the_trip(step: Step) -> None:
    line = json.dumps(step_to_json(step))
    assert "\n" not in line
    assert step_from_json(json.loads(line)) == step


def test_infill_survives_the_trip() -> None:
    infill = Infill(("a\n", ""), -0.5, 7, 1.25, "settled", (CANDIDATE,))
    assert infill_from_json(json.loads(json.dumps(infill_to_json(infill)))) == infill
