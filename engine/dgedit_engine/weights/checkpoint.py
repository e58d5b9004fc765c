"""Load and save a model's weights, in the published formats and under Hugging Face's names.

What a folder holds is known from its headers (`formats`), before a weight is read; then memory is
allocated for every weight, as numbers or as codes; then the files are read piece by piece, so that
the peak of memory stays near the weights' size.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from dgedit_engine.formats import opened, shards
from dgedit_engine.formats.coding import allocated, coding, common, recoded
from dgedit_engine.formats.plain import SCALE, narrowed
from dgedit_engine.formats.source import HEAD, Narrow, Piece, TensorSource, Weight, named
from dgedit_engine.model.config import Config
from dgedit_engine.model.model import Model
from dgedit_engine.types import ModelError
from dgedit_engine.weights.slots import SHARED, Index, Slot, canonical, part, slots
from dgedit_kernels.quantised import Quantised

SINGLE, INDEX = shards.SINGLE, shards.INDEX
"""The file that holds all weights, and the index that says which shard holds which."""

_UNREAD = (HEAD, ".rotary_emb.inv_freq")  # where it is tied; a table that older files have
_SHARD_BYTES = 15 << 20  # and a header: a shard travels where 16 MiB do


@dataclass(frozen=True, slots=True)
class Move:
    """A piece of a file, and the weight it is copied to."""

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
    mapped: bool = False,
    narrow: Narrow | None = None,
    hosted: Collection[int] = (),
) -> Model:
    """Load the model in `folder`, or in a GGUF file, for inference. Codes stay codes (but for int8
    by rows, see `formats.plain`); the rest is of `dtype`, where None keeps the file's width:
    bfloat16 for up to 16 bits, else fp32.

    With `activations` in another dtype, vectors (norms, scales) take that one: they meet no matrix
    product. With `mapped`, an embedding that the file has in that dtype is not read: its rows come
    from the disk when they are looked up. `narrow` is what takes 4 bits of a GGUF file that has
    more. The experts of the layers `hosted` stay in host memory.

    Raises ModelError, naming file and tensor, for unknown formats, missing or corrupt files, absent
    tensors and wrong shapes.
    """
    source = opened(folder, narrow)
    with torch.device("meta"):
        model = Model(config, activations=activations)
    with named(folder):
        moves = planned(slots(model), source)
        if mapped:
            moves = _map_embedding(moves, source, dtype or source.dtype)
        make_room(moves, device, dtype or source.dtype, activations, hosted)
        for move in moves:
            place = part(part(move.slot.weight, move.index), move.piece.rows)
            value = source.value(move.piece, place.device)
            if isinstance(value, Tensor):
                value = move.slot.read(value, shifted=source.shifted)
            _copy(value, place)
    for layer in model.stack():
        own, shared = layer.encode_scalar, layer.denoise_scalar
        if own is not None and shared is not None and own.is_meta:  # where a file has it once
            layer.encode_scalar = shared.clone()
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


def planned(all_slots: Iterable[Slot], source: TensorSource) -> list[Move]:
    """Return the place of every piece. Raises ModelError for one that goes nowhere or does not fit,
    and for a weight that is not there.
    """
    found = {canonical(piece.name) for piece in source.pieces}
    places: dict[str, tuple[Slot, Index]] = {}
    for slot in all_slots:
        names = max((slot.names, *slot.others), key=lambda names: len(found & names.keys()))
        places |= {name: (slot, index) for name, index in names.items()}
    missing = {name for name in places if name not in found and not name.startswith(SHARED)}
    moves = []
    for piece in source.pieces:
        name = canonical(piece.name)
        if name not in places:
            if piece.name.startswith((*shards.SKIPPED, SHARED)) or piece.name.endswith(_UNREAD):
                continue
            raise ModelError(f"unexpected tensor {piece.name}")
        slot, index = places[name]
        form = source.form(piece)
        room = part(part(slot.weight, index), piece.rows)
        if form.shape != room.shape:
            raise ModelError(f"{piece.name} is {list(form.shape)}, not {list(room.shape)}")
        moves.append(Move(piece, form, slot, index))
    if missing:
        raise ModelError(f"no tensor {min(missing)} ({len(missing)} missing)")
    return moves


def _map_embedding(moves: Sequence[Move], source: TensorSource, dtype: torch.dtype) -> list[Move]:
    """Put an embedding of that dtype in its place as the file has it -> the other moves."""
    left = []
    for move in moves:
        piece = move.piece
        whole = piece.made is None and piece.rows is None
        fits = isinstance(move.form, Tensor) and move.form.dtype == dtype
        if move.slot.attribute == "embedding" and whole and fits:
            move.slot.fill(source.read(piece.stored[0]))
        else:
            left.append(move)
    return left


def make_room(
    moves: Iterable[Move],
    device: torch.device | str,
    dtype: torch.dtype,
    activations: torch.dtype | None,
    hosted: Collection[int] = (),
) -> None:
    """Allocate memory for every weight, for the experts of the layers `hosted` on the host. Raises
    ModelError where there is too little.
    """
    forms: dict[Slot, list[Weight]] = {}
    for move in moves:
        forms.setdefault(move.slot, []).append(move.form)
    try:
        for slot, found in forms.items():
            shape, one = slot.weight.shape, common(found) if slot.coded else None
            where = "cpu" if slot.layer in hosted else device
            if one is not None:
                slot.fill(allocated(one, shape, where))
            else:
                width = dtype
                if len(shape) == 1:  # 1 + w has more digits than w
                    width = torch.float32 if slot.shift else activations or dtype
                slot.fill(torch.empty(shape, dtype=width, device=where))
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


def _places(model: Model) -> Iterator[tuple[str, Weight]]:
    """Each tensor's name in a file, and the (part of a) weight that it is there."""
    for slot in slots(model):
        for name, index in slot.names.items():
            one = part(slot.weight, index)
            yield name, slot.written(one) if isinstance(one, Tensor) else one


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
    """Deal the tensors, in order, into as few shards as hold them; none is cut."""
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
