"""What a capture would freeze of a pass, and what would break it: seen without a GPU.

The pass runs on tensors without data, as on a card. What a graph would hold of it is all but the
contents of its tensors: numbers, shapes, strides and grids.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import dgedit_kernels
from dgedit_kernels.dispatch import CardLimits, watching

Frozen = tuple[list[str], list[str]]
"""PyTorch's operations and our launches, in order."""


def recorder(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], Frozen]:
    """Return what runs a pass and writes it down. An operation between the host and the device
    fails: while a graph is captured, none is permitted.
    """
    found: list[str] = []

    def noted(kernel: Any, grid: tuple[int, ...]) -> Callable[..., None]:
        def told(*args: Any, **more: Any) -> None:
            found.append(f"{kernel.fn.__name__} {grid} {_told(args)} {_told(more)}")

        return told

    for each in pkgutil.iter_modules(dgedit_kernels.__path__):
        module = importlib.import_module(f"dgedit_kernels.{each.name}")
        if each.name != "dispatch" and hasattr(module, "launch"):
            monkeypatch.setattr(module, "launch", noted)

    def record(run: Callable[[], object]) -> Frozen:
        found.clear()
        one_card = CardLimits(132, 227)
        with watching(lambda one: False, on=one_card), torch.inference_mode(), _Watched() as seen:
            run()
        return seen.told, list(found)

    return record


class _Watched(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        # a number of the host may be an argument, but no copy
        copied = "copy" in str(func) or "aten.to" in str(func)
        met = _tensors((args, kwargs or {}, out))
        places = {one.device.type for one in met if copied or one.dim()}
        assert len(places) < 2, f"{func} is between the host and the device"
        if "item" in str(func) or "local_scalar" in str(func):
            assert args[0].device.type == "cpu", "the host waits for a number"
        elif places != {"cpu"}:
            self.told.append(f"{func} {_told(args)} {_told(kwargs or {})}")
        return out


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    values = value.values() if isinstance(value, dict) else value
    return (
        [
            one
            for each in values
            if isinstance(each, Tensor | dict | list | tuple)
            for one in _tensors(each)
        ]
        if isinstance(value, dict | list | tuple)
        else []
    )


def _told(value: Any) -> Any:
    if isinstance(value, Tensor):
        return (tuple(value.shape), value.stride(), value.storage_offset(), value.dtype)
    if isinstance(value, dict):
        return {key: _told(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_told(one) for one in value]
    return value
