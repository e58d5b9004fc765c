"""Read llama.cpp's GGUF files: of `diffusion-gemma`, `gemma4`, `gemma3` and of Llama's shape.

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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dgedit_engine.files import small
from dgedit_engine.formats import gguf_fields
from dgedit_engine.formats.blocks import decoder, is_wide, row_bytes
from dgedit_engine.formats.gguf_fields import ARCHITECTURE, GEMMA3, GEMMA4, SHAPED, STARCODER2
from dgedit_engine.formats.source import (
    EMBEDDING,
    HEAD,
    NORM,
    Narrow,
    Piece,
    TensorSource,
    Weight,
)
from dgedit_engine.types import ModelError

SUFFIX = ".gguf"
"""Suffix of a file's name."""

_CHUNK_BYTES = 1 << 20  # of a tensor at a time: taken apart in a cache, 0.5 to 1 G codes a second
_SCALARS = dict(enumerate("BbHhIif?", 0)) | {10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MATRIX = re.compile(
    r"blk\.\d+\.(?:attn_(?:q|k|v|output)|ffn_(?:gate|up|down|gate_up)(_exps)?)\.weight"
)
_PART = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.gguf")
# Bytes of a header, values of its arrays, fields, tensors: four times what the largest files have.
_LONGEST, _VALUES, _FIELDS, _TENSORS, _ALIGNED = 64 << 20, 1 << 22, 4096, 65_536, 1 << 16
_PAIRS = 4096  # that rotate in a head; the widest has 256
_UNREAD = "rope_freqs.weight"  # read by the configuration
_WHOLE = {
    "token_embd": EMBEDDING,
    "output": HEAD,
    "output_norm": NORM,
    "output_norm.bias": NORM.removesuffix("weight") + "bias",
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
_LLAMA_LAYER = _LAYER | {
    "ffn_norm.weight": "post_attention_layernorm.weight",
    **{f"attn_{one}.bias": f"self_attn.{one}_proj.bias" for one in "qkv"},
}
_BIASED_LAYER = _LLAMA_LAYER | {
    "attn_norm.bias": "input_layernorm.bias",
    "ffn_norm.bias": "post_attention_layernorm.bias",
    "attn_output.bias": "self_attn.o_proj.bias",
    **{f"ffn_up.{one}": f"mlp.c_fc.{one}" for one in ("weight", "bias")},
    **{f"ffn_down.{one}": f"mlp.c_proj.{one}" for one in ("weight", "bias")},
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


def source(file: Path, narrow: Narrow | None = None) -> TensorSource:
    """Open the weights of a file, some of them narrowed. Raises ModelError as `header` does."""
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
    kind = fields["general.architecture"]
    pieces = tuple(_pieces(entries, kind, gguf_fields.turned_heads(fields), narrow))
    return TensorSource(headers, read, pieces, dtype, shifted=kind == GEMMA3)


def narrowings(file: Path) -> list[Narrow]:
    """Return how far the weights of a file can be narrowed, the least first; none where nothing of
    it is in more than 4 bits. By the tensors' types alone.
    """
    wide = [name for name, one in header(file)[1].items() if is_wide(one.kind)]
    ways: tuple[Narrow, ...] = ("experts", "layers")
    counts = [0, *(sum(_narrows(name, way) for name in wide) for way in ways)]
    return [way for way, less, more in zip(ways, counts, counts[1:], strict=False) if more > less]


def _narrows(name: str, narrow: Narrow | None) -> bool:
    """Say whether a tensor is narrowed: a matrix of a layer, never the embedding, the head or a
    router.
    """
    found = _MATRIX.fullmatch(name)
    return found is not None and (narrow == "layers" or (narrow == "experts" and bool(found[1])))


def configuration(file: Path) -> dict[str, Any]:
    """Return what Hugging Face's config.json would say of the model in a file. Raises ModelError
    for another architecture, LookupError for an absent value.
    """
    fields, entries = header(file)
    shapes = {name: entry.shape for name, entry in entries.items()}
    return gguf_fields.configuration(fields, shapes, _divisors(entries))


def _divisors(entries: Mapping[str, TensorInfo]) -> list[float] | None:
    """Return what the frequencies of pairs are divided by, where a file says so."""
    if "rope_freqs.weight" not in entries:
        return None
    entry = entries["rope_freqs.weight"]
    if entry.kind != 0 or len(entry.shape) != 1 or entry.shape[0] > _PAIRS:
        raise ModelError(f"rope_freqs.weight is {list(entry.shape)}, not one short row of F32")
    found: list[float] = np.memmap(entry.file, np.float32, "r", entry.start, entry.shape).tolist()
    return found


def _pieces(
    entries: Mapping[str, TensorInfo],
    kind: str,
    heads: Mapping[str, int],
    narrow: Narrow | None,
) -> Iterator[Piece]:
    """Every weight, large ones in parts; of those whose rows llama.cpp has turned, `heads` has the
    number of heads.
    """
    for name, entry in entries.items():
        if name == _UNREAD or (name == "output.weight" and kind not in SHAPED):  # which is tied
            continue
        theirs, made = _name(name, kind), decoder(entry.kind, narrow=_narrows(name, narrow))
        count, size, least = entry.shape[0], math.prod(entry.bytes), 1
        if (turned := heads.get(name.split(".", 2)[-1])) is not None:
            least = max(2, count // turned)
            made = _turned(made, least)
        if least == 1 and (len(entry.shape) == 1 or size <= _CHUNK_BYTES):
            yield Piece(theirs, (name,), made)
            continue
        step = max(1, _CHUNK_BYTES * count // size // least) * least
        for start in range(0, count, step):
            yield Piece(theirs, (name,), made, slice(start, min(start + step, count)))


@cache
def _turned(made: Callable[[Tensor], Weight], width: int) -> Callable[[Tensor], Weight]:
    """Put the rows of heads back in their order: llama.cpp rotates neighbours, and so its converter
    puts rows i and i + E/2 of each head side by side.
    """

    def back(raw: Tensor) -> Weight:
        pairs = raw.reshape(-1, width // 2, 2, raw.shape[-1])
        return made(pairs.transpose(1, 2).reshape(raw.shape))

    return back


def _name(name: str, kind: str) -> str:
    """Return Hugging Face's name of a tensor, or the same where there is none."""
    top = "model.decoder." if kind == ARCHITECTURE else "model."
    if name.startswith("blk."):
        _, layer, part = name.split(".", 2)
        if part == "enc_layer_output_scale.weight":
            return f"model.encoder.language_model.layers.{layer}.layer_scalar"
        parts = _BIASED_LAYER if kind == STARCODER2 else _LLAMA_LAYER if kind in SHAPED else _LAYER
        return f"{top}layers.{layer}.{parts[part]}" if part in parts else name
    return _WHOLE.get(name.removesuffix(".weight"), name).replace("model.decoder.", top)


def header(file: Path) -> tuple[Mapping[str, Any], Mapping[str, TensorInfo]]:
    """Read the fields and tensors that a file says it has, with those of the other parts of a split
    model. The last one read is kept, until `forget`. Raises ModelError for anything else; not
    always with the file's name.
    """
    files = tuple(parts(file))
    for one in files:
        small.sound(one)
    try:
        states = tuple((state.st_size, state.st_mtime_ns) for state in map(Path.stat, files))
    except OSError as error:
        raise ModelError(f"{file}: {error.strerror}") from error
    return _header(files, states)


def complete(begins: bytes) -> bool:
    """Say whether a file's first bytes hold all of its header. Raises ModelError where they are
    none, or its tensors are of a type that is not known.
    """
    if not b"GGUF".startswith(begins[:4]):
        raise ModelError("no GGUF file")
    try:
        _parsed(begins, Path())
    except _UNREADABLE:
        return False
    return True


def forget() -> None:
    """Drop the header that is kept: a large vocabulary takes 74 MB."""
    _header.cache_clear()


@lru_cache(maxsize=1)
def _header(
    files: tuple[Path, ...], _states: tuple[tuple[int, int], ...]
) -> tuple[Mapping[str, Any], Mapping[str, TensorInfo]]:
    """Read a header; `_states` are the files' sizes and times."""
    first, *others = files
    fields, entries = _read(first)
    if fields.get("split.count", 1) not in (0, 1 + len(others)):
        raise ModelError(f"it is one of {fields['split.count']} files, and not called so")
    for number, other in enumerate(others, 1):
        own, more = _read(other)
        if own.get("split.no") != number or more.keys() & entries.keys():
            raise ModelError(f"{other} is not part {number + 1} of {first.name}")
        entries |= more
    known = (ARCHITECTURE, GEMMA4, GEMMA3, *SHAPED)
    if (name := fields.get("general.architecture")) not in known:
        raise ModelError(f"architecture {name!r}, not {', '.join(known[:-1])} or {known[-1]}")
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


def _parsed(data: mmap.mmap | bytes, file: Path) -> tuple[dict[str, Any], dict[str, TensorInfo]]:
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
            found, place = _strings(data, place, count)
            return found
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


def _strings(data: mmap.mmap | bytes, place: int, count: int) -> tuple[list[str], int]:
    """Read so many strings from `place` on -> them, and where they end. A vocabulary has a million:
    nothing more than that is done for each.
    """
    length, most, found = struct.Struct("<Q").unpack_from, min(len(data), _LONGEST), []
    for _ in range(count):
        start = place + 8
        place = start + length(data, place)[0]
        if place > most:
            raise ValueError(f"a string ends behind the header, at {place:,}")
        found.append(data[start:place].decode("utf-8", "replace"))
    return found, place


def _entry(
    name: str, file: Path, kind: int, shape: tuple[int, ...], offset: int, *, start: int
) -> TensorInfo:
    try:
        length = row_bytes(kind, shape[-1])
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None
    return TensorInfo(kind, shape, (*shape[:-1], length), start + offset, file)
