"""Plan the memory that a model takes, before a weight is read, and what to use if it is too much.

What it takes is counted in `counted.py`. Knows no device: how much is free is an argument, so that
any card can be asked about on any machine.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from dgedit_engine.decode.decoding import default, load_decoding
from dgedit_engine.formats import narrowings
from dgedit_engine.formats.source import Narrow
from dgedit_engine.memory.counted import Counted, Fit, Need, least, setting_of, usual
from dgedit_engine.memory.passes import KV, Setting
from dgedit_engine.memory.words import narrowed, rounded_down, rounded_up
from dgedit_engine.model.config import Config, home, load_config
from dgedit_engine.model.model import Model
from dgedit_engine.types import ModelError
from dgedit_engine.weights.quantize import Experts, Rest, room_for
from dgedit_engine.weights.slots import slots
from dgedit_kernels.quantised import Kind

__all__ = [
    "Fit",
    "Need",
    "Quantisation",
    "TooLarge",
    "check",
    "check_both",
    "fitting",
    "hosted",
    "least",
    "need",
    "usual",
]

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
    return Counted.of(path, device, narrow).need(context, kv)


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
    setting, found = setting_of(config, device, decoding), []
    for experts, rest in _QUANTISATIONS if config.experts else _WITHOUT_EXPERTS:
        try:
            asked = Counted(setting, _quantised(setting, experts, rest))
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
    host: int = 0,
) -> Fit:
    """Return how to open the model in `path` with `free` bytes of `device`, and `host` bytes of
    host memory for experts that it has no room for.

    `context` None is the model's own, or the longest from `least` on that fits; `kv` None is bf16,
    or fp8 where a context of `usual`, or the given one, fits only so. A GGUF file that does not fit
    otherwise is narrowed to 4 bits, no more of it than must be; experts are left on the host where
    nothing else fits, the fewest bytes of them. Raises ModelError for a context
    that is not possible, and for a model that does not fit, in one line that says what would.
    """
    asked = Counted.of(path, device)
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
    needed = asked.need(wanted, kv or "bf16").words(wanted)
    words = [f"model {path} needs {needed}, {device} has {rounded_down(free)} GB free"]
    every: dict[Narrow | None, Counted] = {None: asked}
    for narrow in narrowings(path):
        every[narrow] = less = Counted.of(path, device, narrow)
        found = less.longest(free, kv=kv, wanted=wanted)
        if found and (not context or found.context >= wanted):
            length = context or found.context
            note = narrowed(narrow, asked.need(length, found.kv).total, device, free)
            return less.fit(length, found.kv)._replace(narrow=narrow, note=note)
        words[1:] = [f"in 4 bits {rounded_up(less.need(wanted, kv or 'bf16').total)}"]
    if fit:
        words.append(f"a context of {fit.context:,} needs {rounded_up(fit.need.total)} GB")
    if (home(path) / "config.json").is_file():  # which `quantize` reads
        choices = fitting(path, free, kv=kv, wanted=wanted, device=device)
        fewer = [one for one in choices if one.fit.need.weights < asked.weights]
        if fewer and (not fit or fewer[0].fit.context > fit.context):
            words.append(_instead(path, fewer[0], wanted))
            host = 0 if fewer[0].fit.context >= wanted else host
    if (left := _hosted(every, free, host, kv=kv or "bf16", context=wanted)) is not None:
        return left
    raise TooLarge("; ".join(words if words[1:] else [*words, "nothing fits"]))


def hosted(path: Path, free: int, *, context: int, kv: KV = "bf16") -> Fit | None:
    """Return how to open the model in `path` with `free` bytes of a GPU and its other experts in
    host memory; None for a model that fits, and for one that does not even so. Raises ModelError
    for one that cannot be opened.
    """
    ways = (None, *narrowings(path))
    every = {narrow: Counted.of(path, "cuda", narrow) for narrow in ways}
    if any(one.need(context, kv).total <= free for one in every.values()):
        return None
    return _hosted(every, free, sys.maxsize, kv=kv, context=context)


def _hosted(
    every: Mapping[Narrow | None, Counted], free: int, host: int, *, kv: KV, context: int
) -> Fit | None:
    """Return the way in which the fewest bytes are on the host; None where there is none."""
    found = {way: one.hosted(free, host, kv=kv, wanted=context) for way, one in every.items()}
    fits = [fit._replace(narrow=way) for way, fit in found.items() if fit is not None]
    return min(fits, key=lambda one: one.hosting.copied if one.hosting else 0, default=None)


def check_both(
    path: Path,
    beside: Path,
    free: int,
    *,
    drafts: bool = False,
    context: int | None = None,
    kv: KV | None = None,
    device: str = "cpu",
) -> tuple[Fit, Fit]:
    """Return how to open a model, and one `beside` it that judges what it writes, with `free` bytes
    for both: with one context, the given one or the `usual`. One that `drafts` for it has the usual
    context of its own. Raises ModelError as `check` does.
    """
    config, what = load_config(path), "drafter" if drafts else "verifier"
    asked = Counted.of(beside, device)
    length = usual(asked.setting.config)
    if not drafts:
        judging = replace(asked.setting, decoding=load_decoding(home(path), config))  # as many rows
        asked = replace(asked, setting=judging)
        context = length = context or min(usual(config), judging.config.context)
        if length > (most := judging.config.context):
            raise ModelError(f"{beside}: a context of {length:,}, where {most:,} are possible")
    second = asked.longest(free, kv=kv, wanted=length)
    if second is None or second.context < length:
        needed = asked.need(length, kv or "bf16").words(length)
        raise ModelError(
            f"{what} {beside} needs {needed}, {device} has {rounded_down(free)} GB free"
        )
    second = asked.fit(length, second.kv)
    try:
        left = free - second.need.total
        return check(path, left, context=context, kv=kv, device=device), second
    except ModelError as error:
        taken = rounded_up(second.need.total)
        raise ModelError(f"{error}, beside {taken} GB of the {what} {beside}") from error


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
    size = Counted(fit.setting, fit.need.weights).need(length, fit.kv).total
    parts = [f"{experts} experts"] if experts else []
    options = [f"--experts {experts}"] if experts else []
    if rest:
        parts.append(f"the rest in {rest}" if experts else f"matrices in {rest}")
        options.append(f"--rest {rest}")
    return (
        f"a context of {length:,} with {' and '.join(parts)} needs {rounded_up(size)} GB: "
        f"dgedit model quantize {path} NAME {' '.join(options)}"
    )
