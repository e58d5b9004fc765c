"""The command `dgedit eval`: its options, its words when something is wrong, its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dgedit import cli
from dgedit.engines import connect as backend
from dgedit.errors import EngineError, Exit
from dgedit_engine.eval import measure

Capture = pytest.CaptureFixture[bytes]


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Which engines were opened; none is."""
    found: list[object] = []

    def connect(model: str | None, device: str | None, adapter: Path | None) -> str:
        found.append((model, device))
        return "engine"

    monkeypatch.setattr(backend, "connect", connect)
    return found


def test_eval_hands_its_options_on(
    opened: list[object], monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    plans = []

    def run(plan: measure.EvalPlan, open_engine: Any, *, bar: object) -> str:
        plans.append((plan, open_engine(), bar))
        return "täble\n{}\n"

    monkeypatch.setattr(measure, "run", run)
    assert cli.run(["eval"]) == Exit.OK
    assert plans.pop() == (measure.EvalPlan(), "engine", None)
    options = (
        "--corpus shipped --benchmark a.jsonl --benchmark b.parquet --ways fill,canvas --ways"
        " empty --limit 3 --out o.jsonl --effort 0.2 --steps 4 --seed 5 --model m --device cpu"
    )
    assert cli.run(["eval", *options.split()]) == Exit.OK
    plan = measure.EvalPlan(
        corpus="shipped",
        benchmarks=[Path("a.jsonl"), Path("b.parquet")],
        ways=["fill,canvas", "empty"],
        limit=3,
        out=Path("o.jsonl"),
        effort=0.2,
        steps=4,
        seed=5,
    )
    assert plans.pop() == (plan, "engine", None)
    assert opened == [(None, None), ("m", "cpu")]
    assert capfdbinary.readouterr() == (2 * "täble\n{}\n".encode(), b"")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--corpus", "nowhere"], Exit.INPUT, "nowhere/heldout.txt: No such file"),
        (["--benchmark", "none.jsonl"], Exit.INPUT, "none.jsonl: No such file"),
        (["--benchmark", "bad.jsonl"], Exit.INPUT, "bad.jsonl: line 1: language: missing"),
        (["--limit", "0"], Exit.USAGE, "limit must be at least 1, not 0"),
        (["--limit", "1", "--effort", "7"], Exit.USAGE, "7"),
        (["--limit", "x"], Exit.USAGE, "--limit"),
    ],
)
def test_eval_says_in_one_line_what_is_wrong(
    folder: Path, options: list[str], code: Exit, said: str, capfdbinary: Capture
) -> None:
    (folder / "bad.jsonl").write_text("{}\n")
    assert cli.run(["eval", *options]) == code
    out, err = capfdbinary.readouterr()
    (line,) = err.decode().splitlines()
    assert out == b"" and line.startswith("dgedit: ") and said in line


def test_eval_without_an_engine_says_so(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    def connect(model: str | None, device: str | None, adapter: Path | None) -> None:
        raise EngineError("no such model: x")

    monkeypatch.setattr(backend, "connect", connect)
    assert cli.run(["eval", "--model", "x"]) == Exit.ENGINE
    assert capfdbinary.readouterr() == (b"", b"dgedit: no such model: x\n")


def test_eval_help_loads_no_engine() -> None:
    code = (
        "import sys\nfrom dgedit import cli\nassert cli.run(['eval', '--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'textual', 'dgedit_engine.eval', 'dgedit_engine.engine'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b"[]\n" and b"--benchmark" in done.stdout


@pytest.mark.slow
def test_eval_prints_a_table_without_a_corpus() -> None:
    command = [sys.executable, "-m", "dgedit", "eval", "--limit", "1", "--ways", "canvas,empty"]
    done = subprocess.run(
        [*command, "--steps", "1", "--device", "cpu"], capture_output=True, check=True
    )
    *table, last = done.stdout.decode().splitlines()
    assert table[0].split()[:2] == ["spans", "exact"] and done.stderr == b""
    assert {one["way"] for one in json.loads(last)["summaries"]} == {"canvas", "empty"}
