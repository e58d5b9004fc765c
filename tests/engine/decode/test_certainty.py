"""The probability that an infill is right."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from dgedit_engine.decode.certainty import (
    FEATURES,
    FILE,
    Certainty,
    features,
    load_certainty,
    save_certainty,
)
from dgedit_engine.decode.joint import Scored
from dgedit_engine.prompt.plain import Surroundings
from dgedit_engine.types import Draft, ModelError

PLACE = Surroundings("def f(a):\n    return ", "\n")
WEIGHTS = Certainty(-1.0, {name: float(place) / 8 for place, name in enumerate(FEATURES)})


def scored(text: str, own: float, after: float = -1.0, sure: float = 0.5) -> Scored:
    return Scored(text, Draft((text,), (sure,), (True,)), own, after)


def test_features_are_those_that_are_named() -> None:
    found = features([scored("a", -1.0)], 0, PLACE, 4)
    assert tuple(found) == FEATURES
    assert found["own"] == -1.0 and found["after"] == -0.25
    assert found["least"] == math.log(0.5)
    assert found["share"] == pytest.approx(0) and found["lead"] == 12.0  # there is no other


def test_lead_is_that_over_what_says_something_else() -> None:
    some = [scored("a + b", -1.0), scored("a + b + c", -2.0), scored("b", -4.0)]
    assert features(some, 0, PLACE, 4)["lead"] == 3.0
    assert features(some, 2, PLACE, 4)["lead"] == -3.0
    share = features(some, 0, PLACE, 4)["share"]
    most = [math.exp(own - 1.0) for own in (-1.0, -2.0, -4.0)]
    assert share == pytest.approx(math.log(most[0] / sum(most)))


@pytest.mark.parametrize(
    ("place", "name", "right"),
    [
        (Surroundings("x\n", "y\n"), "starts line", True),
        (Surroundings("x\n    ", "\n"), "starts line", True),
        (Surroundings("x = ", "\n"), "starts line", False),
        (Surroundings("f(", ")\n"), "line goes on", True),
        (Surroundings("x = ", "\n"), "line goes on", False),
        (Surroundings("x = ", "\n\n"), "at an end", True),
        (Surroundings("x = ", "\ny\n"), "at an end", False),
    ],
)
def test_place_of_the_hole_is_told(place: Surroundings, name: str, right: bool) -> None:
    assert features([scored("a", -1.0)], 0, place, 4)[name] == right


def test_circles_and_lines_are_told() -> None:
    found = features([scored("f(x)\nf(x)\nf(x)\n", -1.0)], 0, PLACE, 4)
    assert found["circle"] == 1.0 and found["lines"] == pytest.approx(math.log(3))


@pytest.mark.parametrize("own", [-1e9, -1.0, 0.0, 1e9])
def test_probability_is_one(own: float) -> None:
    weights = Certainty(0.0, {**dict.fromkeys(FEATURES, 0.0), "own": 1.0})
    assert 0 <= weights.of({**dict.fromkeys(FEATURES, 0.0), "own": own}) <= 1


def test_weights_survive_the_file(tmp_path: Path) -> None:
    assert load_certainty(tmp_path) is None
    save_certainty(WEIGHTS, tmp_path)
    assert load_certainty(tmp_path) == WEIGHTS


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "numbers"),
        ({"bias": 1, "weights": []}, "numbers"),
        ({"bias": 1, "weights": {}}, "must be of own"),
        ({"bias": True, "weights": dict.fromkeys(FEATURES, 0)}, "numbers"),
        ({"bias": 0, "weights": dict.fromkeys(FEATURES, "1")}, "numbers"),
        ({"bias": 0, "weights": {**dict.fromkeys(FEATURES, 0), "more": 1}}, "must be of own"),
    ],
)
def test_unusable_weights_are_one_line(tmp_path: Path, table: object, words: str) -> None:
    (tmp_path / FILE).write_text(json.dumps(table))
    with pytest.raises(ModelError, match=words) as caught:
        load_certainty(tmp_path)
    assert "\n" not in str(caught.value) and FILE in str(caught.value)
