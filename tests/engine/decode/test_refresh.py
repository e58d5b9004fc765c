"""The text before a hole, read anew every k steps: exact at 1, else what was read k steps ago."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_engine.decode.unmask import LENGTHS, MaskedHole, Unmasking
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.model.cache import KVCache, PromptCache
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.model import Model
from dgedit_engine.types import Hole, collect
from masked import MASK, dream
from small_base import request

FIXED = [list(range(300, 330)), list(range(400, 410))]
PARTS = ("def f(a):\n    return ", Hole(), "\n\nb = ", Hole(), "\n")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("masked")
    dream(folder, expands=False)
    return open_engine(str(folder), "cpu")


@pytest.fixture(params=[KVCache, DeviceCache])
def cache(engine: Engine, request: pytest.FixtureRequest) -> PromptCache:
    made: PromptCache = request.param(engine.model.config, device="cpu", dtype=torch.float32)
    return made


@pytest.fixture
def lengths(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many tokens each pass reads."""
    found: list[int] = []
    run = Model.run

    def counted(self: Model, x: Tensor, *given: Any) -> Tensor:
        found.append(x.shape[1])
        return run(self, x, *given)

    monkeypatch.setattr(Model, "run", counted)
    yield found


def begun(engine: Engine, cache: PromptCache, refresh: int) -> Unmasking:
    hole = MaskedHole.of([MASK] * 6, MASK)
    return Unmasking(engine.model, cache, FIXED, [hole], refresh)


def test_readings_between_take_the_keys_of_the_last_whole_one(
    engine: Engine, cache: PromptCache, lengths: list[int]
) -> None:
    work, exact = (begun(engine, cache.fresh(), refresh) for refresh in (3, 1))
    gaps = []
    for at in range(6):
        slots = work.masked()
        found, right = work.logits(slots), exact.logits(exact.masked())
        gaps.append(float((found - right).abs().max()))
        for one in (work, exact):
            one.holes[0].ids[at] = 350 + at
    assert lengths[::2] == [46, 17, 17, 46, 17, 17] and lengths[1::2] == [46] * 6
    assert max(gaps[0], gaps[3]) < 1e-4  # of a whole reading
    assert all(gap > 0 for gap in (gaps[1], gaps[2], gaps[4], gaps[5]))
    assert min(gaps[1:3]) > max(gaps[0], gaps[3])


def test_unchanged_text_is_read_the_same_behind_saved_keys(
    engine: Engine, cache: PromptCache
) -> None:
    """Nothing is approximate but what has changed since."""
    work = begun(engine, cache, 9)
    first, second = work.logits(work.masked()), work.logits(work.masked())
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


def test_a_hole_may_grow_and_stand_at_the_beginning(engine: Engine, lengths: list[int]) -> None:
    work = begun(engine, engine.cache, 4)
    work.logits(work.masked())
    work.holes[0].insert(0, MASK)
    work.logits(work.masked())
    none = Unmasking(engine.model, engine.cache, [[], FIXED[1]], work.holes, 4)
    for _ in range(2):
        none.logits(none.masked())
    assert lengths == [46, 18, 17, 17]  # nothing stands before: all is read each time


def test_one_is_the_same_text_and_more_is_fewer_tokens(engine: Engine, lengths: list[int]) -> None:
    texts, read = [], []
    for refresh in (1, 1, 4, 4):
        lengths.clear()
        texts.append(collect(engine.infill(request(*PARTS, refresh=refresh))).texts)
        read.append(list(lengths))
    assert texts[0] == texts[1] and read[0] == read[1]
    assert texts[2] == texts[3] and sum(read[0]) > sum(read[2])
    tried = 2 * len(LENGTHS)  # lengths are chosen by whole readings
    assert read[0][:tried] == read[2][:tried]
