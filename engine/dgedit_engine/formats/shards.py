"""Read the safetensors files of a folder: one, or those that an index names.

Files are mapped, and what is written to a map stays in this process. The library maps them so too,
but reserves memory for all of a file, which a system refuses for one that is larger than it has. A
map is opened anew now and then: pages of a map that were read count as this process's memory until
it is closed, and the peak must stay near the weights' size.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dgedit_engine.files import small
from dgedit_engine.types import ModelError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
"""The file that holds all weights, and the one that says which shard holds which."""

SKIPPED = (
    *("model.encoder.vision_tower.", "model.encoder.embed_vision."),
    *("vision_tower.", "multi_modal_projector.", "language_model.lm_head."),
    *("model.vision_tower.", "model.multi_modal_projector.", "model.embed_vision."),
    *("model.audio_tower.", "model.embed_audio."),
)
"""Prefixes of tensors that no text needs: those for images and sounds, and a head that is tied."""

# The largest published ones, of 46,000 tensors, have 5 MB of either.
_INDEX_BYTES = _HEADER_BYTES = 16 << 20
_MAP_BYTES = 16 << 20  # read at least this much before maps are opened anew
_MAP_PARTS = 64
_NORESERVE = 0x4000  # Linux's MAP_NORESERVE, which Python names since 3.13
_DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8},
    **{"U8": torch.uint8, "U32": torch.int32, "BOOL": torch.bool},  # words of codes, bit for bit
}


def files(folder: Path) -> list[Path]:
    """Return the files that hold the weights. Raises ModelError for none, and for one that is
    missing.
    """
    index, single = folder / INDEX, folder / SINGLE
    if os.path.lexists(single):
        return [single]
    if not os.path.lexists(index):
        raise ModelError(f"no weights: {single} does not exist")
    places = (small.table(index, most=_INDEX_BYTES) or {}).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(one, str) for one in places.values()):
        raise ModelError(f"{index}: no weight_map of files")
    names = sorted(set(places.values()))
    for name in names:
        if name in ("", ".", "..") or "/" in name or "\0" in name:  # it would lead elsewhere
            raise ModelError(f"{index}: {name!r:.100} is not a file of this folder")
        if not (folder / name).is_file():
            raise ModelError(f"no weights: {folder / name} does not exist")
    return [folder / name for name in names]


def headers(paths: list[Path]) -> tuple[dict[str, Tensor], dict[str, Path]]:
    """Return every text tensor without data, on the meta device, and the file it is in. Raises
    ModelError for a damaged file.
    """
    found: dict[str, Tensor] = {}
    places: dict[str, Path] = {}
    for path in paths:
        _check_header(path)
        with _reading(path), safe_open(path, "np") as opened:
            names = [name for name in opened.keys() if not name.startswith(SKIPPED)]  # noqa: SIM118
            for name in names:
                part = opened.get_slice(name)
                dtype = _DTYPES.get(part.get_dtype())
                if dtype is None:
                    raise ModelError(f"{path}: {name} is {part.get_dtype()}")
                found[name] = torch.empty(_shape(part, name), dtype=dtype, device="meta")
                places[name] = path
    return found, places


def reader(places: dict[str, Path]) -> Callable[[str], Tensor]:
    """Return a function that reads a tensor by its name; the tensor is mapped as long as it is
    referred to.
    """
    size = sum(path.stat().st_size for path in set(places.values()))
    most = max(_MAP_BYTES, size // _MAP_PARTS)
    maps: dict[Path, mmap.mmap] = {}
    parts: dict[Path, dict[str, Any]] = {}
    count = 0

    def read(name: str) -> Tensor:
        nonlocal count
        if count > most:
            maps.clear()
            count = 0
        path = places[name]
        with _reading(path):
            if path not in parts:
                parts[path] = _parts(path)
            if path not in maps:
                maps[path] = _mapped(path)
            tensor = _tensor(maps[path], parts[path][name])
        count += tensor.nbytes
        return tensor

    return read


def _parts(path: Path) -> dict[str, Any]:
    """Return the header: each tensor's dtype, shape and place, which is counted from the file's
    start.
    """
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        found: dict[str, Any] = json.loads(file.read(length))
    found.pop("__metadata__", None)
    for part in found.values():
        part["data_offsets"] = [8 + length + place for place in part["data_offsets"]]
    return found


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        if sys.platform != "linux":
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        return mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE | _NORESERVE)


def _tensor(data: mmap.mmap, part: dict[str, Any]) -> Tensor:
    """Return a tensor whose memory is a map's."""
    start, end = part["data_offsets"]
    dtype = _DTYPES[part["dtype"]]
    if start == end:
        return torch.empty(part["shape"], dtype=dtype)
    count = (end - start) // dtype.itemsize
    return torch.frombuffer(data, dtype=dtype, count=count, offset=start).view(part["shape"])


def _check_header(path: Path) -> None:
    """Raise ModelError for a header larger than any model's: the library would read 100 MB."""
    with small.sound(path).open("rb") as file:
        begins = file.read(8)
    (length,) = struct.unpack("<Q", begins) if len(begins) == 8 else (0,)
    if length > min(_HEADER_BYTES, path.stat().st_size):
        raise ModelError(f"{path}: a header of {length:,} bytes")


def _shape(part: Any, name: str) -> list[int]:
    shape: list[int] = part.get_shape()
    if any(size >= 1 << 62 for size in shape):  # more than a tensor can say
        raise ValueError(f"{name} has the shape {shape}")
    return shape


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn the errors of a file into ModelError."""
    try:
        yield
    except (SafetensorError, OSError, ValueError, KeyError, struct.error) as error:
        raise ModelError(f"{path}: {error}") from error
