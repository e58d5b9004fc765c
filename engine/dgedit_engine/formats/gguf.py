"""Read llama.cpp's GGUF files of two architectures: `diffusion-gemma` (unsloth's) and `gemma3`.

One file holds weights and configuration. Its header is read here and not by the `gguf` package,
which makes an array of each of a vocabulary's 1.3 million strings and numbers: 20 s and 1.3 GB,
against 0.4 s and 74 MB. Tensors are mapped one by one, large ones some rows or an expert at a time.
Keys and names are those of the released files, after public dumps of their headers.
"""

from __future__ import annotations

import math
import mmap
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dgedit_engine.files import small
from dgedit_engine.formats.blocks import decoder, row_bytes
from dgedit_engine.formats.source import EMBEDDING, NORM, Piece, TensorSource, refuse_many
from dgedit_engine.types import ModelError

SUFFIX = ".gguf"
"""Suffix of a file's name."""

ARCHITECTURE, GEMMA3 = "diffusion-gemma", "gemma3"

_CHUNK_BYTES = 1 << 20  # of a tensor at a time: taken apart in a cache, 0.5 to 1 G codes a second
_SCALARS = dict(enumerate("BbHhIif?", 0)) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_PART = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.gguf")
# Bytes of a header, values of its arrays, fields, tensors: four times what the largest files have.
_LONGEST, _VALUES, _FIELDS, _TENSORS, _ALIGNED = 64 << 20, 1 << 22, 4096, 65_536, 1 << 16
_TURN_END = "<turn|>"  # ends a text too; the file names only <eos>
_UNREAD = ("rope_freqs.weight", "output.weight")  # read by the configuration; tied
_WHOLE = {
    "token_embd": EMBEDDING,
    "output_norm": NORM,
    "self_cond_pre_norm": "model.decoder.self_conditioning.pre_norm.weight",
    "self_cond_gate": "model.decoder.self_conditioning.gate_proj.weight",
    "self_cond_up": "model.decoder.self_conditioning.up_proj.weight",
    "self_cond_down": "model.decoder.self_conditioning.down_proj.weight",
}
_LAYER = {
    "attn_norm.weight": "input_layernorm.weight",
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "post_attention_norm.weight": "post_attention_layernorm.weight",
    "ffn_norm.weight": "pre_feedforward_layernorm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
    "post_ffw_norm_1.weight": "post_feedforward_layernorm_1.weight",
    "pre_ffw_norm_2.weight": "pre_feedforward_layernorm_2.weight",
    "ffn_gate_inp.weight": "router.proj.weight",
    "ffn_gate_inp.scale": "router.scale",
    "ffn_gate_up_exps.weight": "experts.gate_up_proj",
    "ffn_down_exps.weight": "experts.down_proj",
    "ffn_down_exps.scale": "router.per_expert_scale",
    "post_ffw_norm_2.weight": "post_feedforward_layernorm_2.weight",
    "post_ffw_norm.weight": "post_feedforward_layernorm.weight",
    "layer_output_scale.weight": "layer_scalar",
}


# What comes of a damaged header, or of one that was made to do harm.
_UNREADABLE = (
    *(OSError, ValueError, LookupError, ArithmeticError, TypeError),
    *(MemoryError, RecursionError, struct.error),
)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """The place and type of a tensor in a file."""

    kind: int
    """ggml's number of its type."""
    shape: tuple[int, ...]
    """Its rows and columns, the innermost last."""
    bytes: tuple[int, ...]
    """The same shape, its columns in bytes."""
    start: int
    """Its first byte in the file."""
    file: Path
    """The file that holds it: a model may be split."""


def found(path: Path) -> Path | None:
    """Return the GGUF file that `path` is, or that a folder without other weights holds; of a model
    that is split, the first. Raises ModelError for a folder of several models.
    """
    if path.suffix == SUFFIX:
        return parts(path)[0]
    files = sorted(path.glob(f"*{SUFFIX}"))
    if len(files) > 1 and not set(files) <= set(parts(files[0])):
        raise ModelError(f"{path}: {len(files)} GGUF files; give the path of one")
    return parts(files[0])[0] if files else None


def parts(file: Path) -> list[Path]:
    """Return the files that a model is split into, by the name of one of them, as llama.cpp's
    `gguf-split` gives them; the file itself where it is whole.
    """
    named = _PART.fullmatch(file.name)
    if named is None:
        return [file]
    stem, count = named["stem"], named["count"]
    names = (f"{stem}-{number:05}-of-{count}{SUFFIX}" for number in range(1, int(count) + 1))
    return [file.with_name(name) for name in names] or [file]


def source(file: Path) -> TensorSource:
    """Open the weights of a file. Raises ModelError as `header` does."""
    fields, entries = header(file)
    headers = {
        name: torch.empty(one.bytes, dtype=torch.uint8, device="meta")
        for name, one in entries.items()
    }

    def read(name: str) -> Tensor:
        one = entries[name]
        return torch.from_numpy(np.memmap(one.file, np.uint8, "c", one.start, one.bytes))

    wide = "token_embd.weight" in entries and entries["token_embd.weight"].kind == 0
    dtype = torch.float32 if wide else torch.bfloat16
    old = fields["general.architecture"] == GEMMA3
    return TensorSource(headers, read, tuple(_pieces(entries, old=old)), dtype, shifted=old)


def configuration(file: Path) -> dict[str, Any]:
    """Return what Hugging Face's config.json would say of the model in a file. Raises ModelError
    for another architecture, LookupError for an absent value.
    """
    fields, entries = header(file)
    if fields["general.architecture"] == GEMMA3:
        return _gemma3(fields, entries)
    own = {key.removeprefix(f"{ARCHITECTURE}."): value for key, value in fields.items()}
    refuse_many(own["block_count"], own["expert_count"])
    sliding = [bool(one) for one in own["attention.sliding_window_pattern"]]
    heads = own["attention.head_count_kv"]
    heads = list(heads) if isinstance(heads, (list, np.ndarray)) else [heads] * len(sliding)
    if len(sliding) != own["block_count"] or len(heads) != len(sliding):
        raise ModelError(f"{own['block_count']} layers, but {len(sliding)} and {len(heads)} shapes")
    wide, narrow = own["attention.key_length"], own["attention.key_length_swa"]
    layers = {
        str(index): {
            "head_dim": narrow if slides else wide,
            "num_key_value_heads": int(heads[index]),
        }
        for index, slides in enumerate(sliding)
    }
    text = {
        "vocab_size": entries["token_embd.weight"].shape[0],
        "hidden_size": own["embedding_length"],
        "intermediate_size": own["feed_forward_length"],
        "num_attention_heads": own["attention.head_count"],
        "num_key_value_heads": int(heads[0]),
        "head_dim": narrow,
        "per_layer_config": layers,
        "max_position_embeddings": own["context_length"],
        "rms_norm_eps": _plain(own["attention.layer_norm_rms_epsilon"]),
        "sliding_window": own["attention.sliding_window"],
        "layer_types": ["sliding_attention" if slides else "full_attention" for slides in sliding],
        "rope_parameters": {
            "sliding_attention": {"rope_theta": own["rope.freq_base_swa"]},
            "full_attention": {
                "rope_type": "proportional",
                "rope_theta": own["rope.freq_base"],
                "partial_rotary_factor": 2 * _rotated(entries, wide // 2) / wide,
            },
        },
        "final_logit_softcapping": own["final_logit_softcapping"],
        "num_experts": own["expert_count"],
        "top_k_experts": own["expert_used_count"],
        "moe_intermediate_size": own["expert_feed_forward_length"],
        "bos_token_id": fields.get("tokenizer.ggml.bos_token_id", 2),
        "pad_token_id": fields.get("tokenizer.ggml.padding_token_id", 0),
    }
    canvas = own.get("diffusion.canvas_length") or own["canvas_length"]
    return {"text_config": text, "canvas_length": canvas, "eos_token_id": _ends(fields)}


def _gemma3(fields: Mapping[str, Any], entries: Mapping[str, TensorInfo]) -> dict[str, Any]:
    """Return the same for a Gemma 3.

    Absent values are those of llama.cpp's reader (llama-model.cpp): without a window all layers are
    full, with one each sixth; RoPE's base in sliding layers is 10,000; queries are scaled by their
    width or, in the largest model (62 layers), by the model's width over its heads.
    """
    own = {key.removeprefix(f"{GEMMA3}."): value for key, value in fields.items()}
    refuse_many(own["block_count"])
    layers, heads, width = own["block_count"], own["attention.head_count"], own["embedding_length"]
    head_dim = own["attention.key_length"]
    full: dict[str, Any] = {"rope_theta": own["rope.freq_base"]}
    if (scaling := own.get("rope.scaling.type", "none")) != "none":
        full |= {"rope_type": scaling, "factor": own["rope.scaling.factor"]}
    return {
        "model_type": "gemma3_text",
        "vocab_size": entries["token_embd.weight"].shape[0],
        "hidden_size": width,
        "intermediate_size": own["feed_forward_length"],
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": own["attention.head_count_kv"],
        "head_dim": head_dim,
        "query_pre_attn_scalar": width // heads if layers == 62 else head_dim,
        "max_position_embeddings": own["context_length"],
        "rms_norm_eps": _plain(own["attention.layer_norm_rms_epsilon"]),
        "sliding_window": own.get("attention.sliding_window") or own["context_length"],
        "layer_types": _kinds(own, layers),
        "rope_parameters": {
            "sliding_attention": {"rope_theta": own.get("rope.freq_base_swa", 10_000.0)},
            "full_attention": full,
        },
        "final_logit_softcapping": own.get("final_logit_softcapping") or None,
        "bos_token_id": fields.get("tokenizer.ggml.bos_token_id", 2),
        "pad_token_id": fields.get("tokenizer.ggml.padding_token_id", 0),
        "eos_token_id": _ends(fields),
    }


def _kinds(own: Mapping[str, Any], layers: int) -> list[str]:
    """Return each layer's kind; the pattern is a period, or a list of all layers."""
    every = own.get("attention.sliding_window_pattern", 6)
    if not own.get("attention.sliding_window"):
        every = 1
    slides = [(at + 1) % every != 0 for at in range(layers)] if isinstance(every, int) else every
    return ["sliding_attention" if one else "full_attention" for one in slides]


def _ends(fields: Mapping[str, Any]) -> list[int]:
    """The tokens that end a text, as the released config.json lists them."""
    ends = [fields["tokenizer.ggml.eos_token_id"], fields.get("tokenizer.ggml.eot_token_id")]
    tokens = fields.get("tokenizer.ggml.tokens", [])
    ends.append(tokens.index(_TURN_END) if _TURN_END in tokens else None)
    return [end for end in dict.fromkeys(ends) if end is not None]


def _rotated(entries: Mapping[str, TensorInfo], pairs: int) -> int:
    """Count the pairs of a full layer that rotate: the others' frequencies are divided by 1e30."""
    if "rope_freqs.weight" not in entries:
        return pairs
    entry = entries["rope_freqs.weight"]
    if entry.kind != 0 or entry.shape != (pairs,):
        raise ModelError(f"rope_freqs.weight is {list(entry.shape)}, not {[pairs]} of F32")
    divisors = np.memmap(entry.file, np.float32, "r", entry.start, entry.shape)
    turning = int((divisors == 1).sum())
    if not (divisors[:turning] == 1).all() or not (divisors[turning:] >= 1e20).all():
        raise ModelError("rope_freqs.weight scales the positions")
    return turning


def _plain(number: float) -> float:
    """The decimal number that was rounded to this fp32: 1e-6, not 9.99999997e-7."""
    return float(f"{number:.7g}")


def _pieces(entries: Mapping[str, TensorInfo], *, old: bool) -> Iterator[Piece]:
    """Every weight, large ones in parts."""
    for name, entry in entries.items():
        if name in _UNREAD:
            continue
        theirs, made = _name(name), decoder(entry.kind)
        theirs = theirs.replace("model.decoder.", "model.") if old else theirs
        count, size = entry.shape[0], math.prod(entry.bytes)
        if len(entry.shape) == 1 or size <= _CHUNK_BYTES:
            yield Piece(theirs, (name,), made)
            continue
        step = max(1, _CHUNK_BYTES * count // size)
        for start in range(0, count, step):
            yield Piece(theirs, (name,), made, slice(start, min(start + step, count)))


def _name(name: str) -> str:
    """Return Hugging Face's name of a tensor, or the same where there is none."""
    if name.startswith("blk."):
        _, layer, part = name.split(".", 2)
        if part == "enc_layer_output_scale.weight":
            return f"model.encoder.language_model.layers.{layer}.layer_scalar"
        return f"model.decoder.layers.{layer}.{_LAYER[part]}" if part in _LAYER else name
    return _WHOLE.get(name.removesuffix(".weight"), name)


def header(file: Path) -> tuple[dict[str, Any], dict[str, TensorInfo]]:
    """Read the fields and tensors that a file says it has, with those of the other parts of a split
    model. Raises ModelError for anything else; not always with the file's name.
    """
    first, *others = parts(file)
    fields, entries = _read(first)
    if fields.get("split.count", 1) not in (0, 1 + len(others)):
        raise ModelError(f"it is one of {fields['split.count']} files, and not called so")
    for number, other in enumerate(others, 1):
        own, more = _read(other)
        if own.get("split.no") != number or more.keys() & entries.keys():
            raise ModelError(f"{other} is not part {number + 1} of {first.name}")
        entries |= more
    if (name := fields.get("general.architecture")) not in (ARCHITECTURE, GEMMA3):
        raise ModelError(f"architecture {name!r}, not {ARCHITECTURE} or {GEMMA3}")
    return fields, entries


def _read(file: Path) -> tuple[dict[str, Any], dict[str, TensorInfo]]:
    """Read one file's fields and tensors."""
    small.sound(file)
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as m:
            size = len(m)
            fields, entries = _parsed(m, file)
    except _UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ModelError(f"{file}: no readable GGUF header: {reason or error!r}") from error
    for name, entry in entries.items():
        if entry.start + math.prod(entry.bytes) > size:
            raise ModelError(f"{file}: {name} ends behind the file")
    return fields, entries


def _parsed(data: mmap.mmap, file: Path) -> tuple[dict[str, Any], dict[str, TensorInfo]]:
    place, values = 0, 0

    def take(form: str) -> tuple[Any, ...]:
        nonlocal place
        values = struct.unpack_from("<" + form, data, place)
        place += struct.calcsize("<" + form)
        return values

    def text() -> str:
        nonlocal place
        (length,) = take("Q")
        start, place = place, place + length
        if place > min(len(data), _LONGEST):
            raise ValueError(f"a string ends behind the header, at {place:,}")
        return data[start:place].decode("utf-8", "replace")

    def value(kind: int) -> Any:
        nonlocal place, values
        if kind == _STRING:
            return text()
        if kind != _ARRAY:
            return take(_SCALARS[kind])[0]
        inner, count = take("IQ")
        values += count
        if inner == _ARRAY or values > _VALUES:
            raise ValueError(f"an array of {'arrays' if inner == _ARRAY else f'{values:,} values'}")
        if inner == _STRING:
            return [text() for _ in range(count)]
        dtype = np.dtype("<" + _SCALARS[inner])
        numbers = np.frombuffer(data, dtype, count, place).copy()  # outlives the map
        place += numbers.nbytes
        return numbers

    magic, version, tensors, fields = take("4sIQQ")
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError(f"{magic!r} of version {version}")
    if fields > _FIELDS or tensors > _TENSORS:
        raise ValueError(f"{fields:,} fields and {tensors:,} tensors")
    known = {text(): value(take("I")[0]) for _ in range(fields)}
    placed: dict[str, tuple[int, tuple[int, ...], int]] = {}
    for _ in range(tensors):
        name, (dims,) = text(), take("I")
        if not 0 < dims <= 4:
            raise ValueError(f"{name} has {dims} dimensions")
        shape = take(f"{dims}Q")
        kind, offset = take("IQ")
        placed[name] = kind, tuple(reversed(shape)), offset
    align = known.get("general.alignment", 32)
    if type(align) is not int or not 0 < align <= _ALIGNED:
        raise ValueError(f"general.alignment {align!r}")
    start = -(-place // align) * align
    return known, {name: _entry(name, file, *one, start=start) for name, one in placed.items()}


def _entry(
    name: str, file: Path, kind: int, shape: tuple[int, ...], offset: int, *, start: int
) -> TensorInfo:
    try:
        length = row_bytes(kind, shape[-1])
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None
    return TensorInfo(kind, shape, (*shape[:-1], length), start + offset, file)
