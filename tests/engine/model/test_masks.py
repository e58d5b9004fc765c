"""Who sees whom."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgedit_engine.model.masks import Reading, side_by_side


def rows(mask: Tensor | None) -> list[str]:
    assert mask is not None
    return ["".join(".x"[int(seen)] for seen in row) for row in mask]


def test_side_by_side_hides_the_sequences_from_each_other() -> None:
    beside = side_by_side([2, 3], "cpu")
    assert beside.offset.tolist() == [0, 1, 0, 1, 2]
    canvas = Reading(False, beside).mask(5, 2, "cpu", window=None)
    assert rows(canvas) == ["xxxx...", "xxxx...", "xx..xxx", "xx..xxx", "xx..xxx"]
    causal = Reading(True, beside).mask(5, 2, "cpu", window=None)
    assert rows(causal) == ["xxx....", "xxxx...", "xx..x..", "xx..xx.", "xx..xxx"]


def test_a_window_counts_places_in_the_own_sequence() -> None:
    beside = side_by_side([2, 3], "cpu")
    causal = Reading(True, beside).mask(5, 3, "cpu", window=2)  # keys: the last prompt token, all
    assert rows(causal) == ["xx....", ".xx...", "x..x..", "...xx.", "....xx"]
    canvas = Reading(False, beside).mask(5, 3, "cpu", window=2)
    assert rows(canvas) == ["xxx...", "xxx...", "x..xxx", "x..xxx", "x..xxx"]


@pytest.mark.parametrize(
    ("n", "past", "window"), [(1, 7, None), (1, 3, 4), (5, 0, None), (4, 0, 4)]
)
def test_plain_causal_attention_needs_no_mask(n: int, past: int, window: int | None) -> None:
    assert Reading(True).mask(n, past, "cpu", window=window) is None


def test_a_mask_is_there_where_plain_attention_sees_too_much() -> None:
    assert rows(Reading(True).mask(2, 1, "cpu", window=None)) == ["xx.", "xxx"]
    assert rows(Reading(True).mask(3, 0, "cpu", window=2)) == ["x..", "xx.", ".xx"]
    assert rows(Reading(True).mask(1, 3, "cpu", window=2)) == ["xx"]


def test_a_canvas_alone_needs_no_mask() -> None:
    for window in (None, 2):
        assert Reading(False).mask(4, 9, "cpu", window=window) is None


def test_only_a_lone_causal_reading_is_kept() -> None:
    beside = side_by_side([1, 1], "cpu")
    assert Reading(True).kept
    assert not Reading(True, beside).kept and not Reading(False).kept
    assert beside.own.dtype == torch.int32
