"""Lower bounds of a stage's time on a card: bytes over its bandwidth, operations over its peak.

A stage's floor is the larger of the two. Figures are the makers' data sheets, dense bfloat16 with
fp32 accumulation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dgedit_kernels.quantised import Quantised


@dataclass(frozen=True, slots=True)
class Card:
    """A device's peaks."""

    bandwidth: float
    """Bytes a second."""
    operations: float
    """Multiplications and additions in bfloat16 a second."""

    def floor(self, bytes_read: float, operations: float) -> float:
        """Return the milliseconds that no implementation can beat."""
        return 1000 * max(bytes_read / self.bandwidth, operations / self.operations)


CARDS = {
    "H200": Card(4.8e12, 989e12),
    "H100 PCIe": Card(2.0e12, 756e12),
    "H100": Card(3.35e12, 989e12),
    "A100": Card(2.0e12, 312e12),
    "L40S": Card(0.864e12, 362e12),
    "RTX 4090": Card(1.008e12, 165e12),
    "RTX 5090": Card(1.792e12, 209e12),
}
"""Peaks by a part of the device's name."""


def card_of(device: torch.device | str) -> Card | None:
    """Return the peaks of a device; None for one whose data sheet is not here, such as a CPU."""
    device = torch.device(device)
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((card for part, card in CARDS.items() if part in name), None)


def size(weight: Tensor | Quantised) -> int:
    """Return the bytes of a weight, all its parts."""
    return weight.nbytes


def entries(weight: Tensor | Quantised) -> int:
    """Return how many numbers a weight stands for."""
    return weight.shape.numel()
