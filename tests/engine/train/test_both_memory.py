"""Training's memory: what is planned holds what a step takes, and the released shape's figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dgedit_engine.bench.shapes import random_model, released, small
from dgedit_engine.memory.plan import TooLarge, fitting
from dgedit_engine.model.config import Config
from dgedit_engine.model.model import Model
from dgedit_engine.train.adapter import TrainedAdapter
from dgedit_engine.train.both_examples import AnsweredHole
from dgedit_engine.train.both_memory import _WIDENED, check, need_of, said, trained
from dgedit_engine.train.both_recipe import BothRecipe
from dgedit_engine.train.both_run import BothRun
from dgedit_engine.types import ModelError
from headers import header_only
from peak import Peak

GB = 10**9
RECIPE = BothRecipe()
SMALL = replace(small(), vocab=512, layers=small().layers[:3])


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("gpu", [False, True])
def test_plan_holds_a_step(again: bool, gpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if gpu:  # torch's norms, which run there, keep more on a CPU than there
        monkeypatch.setattr("dgedit_kernels.norm._trained", lambda x: False)
    recipe = BothRecipe(conditioned=1.0, limit=60, rows=1, copies=2, rank=4)
    run = BothRun(random_model(SMALL, "int4", device="cpu"), recipe, again=again)
    ids = torch.arange(60 + 64).remainder(512).tolist()
    example = AnsweredHole(ids[:60], ids[60:], 64)
    run.update((example,))  # makes the moments
    with Peak() as peak:
        run.update((example,))
    planned = need_of(SMALL, 0, recipe, again=again, size=2, device="cpu")
    own = 12 * trained(SMALL, recipe)  # the adapter and its moments are there already
    room = planned.total - own - _WIDENED
    assert peak.most <= room, (peak.most, room)
    assert room < 2.5 * peak.most, (peak.most, room)


Kind = tuple[str | None, str | None]
"""What experts and the rest are kept as."""


@pytest.fixture(scope="module")
def weights() -> dict[Kind, int]:
    """The bytes of the released shape's weights on a GPU."""
    found = fitting(released(), 1000 * GB)
    return {(one.experts, one.rest): one.fit.need.weights for one in found}


def gigabytes(weights: dict[Kind, int], kind: Kind, *, again: bool, **more: int) -> float:
    recipe = replace(RECIPE, **more)
    size = weights[kind]
    return need_of(released(), size, recipe, again=again, size=2, device="cuda").total / GB


def test_adapter_of_the_released_shape() -> None:
    # rows and columns: 38,336 of a sliding layer, 40,640 of a full one, which has no values
    assert trained(released(), RECIPE) == 16 * (25 * 38_336 + 5 * 40_640) == 18_585_600


def test_count_is_that_of_an_adapter() -> None:
    with torch.device("meta"):
        adapter = TrainedAdapter(Model(SMALL), RECIPE.settings(), causal=None)
    assert trained(SMALL, RECIPE) == sum(part.numel() for part in adapter.parameters())


def test_released_shape_fits_80_gigabytes_in_bfloat16(weights: dict[Kind, int]) -> None:
    free, plain = 80 * 0.96, (None, None)
    assert 60 < gigabytes(weights, plain, again=False) < free
    assert 50.5 < gigabytes(weights, plain, again=True) < 60
    assert gigabytes(weights, plain, again=False, copies=4) > free
    assert gigabytes(weights, plain, again=True, copies=4) < free


def test_released_shape_fits_24_gigabytes_with_experts_of_four_bits(
    weights: dict[Kind, int],
) -> None:
    free = 24 * 0.96
    for kind in (("int4", "int8"), ("e2m1", "int8"), ("e2m1", "e4m3")):
        assert gigabytes(weights, kind, again=True) < free < gigabytes(weights, kind, again=False)
    assert gigabytes(weights, ("e4m3", None), again=True) > free


def test_plan_is_made_of_a_header(tmp_path: Path) -> None:
    file = tmp_path / "m-Q4_0.gguf"
    header_only(file, released(), "Q4_0", vocabulary=False)
    found = check(file, RECIPE, 22 * GB, device="cuda")
    assert found.again and found.total < 22 * GB and 15 * GB < found.weights < 16 * GB
    assert not check(file, RECIPE, 80 * GB, device="cuda").again
    assert check(file, RECIPE, 80 * GB, device="cuda", again=True) == found
    words = r"training needs 2\d\.\d GB \(weights 15\.\d, adapter 0\.\d, .*; layers run again\)"
    with pytest.raises(TooLarge, match=rf"Q4_0\.gguf: {words}, cuda has 16\.0 GB free"):
        check(file, RECIPE, 16 * GB, device="cuda")
    assert "all layers kept" in said(replace(found, again=False))


def test_base_without_canvases_is_refused(base: Path) -> None:
    with pytest.raises(ModelError, match="a gemma3 without canvases"):
        check(base, RECIPE, 80 * GB, device="cuda")


def test_more_of_everything_takes_more() -> None:
    def total(config: Config = SMALL, **more: int) -> int:
        recipe = replace(RECIPE, **more)
        return need_of(config, 0, recipe, again=True, size=2, device="cuda").total

    least = total()
    assert total(limit=2048) > least and total(copies=3) > least and total(rank=64) > least
    assert total(replace(SMALL, layers=(*SMALL.layers, *SMALL.layers))) > least
