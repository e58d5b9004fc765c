"""GGUF files that are a header and nothing behind it, of any size: what a plan may look at."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import torch

from dgedit_engine.formats.blocks import _SIZES, row_bytes
from dgedit_engine.model.config import Config
from dgedit_engine.model.model import Model
from dgedit_engine.weights import checkpoint
from llamacpp import shape_fields, tensor_name

TYPES = {
    **{"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q2_K": 10},
    **{"Q3_K": 11, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14, "IQ2_XXS": 16, "IQ3_XXS": 18},
    **{"IQ1_S": 19, "IQ4_NL": 20, "IQ3_S": 21, "IQ2_S": 22, "IQ4_XS": 23, "BF16": 30, "MXFP4": 39},
}
"""ggml's numbers of types."""

INSTEAD = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0", "Q2_K": "Q4_0", "Q3_K": "Q4_0"}
"""What llama-quantize takes where 256 does not divide the columns; IQ4_NL for the IQ types."""

FINER = {"Q4_K_M": "Q6_K", "Q5_K_M": "Q6_K", "Q3_K_M": "Q5_K", "IQ2_S": "IQ3_S", "IQ2_XXS": "Q2_K"}
"""The type of values and of some of the rows that follow them, by a file's mixture."""


def type_of(recipe: str, name: str, columns: int) -> str:
    """The type of a tensor in a file of this mixture, about as llama-quantize chooses."""
    if not name.endswith(("_proj", "_proj.weight", "embed_tokens.weight")):
        return "F32"
    kind = recipe.removesuffix("_M").removesuffix("_S") if recipe[0] == "Q" else recipe
    kind = recipe if recipe in TYPES else kind
    if recipe == "MXFP4_MOE":
        kind = "MXFP4" if ".experts." in name else "Q8_0"
    elif "v_proj" in name or "down" in name:
        kind = FINER.get(recipe, kind)
    elif "embed" in name:
        kind = "Q6_K" if recipe in FINER else kind
    if columns % _SIZES[TYPES[kind]][0]:
        kind = INSTEAD.get(kind, "IQ4_NL")
    return kind


def header_only(file: Path, config: Config, recipe: str, *, vocabulary: bool = True) -> int:
    """Write the header of a DiffusionGemma's file as released, with a vocabulary as large, and
    nothing behind it: the file has its size, and takes no room. Returns its size.
    """
    with torch.device("meta"):
        places = {name: tuple(one.shape) for name, one in checkpoint._places(Model(config))}
    tensors, offset = [], 0
    for name, shape in places.items():
        kind = type_of(recipe, name, shape[-1])
        tensors.append((tensor_name(name), shape, TYPES[kind], offset))
        offset += -(-math.prod(shape[:-1]) * row_bytes(TYPES[kind], shape[-1]) // 32) * 32
    fields = _fields(config, vocabulary)
    head = bytearray(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(fields)))
    for key, value in fields.items():
        head += _text(key) + _value(value)
    for called, shape, kind_, start in tensors:
        head += _text(called) + struct.pack("<I", len(shape))
        head += struct.pack(f"<{len(shape)}Q", *reversed(shape)) + struct.pack("<IQ", kind_, start)
    size = -(-len(head) // 32) * 32 + offset
    with file.open("wb") as out:
        out.write(head)
        out.truncate(size)
    return size


def _fields(config: Config, vocabulary: bool) -> dict[str, Any]:
    found = {"general.architecture": "diffusion-gemma", **shape_fields(config)}
    found["diffusion-gemma.canvas_length"] = config.canvas
    found["tokenizer.ggml.model"] = "gemma4"
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>"]
    if vocabulary:
        tokens += [f"token{at}" for at in range(config.vocab - len(tokens))]
        found["tokenizer.ggml.merges"] = [f"tok en{at}" for at in range(2 * config.vocab)]
        found["tokenizer.ggml.token_type"] = [1] * len(tokens)
    found["tokenizer.ggml.tokens"] = tokens
    for name, token in (("bos", 2), ("eos", 1), ("padding", 0)):
        found[f"tokenizer.ggml.{name}_token_id"] = token
    return found


def _text(words: str) -> bytes:
    raw = words.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: Any) -> bytes:
    if isinstance(value, list):
        if isinstance(value[0], str):
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_text, value))
        return struct.pack(f"<IIQ{len(value)}I", 9, 4, len(value), *value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    return (
        struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value)
    )
