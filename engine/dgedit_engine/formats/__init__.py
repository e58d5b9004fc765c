"""The formats in which the model is published, each a small adapter from its tensors to ours.

An adapter is a function from stored tensors' names and shapes to pieces (`source.py`); this file
chooses it. Knows no module of the model: `checkpoint.py` puts pieces in their places.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dgedit_engine.formats import compressed, gguf, modelopt, native, plain, shards
from dgedit_engine.formats.source import Source, computed, named
from dgedit_engine.types import ModelError

KNOWN = ("none", "modelopt", "compressed-tensors", native.METHOD)
"""Methods of quantisation that safetensors may have, by Hugging Face's name for them."""


def opened(path: Path) -> Source:
    """The weights in a folder, or in a GGUF file. Raises ModelError, naming the path, for a format
    that is not known, and for missing or damaged files.
    """
    with named(path):
        if path.suffix == gguf.SUFFIX or not _has_safetensors(path):
            file = gguf.found(path)
            if file is not None:
                return gguf.source(file)
        return _safetensors(path)


def _safetensors(folder: Path) -> Source:
    headers, places = shards.headers(shards.files(folder))
    settings = _settings(folder)
    method = settings.get("quant_method")
    if method is None:
        pieces = plain.pieces(headers)
    elif method == "modelopt":
        pieces = modelopt.pieces(headers, settings)
    elif method == "compressed-tensors":
        pieces = compressed.pieces(headers, settings)
    elif method == native.METHOD:
        pieces = native.pieces(headers, settings)
    else:
        raise ModelError(f"quantised by {method!r}; known are {', '.join(KNOWN)}")
    return Source(headers, shards.reader(places), tuple(pieces), computed(headers))


def _settings(folder: Path) -> dict[str, Any]:
    """What the files say of the quantisation; nothing for plain numbers."""
    settings = _json(folder / "config.json").get("quantization_config") or {}
    if not isinstance(settings, dict):
        raise ModelError(f"{folder / 'config.json'}: quantization_config {settings!r}")
    if settings.get("quant_method", "modelopt") == "modelopt":  # older ModelOpt has its own file
        own = _json(folder / "hf_quant_config.json").get("quantization")
        if isinstance(own, dict):
            settings = {"quant_method": "modelopt", **own, **settings}
    return settings


def _json(file: Path) -> dict[str, Any]:
    try:
        raw = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: {error}") from error
    return raw if isinstance(raw, dict) else {}


def _has_safetensors(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (shards.SINGLE, shards.INDEX))
