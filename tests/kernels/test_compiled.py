"""Every kernel compiles for every card, within the registers and the memory that it had before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dgedit_kernels.compiled import SHARED, variants

pytest.importorskip("triton")
TABLE = Path(__file__).with_name("compiled.json")
"""For each variant and card: registers, spilled bytes, shared bytes. Written by `python
tests/kernels/test_compiled.py` after a kernel has changed on purpose."""


@pytest.fixture(scope="module")
def made() -> list[dict[str, Any]]:
    return compile_all()


@pytest.fixture(scope="module")
def found(made: list[dict[str, Any]]) -> dict[str, dict[str, list[int]]]:
    return tabled(made)


def compile_all() -> list[dict[str, Any]]:
    """The figures of each variant for each card."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "dgedit_kernels.compiled"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    figures: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return figures


def tabled(made: list[dict[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """Registers, spilled bytes and shared bytes, by variant and card."""
    table: dict[str, dict[str, list[int]]] = {}
    for one in made:
        figures = [one["registers"], one["spilled"], one["shared"]]
        assert str(one["target"]) not in table.setdefault(one["name"], {}), "two of one name"
        table[one["name"]][str(one["target"])] = figures
    return table


def test_shared_memory_is_there_on_every_card(found: dict[str, dict[str, list[int]]]) -> None:
    assert set(found) == {one.name for one in variants()}
    for one in variants():
        assert set(found[one.name]) == {str(target) for target in one.targets}, one.name
        for target, (_, _, shared) in found[one.name].items():
            assert shared <= SHARED[int(target)] << 10, (one.name, target)


def test_what_is_multiplied_in_8_bits_is_so_on_the_card(made: list[dict[str, Any]]) -> None:
    """The instruction itself: a kernel that decodes to bfloat16 first would give the same."""
    wanted = {
        (name, target): ["e4m3"]
        for name in ("qmatmul w8a8", "gate_up w8a8", "down w8a8")
        for target in (89, 90, 120)
    }
    wanted |= {("qmatmul fp8", target): ["bf16"] for target in (80, 89, 90, 120)}
    told = {(one["name"], one["target"]): one["multiplies"] for one in made}
    assert {which: told[which] for which in wanted} == wanted


def test_figures_are_those_of_the_table(found: dict[str, dict[str, list[int]]]) -> None:
    table = json.loads(TABLE.read_text())
    assert set(found) == set(table)
    for name, targets in found.items():
        for target, (registers, spilled, shared) in targets.items():
            allowed = table[name][target]
            # assemblers differ by a few registers from one release to the next
            assert registers <= allowed[0] * 1.1 + 8, (name, target)
            assert spilled <= allowed[1] * 1.1 + 16, (name, target)
            assert shared <= allowed[2] * 1.1 + 1024, (name, target)


if __name__ == "__main__":
    rows = ",\n".join(
        f" {json.dumps(name)}: {json.dumps(row)}" for name, row in tabled(compile_all()).items()
    )
    TABLE.write_text(f"{{\n{rows}\n}}\n")
