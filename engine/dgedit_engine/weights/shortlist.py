"""A model's shortlist: a file beside its weights with the tokens that its head has logits for.

Knows files and rows of an embedding; `model/head.py` says what a shortlist is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dgedit_engine.files import small
from dgedit_engine.model.head import Head
from dgedit_engine.types import ModelError

FILE = "shortlist.safetensors"
"""Name of the file: it has `ids` (S,) int32, ascending, and `weight` (S, D), their rows."""


def save(embedding: Tensor, ids: list[int], folder: Path) -> None:
    """Write the shortlist of these tokens of an embedding (V, D)."""
    found = torch.tensor(sorted(set(ids)), dtype=torch.int64)
    rows = embedding[found].to(torch.bfloat16).contiguous()
    save_file({"ids": found.int(), "weight": rows}, folder / FILE, metadata={"format": "pt"})
    (folder / FILE).chmod(0o644)  # the library leaves it to its owner alone


def load(folder: Path, vocab: int, dim: int) -> Head | None:
    """Load the head over the shortlist in `folder`; None where there is none. Raises ModelError,
    naming the file, for one that does not fit a vocabulary of `vocab` tokens and a width of `dim`.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    with _opened(file) as tensors:
        ids, weight = tensors.get_tensor("ids").long(), tensors.get_tensor("weight")
    ascending = ids.dim() == 1 and len(ids) > 0 and bool((ids[1:] > ids[:-1]).all())
    if not ascending or int(ids[0]) < 0 or int(ids[-1]) >= vocab:
        raise ModelError(f"{file}: ids that are no ascending tokens of {vocab}")
    if weight.shape != (len(ids), dim):
        raise ModelError(f"{file}: weight is {list(weight.shape)}, not {[len(ids), dim]}")
    if not weight.is_floating_point():
        raise ModelError(f"{file}: weight is {weight.dtype}")
    return Head(weight, ids, vocab)


def size(folder: Path) -> int | None:
    """Return how many numbers the shortlist's matrix has, by the file's header; None where there is
    no file. Raises ModelError, naming the file, for one that is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    with _opened(file) as tensors:
        numbers: int = prod(tensors.get_slice("weight").get_shape())
        return numbers


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """The file's tensors."""
    try:
        with safe_open(small.sound(file), "pt") as tensors:
            yield tensors
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{file}: {error}") from error
