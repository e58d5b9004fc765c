"""Our own benchmark: what ships, and how tasks are made of a package and its recorded calls."""

from __future__ import annotations

import collections
import datetime
import json
import lzma
import os
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from dgedit_engine.eval import benchmarks, functions, sandbox
from dgedit_engine.eval.recording import source
from dgedit_engine.eval.slices import Package
from dgedit_engine.train.collect import PACKAGES
from dgedit_engine.train.licensed import permissive

MODULES = {
    "shop/__init__.py": "from .till import total\n",
    "shop/money.py": "RATE = 3\n\n\ndef rounded(value):\n    return value * RATE\n",
    "shop/till.py": '''"""A till."""
import math
from .money import rounded
import numpy

UNUSED = 4


# What it costs.
def total(prices, *, tax=0):
    """Add up."""
    found = 0
    for price in prices:
        if price < 0:
            raise ValueError(price)
        found += rounded(price)
    return math.floor(found + tax)


def foreign(x):
    return numpy.array(x)
''',
}
TESTS = """
import pytest
from shop.till import total

def test_total():
    assert total([1, 2]) == 9
    assert total([], tax=1) == 1
    assert total((4,), tax=2) == 14
    assert total(iter([5])) == 15
    with pytest.raises(ValueError):
        total([-1])
"""
INFO = "Metadata-Version: 2.1\nName: shop\nVersion: 1\nLicense: MIT\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with one installed package, and its tests."""
    folder = tmp_path / "site"
    info = {"shop-1.dist-info/METADATA": INFO, "shop-1.dist-info/RECORD": "shop/till.py,,\n"}
    for name, text in {**MODULES, **info, "tests/test_shop.py": TESTS}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def record(site: Path) -> Path:
    out, engine = site / "calls.jsonl", Path(functions.__file__).parents[2]
    (site / "numpy.py").write_text("")
    plugin = ["-p", "dgedit_engine.eval.recording", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin, "-c", os.devnull, "tests"],
        cwd=site,
        env={**os.environ, "PYTHONPATH": f"{site}:{engine}", "RECORD": "shop", "OUT": str(out)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return out


def test_tasks_are_made_of_what_the_tests_call(site: Path) -> None:
    calls = record(site)
    rows = [json.loads(line) for line in calls.read_text().splitlines()]
    given = {(row["name"], tuple(row["args"])) for row in rows if row["name"] == "total"}
    assert ("total", ("iter([5])",)) in given and ("total", ("[-1]",)) in given
    out = site / "functions.jsonl.xz"
    assert functions.main(["--site", str(site), "--calls", str(calls), "--out", str(out)]) == 0
    tasks = benchmarks.read(out)
    assert tasks and {task.kind for task in tasks} <= {"single-line", "multi-line", "random-span"}
    for task in tasks:
        assert sandbox.run(task.program(task.gold)).passed
        assert not sandbox.run(task.program("")).passed
        assert "UNUSED" not in task.text and "RATE = 3" in task.text
    assert "[shop]" in out.with_name("FUNCTIONS.md").read_text()


def test_slice_holds_what_a_function_needs_and_no_more(site: Path) -> None:
    package = Package(site)
    cut = package.slice("shop.till", "total")
    assert cut is not None
    assert cut.text.startswith("RATE = 3") and "from .money" not in cut.text
    assert "# What it costs." in cut.text and "foreign" not in cut.text
    body = cut.text[slice(*cut.body)]
    assert body.startswith("    found = 0\n") and body.endswith("(found + tax)\n")
    assert package.slice("shop.till", "foreign") is None
    assert package.slice("shop.till", "missing") is None
    assert package.slice("nowhere", "total") is None


@pytest.mark.parametrize(
    "value",
    [
        *(1, -2.5, "a'b", b"x", None, True, (1,), [], {"a": [1]}, {1, 2}, set(), frozenset({3})),
        *(range(3), Decimal("1.5"), datetime.timedelta(days=1), collections.Counter("ab")),
        *(len, int, str.upper, collections.deque([1])),
    ],
)
def test_source_makes_the_value_again(value: object) -> None:
    text = source(value)
    assert text is not None
    names = {"collections": collections, "datetime": datetime, "Decimal": Decimal}
    assert eval(text, names) == value


def test_source_leaves_out_what_is_not_plain_and_reads_no_iterator() -> None:
    assert source(object()) is None and source([lambda: 0]) is None
    numbers = iter([1, 2])
    assert source(numbers) == "iter([1, 2])" and list(numbers) == [1, 2]


def shipped() -> list[dict[str, str]]:
    data = lzma.decompress(benchmarks.SHIPPED["functions"].read_bytes())
    return [json.loads(line) for line in data.splitlines()]


def test_shipped_tasks_suffice_and_name_their_packages() -> None:
    path = benchmarks.SHIPPED["functions"]
    tasks = benchmarks.read(Path("functions"))
    kinds = Counter(task.kind for task in tasks)
    assert kinds == {"single-line": 80, "multi-line": 60, "random-span": 60}
    rows = shipped()
    packages = Counter(row["package"] for row in rows)
    assert len(packages) >= 15 and max(packages.values()) <= 20
    said = path.with_name("FUNCTIONS.md").read_text()
    licences = path.with_name("FUNCTIONS-LICENCES.txt").read_text()
    for row in rows:
        assert f"/{row['package']}/) | {row['licence']} |" in said and row["package"] in licences
        assert permissive(f"License: {row['licence']}\n") == row["licence"]
    assert path.stat().st_size < 100_000


def test_no_model_of_ours_is_trained_on_the_shipped_packages() -> None:
    trained = set(PACKAGES.read_text().split())
    assert trained.isdisjoint(row["package"] for row in shipped())


@pytest.mark.parametrize("index", range(0, 200, 20))
def test_shipped_tasks_pass_as_they_stand_and_fail_empty(index: int) -> None:
    task = benchmarks.read(Path("functions"))[index]
    assert sandbox.run(task.program(task.gold)).passed
    assert not sandbox.run(task.program("")).passed
    assert not sandbox.run(task.program(f"{task.gold[: -len(task.gold.lstrip())]}pass\n")).passed
