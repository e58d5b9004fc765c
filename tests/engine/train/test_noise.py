"""How canvases are corrupted: counted, over many draws."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_engine.train.noise import LONGEST_SHIFT, Noised, corrupt, own_draft, shift

BATCH, SLOTS, VOCAB = 32, 50, 1000


def noised(
    *, copies: int = 2, full: float = 0.0, seed: int = 0, batch: int = BATCH, **more: Any
) -> Noised:
    """All gold tokens are VOCAB - 1, every fifth slot is pinned."""
    generator = torch.Generator().manual_seed(seed)
    gold, pinned = gold_and_pinned(batch)
    return corrupt(gold, pinned, copies=copies, vocab=VOCAB, full=full, generator=generator, **more)


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


def test_scattered_canvases_have_many_levels_and_the_others_one() -> None:
    """Neighbours share a level: where one slot is replaced, so mostly is the next."""

    def alike(found: Noised) -> float:
        free = found.corrupted[:, :, 1:5].float()  # the first four free slots, side by side
        mean = free.mean()
        return float(((free[..., 0] - mean) * (free[..., 1] - mean)).mean() / (mean * (1 - mean)))

    flat = noised(batch=4000, copies=1)
    scattered = noised(batch=4000, copies=1, scattered=1.0)
    assert float(scattered.corrupted[:, :, 1:5].float().mean()) == pytest.approx(0.5, abs=0.02)
    far = torch.corrcoef(scattered.corrupted[:, 0, [1, 49]].float().T)[0, 1]
    assert abs(float(far)) < 0.06 < 0.2 < alike(scattered) < alike(flat)
    assert float((flat.level - 0.5).abs().mean()) == pytest.approx(0.25, abs=0.01)
    assert float((scattered.level - 0.5).abs().mean()) < 0.13


@pytest.mark.parametrize("share", [0.0, 0.35])
def test_share_of_canvases_is_scattered(share: float) -> None:
    """A level of a whole canvas lies on the even grid of levels; a mean of several does not."""
    found = noised(batch=2000, copies=1, scattered=share)
    plain = noised(batch=2000, copies=1)
    same = (found.level[:, 0] - plain.level[:, 0]).abs() < 1e-6
    assert float((~same).float().mean()) == pytest.approx(share, abs=0.03)


def test_scattered_pairs_replace_every_free_slot_once() -> None:
    found, (_, pinned) = noised(scattered=1.0), gold_and_pinned()
    assert torch.equal(found.corrupted[:, 0] ^ found.corrupted[:, 1], ~pinned)


def test_masked_noise_is_one_token_where_uniform_noise_is_any() -> None:
    masked, uniform = noised(mask=7), noised()
    assert torch.equal(masked.corrupted, uniform.corrupted)
    assert (masked.ids[masked.corrupted] == 7).all()
    assert (masked.ids[~masked.corrupted] == VOCAB - 1).all()


END, TEXT = 1, 20


def shifted(*, share: float = 1.0, batch: int = 500) -> tuple[Noised, Tensor, Tensor]:
    """Clean canvases of TEXT different tokens and ends, shifted; every tenth has a marker."""
    gold = torch.full((batch, SLOTS), END)
    gold[:, :TEXT] = torch.arange(100, 100 + TEXT)
    pinned = torch.zeros(batch, SLOTS, dtype=torch.bool)
    pinned[::10, 30] = True
    clean = torch.zeros(batch, 2, SLOTS, dtype=torch.bool)
    start = Noised(gold[:, None].expand(batch, 2, SLOTS), clean, torch.zeros(batch, 2))
    generator = torch.Generator().manual_seed(0)
    found = shift(start, gold, pinned, share=share, vocab=50, end=END, generator=generator)
    return found, gold, pinned


def test_shift_inserts_or_deletes_a_few_tokens_at_one_place() -> None:
    found, _, pinned = shifted()
    changes = set()
    for ids in found.ids[~pinned.any(-1), 0].tolist():
        kept = [token for token in ids if token >= 100]
        new = [token for token in ids if token < 100 and token != END]
        gone = sorted(set(range(100, 100 + TEXT)) - set(kept))
        assert kept == sorted(kept)
        assert not gone or (not new and gone == list(range(gone[0], gone[-1] + 1)))
        changes.add(len(new) - len(gone))
    assert changes == set(range(-LONGEST_SHIFT, LONGEST_SHIFT + 1))


def test_shift_marks_what_is_not_in_its_place_and_spares_markers() -> None:
    found, gold, pinned = shifted()
    assert torch.equal(found.corrupted, found.ids != gold[:, None])
    marked = pinned.any(-1)
    assert not found.corrupted[marked].any()
    assert float(found.corrupted[~marked].any(-1).float().mean()) > 0.9


def test_share_of_canvases_is_shifted() -> None:
    found, _, pinned = shifted(share=0.1, batch=4000)
    changed = found.corrupted[~pinned.any(-1)].any(-1).float().mean()
    assert float(changed) == pytest.approx(0.1, abs=0.015)


def test_own_draft_keeps_certain_slots_and_replaces_the_rest() -> None:
    """The first half of a canvas is certain, in the second all tokens are as likely."""
    probs = torch.full((4, 2 * SLOTS, VOCAB), 1 / VOCAB)
    certain = (torch.arange(2 * SLOTS) % SLOTS < SLOTS // 2).expand(4, -1)
    probs[certain] = torch.nn.functional.one_hot(torch.tensor(3), VOCAB).float()
    fixed = torch.zeros(4, 2 * SLOTS, dtype=torch.bool)
    made = [
        own_draft(
            probs,
            fixed,
            copies=2,
            bound=0.05,
            mask=mask,
            generator=torch.Generator().manual_seed(0),
        )
        for mask in (None, 7)
    ]
    for ids in made:
        assert (ids[certain] == 3).all()
    assert len(made[0][~certain].unique()) > 100
    share = (made[1][~certain] == 7).float().mean()  # the first uncertain slot is still accepted
    assert 0.9 < float(share) < 1
