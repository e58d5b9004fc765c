"""Public benchmarks in the files that they are given out in: what is read, and what is no task."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dgedit_engine.eval.benchmarks import read
from dgedit_engine.eval.sandbox import run

HUMANEVAL: dict[str, Any] = {
    "task_id": "MultiLineInfilling/HumanEval/12/L0_L1",
    "entry_point": "twice",
    "prompt": "def twice(x):\n",
    "canonical_solution": "    y = x + x\n    return y\n",
    "suffix": "\n",
    "test": "\n\nMETADATA = {}\n\n\ndef check(candidate):\n    assert candidate(2) == 4\n\n",
}
SANTACODER: dict[str, Any] = {
    "name": "HumanEval_3_twice",
    "language": "py",
    "prompt": "def twice(x):\n    return ",
    "canonical_solution": "x + x",
    "suffix": "\n",
    "tests": "",
}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    """The rows in the format that the file's name says."""
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    if path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pytest.importorskip("pyarrow").Table.from_pylist(list(rows)), path)
    else:
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_read_takes_every_format(name: str, tmp_path: Path) -> None:
    (task,) = read(write(tmp_path / name, HUMANEVAL))
    assert (task.name, task.kind, task.file) == (HUMANEVAL["task_id"], "multi-line", 12)
    assert (
        task.gold == HUMANEVAL["canonical_solution"]
        and task.passage.parts[0] == (HUMANEVAL["prompt"])
    )
    assert "twice" not in task.path


@pytest.mark.parametrize(
    ("prefix", "kind"),
    [
        ("SingleLineInfilling", "single-line"),
        ("RandomSpanInfilling", "random-span"),
        ("RandomSpanInfillingLight", "random-span-light"),
    ],
)
def test_read_tells_the_kind_by_the_name(prefix: str, kind: str, tmp_path: Path) -> None:
    row = {**HUMANEVAL, "task_id": f"{prefix}/HumanEval/7/1"}
    (task,) = read(write(tmp_path / "a.jsonl", row))
    assert (task.kind, task.file) == (kind, 7)


def test_program_tests_the_filled_file(tmp_path: Path) -> None:
    (task,) = read(write(tmp_path / "a.jsonl", HUMANEVAL))
    row = HUMANEVAL
    whole = row["prompt"] + row["canonical_solution"] + row["suffix"]
    assert task.program(task.gold) == f"{whole}\n{row['test']}\ncheck(twice)\n"
    assert run(task.program(task.gold)).passed
    assert run(task.program("    return 2 * x")).passed
    assert not run(task.program("    return x")).passed
    assert not run(task.program("    return (")).passed


def test_read_takes_santacoders_python_alone(tmp_path: Path) -> None:
    tested = {**SANTACODER, "tests": "assert twice(3) == 6", "language": "python"}
    other = {**SANTACODER, "language": "js"}
    path = write(tmp_path / "a.parquet", other, SANTACODER, tested)
    plain, checked = read(path)
    assert plain.kind == "santacoder" and plain.file == checked.file == 3
    assert plain.name == "santacoder/HumanEval_3_twice/2" and checked.name.endswith("/3")
    assert plain.check == "" and checked.check
    assert run(checked.program("2 * x")).passed and not run(checked.program("x")).passed
    assert [task.name[-1] for task in read(path, languages=["js"])] == ["1"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**HUMANEVAL, "task_id": "Other/HumanEval/1"}, "task_id: 'Other/HumanEval/1' is none of"),
        ({**HUMANEVAL, "task_id": "SingleLineInfilling/x"}, "task_id: .* names no problem"),
        ({**HUMANEVAL, "suffix": None}, "suffix: None"),
        ({**HUMANEVAL, "entry_point": "a b"}, "entry_point: 'a b' is no name"),
        ({key: value for key, value in HUMANEVAL.items() if key != "test"}, "test: missing"),
        ({**SANTACODER, "tests": 5}, "tests: 5"),
        ({**SANTACODER, "name": "twice"}, "name: 'twice' names no problem"),
        ({"prompt": ""}, "language: missing"),
    ],
)
def test_read_names_file_line_and_field_of_a_bad_row(
    row: dict[str, Any], said: str, tmp_path: Path
) -> None:
    good = {**HUMANEVAL, "task_id": "SingleLineInfilling/HumanEval/9/L0"}
    path = write(tmp_path / "a.jsonl", good, row)
    with pytest.raises(ValueError, match=rf"a\.jsonl: line 2: {said}") as raised:
        read(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.jsonl", b"{}\nnothing\n", "line 1: language: missing"),
        ("a.jsonl", b"\nnothing\n", "line 2: Expecting value"),
        ("a.jsonl", b"[1]\n", r"line 1: .* is no object"),
        ("a.jsonl", b"\xff\n", "line 1: "),
        ("a.jsonl", b"", "no tasks"),
        ("a.jsonl.gz", b"{}", "[Nn]ot a gzipped file"),
        ("a.parquet", b"nothing", "a.parquet: "),
        ("a.csv", b"", "rows come in .jsonl, .jsonl.gz, .jsonl.xz, .parquet"),
    ],
)
def test_read_refuses_what_is_no_file_of_rows(
    name: str, data: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=said) as raised:
        read(tmp_path / name)
    assert name in str(raised.value) and "\n" not in str(raised.value)


def test_read_refuses_a_task_that_comes_twice(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"line 2: .* for the second time"):
        read(write(tmp_path / "a.jsonl", HUMANEVAL, HUMANEVAL))


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"pip install 'dgedit\[eval\]'"):
        read(tmp_path / "a.parquet")
