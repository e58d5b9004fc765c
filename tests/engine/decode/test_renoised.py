"""An infill is noised from the first token that the causal reading would not have written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dgedit_engine.decode import phases, starts
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.rank import Filling
from dgedit_engine.decode.work import Work
from dgedit_engine.engine import Engine
from dgedit_engine.types import Hole, Step
from small_base import request

ONE = request("x = 1\ny = ", Hole(), "\nz = 2\n", steps=3)
TWO = request("a = ", Hole(), "\nb = ", Hole(), "\n", steps=2)


@pytest.fixture
def one_canvas(tiny: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(phases, "CANVASES", 1)
    return tiny


def run(engine: Engine, settings: Decoding, asked: Any = ONE) -> list[Step]:
    engine.decoding = settings
    return list(engine.infill(asked))


@pytest.fixture
def noised(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """The places that are noised, and the canvases made."""
    seeds: list[tuple[Any, Any]] = []
    made = starts.seed_canvas

    def seed_canvas(*given: Any, **more: Any) -> Any:
        seeds.append((more.get("places"), made(*given, **more)))
        return seeds[-1][1]

    monkeypatch.setattr(starts, "seed_canvas", seed_canvas)
    return seeds


def agreeing(monkeypatch: pytest.MonkeyPatch, *counts: int) -> None:
    """Have the causal reading agree with so many of five tokens of each hole."""

    def agreement(work: Work, filling: Filling) -> list[list[bool]]:
        return [[at < count for at in range(5)] for count in counts]

    monkeypatch.setattr(starts, "agreement", agreement)


def test_everything_from_the_first_disagreement_is_noise(
    one_canvas: Engine, noised: list[tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    agreeing(monkeypatch, 2)
    steps = run(one_canvas, Decoding(renoised=1))
    (_, plain), (places, seed) = noised
    assert [place.start for place in places] == [2]
    (segment,) = seed.canvas.segments
    known = seed.known[0].tolist()
    assert known[segment.start : segment.stop] == [True] * 2 + [False] * (len(segment) - 2)
    assert not plain.known.any()
    assert "repair" in {step.phase for step in steps} and steps[-1].last
    assert "repaired" in {one.origin for one in steps[-1].candidates[0]}


def test_holes_behind_the_first_disagreement_are_noise_too(
    one_canvas: Engine, noised: list[tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for counts in ((0, 99), (99, 0)):
        noised.clear()
        agreeing(monkeypatch, *counts)
        run(one_canvas, Decoding(renoised=1), TWO)
        first, second = noised[-1][0]
        assert (len(first) > 0, second.start) == (counts[0] == 0, 0)


def test_nothing_is_done_where_it_agrees_or_is_not_asked_to(
    one_canvas: Engine, noised: list[tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run(one_canvas, Decoding())
    agreeing(monkeypatch, 99)
    assert len(run(one_canvas, Decoding(renoised=2))) == len(plain)
    agreeing(monkeypatch, 0)
    asked = replace(ONE, reading="causal")
    drafted = len(run(one_canvas, Decoding(), asked))
    assert len(run(one_canvas, Decoding(renoised=2), asked)) == drafted
    assert not any(places for places, _ in noised)


def test_rounds_are_those_of_the_settings_and_the_best_is_shown(
    one_canvas: Engine, noised: list[tuple[Any, Any]]
) -> None:
    steps = run(one_canvas, Decoding(renoised=3))
    rounds = [places for places, _ in noised if places]
    assert 1 <= len(rounds) <= 3
    (offered,) = steps[-1].candidates
    assert offered[0].draft == steps[-1].drafts[0]
    assert len(offered) > 1
