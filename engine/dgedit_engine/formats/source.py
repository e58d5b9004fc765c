"""Describe what a folder's weights are made of, before any of it is read.

A `TensorSource` lists pieces: each names a weight by Hugging Face's name, or some rows of one, and
says which stored tensors it is made of and how. The same function makes it of tensors without data,
so that a model's memory is known, and allocated, before the first byte of a weight is read; and it
makes it on the device, where taking blocks apart is fast. Knows no file and no module of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from dgedit_engine.types import ModelError
from dgedit_kernels.quantised import Quantised

Weight = Tensor | Quantised
"""A matrix, vector or stack: numbers, or codes and what they are worth."""

EMBEDDING, NORM = "model.decoder.embed_tokens.weight", "model.decoder.norm.weight"
"""Two tensors of every DiffusionGemma, one of them at least as plain numbers."""
HEAD = "lm_head.weight"
"""The head, where it is not the embedding; files may have it beside one that is."""

Narrow = Literal["experts", "layers"]
"""What takes 4 bits where a file's own codes would be 8: the experts, or all layers' matrices."""

_LAYERS, _EXPERTS, _STACKS = 512, 4096, 65_536
# Layers, experts of one, and of all: published models have up to 126, 512 and 23,000.


@dataclass(frozen=True, slots=True)
class Piece:
    """A weight, or some rows of it."""

    name: str
    """Hugging Face's name of the whole weight."""
    stored: tuple[str, ...]
    """The tensors that it is made of."""
    made: Callable[..., Weight] | None = None
    """Makes it of them, with or without data. None: it is the one tensor."""
    rows: slice | None = None
    """Which rows of the weight, or matrices of a stack, the same of every stored tensor. None:
    all.
    """


@dataclass(frozen=True, slots=True)
class TensorSource:
    """All pieces of a checkpoint."""

    headers: Mapping[str, Tensor]
    """Stored tensors by name, on the meta device."""
    read: Callable[[str], Tensor]
    """A stored tensor with its data, mapped, valid while it is referred to."""
    pieces: tuple[Piece, ...]
    """In the order in which they are best read."""
    dtype: torch.dtype
    """Dtype in which the plain part computes: bfloat16 for up to 16 bits, else float32."""
    shifted: bool = False
    """Whether norms that Hugging Face's files have less 1 are whole here, as llama.cpp's are."""
    _forms: dict[Any, Weight] = field(default_factory=dict, compare=False, repr=False)

    def form(self, piece: Piece) -> Weight:
        """Return the piece without its data, the same for pieces that are made alike: a file has
        tens of thousands. Raises ModelError for tensors that do not fit together.
        """
        headers = [self.headers[name] for name in piece.stored]
        sizes = tuple((_rows(one.shape, piece.rows), one.dtype) for one in headers)
        known = self._forms.get((piece.made, sizes))
        if known is None:
            known = _made(piece, headers)
            if isinstance(known, Quantised):
                _check(piece.name, known)
            self._forms[piece.made, sizes] = known
        return known

    def value(self, piece: Piece, device: torch.device | str = "cpu") -> Weight:
        """Read the piece; made on `device`, a lone tensor where the file is mapped."""
        tensors = [self.read(name) for name in piece.stored]
        if piece.rows is not None:
            tensors = [tensor[piece.rows] for tensor in tensors]
        if piece.made is not None:
            tensors = [tensor.to(device) for tensor in tensors]
        return _value(piece, tensors)


def computed(headers: Mapping[str, Tensor]) -> torch.dtype:
    """Return the dtype in which safetensors' plain part computes."""
    # whichever model is around them; the second is LLaDA's embedding
    for end in (".embed_tokens.weight", ".wte.weight", ".norm.weight"):
        for name, header in headers.items():
            if name.endswith(end) and header.is_floating_point():
                return torch.bfloat16 if header.itemsize <= 2 else torch.float32
    return torch.bfloat16


def refuse_many(layers: int, experts: int = 0) -> None:
    """Raise ModelError for numbers that no model has: they size loops before anything is read."""
    if layers > _LAYERS or experts > _EXPERTS or layers * experts > _STACKS:
        raise ModelError(
            f"{layers} layers of {experts} experts are more than any model has"
            f" ({_LAYERS}, {_EXPERTS}, {_STACKS} in all)"
        )


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Put the path before the words of a ModelError that lacks it."""
    try:
        yield
    except ModelError as error:
        words = str(error)
        raise ModelError(words if str(path) in words else f"{path}: {words}") from error


def _rows(shape: torch.Size, rows: slice | None) -> tuple[int, ...]:
    """Return the shape of some rows."""
    return shape if rows is None or not shape else (len(range(*rows.indices(shape[0]))), *shape[1:])


def _made(piece: Piece, tensors: list[Tensor]) -> Weight:
    if piece.rows is not None:
        tensors = [tensor[piece.rows] for tensor in tensors]
    return _value(piece, tensors)


def _value(piece: Piece, tensors: list[Tensor]) -> Weight:
    try:
        return tensors[0] if piece.made is None else piece.made(*tensors)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ModelError(f"{piece.name}: {str(error).splitlines()[0]}") from error


def _check(name: str, value: Quantised) -> None:
    """Raise ModelError where a part does not fit the codes."""
    rows = value.shape[:-1]
    for part in ("scale", "bias"):
        found = getattr(value, part)
        if found is not None and found.shape[:-1] != rows:
            raise ModelError(f"{name}: {part} {list(found.shape)} of {list(value.shape)}")
    if value.row is not None and value.row.shape != rows:
        raise ModelError(f"{name}: row scale {list(value.row.shape)} of {list(value.shape)}")
