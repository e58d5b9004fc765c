"""Count what a model takes of a device's memory: its weights, its cache, its passes.

Weights are counted on tensors without data, made by the code that loads the real ones; cache and
passes are `passes.py`'s. Knows no device: how much is free is an argument, so that any card can be
asked about on any machine.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from dgedit_engine.decode.decoding import Decoding, load_decoding
from dgedit_engine.decode.phases import CANVASES
from dgedit_engine.decode.pool import LONGEST
from dgedit_engine.formats import opened
from dgedit_engine.formats.coding import coding
from dgedit_engine.formats.source import Narrow, TensorSource, Weight, named
from dgedit_engine.memory.hosting import Hosting, hosting
from dgedit_engine.memory.passes import KV, Setting, cached, widths, worked
from dgedit_engine.memory.words import described
from dgedit_engine.model.config import Config, home, load_config
from dgedit_engine.model.hosted import buffer_bytes
from dgedit_engine.model.model import Model
from dgedit_engine.prompt.plain import TOKENS as PLAIN
from dgedit_engine.prompt.prompt import CHAT_TOKENS
from dgedit_engine.types import ModelError
from dgedit_engine.weights import shortlist
from dgedit_engine.weights.checkpoint import Move, make_room, planned
from dgedit_engine.weights.cpu_int8 import added, packs
from dgedit_engine.weights.slots import slots

_WIDE = 50_000_000
"""Parameters of a model up to which a CPU keeps keys and the embedding in fp32."""
_STEP = 1024
"""Contexts are proposed in multiples of it."""


@dataclass(frozen=True, slots=True)
class Need:
    """Memory that a model needs, in bytes."""

    weights: int
    """What `checkpoint.load` allocates."""
    cache: int
    """Keys and values of the prompt, and what their buffers take beside as they grow."""
    work: int
    """An upper estimate of what passes take; or loading, where that is more."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.cache + self.work

    def words(self, context: int) -> str:
        """Return what it is for so many tokens, part by part."""
        return described(self.weights, self.cache, self.work, context)


class Fit(NamedTuple):
    """How a model is opened."""

    context: int
    """Tokens, those before the last canvas: the model's number, or a multiple of 1,024."""
    kv: KV
    """How their keys and values are kept."""
    need: Need
    """The memory that this takes."""
    setting: Setting
    """The shape and the dtypes it runs with."""
    narrow: Narrow | None = None
    """What takes 4 bits of a GGUF file that has more."""
    note: str = ""
    """What a user should know of that; empty where all is as the file has it."""
    hosting: Hosting | None = None
    """The experts that stay in host memory; None: none do."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A model's weights on a device, and how passes run there: what plans are made of."""

    setting: Setting
    """The shape, and the dtypes."""
    weights: int
    """Bytes of the weights."""
    loading: int = 0
    """Bytes that loading them takes beside."""
    experts: tuple[int, ...] = ()
    """Bytes of each layer's experts, with what aligns them."""

    @classmethod
    def of(cls, path: Path, device: str, narrow: Narrow | None = None) -> Counted:
        """Count the weights in a folder or file. Raises ModelError for a model that cannot be
        opened.
        """
        config, source = load_config(path), opened(path, narrow)
        try:
            with torch.device("meta"):
                model = Model(config)
        except (TypeError, RuntimeError) as error:  # their product is no number of bytes
            raise ModelError(f"{path}: no tensor is as large as the configuration says") from error
        every = list(slots(model))
        with named(path):
            moves = planned(every, source)
            decoding = load_decoding(home(path), config)
            setting = setting_of(config, device, decoding, source.dtype)
            head = shortlist.size(home(path))
            inside = sum(move.form.shape.numel() for move in moves if move.slot.coded)
            if packs(torch.device(device), inside):
                tiny = sum(move.form.shape.numel() for move in moves) <= _WIDE
                matrices = torch.float32 if tiny else setting.matrices
                words = head and head // config.dim
                setting = replace(setting, matrices=matrices, packed=True, head=words)
            make_room(moves, "meta", setting.matrices, setting.between)
        filled = {move.slot for move in moves}
        experts = [0] * len(config.layers)
        for slot in filled:
            if slot.layer is not None:
                experts[slot.layer] += buffer_bytes([slot.weight])
        weights = sum(slot.weight.nbytes for slot in filled)
        if setting.packed:
            weights += added(model, setting.matrices.itemsize, head)
        # what is absent is a layer's scalar, tied to one of the norms' dtype
        weights += sum(model.norm.itemsize for slot in every if slot not in filled)
        loading = max(_loading(move, source, on_gpu=setting.on_gpu) for move in moves)
        return cls(setting, weights, loading, tuple(experts))

    def need(self, context: int, kv: KV) -> Need:
        """Return the memory needed with a context."""
        work = max(worked(self.setting, context), self.loading)
        return Need(self.weights, cached(self.setting, context, kv), work)

    def fit(self, context: int, kv: KV) -> Fit:
        """Return how the model is opened with a context."""
        return Fit(context, kv, self.need(context, kv), self.setting)

    def hosted(self, free: int, host: int, *, kv: KV, wanted: int) -> Fit | None:
        """Return how the model is opened with experts on the host; None where that cannot be."""
        need = self.need(wanted, kv)
        found = hosting(self.experts, need.total - free, host)
        if not host or found is None:
            return None
        need = replace(need, weights=need.weights - found.saved)
        return Fit(wanted, kv, need, self.setting, note=found.words, hosting=found)

    def longest(self, free: int, *, kv: KV | None, wanted: int) -> Fit | None:
        """Return the longest context that fits, if any; in fp8 only where that is asked for, or
        `wanted` needs it.
        """
        kinds: list[KV] = [kv] if kv else ["bf16", "fp8"] if self.setting.on_gpu else ["bf16"]
        first, most = least(self.setting.config), self.setting.config.context
        lengths = [*range(-(-first // _STEP) * _STEP, most, _STEP), most]
        found: list[Fit] = []
        for kind in kinds:

            def total(length: int, kind: KV = kind) -> int:
                return self.need(length, kind).total

            count = bisect_right(lengths, free, key=total)
            if count:
                found.append(self.fit(lengths[count - 1], kind))
                if found[-1].context >= wanted:
                    return found[-1]
        return max(found, key=lambda fit: fit.context, default=None)


def usual(config: Config) -> int:
    """Return the most tokens that a request takes: a chat model's prompt and all canvases, or a
    prompt and drafts from left to right.
    """
    if config.masks is not None:
        return config.context
    if config.left_to_right:
        return min(config.context, PLAIN + 2 * LONGEST)
    return min(config.context, CHAT_TOKENS + CANVASES * config.canvas)


def least(config: Config) -> int:
    """Return the shortest context with room for some prompt before all canvases."""
    if config.masks is not None:
        return min(config.context, _STEP)
    if config.left_to_right:
        return min(config.context, PLAIN + 2 * LONGEST)
    return min(config.context, CANVASES * config.canvas + _STEP)


def setting_of(
    config: Config,
    device: str,
    decoding: Decoding,
    stored: torch.dtype = torch.bfloat16,
) -> Setting:
    """Return how passes run on a device, whose plain weights are `stored` so."""
    place = torch.device(device)
    return Setting(config, decoding, place.type == "cuda", *widths(place, stored))


def _loading(move: Move, source: TensorSource, *, on_gpu: bool) -> int:
    """Return the bytes that a piece takes on its way to its place: its stored tensors, which a CPU
    has mapped, and where its codes are not kept, its numbers in fp32, three times.
    """
    taken, place, form = 0, move.slot.weight, move.form
    if on_gpu and move.piece.made is not None and move.piece.rows is None:
        taken = sum(source.headers[name].nbytes for name in move.piece.stored)
    return taken + (0 if _same(form, place) else 12 * form.shape.numel())


def _same(form: Weight, place: Weight) -> bool:
    if isinstance(form, Tensor) or isinstance(place, Tensor):
        return isinstance(form, Tensor)
    return coding(form) == coding(place)
