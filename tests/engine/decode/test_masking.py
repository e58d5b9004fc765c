"""The samplers of masked models, draw for draw as a second reading of their authors' code has them,
on whole sequences; and what no step may touch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_engine.decode.masking import Masking, many, masked_again, sampled
from dgedit_engine.decode.unmask import MaskedHole, Unmasking, grow, lengths, mask_doubtful, unmask
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import load_config
from dgedit_engine.model.model import Model
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from masked import END, EXPAND, MASK, dream

BEFORE, BEHIND = list(range(300, 311)), list(range(400, 409))
ALGS = ("entropy", "maskgit_plus", "topk_margin")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("dream")
    dream(folder)
    return checkpoint.load(load_config(folder), folder)


def begun(model: Model, *holes: list[int], between: list[int] | None = None) -> Unmasking:
    fixed = [BEFORE, *[between or [500, 501]] * (len(holes) - 1), BEHIND]
    cache = KVCache(model.config, dtype=torch.float32)
    return Unmasking(model, cache, fixed, [MaskedHole.of(one, MASK) for one in holes])


def sample_tokens(
    logits: Tensor, settings: Masking, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """The reference: temperature, top-p, top-k, a draw; and how confident it is."""
    heat = settings.temperature
    if heat > 0:
        logits = logits / heat
    if settings.top_p is not None and settings.top_p < 1:
        for row in range(len(logits)):
            order = logits[row].argsort(descending=True)
            share = torch.cumsum(logits[row].softmax(-1)[order], -1)
            last = int((share > settings.top_p).nonzero()[0]) if share[-1] > settings.top_p else -1
            if last >= 0:
                logits = logits.clone()
                logits[row, order[last + 1 :]] = torch.finfo(logits.dtype).min
    if settings.top_k is not None:
        edge = logits.topk(settings.top_k, -1)[0][..., -1, None]
        logits = torch.where(logits < edge, torch.finfo(logits.dtype).min, logits)
    probs = logits.softmax(-1)
    if heat > 0 and generator is not None:
        x0 = torch.multinomial(probs, 1, generator=generator)[:, 0]
        confidence = probs.gather(-1, x0[:, None])[:, 0]
    else:
        confidence, x0 = probs.max(-1)
    if settings.alg == "topk_margin":
        ordered = probs.sort(-1, descending=True)[0]
        confidence = ordered[:, 0] - ordered[:, 1]
    if settings.alg == "entropy":
        confidence = (probs * (probs + 1e-10).log()).sum(-1)
    return x0, confidence


def shifted(model: Model, x: Tensor) -> Tensor:
    """The reference's logits: row i - 1 predicts token i."""
    with torch.no_grad():
        hidden = model.window(x[None], KVCache(model.config, dtype=torch.float32))
        logits = model.logits(hidden)[0]
    return torch.cat((logits[:1], logits[:-1]))


def fixed_length(
    model: Model, x: Tensor, settings: Masking, steps: int, generator: torch.Generator | None
) -> list[list[int]]:
    """Dream's loop, and Open-dCoder's p2 -> the sequence after each step."""
    x, history = x.clone(), []
    times = torch.linspace(1, 1e-3, steps + 1)
    pinned = x != MASK
    for i in range(steps):
        masked = x == MASK
        if not masked.any():
            break
        logits = shifted(model, x)
        if settings.alg == "p2":
            x0, said = sample_tokens(logits[~pinned], settings, generator)
            whole, guess = torch.full(x.shape, torch.inf), x.clone()
            whole[~pinned], guess[~pinned] = said, x0
            count = int((~pinned).sum() * (1 - (i + 1) / steps))
            again = torch.zeros(x.shape, dtype=torch.bool)
            again[whole.argsort(stable=True)[:count]] = True
            x[again] = MASK
            x[masked & ~again] = guess[masked & ~again]
        else:
            x0, said = sample_tokens(logits[masked], settings, generator)
            count = int(masked.sum() * (1 - times[i + 1] / times[i]))
            count = count if i < steps - 1 else int(masked.sum())
            if count:
                if settings.alg_temp and generator is not None:
                    weights = (said / settings.alg_temp).softmax(-1)
                    chosen = torch.multinomial(weights, count, generator=generator)
                else:
                    chosen = said.topk(count)[1]
                places = masked.nonzero()[:, 0][chosen]
                x[places] = x0[chosen]
        history.append(x.tolist())
    return history


@pytest.mark.parametrize("alg", [*ALGS, "p2"])
@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize(
    "more",
    [{}, {"temperature": 1.3, "top_p": None}, {"temperature": 1.0, "top_k": 7}, {"alg_temp": 0.5}],
)
def test_every_step_is_the_authors(
    model: Model, alg: Any, seed: int | None, more: dict[str, Any]
) -> None:
    settings = replace(Masking(alg, 0.8), **more)
    if alg == "p2" and settings.alg_temp:
        pytest.skip("p2 has none")
    x = torch.tensor([*BEFORE, *[MASK] * 12, *BEHIND])
    for steps in (5, 12, 30):
        ours, theirs = (
            None if seed is None else torch.Generator().manual_seed(seed) for _ in range(2)
        )
        work, found = begun(model, [MASK] * 12), []
        for _ in unmask(work, settings, steps, ours):
            found.append(work.ids)
        assert found == fixed_length(model, x, settings, steps, theirs)
        assert MASK not in found[-1] or alg == "p2" or seed is not None


def dream_on(
    model: Model, start: int, most: int, settings: Masking, generator: torch.Generator | None
) -> list[list[int]]:
    """DreamOn's loop, with deletion to the right -> the sequence after each step."""
    x, slots, budget, history = [*BEFORE, *[MASK] * start, *BEHIND], start, 2 * most, []
    for _ in range(2 * most + 2 * budget):
        if MASK not in x:
            break
        masked = torch.tensor([one == MASK for one in x])
        logits = shifted(model, torch.tensor(x))[masked].clone()
        if slots == most or budget == 0:
            logits[:, EXPAND] -= 1e9
        x0, said = sample_tokens(logits, settings, generator)
        place = int(masked.nonzero()[int(said.argmax())])
        x[place] = int(x0[int(said.argmax())])
        hole = range(len(BEFORE), len(BEFORE) + slots)
        ends = [at for at in hole if x[at] == END]
        if ends:
            for at in hole:
                if at >= ends[0] and x[at] == MASK:
                    x[at] = END
            for at in reversed(hole):
                if x[at] == END:
                    del x[at]
                    slots -= 1
        for at in range(len(BEFORE) + slots - 1, len(BEFORE) - 1, -1):
            if x[at] == EXPAND:
                x[at : at + 1] = [MASK, MASK]
                slots, budget = slots + 1, budget - 1
        history.append(list(x))
    return history


@pytest.mark.parametrize("alg", ALGS)
@pytest.mark.parametrize("seed", [None, 1, 2, 3])
@pytest.mark.parametrize(("start", "most"), [(4, 16), (16, 16), (1, 9)])
def test_lengths_change_as_dream_on_has_it(
    model: Model, alg: Any, seed: int | None, start: int, most: int
) -> None:
    settings = Masking(alg, 1.5, None, slots=most)
    before = model.output.data.clone()
    model.output.data[[END, EXPAND]] += 0.6 * model.output.data[[END, EXPAND]].sign()
    try:
        ours, theirs = (
            None if seed is None else torch.Generator().manual_seed(seed) for _ in range(2)
        )
        work, found = begun(model, [MASK] * start), []
        for _ in grow(work, settings, ours):
            found.append(work.ids)
            assert len(work.holes[0].ids) <= most
            columns = (work.holes[0].free, work.holes[0].best, work.holes[0].sure)
            assert all(len(one) == len(work.holes[0].ids) for one in columns)
        assert found == dream_on(model, start, most, settings, theirs)
    finally:
        model.output.data.copy_(before)


@pytest.mark.parametrize("alg", [*ALGS, "p2", "origin"])
def test_fixed_text_and_kept_tokens_are_never_masked(model: Model, alg: Any) -> None:
    """Not even tokens that look like a mask's neighbours, ends and marks to expand."""
    holes = [MASK, 321, MASK, END, MASK], [EXPAND, MASK, MASK, 77]
    between = [END, EXPAND, 600]
    generator = torch.Generator().manual_seed(5)
    for run in (unmask, grow):
        work = begun(model, *holes, between=between)
        settings = Masking(alg if run is unmask else "entropy", 1.2, slots=8)
        arguments = (settings, 9, generator) if run is unmask else (settings, generator)
        for _ in run(work, *arguments):  # type: ignore[operator]
            assert work.fixed == [BEFORE, between, BEHIND]
            kept = [
                [token for token, free in zip(hole.ids, hole.free, strict=True) if not free]
                for hole in work.holes
            ]
            assert kept == [[321, END], [EXPAND, 77]]
            assert work.ids[: len(BEFORE)] == BEFORE and work.ids[-len(BEHIND) :] == BEHIND
        assert not work.masked() or run is grow or alg in ("p2", "origin")


def test_all_masks_are_gone_by_the_schedule() -> None:
    for count in (1, 5, 64, 100):
        for steps in (1, 3, 64):
            left = count
            for step in range(steps):
                left -= many(left, step, steps)
            assert left == 0 and masked_again(count, steps - 1, steps) == 0


def test_length_is_the_one_that_a_reading_is_surest_of(model: Model) -> None:
    work = begun(model, [MASK] * 3)
    (found,) = lengths(work, (2, 5, 3, 2))
    assert sorted(found) == [2, 3, 5] and len(work.holes[0].ids) == found[0]
    worth = []
    for length in found:
        one = begun(model, [MASK] * length)
        said = one.logits(one.masked()).log_softmax(-1).amax(-1)
        worth.append(float(said.mean()))
    assert worth == sorted(worth, reverse=True)
    kept = begun(model, [MASK, 5])
    assert lengths(kept, (2, 9)) == [[2]] and kept.holes[0].ids == [MASK, 5]


def test_the_least_likely_tokens_become_masks(model: Model) -> None:
    text = list(range(700, 710))
    work = begun(model, text, [MASK] * 2)
    mask_doubtful(work, 0.3)
    one = begun(model, text, [MASK] * 2)
    slots = [(one.holes[0], slot) for slot in range(10)]
    odds = one.logits(slots).log_softmax(-1)[torch.arange(10), torch.tensor(text)]
    least = set(odds.argsort()[:3].tolist())
    assert {at for at in range(10) if work.holes[0].ids[at] == MASK} == least
    assert work.holes[1].ids == [MASK] * 2


def test_damaged_weights_are_named() -> None:
    with pytest.raises(ModelError, match="no finite numbers"):
        sampled(torch.full((2, 9), torch.nan), Masking(), None)
