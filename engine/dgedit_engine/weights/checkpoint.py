"""Weights between our modules and the formats they are published in, by Hugging Face's names.

What a folder holds is known from its headers (`formats`), before a weight is read; then every
weight gets its room, as numbers or as codes; then the files are read piece by piece, so that the
peak of memory stays near the weights' size.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dgedit_engine.formats import opened, shards
from dgedit_engine.formats.coding import allocated, coding, common, recoded
from dgedit_engine.formats.plain import SCALE, narrowed
from dgedit_engine.formats.source import EMBEDDING, NORM, Piece, Source, Weight, named
from dgedit_engine.model.config import Config
from dgedit_engine.model.model import Model
from dgedit_engine.types import ModelError
from dgedit_kernels.quantised import Quantised

SINGLE, INDEX = shards.SINGLE, shards.INDEX
"""The file that holds all weights, and the one that says which shard holds which."""

_SHARD_BYTES = 15 << 20  # and a header: a shard travels where 16 MiB do
_SHARED = "model.encoder.language_model."  # tied to the decoder's, if present at all
_NAMES = {
    "attention_in": "input_layernorm.weight",
    "attention_out": "post_attention_layernorm.weight",
    "mlp_in": "pre_feedforward_layernorm.weight",
    "mlp_out": "post_feedforward_layernorm_1.weight",
    "experts_in": "pre_feedforward_layernorm_2.weight",
    "experts_out": "post_feedforward_layernorm_2.weight",
    "feed_out": "post_feedforward_layernorm.weight",
    "q_norm": "self_attn.q_norm.weight",
    "k_norm": "self_attn.k_norm.weight",
    "router": "router.proj.weight",
    "router_scale": "router.scale",
    "expert_scale": "router.per_expert_scale",
    "denoise_scalar": "layer_scalar",
}

Index = tuple[int | slice, ...]
Names = Mapping[str, Index]


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """A weight of the model, and what files call it."""

    module: nn.Module
    """Whose it is."""
    attribute: str
    """What it is there."""
    names: Names
    """Hugging Face's names of its parts, and which rows or matrices they are."""
    others: tuple[Names, ...] = ()
    """Other sets of names under which files may have it."""
    coded: bool = False
    """Whether it may be codes."""

    @property
    def weight(self) -> Weight:
        """What is there now."""
        value = getattr(self.module, self.attribute)
        return value.data if isinstance(value, Tensor) else value

    def fill(self, value: Weight) -> None:
        """Put `value` there, instead of what was."""
        vars(self.module).pop(self.attribute, None)  # codes are no parameters of a module
        if isinstance(value, Quantised):
            self.module._parameters.pop(self.attribute, None)
            setattr(self.module, self.attribute, value)
        elif self.attribute in self.module._buffers:
            self.module._buffers[self.attribute] = value
        else:
            self.module._parameters[self.attribute] = nn.Parameter(value, requires_grad=False)


@dataclass(frozen=True, slots=True)
class Move:
    """A piece of a file, and where it goes."""

    piece: Piece
    """What is read."""
    form: Weight
    """The same without data."""
    slot: Slot
    """The weight that it is a part of."""
    index: Index
    """Which part that is."""


def load(
    config: Config,
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    activations: torch.dtype | None = None,
) -> Model:
    """The model in `folder`, or in a GGUF file, ready for inference. Codes stay codes (int8 by rows
    apart, see `formats.plain`); the rest is of `dtype`, where None keeps the file's width: bfloat16
    for up to 16 bits, else fp32.

    With `activations` in another dtype, vectors (norms, scales) take that one: they meet no matrix
    product.

    Raises ModelError, naming file and tensor, for unknown formats, missing or corrupt files, absent
    tensors and wrong shapes.
    """
    source = opened(folder)
    with torch.device("meta"):
        model = Model(config, activations=activations)
    with named(folder):
        moves = planned(slots(model), source)
        _make_room(moves, device, dtype or source.dtype, activations)
        for move in moves:
            place = part(part(move.slot.weight, move.index), move.piece.rows)
            _copy(source.value(move.piece, device), place)
    for layer in model.stack():
        if layer.encode_scalar.is_meta:  # tied, where a file has it once
            layer.encode_scalar = layer.denoise_scalar.clone()
    return model.requires_grad_(False).eval()


def save(
    model: Model, path: Path, *, dtype: torch.dtype = torch.bfloat16, int8: bool = False
) -> None:
    """Write all weights under Hugging Face's names: to one safetensors file, or to an existing
    folder, in shards under 16 MiB with their index, instead of the weights that were there.

    With `int8` every matrix is stored as such, and `dtype` is that of the rest.
    """
    tensors = _stored(model, dtype, int8=int8)
    if not path.is_dir():
        _write(path.parent, {path.name: dict(tensors)})
        return
    parts = list(_shards(tensors))
    files = {
        f"model-{number:05}-of-{len(parts):05}.safetensors": one
        for number, one in enumerate(parts, 1)
    }
    _write(path, files)
    index = {
        "metadata": {"total_size": sum(one.nbytes for file in parts for one in file.values())},
        "weight_map": {name: file for file, one in files.items() for name in one},
    }
    (path / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    for old in (path / SINGLE, *path.glob("model-*-of-*.safetensors")):
        if old.name not in files:  # a single file would be read before the index
            old.unlink(missing_ok=True)


def slots(model: Model) -> Iterator[Slot]:
    """Every weight of the model."""
    yield Slot(model, "embedding", {EMBEDDING: ()})
    yield Slot(model, "norm", {NORM: ()})
    block, conditioning = "model.decoder.self_conditioning.", model.conditioning
    yield Slot(conditioning, "pre_norm", {f"{block}pre_norm.weight": ()})
    yield from _mlp(conditioning, block, model.config.mlp)
    for index, layer in enumerate(model.stack()):
        prefix, shape = f"model.decoder.layers.{index}.", layer.shape
        for ours, theirs in _NAMES.items():
            yield Slot(layer, ours, {prefix + theirs: ()})
        yield Slot(layer, "encode_scalar", {f"{_SHARED}layers.{index}.layer_scalar": ()})
        yield Slot(layer, "out", {f"{prefix}self_attn.o_proj.weight": ()}, coded=True)
        keys = shape.kv_heads * shape.head_dim
        sizes = {"q": model.config.heads * shape.head_dim, "k": keys}
        if shape.sliding:
            sizes["v"] = keys
        rows = _rows([f"{prefix}self_attn.{one}_proj.weight" for one in sizes], sizes.values())
        yield Slot(layer, "qkv", rows, coded=True)
        yield from _mlp(layer, f"{prefix}mlp.", model.config.mlp)
        yield from _experts(layer, f"{prefix}experts.", model.config)


def planned(all_slots: Iterable[Slot], source: Source) -> list[Move]:
    """Where every piece goes. Raises ModelError for one that goes nowhere or does not fit, and for
    a weight that is not there.
    """
    found = {piece.name for piece in source.pieces}
    places: dict[str, tuple[Slot, Index]] = {}
    for slot in all_slots:
        names = max((slot.names, *slot.others), key=lambda names: len(found & names.keys()))
        places |= {name: (slot, index) for name, index in names.items()}
    missing = {name for name in places if name not in found and not name.startswith(_SHARED)}
    moves = []
    for piece in source.pieces:
        if piece.name not in places:
            if piece.name.startswith((*shards.SKIPPED, _SHARED)):
                continue
            raise ModelError(f"unexpected tensor {piece.name}")
        slot, index = places[piece.name]
        form = source.form(piece)
        room = part(part(slot.weight, index), piece.rows)
        if form.shape != room.shape:
            raise ModelError(f"{piece.name} is {list(form.shape)}, not {list(room.shape)}")
        moves.append(Move(piece, form, slot, index))
    if missing:
        raise ModelError(f"no tensor {min(missing)} ({len(missing)} missing)")
    return moves


def part(weight: Weight, index: Index | slice | None) -> Weight:
    """Some rows of a matrix, or matrices of a stack; None: all."""
    if index is None:
        return weight
    if isinstance(weight, Tensor):
        return weight[index]
    parts = {name: tensor[index] for name, tensor in weight.parts().items()}
    return Quantised(weight.kind, **parts)


def _make_room(
    moves: Iterable[Move],
    device: torch.device | str,
    dtype: torch.dtype,
    activations: torch.dtype | None,
) -> None:
    """Give every weight its memory."""
    forms: dict[Slot, list[Weight]] = {}
    for move in moves:
        forms.setdefault(move.slot, []).append(move.form)
    try:
        for slot, found in forms.items():
            shape, one = slot.weight.shape, common(found) if slot.coded else None
            if one is not None:
                slot.fill(allocated(one, shape, device))
            else:
                width = activations or dtype if len(shape) == 1 else dtype
                slot.fill(torch.empty(shape, dtype=width, device=device))
    except (RuntimeError, MemoryError) as error:  # above all, a device out of memory
        reason = (str(error) or type(error).__name__).split("\n", 1)[0]
        raise ModelError(reason) from error


def _copy(value: Weight, place: Weight) -> None:
    """Put a piece in its place, in the place's dtype or coding."""
    if isinstance(place, Tensor):
        place.copy_(value if isinstance(value, Tensor) else value.dequantised())
        return
    assert isinstance(value, Quantised)
    fitting = recoded(value, coding(place)).parts()
    for name, tensor in place.parts().items():
        tensor.copy_(fitting[name])


def _mlp(module: nn.Module, prefix: str, width: int) -> Iterator[Slot]:
    names = [f"{prefix}{one}_proj.weight" for one in ("gate", "up")]
    yield Slot(module, "gate_up", _rows(names, (width, width)), coded=True)
    yield Slot(module, "down", {f"{prefix}down_proj.weight": ()}, coded=True)


def _experts(layer: nn.Module, prefix: str, config: Config) -> Iterator[Slot]:
    """The stacks, which files have whole, as parameters or as modules, or expert by expert."""
    both = {
        f"{prefix}{index}.{name}_proj.weight": (index, *rows)
        for index in range(config.experts)
        for name, rows in _rows(("gate", "up"), (config.expert_width,) * 2).items()
    }
    down: dict[str, Index] = {
        f"{prefix}{index}.down_proj.weight": (index,) for index in range(config.experts)
    }
    for name, apart in (("gate_up", both), ("down", down)):
        whole = f"{prefix}{name}_proj"
        others: tuple[Names, ...] = ({f"{whole}.weight": ()}, apart)
        yield Slot(layer, f"experts_{name}", {whole: ()}, others, coded=True)


def _rows(names: Sequence[str], sizes: Iterable[int]) -> Names:
    """Names for the row ranges of a joined weight, in order."""
    ends = accumulate(sizes, initial=0)
    return {name: (slice(*range_),) for name, range_ in zip(names, pairwise(ends), strict=True)}


def _places(model: Model) -> Iterator[tuple[str, Weight]]:
    """Each tensor's name in a file, and the (part of a) weight that it is."""
    for slot in slots(model):
        for name, index in slot.names.items():
            yield name, part(slot.weight, index)


def _stored(model: Model, dtype: torch.dtype, *, int8: bool) -> Iterator[tuple[str, Tensor]]:
    """Each tensor of the file, on the host; a scale behind its matrix."""
    for name, weight in _places(model):
        tensor = weight.dequantised() if isinstance(weight, Quantised) else weight
        if int8 and tensor.dim() > 1:
            numbers, scale = narrowed(tensor.to("cpu", torch.float32))
            yield name, numbers
            yield name + SCALE, scale
        else:
            yield name, tensor.to("cpu", dtype).contiguous().clone()


def _shards(tensors: Iterable[tuple[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    """The tensors in order, dealt into as few shards as hold them; none is cut."""
    shard: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors:
        if shard and size + tensor.nbytes > _SHARD_BYTES:
            yield shard
            shard, size = {}, 0
        shard[name] = tensor
        size += tensor.nbytes
    yield shard


def _write(folder: Path, files: dict[str, dict[str, Tensor]]) -> None:
    """Write all files, then put them in place, so that a stop on the way leaves what was there."""
    for name, tensors in files.items():
        new = folder / f"{name}.new"
        save_file(tensors, new, metadata={"format": "pt"})
        new.chmod(0o644)  # the library leaves it to its owner alone
    for name in files:
        (folder / f"{name}.new").replace(folder / name)
