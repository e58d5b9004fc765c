"""Say what is to be compiled for a model: for the card that is here, or for one that is not."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from dgedit_engine.memory.devices import device_of, free_bytes
from dgedit_engine.memory.plan import Fit, TooLarge, check
from dgedit_engine.types import ModelError
from dgedit_engine.warming.dry import launches
from dgedit_kernels.compiled import SHARED
from dgedit_kernels.dispatch import CardLimits, Launch, card

_PROCESSORS = {80: 108, 89: 128, 90: 132, 120: 170}
"""Multiprocessors of the cards that are meant: A100, RTX 4090, H100 and H200, RTX 5090."""


@dataclass(frozen=True, slots=True)
class WarmPlan:
    """What is to be compiled."""

    launches: list[Launch]
    """Every launch of a fill, each once."""
    target: int
    """The card's compute capability."""


def refusal(device: str | None = None) -> str:
    """Say why nothing can be compiled for a card that is here; empty if it can."""
    try:
        import triton  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        return "triton is not installed, so no kernel is compiled: pip install triton"
    if device_of(device).type != "cuda":
        return "no GPU is here, and on a CPU no kernel is compiled (--target names another's)"
    return (
        "" if torch.version.hip is None else "for AMD cards kernels are compiled as they are used"
    )


def wanted(path: Path, *, device: str | None = None, target: int | None = None) -> WarmPlan:
    """Return what a fill with the model in `path` launches on `device`, or on a card of capability
    `target`, which need not be here and is taken to hold it. Raises ModelError, in one line, where
    nothing can be compiled, and for a model that cannot be opened.
    """
    why = refusal(device) if target is None else refusal_of_target()
    if why:
        raise ModelError(why)
    if target is not None:
        fit = check(path, sys.maxsize, device="cuda")
        limits = CardLimits(_PROCESSORS[target], SHARED[target])
        return WarmPlan(launches(path, fit, limits, capability=target), target)
    place = device_of(device)
    major, minor = torch.cuda.get_device_capability(place)
    has = card(torch.empty(0, device=place))
    target = 10 * major + minor
    return WarmPlan(launches(path, _fit(path, place), has, capability=target), target)


def refusal_of_target() -> str:
    """Say why nothing can be compiled for any card; empty if it can."""
    why = refusal("cpu")
    return why if why.startswith("triton") else ""


def _fit(path: Path, place: torch.device) -> Fit:
    """Return how the model is opened: with what is free, or would be if no engine had it open."""
    try:
        return check(path, free_bytes(place), device=str(place))
    except TooLarge:
        return check(path, torch.cuda.mem_get_info(place)[1], device=str(place))
