"""An adapter of a DiffusionGemma: changes for both readings of matrices that they share.

transformers ties the weights of its encoder (the causal reading) and its decoder (the canvas's),
and PEFT does not tie what it puts beside them, so that a file has changes under both names:

    base_model.model.model.encoder.language_model.layers.N…
    base_model.model.model.decoder.layers.N…

Here the matrices are one object. Changes that are equal are merged into it, or stand beside it for
both readings where it has codes; those that differ stand beside it, each for its own reading, since
a shared matrix with both merged would be wrong for either.

Knows names and a model's parts; `adapters.py` knows PEFT's format.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dgedit_engine.model.model import Model
from dgedit_engine.weights import adapters
from dgedit_engine.weights.adapters import Adapter

ENCODER = "base_model.model.model.encoder.language_model."
"""What PEFT's names of the causal reading's changes begin with."""
DECODER = "base_model.model.model.decoder."
"""The same of the canvas's."""


@dataclass(frozen=True, slots=True)
class AdapterPair:
    """The changes of both readings, both by the decoder's names; one may have none."""

    causal: Adapter
    """The causal reading's."""
    canvas: Adapter
    """The canvas's."""

    @property
    def equal(self) -> bool:
        """Whether both are changed alike."""
        one, two = self.causal.tensors, self.canvas.tensors
        return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)

    @property
    def nbytes(self) -> int:
        """Bytes of all their tensors, which a model takes beside its own weights, at most."""
        tensors = (*self.causal.tensors.values(), *self.canvas.tensors.values())
        return sum(one.nbytes for one in tensors)


def pair_of(adapter: Adapter) -> AdapterPair | None:
    """Return the two parts of an adapter with changes under either name; None for any other."""
    if not any(name.startswith((ENCODER, DECODER)) for name in adapter.tensors):
        return None
    causal: dict[str, Tensor] = {}
    canvas: dict[str, Tensor] = {}
    for name, tensor in adapter.tensors.items():
        if name.startswith(ENCODER):
            causal[DECODER + name.removeprefix(ENCODER)] = tensor
        else:  # what fits nothing is named when it is put in place
            canvas[name] = tensor
    return AdapterPair(replace(adapter, tensors=causal), replace(adapter, tensors=canvas))


def merge_equal(model: Model, pair: AdapterPair) -> bool:
    """Merge a pair into a model that was just loaded, if that is right for both readings: the parts
    are equal, and no matrix that they change has codes. Says whether it did. Raises ModelError,
    naming the tensor, for one that fits nothing.
    """
    plain = all(isinstance(slot.weight, Tensor) for slot in adapters.changed(model, pair.canvas))
    if not (pair.equal and plain):
        return False
    adapters.merge(model, pair.canvas)
    return True


def put_beside(model: Model, pair: AdapterPair) -> None:
    """Put a pair's changes beside the matrices of an open model. Raises ModelError, naming the
    tensor, for one that fits nothing.
    """
    if pair.equal:
        adapters.stand_beside(model, pair.canvas, causal=None)
    else:
        adapters.stand_beside(model, pair.causal, causal=True)
        adapters.stand_beside(model, pair.canvas, causal=False)
