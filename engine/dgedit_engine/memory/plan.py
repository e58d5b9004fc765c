"""Plan the memory that a model takes, before a weight is read, and what to use if it is too much.

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

from dgedit_engine.decode.decoding import Decoding, default, load_decoding
from dgedit_engine.decode.phases import CANVASES
from dgedit_engine.decode.pool import LONGEST
from dgedit_engine.formats import narrowings, opened
from dgedit_engine.formats.coding import coding
from dgedit_engine.formats.source import Narrow, TensorSource, Weight, named
from dgedit_engine.memory.passes import KV, Setting, cached, widths, worked
from dgedit_engine.memory.words import rounded_down, rounded_up
from dgedit_engine.model.config import Config, home, load_config
from dgedit_engine.model.model import Model
from dgedit_engine.prompt.plain import TOKENS as PLAIN
from dgedit_engine.prompt.prompt import CHAT_TOKENS
from dgedit_engine.types import ModelError
from dgedit_engine.weights import shortlist
from dgedit_engine.weights.checkpoint import Move, make_room, planned
from dgedit_engine.weights.cpu_int8 import added, packs
from dgedit_engine.weights.quantize import Experts, Rest, room_for
from dgedit_engine.weights.slots import slots
from dgedit_kernels.quantised import Kind

_WIDE = 50_000_000
"""Parameters of a model up to which a CPU keeps keys and the embedding in fp32."""
_STEP = 1024
"""Contexts are proposed in multiples of it."""

_QUANTISATIONS: tuple[tuple[Experts | None, Rest | None], ...] = (
    *((None, None), ("e4m3", None), ("e4m3", "int8"), ("e4m3", "e4m3")),
    *(("e2m1", None), ("e2m1", "int8"), ("e2m1", "e4m3")),
    *(("int4", None), ("int4", "int8"), ("int4", "e4m3")),
)
"""Kinds of the experts and of the rest, the most exact first: normally distributed numbers are off
by 0.9% in int8, 2.6% in e4m3, 9.5% in e2m1 and 9.7% in int4.
"""
_WITHOUT_EXPERTS: tuple[tuple[None, Rest | None], ...] = (
    *((None, None), (None, "int8"), (None, "e4m3"), (None, "int4")),
)


class TooLarge(ModelError):
    """A model that does not fit a device's memory."""


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


class Quantisation(NamedTuple):
    """A quantisation that `quantize` makes of a model, and what fits with it."""

    experts: Experts | None
    """Of the experts; None: bfloat16."""
    rest: Rest | None
    """Of the other matrices; None: bfloat16."""
    fit: Fit
    """With the longest context that fits."""


def need(
    path: Path,
    *,
    context: int,
    kv: KV = "bf16",
    device: str = "cpu",
    narrow: Narrow | None = None,
) -> Need:
    """Return the memory that the model in `path` takes on `device` with a context of so many
    tokens, from headers alone; `device` need not be there. Raises ModelError for a model that
    cannot be opened, and for fp8 on a CPU.
    """
    return _Asked.of(path, device, narrow).need(context, kv)


def fitting(
    source: Path | Config,
    free: int,
    *,
    kv: KV | None = None,
    wanted: int | None = None,
    device: str = "cuda",
) -> list[Quantisation]:
    """Return the quantisations of a model that fit `free` bytes of `device`, each with the longest
    context, best first.

    The best have a context of `wanted` (None: `usual`), and are the most exact of those; the others
    follow by their contexts. `kv` None keeps keys and values in fp8 only where `wanted` needs it.
    """
    config = source if isinstance(source, Config) else load_config(source)
    decoding = default(config)
    if not isinstance(source, Config):
        decoding = load_decoding(home(source), config)
    wanted = min(wanted or usual(config), config.context)
    setting, found = _setting(config, device, decoding), []
    for experts, rest in _QUANTISATIONS if config.experts else _WITHOUT_EXPERTS:
        try:
            asked = _Asked(setting, _quantised(setting, experts, rest))
        except ModelError:  # groups that do not divide a width
            continue
        if fit := asked.longest(free, kv=kv, wanted=wanted):
            found.append(Quantisation(experts, rest, fit))
    return sorted(found, key=lambda one: -min(one.fit.context, wanted))


def check(
    path: Path,
    free: int,
    *,
    context: int | None = None,
    kv: KV | None = None,
    device: str = "cpu",
) -> Fit:
    """Return how to open the model in `path` with `free` bytes of `device`.

    `context` None is the model's own, or the longest from `least` on that fits; `kv` None is bf16,
    or fp8 where a context of `usual`, or the given one, fits only so. A GGUF file that does not fit
    otherwise is narrowed to 4 bits, no more of it than must be. Raises ModelError for a context
    that is not possible, and for a model that does not fit, in one line that says what would.
    """
    asked = _Asked.of(path, device)
    config = asked.setting.config
    if context is not None and not least(config) <= context <= config.context:
        possible = f"{least(config):,} to {config.context:,} are possible"
        raise ModelError(f"{path}: a context of {context:,}, where {possible}")
    wanted = context or usual(config)
    fit = asked.longest(free, kv=kv, wanted=wanted)
    if fit and not context:
        return fit
    if fit and fit.context >= wanted:
        return asked.fit(wanted, fit.kv)
    needed = _described(asked.need(wanted, kv or "bf16"), wanted)
    words = [f"model {path} needs {needed}, {device} has {rounded_down(free)} GB free"]
    for narrow in narrowings(path):
        less = _Asked.of(path, device, narrow)
        found = less.longest(free, kv=kv, wanted=wanted)
        if found and (not context or found.context >= wanted):
            length = context or found.context
            note = _narrowed(narrow, asked.need(length, found.kv).total, device, free)
            return less.fit(length, found.kv)._replace(narrow=narrow, note=note)
        words[1:] = [f"in 4 bits {rounded_up(less.need(wanted, kv or 'bf16').total)}"]
    if fit:
        words.append(f"a context of {fit.context:,} needs {rounded_up(fit.need.total)} GB")
    if (home(path) / "config.json").is_file():  # which `quantize` reads
        choices = fitting(path, free, kv=kv, wanted=wanted, device=device)
        fewer = [one for one in choices if one.fit.need.weights < asked.weights]
        if fewer and (not fit or fewer[0].fit.context > fit.context):
            words.append(_instead(path, fewer[0], wanted))
    raise TooLarge("; ".join(words if words[1:] else [*words, "nothing fits"]))


def check_both(
    path: Path,
    verifier: Path,
    free: int,
    *,
    context: int | None = None,
    kv: KV | None = None,
    device: str = "cpu",
) -> tuple[Fit, Fit]:
    """Return how to open a model, and a second one that judges what it writes, with `free` bytes
    for both: with one context, the given one or the `usual`. Raises ModelError as `check` does.
    """
    config = load_config(path)
    asked = _Asked.of(verifier, device)
    judging = replace(asked.setting, decoding=load_decoding(home(path), config))  # as many rows
    asked = replace(asked, setting=judging)
    length = context or min(usual(config), judging.config.context)
    if length > judging.config.context:
        most = judging.config.context
        raise ModelError(f"{verifier}: a context of {length:,}, where {most:,} are possible")
    second = asked.longest(free, kv=kv, wanted=length)
    if second is None or second.context < length:
        needed = _described(asked.need(length, kv or "bf16"), length)
        raise ModelError(
            f"verifier {verifier} needs {needed}, {device} has {rounded_down(free)} GB free"
        )
    second = asked.fit(length, second.kv)
    try:
        left = free - second.need.total
        return check(path, left, context=length, kv=kv, device=device), second
    except ModelError as error:
        taken = rounded_up(second.need.total)
        raise ModelError(f"{error}, beside {taken} GB of the verifier {verifier}") from error


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


@dataclass(frozen=True, slots=True)
class _Asked:
    """A model's weights on a device, and how passes run there."""

    setting: Setting
    weights: int
    """Their bytes."""
    loading: int = 0
    """Bytes that loading them takes beside."""

    @classmethod
    def of(cls, path: Path, device: str, narrow: Narrow | None = None) -> _Asked:
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
            setting = _setting(config, device, decoding, source.dtype)
            head = shortlist.size(home(path))
            inside = sum(move.form.shape.numel() for move in moves if move.slot.coded)
            if packs(torch.device(device), inside):
                tiny = sum(move.form.shape.numel() for move in moves) <= _WIDE
                matrices = torch.float32 if tiny else setting.matrices
                words = head and head // config.dim
                setting = replace(setting, matrices=matrices, packed=True, head=words)
            make_room(moves, "meta", setting.matrices, setting.between)
        filled = {move.slot for move in moves}
        weights = sum(slot.weight.nbytes for slot in filled)
        if setting.packed:
            weights += added(model, setting.matrices.itemsize, head)
        # what is absent is a layer's scalar, tied to one of the norms' dtype
        weights += sum(model.norm.itemsize for slot in every if slot not in filled)
        loading = max(_loading(move, source, on_gpu=setting.on_gpu) for move in moves)
        return cls(setting, weights, loading)

    def need(self, context: int, kv: KV) -> Need:
        """Return the memory needed with a context."""
        work = max(worked(self.setting, context), self.loading)
        return Need(self.weights, cached(self.setting, context, kv), work)

    def fit(self, context: int, kv: KV) -> Fit:
        """Return how the model is opened with a context."""
        return Fit(context, kv, self.need(context, kv), self.setting)

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


def _setting(
    config: Config,
    device: str,
    decoding: Decoding,
    stored: torch.dtype = torch.bfloat16,
) -> Setting:
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


def _quantised(setting: Setting, experts: Kind | None, rest: Kind | None) -> int:
    """Bytes of the weights so quantised. Raises ModelError for groups that do not fit a width."""
    with torch.device("meta"):
        model = Model(setting.config)
    known: dict[tuple[torch.Size, bool], int] = {}
    total = 0
    for slot in slots(model):
        shape, head = slot.weight.shape, slot.attribute == "output"
        kind = experts if len(shape) == 3 else rest
        if slot.coded and kind is not None:
            if (shape, head) not in known:
                known[shape, head] = room_for(slot, experts, rest).nbytes
            total += known[shape, head]
        else:
            width = setting.between if len(shape) == 1 else setting.matrices
            total += shape.numel() * width.itemsize
    return total


def _instead(path: Path, choice: Quantisation, wanted: int) -> str:
    """What would fit of the context that is wanted, and the command that makes it."""
    experts, rest, fit = choice
    length = min(wanted, fit.context)
    size = _Asked(fit.setting, fit.need.weights).need(length, fit.kv).total
    parts = [f"{experts} experts"] if experts else []
    options = [f"--experts {experts}"] if experts else []
    if rest:
        parts.append(f"the rest in {rest}" if experts else f"matrices in {rest}")
        options.append(f"--rest {rest}")
    return (
        f"a context of {length:,} with {' and '.join(parts)} needs {rounded_up(size)} GB: "
        f"dgedit model quantize {path} NAME {' '.join(options)}"
    )


def _described(need: Need, context: int) -> str:
    parts = f"weights {rounded_up(need.weights)}, {context:,} tokens {rounded_up(need.cache)}"
    return f"{rounded_up(need.total)} GB ({parts}, work {rounded_up(need.work)})"


def _narrowed(narrow: Narrow, whole: int, device: str, free: int) -> str:
    what = "its experts take" if narrow == "experts" else "its matrices take"
    return (
        f"{what} 4 bits, fewer than the file has: whole it needs {rounded_up(whole)} GB,"
        f" {device} has {rounded_down(free)} GB free"
    )
