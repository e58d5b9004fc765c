"""Quantise a model's weights, into files of our own format (`formats.native`).

Matrices become codes, the experts' of one kind, the rest's of another or none; embedding, norms and
routers stay bfloat16. Works weight by weight: in memory are one weight of the source and the next
file's tensors, and no more. The folder appears under its name once it is whole.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors.torch import save_file
from torch import Tensor

from dgedit_engine.files import small
from dgedit_engine.formats import opened
from dgedit_engine.formats.coding import allocated, coding
from dgedit_engine.formats.native import head_of, settings, stored
from dgedit_engine.formats.source import TensorSource, Weight, named
from dgedit_engine.model.config import Config, home, load_config
from dgedit_engine.model.model import Model
from dgedit_engine.types import ModelError
from dgedit_engine.weights.checkpoint import INDEX, Move, planned
from dgedit_engine.weights.slots import Slot, part, slots
from dgedit_kernels.quantised import Kind, quantise

Experts = Literal["e2m1", "int4", "e4m3"]
Rest = Literal["int8", "e4m3", "int4"]

_SHARD_BYTES = 1 << 30
_STEP = 1 << 18  # numbers that are coded at a time: in fp32, and several times, they fit a cache
_COPIED = (
    *("generation_config.json", "tokenizer.json", "decoding.json", "vocab.json", "merges.txt"),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
)


@dataclass(frozen=True, slots=True)
class QuantizeProgress:
    """How much of a quantisation is done."""

    done: int
    """Bytes of the source that were read."""
    total: int
    """Bytes of the source that will be."""


def quantize(
    source: Path,
    target: Path,
    *,
    experts: Experts | None = None,
    rest: Rest | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[QuantizeProgress]:
    """Write the model in `source` to a new folder `target`; closing the iterator cancels and leaves
    nothing.

    `experts` is the kind of the experts' codes, where there are any: e2m1 in groups of 16 (NVFP4),
    int4 in groups of 32, or e4m3 by rows; `rest` that of attention, dense MLP and
    self-conditioning, by rows, or int4 with a head in int8; None leaves those bfloat16. The source
    may be of any format with a config.json. `device` does the coding.

    Raises ValueError for other kinds, ModelError for a source that does not load, for a width that
    the groups do not divide, for a target that is there and where nothing is left to be coded.
    """
    if experts not in (None, *get_args(Experts)) or rest not in (None, *get_args(Rest)):
        raise ValueError(f"experts as {experts!r} and the rest as {rest!r}")
    config = _checked(source, target)
    experts = experts if config.experts else None
    if (experts, rest) == (None, None):
        few = "" if config.experts else "it has no experts, and "
        raise ModelError(f"{source}: nothing to quantise, {few}the rest is to stay as it is")
    read = opened(source)
    with torch.device("meta"):
        model = Model(config)
    with named(source):
        moves: dict[Slot, list[Move]] = {}
        for move in planned(slots(model), read):
            moves.setdefault(move.slot, []).append(move)
        rooms = {slot: room_for(slot, experts, rest) for slot in moves}
    target.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield from _write(read, moves, rooms, new, device)
        _describe(home(source), new, experts=experts, rest=rest)
        new.chmod(0o755)  # a temporary folder is its owner's alone
        new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _checked(source: Path, target: Path) -> Config:
    """The source's shape. Raises ModelError where it says none, and for a target that is there."""
    if target.exists():
        raise ModelError(f"{target} exists")
    if not (home(source) / "config.json").is_file():
        raise ModelError(f"no model here: {home(source) / 'config.json'} does not exist")
    return load_config(source)


def room_for(slot: Slot, experts: Kind | None, rest: Kind | None) -> Weight:
    """Return what a weight becomes, on the meta device. Raises ModelError for a width that the
    groups do not divide.
    """
    shape = slot.weight.shape
    kind = experts if len(shape) == 3 else head_of(rest) if slot.attribute == "output" else rest
    room = torch.empty(shape, dtype=torch.bfloat16, device="meta")
    if not slot.coded or kind is None:
        return room
    try:
        return quantise(room, kind)
    except ValueError as error:
        raise ModelError(f"{slot.attribute}: {error}") from error


def _write(
    source: TensorSource,
    moves: dict[Slot, list[Move]],
    rooms: dict[Slot, Weight],
    folder: Path,
    device: torch.device | str,
) -> Iterator[QuantizeProgress]:
    """Write all weights and, at the end, the index by which they are found."""
    sizes = {
        slot: sum(
            source.headers[name].nbytes
            for name in {name for move in found for name in move.piece.stored}
        )
        for slot, found in moves.items()
    }
    done, places = 0, dict[str, str]()
    shard: dict[str, Tensor] = {}
    for slot, found in moves.items():
        tensors = _tensors(slot, _filled(source, found, rooms[slot], device))
        if shard and _bytes(shard) + _bytes(tensors) > _SHARD_BYTES:
            _close(shard, folder, places)
        shard |= tensors
        done += sizes[slot]
        yield QuantizeProgress(done, sum(sizes.values()))
    _close(shard, folder, places)
    index = json.dumps({"weight_map": places}, indent=1)
    (folder / INDEX).write_text(index + "\n", encoding="utf-8")


def _close(shard: dict[str, Tensor], folder: Path, places: dict[str, str]) -> None:
    """Write a shard, note where its tensors are, and empty it."""
    file = f"model-{len(set(places.values())) + 1:05}.safetensors"
    save_file(shard, folder / file, metadata={"format": "pt"})
    (folder / file).chmod(0o644)
    places |= dict.fromkeys(shard, file)
    shard.clear()


def _bytes(tensors: dict[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())


def _filled(
    source: TensorSource, moves: Iterable[Move], room: Weight, device: torch.device | str
) -> Weight:
    """Return a whole weight in the dtype or coding of its room, made some rows or matrices at a
    time: no group reaches beyond a row.
    """
    if isinstance(room, Tensor):
        out: Weight = torch.empty_like(room, device="cpu")
    else:
        out = allocated(coding(room), room.shape, "cpu")
    for move in moves:
        value = source.value(move.piece, device)
        if isinstance(value, Tensor) and source.shifted and move.slot.shift:
            value = value.float() - move.slot.shift
        place = part(part(out, move.index), move.piece.rows)
        value, place = _flat(value), _flat(place)
        step = max(1, _STEP // value.shape[-1])
        for start in range(0, value.shape[0], step):
            rows = slice(start, start + step)
            _code(part(value, rows).to(device), part(place, rows))
    return out


def _flat(weight: Weight) -> Weight:
    """Flatten a weight to (rows, columns): all matrices' rows, or a vector's numbers one a row."""
    if isinstance(weight, Tensor):
        return weight.view(-1, weight.shape[-1] if weight.dim() > 1 else 1)
    rows = weight.shape[:-1].numel()
    parts = {name: tensor.view(rows, -1) for name, tensor in weight.parts().items()}
    parts |= {} if weight.row is None else {"row": weight.row.view(rows)}
    return weight.with_parts(parts)


def _code(value: Weight, place: Weight) -> None:
    numbers = value if isinstance(value, Tensor) else value.dequantised()
    if isinstance(place, Tensor):
        place.copy_(numbers)
        return
    coded = quantise(numbers, place.kind, group=place.group).parts()
    for name, tensor in place.parts().items():
        tensor.copy_(coded[name])


def _tensors(slot: Slot, weight: Weight) -> dict[str, Tensor]:
    """Return a weight's tensors in a file, under Hugging Face's names of its parts."""
    found: dict[str, Tensor] = {}
    for name, index in slot.names.items():
        one = part(weight, index)
        found |= {name: one} if isinstance(one, Tensor) else stored(name, one)
    return found


def _describe(source: Path, folder: Path, *, experts: Kind | None, rest: Kind | None) -> None:
    """Write config.json, and copy what else belongs to the model."""
    raw = small.table(source / "config.json") or {}
    raw["quantization_config"] = settings(experts=experts, rest=rest)
    (folder / "config.json").write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")
    for name in _COPIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
