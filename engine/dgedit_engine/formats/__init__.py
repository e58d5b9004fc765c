"""The formats in which models are published, each a small adapter from its tensors to ours.

An adapter is a function from stored tensors' names and shapes to pieces (`source.py`); this file
chooses it. Knows no module of the model: `checkpoint.py` puts pieces in their places.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dgedit_engine.files import small
from dgedit_engine.formats import compressed, gguf, gptq, mlx, modelopt, native, plain, shards
from dgedit_engine.formats.source import Narrow, TensorSource, computed, named
from dgedit_engine.types import ModelError

KNOWN = ("none", "modelopt", "compressed-tensors", *gptq.METHODS, mlx.METHOD, native.METHOD)
"""Methods of quantisation that safetensors may have, by Hugging Face's names; MLX has none."""

_WIDTHS = {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32"}
_COMPRESSED = {
    **{"float-quantized": "FP8", "int-quantized": "INT8"},
    **{"nvfp4-pack-quantized": "NVFP4", "pack-quantized": "W4A16"},
}
_FILE_TYPES = {
    **{0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K"},
    **{11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S"},
    **{17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS"},
    **{23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S"},
    **{29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0"},
    **{38: "MXFP4", 39: "NVFP4"},
}
"""llama.cpp's number of a file's mixture of types, `general.file_type`, to its name."""
_TYPES = {
    **{0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K"},
    **{11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 16: "IQ2_XXS", 17: "IQ2_XS"},
    **{18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS"},
    **{29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4"},
}
"""ggml's number of a tensor's type to its name."""


def opened(path: Path, narrow: Narrow | None = None) -> TensorSource:
    """Open the weights in a folder, or in a GGUF file, of which `narrow` makes some of 4 bits.
    Raises ModelError, naming the path, for a format that is not known, and for missing or damaged
    files.
    """
    with named(path):
        file = _gguf(path)
        return _safetensors(path) if file is None else gguf.source(file, narrow)


def narrowings(path: Path) -> list[Narrow]:
    """Return what `opened` can narrow, the least first: nothing but in a GGUF file. Raises
    ModelError as it does.
    """
    with named(path):
        file = _gguf(path)
        return [] if file is None else gguf.narrowings(file)


def describe(path: Path) -> str:
    """Name the format of the weights in a folder or a GGUF file, in a few words: "BF16", "NVFP4
    (ModelOpt)", "GGUF Q4_K_M". It is what the settings or, where there are none, the headers say,
    and nothing is tried: `opened` may still refuse it. Raises ModelError for an unknown method of
    quantisation and for missing files.
    """
    with named(path):
        file = _gguf(path)
        if file is not None:
            return f"GGUF {_mixture(file)}"
        files, settings = shards.files(path), _settings(path)
        method = _method(settings)
        if method == "modelopt":
            return f"{settings.get('quant_algo')} (ModelOpt)"
        if method == "compressed-tensors":
            return f"{_compressed(settings)} ({method})"
        if method in gptq.METHODS:
            return f"INT4 ({method})"
        if method == mlx.METHOD:
            return f"{mlx.named(settings)} (MLX)"
        if method == native.METHOD:
            kinds = [str(kind) for kind in (settings.get("experts"), settings.get("rest")) if kind]
            return f"dgedit {' + '.join(kinds)}"
        sizes = Counter[str]()
        for header in shards.headers(files)[0].values():
            sizes[str(header.dtype).removeprefix("torch.")] += header.nbytes
        most = max(sizes, key=sizes.__getitem__, default="no tensors")
        return _WIDTHS.get(most, most.upper())


def _compressed(settings: Mapping[str, Any]) -> str:
    """Name the formats of a compressed-tensors file, group by group."""
    groups = settings.get("config_groups")
    found = []
    for group in groups.values() if isinstance(groups, dict) else ():
        own = group if isinstance(group, dict) else {}
        name = str(own.get("format") or settings.get("format"))
        weights = own.get("weights")
        if name == "naive-quantized" and isinstance(weights, dict):
            name = "float-quantized" if weights.get("type") == "float" else "int-quantized"
        found.append(_COMPRESSED.get(name, name))
    return " + ".join(dict.fromkeys(found)) or str(settings.get("format"))


def _mixture(file: Path) -> str:
    """Return llama.cpp's name of a file's mixture of types, or else the type that most of its bytes
    are.
    """
    fields, entries = gguf.header(file)
    number = fields.get("general.file_type")
    known = _FILE_TYPES.get(number) if isinstance(number, int) else None
    sizes = Counter[int]()
    for entry in entries.values():
        sizes[entry.kind] += math.prod(entry.bytes)
    most = max(sizes, key=sizes.__getitem__, default=-1)
    return known or _TYPES.get(most, f"type {most}")


def _gguf(path: Path) -> Path | None:
    """The GGUF file that `path` is, or that a folder without safetensors holds."""
    if path.suffix != gguf.SUFFIX and _has_safetensors(path):
        return None
    return gguf.found(path)


def _method(settings: Mapping[str, Any]) -> str | None:
    """How the files are quantised. Raises ModelError for a way that is not known."""
    method = settings.get("quant_method")
    if method not in (None, *KNOWN[1:]):
        raise ModelError(f"quantised by {method!r}; known are {', '.join(KNOWN)}")
    return method


def _safetensors(folder: Path) -> TensorSource:
    headers, places = shards.headers(shards.files(folder))
    settings = _settings(folder)
    method = _method(settings)
    if method is None:
        pieces = plain.pieces(headers)
    elif method == "modelopt":
        pieces = modelopt.pieces(headers, settings)
    elif method == "compressed-tensors":
        pieces = compressed.pieces(headers, settings)
    elif method in gptq.METHODS:
        pieces = gptq.pieces(headers, settings)
    elif method == mlx.METHOD:
        pieces = mlx.pieces(headers, settings)
    else:
        pieces = native.pieces(headers, settings)
    return TensorSource(headers, shards.reader(places), tuple(pieces), computed(headers))


def _settings(folder: Path) -> dict[str, Any]:
    """Return the files' settings of the quantisation; empty for plain numbers."""
    config = _json(folder / "config.json")
    if words := mlx.settings(config):
        return words
    settings = config.get("quantization_config") or {}
    if not isinstance(settings, dict):
        raise ModelError(f"{folder / 'config.json'}: quantization_config {settings!r}")
    if settings.get("quant_method", "modelopt") == "modelopt":  # older ModelOpt has its own file
        own = _json(folder / "hf_quant_config.json").get("quantization")
        if isinstance(own, dict):
            settings = {"quant_method": "modelopt", **own, **settings}
    return settings


def _json(file: Path) -> dict[str, Any]:
    return small.table(file) or {}


def _has_safetensors(folder: Path) -> bool:
    return any(os.path.lexists(folder / name) for name in (shards.SINGLE, shards.INDEX))
