"""Devices by their names, and how much of a device's memory is free. Knows no model."""

from __future__ import annotations

import sys

import torch

from dgedit_engine.memory import available
from dgedit_engine.types import ModelError


def device_of(name: str | None) -> torch.device:
    """Return the device of this name; None: a GPU if there is one. Raises ModelError if it is
    absent.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=device).item()  # which "meta" can not
    # torch asserts that it was built for a GPU, implements some devices in part, loads others
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]
        raise ModelError(f"device {name}: {reason}") from None
    return device


def free_bytes(device: torch.device) -> int:
    """Return the bytes of the device's memory that this process may still take; `sys.maxsize` where
    unknown.
    """
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    least = available.least() if device.type == "cpu" else None
    return sys.maxsize if least is None else least
