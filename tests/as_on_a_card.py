"""The whole model through its kernels, in Triton's interpreter."""

from __future__ import annotations

import importlib
import pkgutil
from types import SimpleNamespace

import pytest
import torch

import dgedit_kernels
from interpreted import bfloat16_as_on_a_card


def through_kernels(monkeypatch: pytest.MonkeyPatch, *, processors: int = 1) -> None:
    """Until the test ends, as on a card of so many processors; one shares out no tile."""
    bfloat16_as_on_a_card(monkeypatch)
    for found in pkgutil.iter_modules(dgedit_kernels.__path__):
        module = importlib.import_module(f"dgedit_kernels.{found.name}")
        if hasattr(module, "on_gpu"):
            monkeypatch.setattr(module, "on_gpu", lambda x: True)
    card = SimpleNamespace(
        shared_memory_per_block_optin=227 << 10, multi_processor_count=processors
    )
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
