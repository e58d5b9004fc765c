"""Let a model's products be of e4m3 on both sides, where the card has such tensor cores.

Activations are rounded for it, so answers change a little (`dgedit_kernels/w8a8.py`); a model asks
for it in `decoding.json`. Knows weights and cards, no products.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from dgedit_engine.model.model import Model
from dgedit_engine.weights.slots import slots
from dgedit_kernels.quantised import Quantised

CAPABILITY = 89
"""The first cards that multiply e4m3, by compute capability."""


def multiplies_e4m3(device: torch.device) -> bool:
    """Say whether a device has tensor cores for e4m3 that the kernels are written for."""
    if device.type != "cuda" or torch.version.hip is not None:
        return False
    major, minor = torch.cuda.get_device_capability(device)
    return 10 * major + minor >= CAPABILITY


def round_activations(model: Model) -> int:
    """Have all matrices of e4m3 by rows but the head multiplied so; return how many there are."""
    count = 0
    for slot in slots(model):
        weight = slot.weight
        if not isinstance(weight, Quantised) or slot.attribute == "output":
            continue
        if weight.kind == "e4m3" and weight.scale is None:
            slot.fill(replace(weight, w8a8=True))
            count += 1
    return count
