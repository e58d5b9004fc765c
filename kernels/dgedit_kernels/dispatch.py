"""Choose where an operation runs: its Triton kernel on a GPU, its PyTorch reference elsewhere.

Every kernel file takes `triton` and `tl` from here, so that it can be imported without Triton (a
CPU build of torch has none). A kernel file also lists, in `variants`, the forms in which it is
compiled for the released model; the tests compile those for every card, without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

TARGETS = (80, 89, 90, 120)
"""Compute capabilities that every kernel is compiled for: A100, RTX 4090, H100, RTX 5090."""


class _Absent:
    """Stands in where Triton is not installed: kernels are defined and never called."""

    @staticmethod
    def jit(function: Callable[..., Any]) -> Callable[..., Any]:
        return function


try:
    import triton
    import triton.language as tl
except ImportError:
    triton = tl = _Absent()


@dataclass(frozen=True, slots=True)
class Variant:
    """One way in which a kernel is compiled."""

    name: str
    """Unique among all kernels: operation, then what differs."""
    kernel: Any
    """The `triton.jit` function."""
    signature: Mapping[str, str]
    """Triton's type of each argument that is no constant: "*bf16", "i32", "fp32"."""
    constants: Mapping[str, Any] = field(default_factory=dict)
    """Value of each `tl.constexpr` argument."""
    warps: int = 4
    """Warps of a program."""
    stages: int = 3
    """Depth of the software pipeline."""
    targets: tuple[int, ...] = TARGETS
    """The cards that run it, by compute capability."""


def on_gpu(x: Tensor) -> bool:
    """Say whether x's operations run as Triton kernels."""
    return x.is_cuda and not isinstance(triton, _Absent)


def divided(size: int, parts: int) -> int:
    """Return how many blocks of `parts` cover `size`."""
    return -(-size // parts)
