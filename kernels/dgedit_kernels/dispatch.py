"""Choose where an operation runs: its Triton kernel on a GPU, its PyTorch reference elsewhere.

Every kernel file takes `triton` and `tl` from here, so that it can be imported without Triton (a
CPU build of torch has none). A kernel file also lists, in `variants`, the forms in which it is
compiled for the released model; the tests compile those for every card, without one. Kernels are
launched by `launch`, so that launches can be watched, and found out without a card at all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
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

OPTIONS = {"enable_fp_fusion": True}
"""What every kernel is compiled with: products and sums in one rounding. Triton turns that off by
default from 3.10 on, which costs time and registers, and 3.9 warns of it.
"""


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


class CardLimits(NamedTuple):
    """What launches depend on of a card."""

    processors: int
    """Its multiprocessors."""
    shared: int
    """KiB of shared memory that a program may have."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A kernel as a launch wants it compiled: arguments by what a compiler sees of them."""

    module: str
    """The module of the kernel."""
    kernel: str
    """Its name there."""
    types: tuple[tuple[str, str, bool], ...]
    """Each argument that is no constant: its name, Triton's type, whether 16 divides it."""
    constants: tuple[tuple[str, Any], ...]
    """The others: `tl.constexpr`, None, and whole numbers that are 1."""
    warps: int
    """Warps of a program."""
    stages: int
    """Depth of the software pipeline."""

    @classmethod
    def of(
        cls, kernel: Any, *args: Any, num_warps: int = 4, num_stages: int = 3, **more: Any
    ) -> Launch:
        """Describe a launch with these arguments, as Triton would specialise it."""
        parameters = inspect.signature(kernel.fn).parameters
        given = dict(zip(parameters, args, strict=False)) | more
        types, constants = list[tuple[str, str, bool]](), list[tuple[str, Any]]()
        for name, parameter in parameters.items():
            value = given[name]
            if "constexpr" in str(parameter.annotation) or value is None or _is_one(value):
                constants.append((name, value))
            else:
                types.append((name, *_seen(value)))
        named = (kernel.fn.__module__, kernel.fn.__name__)
        return cls(*named, tuple(types), tuple(constants), num_warps, num_stages)


_POINTERS = {
    **{torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.bool: "u1"},
    **{torch.int64: "i64", torch.int32: "i32", torch.int16: "i16", torch.int8: "i8"},
    **{torch.uint8: "u8", torch.float8_e4m3fn: "fp8e4nv"},
}


def _is_one(value: Any) -> bool:
    return type(value) is int and value == 1


def _seen(value: Any) -> tuple[str, bool]:
    """Return Triton's type of an argument, and whether 16 divides it: a pointer, of memory that is
    allocated in such steps.
    """
    if isinstance(value, Tensor):
        offset = value.storage_offset() * value.element_size()
        return f"*{_POINTERS[value.dtype]}", offset % 16 == 0
    if isinstance(value, bool):
        return "u1", False
    if isinstance(value, int):
        return "i32" if -(2**31) <= value < 2**31 else "i64", value % 16 == 0
    return "fp32", False


_watch: ContextVar[Callable[[Launch], bool] | None] = ContextVar("watch", default=None)
_card: ContextVar[CardLimits | None] = ContextVar("card", default=None)


@contextmanager
def watching(each: Callable[[Launch], bool], *, on: CardLimits | None = None) -> Iterator[None]:
    """Tell `each` of every launch; it says whether the kernel runs. Launches are as `on` that card,
    which need not be there; None: the one that is.
    """
    tokens = _watch.set(each), _card.set(on)
    try:
        yield
    finally:
        _watch.reset(tokens[0])
        _card.reset(tokens[1])


def launch(kernel: Any, grid: tuple[int, ...]) -> Callable[..., Any]:
    """Return what launches a kernel on a grid when it is called with the kernel's arguments."""
    watch, run = _watch.get(), partial(kernel[grid], **OPTIONS)
    if watch is None:
        return run

    def watched(*args: Any, **more: Any) -> None:
        if watch(Launch.of(kernel, *args, **more)):
            run(*args, **more)

    return watched


def card(x: Tensor) -> CardLimits:
    """Return what launches depend on of x's card."""
    if (found := _card.get()) is not None:
        return found
    has = torch.cuda.get_device_properties(x.device)
    return CardLimits(has.multi_processor_count, has.shared_memory_per_block_optin >> 10)


def on_gpu(x: Tensor) -> bool:
    """Say whether x's operations run as Triton kernels."""
    if _card.get() is not None:
        return True
    return x.is_cuda and not isinstance(triton, _Absent)


def divided(size: int, parts: int) -> int:
    """Return how many blocks of `parts` cover `size`."""
    return -(-size // parts)


def row_tile(width: int) -> tuple[int, int, int]:
    """Return the rows of a program that reads whole rows, their padded width, and warps.

    A thread holds 8 to 16 numbers of a row, one or two loads of 16 bytes in bfloat16, and narrow
    rows share a program (4 of 256). At D 2816 that is a row in 8 warps: 256 slots are two programs
    for each of 132 processors, all resident. Up to D 16,384 a row stays in registers; beyond, some
    of it spills.
    """
    block = triton.next_power_of_2(width)
    rows = max(1, 1024 // block)
    return rows, block, min(16, max(4, rows * block // 512))
