"""Load a LoRA adapter (arXiv 2106.09685) and apply its low-rank changes to an open model.

In PEFT's file format: `adapter_config.json` says how much the changes count, and
`adapter_model.safetensors` has A (r, m) and B (n, r) of each projection, whose product times alpha
/ r is added to it; and, where special tokens were trained, their rows of the embedding. Projections
that share an input are one matrix here, so a change goes to some rows of it.

Changes of the causal reading are merged; those of the canvas stand beside the matrices, which it
shares (`model/adapted.py` says why). `readings.py` knows which adapter is which reading's, and
`pairs.py` what a DiffusionGemma's is for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dgedit_engine.files import small
from dgedit_engine.model.adapted import Adapted, LowRank, joined
from dgedit_engine.model.model import Model
from dgedit_engine.model.products import Weight
from dgedit_engine.types import ModelError
from dgedit_engine.weights.slots import Slot, slots
from dgedit_kernels.quantised import Quantised

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
"""PEFT's names of the two files."""
ROWS = "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"
"""PEFT's name of the trained tokens' rows: whole rows, although the name says delta."""

_PREFIX = "base_model.model."
_APART = ("qkv", "out", "gate_up", "down")  # the matrices whose readings may differ
_UNKNOWN = ("use_dora", "modules_to_save", "layer_replication", "fan_in_fan_out", "lora_bias")


@dataclass(frozen=True, slots=True)
class Adapter:
    """The low-rank changes in a folder."""

    folder: Path
    scale: float
    """What products of A and B are multiplied by."""
    tensors: dict[str, Tensor]
    """By PEFT's names."""
    tokens: tuple[int, ...]
    """The tokens with rows of their own, in the rows' order."""


def load(folder: Path) -> Adapter:
    """Load the adapter in a folder. Raises ModelError, naming file and value, for another kind, and
    for missing or damaged files.
    """
    config = _config(folder / CONFIG)
    kind, bias = config.get("peft_type"), config.get("bias", "none")
    if kind != "LORA" or bias != "none":
        found = f"peft_type {kind!r} with bias {bias!r}"
        raise ModelError(f"{folder / CONFIG}: {found}, not 'LORA' with 'none'")
    for name in _UNKNOWN:
        if config.get(name):
            raise ModelError(f"{folder / CONFIG}: {name} {config[name]!r} is not known here")
    for name in ("rank_pattern", "alpha_pattern"):
        if config.get(name):
            raise ModelError(f"{folder / CONFIG}: {name} differs by layer, which is not known here")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or rank < 1 or not isinstance(alpha, int | float):
        raise ModelError(f"{folder / CONFIG}: r {rank!r} and lora_alpha {alpha!r}")
    try:
        tensors = load_file(small.sound(folder / WEIGHTS))
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{folder / WEIGHTS}: {error}") from error
    scale = alpha / rank**0.5 if config.get("use_rslora") else alpha / rank
    return Adapter(folder, scale, tensors, _tokens(folder / CONFIG, config))


@torch.no_grad()
def merge(model: Model, adapter: Adapter) -> None:
    """Add an adapter's changes to a model that was just loaded; quantised matrices that are changed
    become bfloat16. Raises ModelError, naming the tensor, for one that fits nothing.
    """
    for slot, changes in _changes(model, adapter):
        weight = slot.weight
        if isinstance(weight, Quantised):
            slot.fill(weight.dequantised(torch.bfloat16))
            weight = slot.weight
        assert isinstance(weight, Tensor), "merged before it is packed"
        for one in changes:
            place = weight[slice(*one.rows)]
            change = one.b.to(place.device, torch.float32) @ one.a.to(place.device, torch.float32)
            place.copy_(place.float() + adapter.scale * change)
    if (rows := adapter.tensors.get(ROWS)) is not None:
        _set_rows(model, rows, adapter)


@torch.no_grad()
def stand_beside(model: Model, adapter: Adapter, *, causal: bool | None = False) -> None:
    """Put an adapter's changes beside the matrices of an open model, for one reading or for both,
    as `Adapted.causal` has it, instead of what was put there last for the same. Raises ModelError,
    naming the tensor, for one that fits nothing, and for rows of the embedding, which all readings
    share.
    """
    if ROWS in adapter.tensors:
        words = "token rows, which the canvas's reading has not of its own"
        raise ModelError(f"{adapter.folder / WEIGHTS}: {words}")
    device, dtype = model.embedding.device, model.embedding.dtype
    for slot, changes in _changes(model, adapter):
        if causal is not None and slot.attribute not in _APART:
            name = f"{adapter.folder / WEIGHTS}: {min(slot.names)}"
            raise ModelError(f"{name} is not changed for one reading alone")
        weight: Weight = slot.weight
        if isinstance(weight, Adapted) and weight.causal == causal:
            weight = weight.weight
        own = joined(changes, weight.shape[0], adapter.scale, dtype)
        own = LowRank(own.rows, own.a.to(device), own.b.to(device))
        vars(slot.module).pop(slot.attribute, None)
        slot.module._parameters.pop(slot.attribute, None)
        setattr(slot.module, slot.attribute, Adapted(weight, (own,), 1.0, causal=causal))


def changed(model: Model, adapter: Adapter) -> Iterator[Slot]:
    """Yield each matrix that an adapter changes. Raises ModelError as `merge` does."""
    yield from (slot for slot, _ in _changes(model, adapter))


def _changes(model: Model, adapter: Adapter) -> Iterator[tuple[Slot, list[LowRank]]]:
    """Yield each matrix that an adapter changes, and its changes. Raises ModelError, naming the
    tensor, for one that fits nothing, once all others are given.
    """
    left = dict(adapter.tensors)
    left.pop(ROWS, None)
    for slot in slots(model):
        changes = []
        for name, index in slot.names.items():
            stem = _PREFIX + name.removesuffix(".weight")
            a, b = (left.pop(f"{stem}.lora_{one}.weight", None) for one in "AB")
            if a is not None and b is not None:
                rows = index[0] if index else slice(None)
                changes.append(_change(slot, rows, a, b, f"{adapter.folder / WEIGHTS}: {stem}"))
            elif a is not None or b is not None:
                raise ModelError(f"{adapter.folder / WEIGHTS}: half of {stem}")
        if changes:
            yield slot, changes
    for name in left:
        raise ModelError(f"{adapter.folder / WEIGHTS}: {name} belongs to nothing in this model")


def _change(slot: Slot, rows: int | slice, a: Tensor, b: Tensor, words: str) -> LowRank:
    """A change of some rows of a matrix; `words` name it."""
    shape = getattr(slot.module, slot.attribute).shape
    assert isinstance(rows, slice), "stacks are changed whole, and so not at all"
    first, last, _ = rows.indices(shape[0])
    place = [last - first, *shape[1:]]
    if a.dim() != 2 or b.dim() != 2 or [len(b), a.shape[1], len(a)] != [*place, b.shape[1]]:
        raise ModelError(f"{words} is {list(b.shape)} times {list(a.shape)}, not {place}")
    return LowRank((first, last), a, b)


def _set_rows(model: Model, rows: Tensor, adapter: Adapter) -> None:
    """Put the trained tokens' rows in place, in the head's shortlist too."""
    tokens = torch.tensor(adapter.tokens, dtype=torch.int64)
    fits = rows.shape == (len(tokens), model.config.dim)
    if not fits or bool((tokens >= model.config.vocab).any()):
        raise ModelError(f"{adapter.folder / WEIGHTS}: {list(rows.shape)} for {len(tokens)} tokens")
    model.embedding.data[tokens] = rows.to(model.embedding)
    if model.head is not None and isinstance(weight := model.head.weight, Tensor):
        places = model.head.places(tokens)
        known = (places >= 0) & (places < len(weight))
        weight[places[known]] = rows[known].to(weight)


def _tokens(file: Path, config: dict[str, Any]) -> tuple[int, ...]:
    found = config.get("trainable_token_indices") or ()
    if isinstance(found, dict):
        if found.keys() - {"embed_tokens"}:
            raise ModelError(f"{file}: trainable_token_indices of {', '.join(found)}")
        found = found["embed_tokens"]
    if not all(isinstance(one, int) and one >= 0 for one in found):
        raise ModelError(f"{file}: trainable_token_indices {found!r}")
    return tuple(found)


def _config(file: Path) -> dict[str, Any]:
    if (raw := small.table(file)) is None:
        raise ModelError(f"{file} does not exist")
    return raw
