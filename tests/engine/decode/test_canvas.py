"""How a canvas is laid out, seeded, and made smaller."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from dgedit_engine.decode.canvas import (
    SIZES,
    Canvas,
    Seed,
    seed_canvas,
    segment_sizes,
    shrunk,
    text_ids,
)

END, VOCAB = 1, 4096


def seeded(
    texts: list[list[int]],
    markers: list[list[int]],
    sizes: list[int],
    strength: float,
    seed: int = 0,
) -> Seed:
    generator = torch.Generator().manual_seed(seed)
    return seed_canvas(
        texts, markers, sizes, end=END, vocab=VOCAB, strength=strength, generator=generator
    )


@pytest.mark.parametrize("canvas", [16, 64, 128, 256, 100])
def test_segment_sizes_give_a_lone_empty_hole_the_models_canvas(canvas: int) -> None:
    assert segment_sizes([[]], [[]], canvas) == [canvas]


@pytest.mark.parametrize(("length", "size"), [(1, 32), (45, 64), (46, 128), (96, 128), (97, 256)])
def test_segment_sizes_fit_the_present_text(length: int, size: int) -> None:
    assert segment_sizes([[7] * length], [[]], 128) == [size]


@pytest.mark.parametrize("canvas", [32, 64, 128, 256])
def test_segment_sizes_stretch_to_twice_the_models_canvas_at_most(canvas: int) -> None:
    largest = min(2 * canvas, SIZES[-1])
    assert segment_sizes([[7] * 900], [[]], canvas) == [largest]
    sizes = segment_sizes([[7] * 900, [7] * 100], [[], [9]], canvas)
    assert sum(sizes) == largest - 1 and sizes[0] > 5 * sizes[1] > 0


@pytest.mark.parametrize("lengths", [(0, 0), (0, 30), (5, 5, 5), (90, 0, 3), (0,) * 8])
def test_segment_sizes_fill_a_canvas_with_the_markers(lengths: tuple[int, ...]) -> None:
    markers = [[], *([8 + k] for k in range(1, len(lengths)))]
    sizes = segment_sizes([[7] * length for length in lengths], markers, 128)
    assert sum(sizes) + len(lengths) - 1 in SIZES
    assert all(size > length for size, length in zip(sizes, lengths, strict=True))


def test_segment_sizes_keep_room_for_a_hole_beside_a_long_text() -> None:
    sizes = segment_sizes([[7] * 10_000, [], [7]], [[], [9], [9]], 64)
    assert sum(sizes) + 2 == 128 and min(sizes) >= 4


def test_seed_refuses_to_lose_a_text_that_several_holes_leave_no_room_for() -> None:
    with pytest.raises(ValueError, match="20 tokens of a hole's text do not fit its 19 slots"):
        seeded([[50] * 20, [60]], [[], [9]], [19, 12], 0.5)
    assert seeded([[50] * 20, [60]], [[], [9]], [19, 12], 1.0).canvas.slots == 32
    assert seeded([[50] * 20], [[]], [16], 0.5).canvas.slots == 16  # a lone hole goes on


def test_segment_sizes_refuse_more_holes_than_fit() -> None:
    with pytest.raises(ValueError, match="8 holes do not fit a canvas of 32 slots"):
        segment_sizes([[]] * 8, [[], *[[9]] * 7], 16)


def test_seed_at_full_strength_is_noise_beside_the_markers() -> None:
    start = seeded([[50] * 10, [60] * 10], [[], [9]], [500, 500], 1.0)
    canvas = start.canvas
    assert canvas.slots == 1001 and canvas.segments == (range(500), range(501, 1001))
    assert canvas.fixed.nonzero().tolist() == [[0, 500]] and canvas.ids[0, 500] == 9
    assert torch.equal(start.known, canvas.fixed)
    free = canvas.ids[~canvas.fixed]
    assert free.unique().numel() > 700 and free.min() >= 0 and free.max() < VOCAB
    assert abs(float(free.float().mean()) - VOCAB / 2) < 200  # 5 deviations


def test_seed_at_full_strength_draws_as_the_released_sampler() -> None:
    """One even draw for the whole canvas, and nothing before it."""
    expected = torch.randint(VOCAB, (1, 64), generator=torch.Generator().manual_seed(3))
    assert torch.equal(seeded([[]], [[]], [64], 1.0, seed=3).canvas.ids, expected)


def test_seed_at_no_strength_is_the_text_filled_up_with_ends() -> None:
    start = seeded([[50, 51], [60]], [[], [9]], [4, 3], 0.0)
    assert start.canvas.ids.tolist() == [[50, 51, END, END, 9, 60, END, END]]
    assert start.known.all()


@pytest.mark.parametrize("strength", [0.1, 0.5, 0.9])
def test_seed_noises_about_the_share_and_no_fixed_slot(strength: float) -> None:
    text, marker = list(range(16, 1016)), [9, 10, 11] * 50
    start = seeded([text, text], [[], marker], [1000, 1000], strength)
    canvas, present = start.canvas, torch.tensor([[*text, *marker, *text]])
    assert int(canvas.fixed.sum()) == 150
    assert torch.equal(canvas.ids[canvas.fixed], present[canvas.fixed])
    assert torch.equal(canvas.ids[start.known], present[start.known])
    assert start.known[canvas.fixed].all()
    noised = (canvas.ids != present)[~canvas.fixed].float().mean()
    assert float(noised) == pytest.approx(strength, abs=0.045)  # 4 deviations
    assert float((~start.known).sum() / 2000) == pytest.approx(strength, abs=0.045)


def test_seed_cuts_a_text_that_is_too_long() -> None:
    assert seeded([[50, 51, 52]], [[]], [2], 0.0).canvas.ids.tolist() == [[50, 51]]


def test_text_ids_end_at_the_first_end() -> None:
    best = [5, END, 6, 7, 8, 99, 9]
    assert text_ids(best, range(2, 7), (END, 99)) == [6, 7, 8]
    assert text_ids(best, range(1, 3), (END, 99)) == []
    assert text_ids(best, range(2, 4), (END,)) == [6, 7]


def laid_out(lengths: list[int], sizes: list[int], markers: int) -> tuple[Canvas, list[int]]:
    """A canvas whose every text slot has an id of its own, and its best tokens."""
    best: list[int] = []
    fixed: list[bool] = []
    segments = []
    for hole, (length, size) in enumerate(zip(lengths, sizes, strict=True)):
        if hole:
            best += range(3000 + 10 * hole, 3000 + 10 * hole + markers)
            fixed += [True] * markers
        segments.append(range(len(best), len(best) + size))
        best += [*range(1000 * hole + 100, 1000 * hole + 100 + length), *[END] * (size - length)]
        fixed += [False] * size
    return Canvas(torch.tensor([best]), torch.tensor([fixed]), tuple(segments)), best


def assert_sound(canvas: Canvas, best: list[int], lengths: list[int], size: int) -> None:
    """The smaller canvas has `size` slots, all markers, and every text with its end, in order."""
    cut = shrunk(canvas, best, [1.0] * len(best), (END,))
    assert cut is not None
    kept, segments = cut
    assert len(kept) == size and all(one < other for one, other in pairwise(kept))
    fixed = canvas.fixed[0].nonzero().flatten().tolist()
    assert set(fixed) <= set(kept)
    inside = [slot for segment in segments for slot in segment]
    assert [slot for slot in range(size) if slot not in inside] == [kept.index(f) for f in fixed]
    smaller = [best[slot] for slot in kept]
    for old, new, length in zip(canvas.segments, segments, lengths, strict=True):
        assert text_ids(smaller, new, (END,)) == text_ids(best, old, (END,))
        assert len(new) > length
        assert set(kept[new.start : new.stop]) <= set(old)


@pytest.mark.parametrize("size", [16, 32, 64, 128])
@pytest.mark.parametrize("spare", [0, 1, 5])
def test_shrunk_takes_one_hole_to_the_next_size_that_holds_it(size: int, spare: int) -> None:
    length = size - 1 - spare
    canvas, best = laid_out([length], [256], 0)
    assert_sound(canvas, best, [length], size)


@pytest.mark.parametrize("markers", [1, 3])
@pytest.mark.parametrize(
    ("lengths", "size"),
    [([2, 3, 1], 16), ([0, 0, 0], 16), ([9, 0, 9], 32), ([20, 20, 11], 64), ([3, 80, 3], 128)],
)
def test_shrunk_takes_several_holes_with_their_markers(
    lengths: list[int], size: int, markers: int
) -> None:
    canvas, best = laid_out(lengths, [80, 90, 86 - 2 * markers], markers)
    assert canvas.slots == 256
    assert_sound(canvas, best, lengths, size)


def test_shrunk_keeps_a_segment_without_an_end_whole() -> None:
    canvas, best = laid_out([30, 2], [30, 97], 1)
    kept, segments = shrunk(canvas, best, [1.0] * 128, (END,)) or ([], ())
    assert len(kept) == 64 and kept[:31] == list(range(31))
    assert segments == (range(30), range(31, 64))


def test_shrunk_waits_for_a_confident_end() -> None:
    canvas, best = laid_out([5], [128], 0)
    confidence = [1.0] * 128
    confidence[5] = 0.89
    assert shrunk(canvas, best, confidence, (END,)) is None
    confidence[5] = 0.91
    assert shrunk(canvas, best, confidence, (END,)) is not None
    confidence[:5] = [0.1] * 5  # the text itself may be unsure
    assert shrunk(canvas, best, confidence, (END,)) is not None


@pytest.mark.parametrize("length", [64, 127])
def test_shrunk_leaves_what_needs_its_size(length: int) -> None:
    canvas, best = laid_out([length], [128], 0)
    assert shrunk(canvas, best, [1.0] * 128, (END,)) is None


def test_shrunk_leaves_the_smallest_and_odd_canvases() -> None:
    for size in (16, 8):
        canvas, best = laid_out([1], [size], 0)
        assert shrunk(canvas, best, [1.0] * size, (END,)) is None


def test_hole_without_text_is_all_noise_at_any_strength() -> None:
    generator = torch.Generator().manual_seed(0)
    seed = seed_canvas(
        [[7] * 8, []], [[], [9]], [16, 15], end=1, vocab=99, strength=0.01, generator=generator
    )
    known = seed.known[0].tolist()
    assert not any(known[17:]) and known[16] and sum(known[:16]) > 12
