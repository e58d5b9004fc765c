"""Safetensors files of a folder: one, or those that an index names.

Files are mapped, and a map is opened anew now and then: pages of a map that were read count as this
process's memory until it is closed, and the peak must stay near the weights' size. To open one
costs the reading of its header, 70 ms for 46,000 tensors, hence some 64 times for a large model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dgedit_engine.types import ModelError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
"""The file that holds all weights, and the one that says which shard holds which."""

SKIPPED = (
    *("model.encoder.vision_tower.", "model.encoder.embed_vision.", "lm_head."),
    *("vision_tower.", "multi_modal_projector.", "language_model.lm_head."),
    *("model.vision_tower.", "model.multi_modal_projector."),
)
"""How the names of tensors begin that no text needs: images, and the tied head."""

_MAP_BYTES = 16 << 20  # read at least this much before maps are opened anew
_MAP_PARTS = 64
_DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8},
    **{"U8": torch.uint8, "BOOL": torch.bool},
}


def files(folder: Path) -> list[Path]:
    """The files that hold the weights. Raises ModelError for none, or one that is not there."""
    index, single = folder / INDEX, folder / SINGLE
    if single.is_file():
        return [single]
    if not index.is_file():
        raise ModelError(f"no weights: {single} does not exist")
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        found = [folder / name for name in names]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{index}: {error!r}") from error
    for file in found:
        if not file.is_file():
            raise ModelError(f"no weights: {file} does not exist")
    return found


def headers(paths: list[Path]) -> tuple[dict[str, Tensor], dict[str, Path]]:
    """Every text tensor without data, on the meta device, and the file it is in."""
    found: dict[str, Tensor] = {}
    places: dict[str, Path] = {}
    for path in paths:
        with _reading(path) as opened:
            names = [name for name in opened.keys() if not name.startswith(SKIPPED)]  # noqa: SIM118
            for name in names:
                part = opened.get_slice(name)
                dtype = _DTYPES.get(part.get_dtype())
                if dtype is None:
                    raise ModelError(f"{path}: {name} is {part.get_dtype()}")
                found[name] = torch.empty(part.get_shape(), dtype=dtype, device="meta")
                places[name] = path
    return found, places


def reader(places: dict[str, Path]) -> Callable[[str], Tensor]:
    """Reads a tensor by its name; it is mapped as long as it is referred to."""
    size = sum(path.stat().st_size for path in set(places.values()))
    most = max(_MAP_BYTES, size // _MAP_PARTS)
    maps: dict[Path, Any] = {}
    count = 0

    def read(name: str) -> Tensor:
        nonlocal count
        if count > most:
            maps.clear()
            count = 0
        path = places[name]
        with _reading(path, maps.get(path)) as opened:
            maps[path] = opened
            tensor: Tensor = opened.get_tensor(name)
        count += tensor.nbytes
        return tensor

    return read


@contextmanager
def _reading(path: Path, opened: Any = None) -> Iterator[Any]:
    """The file, opened already or now, its faults in our words."""
    try:
        yield opened or safe_open(path, "pt")
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{path}: {error}") from error
