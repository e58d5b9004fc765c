"""`python -m dgedit_kernels.compiled`: compile every kernel for every card, on any machine.

Prints a line for each variant and card with its registers, spilled bytes and shared memory, and
JSON last. Needs Triton, which brings NVIDIA's assembler, and no GPU.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dgedit_kernels
from dgedit_kernels.dispatch import OPTIONS, TARGETS, Launch, Variant, triton

SHARED = dict(zip(TARGETS, (163, 99, 227, 99), strict=True))
"""KiB of shared memory of one program, by compute capability."""


@dataclass(frozen=True, slots=True)
class KernelFigures:
    """The resources that a compiled kernel takes."""

    name: str
    """Name of the variant."""
    target: int
    """Compute capability."""
    registers: int
    """Registers of a thread."""
    spilled: int
    """Bytes of registers that had to be stored and loaded again, of a thread."""
    shared: int
    """Bytes of shared memory, of a program."""
    multiplies: list[str]
    """Types of numbers that its matrix instructions multiply, in PTX's words."""


def variants() -> Iterator[Variant]:
    """Yield the variants of all kernel files."""
    for found in pkgutil.iter_modules(dgedit_kernels.__path__):
        if found.name != "compiled":  # this file
            module = importlib.import_module(f"dgedit_kernels.{found.name}")
            yield from getattr(module, "variants", list)()


def compiled(variant: Variant, target: int) -> KernelFigures:
    """Compile a variant for a card. Raises what Triton raises where that fails."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = dict.fromkeys(variant.constants, "constexpr")
    order = [*variant.kernel.arg_names]
    types = {**variant.signature, **names}
    source = ASTSource(
        fn=variant.kernel,
        signature={name: types[name] for name in order},
        constexprs=dict(variant.constants),
        attrs={
            (place,): [["tt.divisibility", 16]]
            for place, name in enumerate(order)
            if types[name].startswith("*")
        },
    )
    options = {"num_warps": variant.warps, "num_stages": variant.stages, **OPTIONS}
    kernel = triton.compile(source, target=GPUTarget("cuda", target, 32), options=options)
    ptx = kernel.asm["ptx"]
    registers, spilled = _assembled(ptx, target)
    # the two operands' types stand behind the sum's in one form, and between sums in the other
    found = re.findall(r"mma(?:_async)?\.sync\.aligned\S*?\.f32\.(\w+)\.(\w+)", ptx)
    multiplies = sorted({one for pair in found for one in pair})
    shared = kernel.metadata.shared
    return KernelFigures(variant.name, target, registers, spilled, shared, multiplies)


def compile_launch(launch: Launch, target: int) -> None:
    """Compile a kernel for a card of that capability as its launch would, so that the launch finds
    it in Triton's cache. Raises what Triton raises where that fails.
    """
    from triton import knobs
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, make_backend

    kernel, signature, constants, attributes = specialised(launch)
    where = GPUTarget("cuda", target, 32)
    options = make_backend(where).parse_options(
        {
            "num_warps": launch.warps,
            "num_stages": launch.stages,
            "debug": kernel.debug or knobs.runtime.debug,
            "instrumentation_mode": knobs.compilation.instrumentation_mode,
            **OPTIONS,
        }
    )
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=attributes)
    triton.compile(source, target=where, options=options.__dict__)


def specialised(launch: Launch) -> tuple[Any, dict[str, str], dict[Any, Any], dict[Any, Any]]:
    """Return the kernel, and its arguments' types, constants and attributes in Triton's words."""
    kernel = getattr(importlib.import_module(launch.module), launch.kernel)
    order, constants = kernel.arg_names, dict(launch.constants)
    types = {name: (type_, divisible) for name, type_, divisible in launch.types}
    attributes = {
        (place,): [["tt.divisibility", 16]] if types.get(name, ("", False))[1] else []
        for place, name in enumerate(order)
        if types.get(name, ("", False))[0] not in _WITHOUT  # of these Triton asks nothing
    }
    signature = {name: types[name][0] if name in types else "constexpr" for name in order}
    places = {(order.index(name),): value for name, value in constants.items()}
    return kernel, signature, places, attributes


_WITHOUT = ("fp32", "u1")
"""Types of arguments that are no whole numbers and no pointers."""


def _assembled(ptx: str, target: int) -> tuple[int, int]:
    """Assemble PTX, and return the registers and spilled bytes that the assembler reports."""
    from triton.backends.nvidia.compiler import get_ptxas  # which of two, releases differ about

    arch = re.search(r"^\.target\s+(sm_\w+)", ptx, re.MULTILINE)
    assert arch, "no target in the PTX"
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "kernel.ptx")
        path.write_text(ptx)
        command = [
            get_ptxas(target).path,
            "-v",
            f"--gpu-name={arch[1]}",
            path,
            "-o",
            path.with_suffix(".cubin"),
        ]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    registers = re.search(r"Used (\d+) registers", told)
    spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", told)
    assert registers, told
    return int(registers[1]), sum(map(int, spills))


def _one(name: str, target: int) -> KernelFigures:
    return compiled(next(one for one in variants() if one.name == name), target)


def main(arguments: list[str] | None = None) -> int:
    """Parse, compile, print. Returns 0."""
    parser = argparse.ArgumentParser(prog="python -m dgedit_kernels.compiled", description=__doc__)
    parser.add_argument("--targets", type=int, nargs="+", default=[*TARGETS], choices=[*TARGETS])
    parser.add_argument("--only", default="", help="variants whose name contains this")
    options = parser.parse_args(arguments)
    jobs = [
        (one.name, target)
        for one in variants()
        if options.only in one.name
        for target in options.targets
        if target in one.targets
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(_one, *zip(*jobs, strict=True))) if jobs else []
    for one in found:
        print(
            f"{one.name:40} sm_{one.target:<4} {one.registers:4} registers "
            f"{one.spilled:5} spilled {one.shared / 1024:6.1f} KiB"
        )
    print(json.dumps([asdict(one) for one in found]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
