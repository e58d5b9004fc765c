"""Pack a small model's matrices into the form that this CPU multiplies fastest: int8 codes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from dgedit_engine.formats.source import Weight
from dgedit_engine.model import products
from dgedit_engine.model.head import Head
from dgedit_engine.model.model import Model
from dgedit_engine.types import ModelError
from dgedit_engine.weights.slots import Slot, slots
from dgedit_kernels.packed import ANY, Packed, available, packed
from dgedit_kernels.quantised import Quantised

_FEW = 16
"""Rows up to which int8 codes beat bfloat16, on a CPU that multiplies bfloat16 itself: a draft's
step.
"""
_MOST = 400_000_000
"""Weights of a small model's layers, at most: Qwen2 0.5B has 358 million, and takes 1.5 GB with its
embedding. A step of twelve drafts takes it 0.17 s, 0.39 from bfloat16 alone and 2.0 from codes of 4
bits (one busy core of a Xeon with AMX). A larger one has no memory to spare.
"""


def packs(device: torch.device, count: int) -> bool:
    """Say whether a model of so many weights is packed on a device."""
    return device.type == "cpu" and count <= _MOST and available()


def pack(model: Model) -> None:
    """Give the matrices of a model on a CPU int8 codes beside their numbers, which become bfloat16
    where the CPU multiplies those. Quantised matrices are widened first: no kernel reads them here.
    Stacks of experts stay, each of which few tokens see.

    Measured with tiny, one thread of a Xeon with AMX, against bfloat16 matrices: a step of four
    drafts takes 0.77 of the time, a pass over canvases 0.93. With codes for every row held-out
    losses rise by at most 0.006 nats, a quarter of a percent. As all rows of x have one scale, a
    draft or a small canvas depends a little on what stands beside it; what the prompt cache keeps
    does not.

    Raises ModelError, naming the weight, for one that is not finite.
    """
    most, dtype = (_FEW, torch.bfloat16) if products.has_bfloat16() else (ANY, torch.float32)
    for slot, weight in list(_matrices(model)):
        vars(slot.module).pop(slot.attribute, None)
        slot.module._parameters.pop(slot.attribute, None)
        numbers = weight.dequantised() if isinstance(weight, Quantised) else weight
        setattr(slot.module, slot.attribute, _packed(min(slot.names), numbers, most, dtype))
    name = next(min(slot.names) for slot in slots(model) if slot.attribute == "embedding")
    if model.output is not None:
        return  # it was among the matrices
    head = model.head or Head(model.embedding)
    if isinstance(rows := head.weight, Tensor):
        head.weight = _packed(name, rows, most, dtype)
    model.head = head


def added(model: Model, width: int, head: int | None = None) -> int:
    """Return the bytes that packing adds to a model whose matrices take `width` bytes a number;
    negative where it narrows more. `head` is the size of its shortlist's matrix, where it has one.
    """
    numbers = 2 if products.has_bfloat16() else 4
    inside = 0
    for _, weight in _matrices(model):
        count = weight.shape.numel()
        had = weight.nbytes if isinstance(weight, Quantised) else count * width
        inside += count * (numbers + 1) - had
    if model.output is not None:
        return inside
    whole = model.embedding.numel()
    beside = whole if head is None else head
    if head is not None or numbers != width:
        beside += numbers * beside
    return inside + beside


def _packed(name: str, weight: Tensor, most: int, dtype: torch.dtype) -> Packed:
    try:
        return packed(weight, most=most, dtype=dtype)
    except ValueError as error:
        raise ModelError(f"{name}: {error}") from error


def _matrices(model: Model) -> Iterator[tuple[Slot, Weight]]:
    for slot in slots(model):
        weight = slot.weight
        if slot.coded and weight.shape[:-2].numel() == 1:
            yield slot, weight
