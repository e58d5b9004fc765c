"""How canvases are corrupted: counted, over many draws."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgedit_engine.train.noise import Noised, corrupt

BATCH, SLOTS, VOCAB = 32, 50, 1000


def noised(*, copies: int = 2, full: float = 0.0, seed: int = 0, batch: int = BATCH) -> Noised:
    """All gold tokens are VOCAB - 1, every fifth slot is pinned."""
    generator = torch.Generator().manual_seed(seed)
    gold, pinned = gold_and_pinned(batch)
    return corrupt(gold, pinned, copies=copies, vocab=VOCAB, full=full, generator=generator)


def gold_and_pinned(batch: int = BATCH) -> tuple[Tensor, Tensor]:
    pinned = (torch.arange(SLOTS) % 5 == 0).expand(batch, SLOTS)
    return torch.full((batch, SLOTS), VOCAB - 1), pinned


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_only_corrupted_slots_change(copies: int) -> None:
    found, (gold, _) = noised(copies=copies, full=0.3), gold_and_pinned()
    assert found.ids.shape == found.corrupted.shape == (BATCH, copies, SLOTS)
    assert found.level.shape == (BATCH, copies)
    assert torch.equal(
        found.ids[~found.corrupted], gold[:, None].expand_as(found.ids)[~found.corrupted]
    )
    changed = (found.ids != VOCAB - 1)[found.corrupted].float().mean()
    assert changed > 0.99  # noise draws the gold token once in a thousand


def test_pinned_slots_never_change() -> None:
    found, (_, pinned) = noised(full=1.0), gold_and_pinned()
    assert torch.equal(found.corrupted, ~pinned[:, None].expand_as(found.corrupted))
    assert (found.ids[~found.corrupted] == VOCAB - 1).all()
    assert (found.level == 1).all()


@pytest.mark.parametrize("seed", range(3))
def test_levels_cover_the_range_evenly(seed: int) -> None:
    """Low discrepancy: exactly one level in each of as many equal parts as there are pairs."""
    level = noised(copies=1, seed=seed).level[:, 0]
    parts = (level * BATCH).floor().long()
    assert parts.sort().values.tolist() == list(range(BATCH))
    assert parts.tolist() != list(range(BATCH))  # in no order
    pairs = noised(copies=4, seed=seed).level[:, ::2].flatten()
    assert (pairs * 2 * BATCH).floor().long().sort().values.tolist() == list(range(2 * BATCH))


@pytest.mark.parametrize("copies", [2, 4])
def test_pairs_replace_every_free_slot_once(copies: int) -> None:
    found, (_, pinned) = noised(copies=copies), gold_and_pinned()
    for first in range(0, copies, 2):
        one, other = found.corrupted[:, first], found.corrupted[:, first + 1]
        assert torch.equal(one ^ other, ~pinned)
        torch.testing.assert_close(
            found.level[:, first] + found.level[:, first + 1], torch.ones(BATCH)
        )


def test_share_of_replaced_slots_is_the_level() -> None:
    found, (_, pinned) = noised(batch=2000), gold_and_pinned(2000)
    share = found.corrupted.sum(-1) / (~pinned).sum(-1)[:, None]
    assert float((share - found.level).mean()) == pytest.approx(0, abs=0.005)
    assert float((share - found.level).abs().max()) < 0.35  # 40 free slots: 4.4 deviations


@pytest.mark.parametrize("full", [0.0, 0.15, 1.0])
def test_share_of_canvases_is_all_noise(full: float) -> None:
    found = noised(full=full, batch=4000)
    all_noise = (found.level == 1).float().mean()
    assert float(all_noise) == pytest.approx(full, abs=0.02)
    free = ~gold_and_pinned(4000)[1][:, None].expand_as(found.corrupted)
    whole = (found.corrupted == free).all(-1)
    assert whole[found.level == 1].all()


def test_noise_is_even_over_the_vocabulary() -> None:
    found = noised(full=1.0, batch=1000)
    drawn = found.ids[found.corrupted]
    counts = drawn.bincount(minlength=VOCAB)
    assert len(counts) == VOCAB
    expected = len(drawn) / VOCAB  # 80
    assert float((counts - expected).square().sum() / expected) == pytest.approx(VOCAB, rel=0.2)


def test_noise_repeats_with_the_generator() -> None:
    first, again, other = (noised(seed=seed, full=0.2) for seed in (1, 1, 2))
    assert torch.equal(first.ids, again.ids) and torch.equal(first.level, again.level)
    assert not torch.equal(first.ids, other.ids)
