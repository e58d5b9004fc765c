"""Requests and steps survive the trip through JSON; nothing else is taken for one."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgedit.engines.warm.wire import (
    ability_from_json,
    ability_to_json,
    request_from_json,
    request_to_json,
    step_from_json,
    step_to_json,
)
from dgedit_engine.types import Ability, Candidate, Draft, Hole, InfillRequest, Passage, Step

DRAFT = Draft(("a", "\n\u2028", "\ud800😀", ""), (0.1, 1.0, 1e-9, 0.0), (True, False, True, False))

CANDIDATE = Candidate(DRAFT, -1.5, "draft", faults=2, certainty=0.5)


@pytest.mark.parametrize(
    "step",
    [
        Step(1, 12, (DRAFT, Draft((), (), ()))),
        Step(12, 12, (DRAFT,), last=True, stopped="cap", score=-0.1234567890123),
        Step(3, 3, (DRAFT,), True, "settled", -1.5, ((CANDIDATE, CANDIDATE), ()), "repair", 71),
    ],
)
def test_step_survives_the_trip(step: Step) -> None:
    line = json.dumps(step_to_json(step))
    assert "\n" not in line
    assert step_from_json(json.loads(line)) == step


REQUESTS = [
    InfillRequest((Passage("", (Hole(),)),)),
    InfillRequest(
        (Passage("a\n.py", ("\ud800", Hole("é\r"), "", Hole())), Passage("b", ())),
        "words\u2028",
        strength=0.25,
        effort=1,
        seed=2**63 - 1,
        candidates=3,
        steps=7,
        entropy_bound=0.125,
        refresh=4,
    ),
    InfillRequest((Passage("", (Hole(),)),), exact=True),
    InfillRequest((Passage("", (Hole(),)),), reading="causal"),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_request_survives_the_trip(request_: InfillRequest) -> None:
    line = json.dumps(request_to_json(request_))
    assert "\n" not in line
    assert request_from_json(json.loads(line)) == request_


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"strength": True}, "strength"),
        ({"strength": None}, "strength"),
        ({"strength": 1.5}, "strength must be between 0 and 1"),
        ({"effort": "fast"}, "effort"),
        ({"effort": float("nan")}, "effort"),
        ({"seed": 1.0}, "seed"),
        ({"steps": 0}, "steps"),
        ({"steps": [1]}, "steps"),
        ({"instruction": None}, "instruction"),
        ({"reading": None}, "reading"),
        ({"reading": "both"}, "reading must be auto or causal, not 'both'"),
        ({"model": "x"}, "no 'model'"),
        ({"passages": []}, "no hole"),
        ({"passages": None}, "passages"),
        ({"passages": "text"}, "passages"),
        ({"passages": ["text"]}, "a passage must be an object"),
        ({"passages": [{"path": "a"}]}, "parts"),
        ({"passages": [{"path": "a", "parts": [1]}]}, "a hole"),
        ({"passages": [{"path": "a", "parts": [{"text": 1}]}]}, "text"),
        ({"passages": [{"path": "a", "parts": [{"text": "", "x": 1}]}]}, "no 'x'"),
    ],
)
def test_field_that_cannot_be_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        request_from_json({**request_to_json(REQUESTS[0]), **change})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
)
FIELDS = st.sampled_from([*request_to_json(REQUESTS[1]), "path", "parts", "text"])
NEAR = st.recursive(
    JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=6),
    max_leaves=12,
)


@given(NEAR, FIELDS)
@settings(max_examples=500, deadline=None)
def test_whatever_else_comes_is_a_value_error(data: object, name: str) -> None:
    for one in (data, {**request_to_json(REQUESTS[1]), name: data}):
        with contextlib.suppress(ValueError):
            assert isinstance(request_from_json(one), InfillRequest)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phase", "dream"),
        ("phase", ["draft"]),
        ("stopped", "late"),
        ("forwards", "7"),
        ("forwards", None),
        ("index", 1.5),
        ("last", 1),
    ],
)
def test_step_with_a_field_that_cannot_be_is_refused(field: str, value: object) -> None:
    sound = step_to_json(Step(1, 2, (DRAFT,)))
    assert step_from_json(sound)
    with pytest.raises(ValueError, match=f"step.*{field}"):
        step_from_json(sound | {field: value})


@pytest.mark.parametrize(
    "ability",
    [Ability(), Ability(frozenset({".py", ".go"}), True, 8192, True), Ability(frozenset())],
)
def test_ability_survives_the_trip(ability: Ability) -> None:
    assert ability_from_json(json.loads(json.dumps(ability_to_json(ability)))) == ability


@pytest.mark.parametrize(
    ("field", "value"),
    [("languages", ".py"), ("languages", [3]), ("instructions", 1), ("context", "9")],
)
def test_ability_that_cannot_be_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        ability_from_json(ability_to_json(Ability()) | {field: value})


def test_passage_may_leave_out_what_is_around_its_excerpt() -> None:
    table = request_to_json(InfillRequest((Passage("a.py", ("x", Hole()), "above", "below"),)))
    assert request_from_json(table).passages[0].above == "above"
    del table["passages"][0]["above"], table["passages"][0]["below"]
    assert request_from_json(table).passages[0] == Passage("a.py", ("x", Hole()))


def test_hole_that_is_no_template_is_written_as_ever() -> None:
    table = request_to_json(InfillRequest((Passage("", (Hole("a"), Hole("b?", (1,), "xy"))),)))
    (passage,) = table["passages"]
    assert passage["parts"][0] == {"text": "a"}
    assert request_from_json(json.loads(json.dumps(table))).holes == (
        Hole("a"),
        Hole("b?", (1,), "xy"),
    )
    for strange in ({"blanks": [2]}, {"blanks": ["1"]}, {"alphabet": 1}, {"blanks": 1}):
        passage["parts"] = [{"text": "b?", **strange}]
        with pytest.raises(ValueError):
            request_from_json(table)
