"""What is promised names its test, and that test is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ("tests/faults.md", "docs/security.md")
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


@pytest.mark.parametrize("page", PAGES)
def test_tests_that_a_page_names_are_there(page: str) -> None:
    named = _TEST.findall((ROOT / page).read_text())
    assert len(named) > 10
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text())
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        found = {node.name for node in ast.walk(tree) if isinstance(node, functions)}
        assert not name or name in found, (file, name)


def test_faults_are_sorted_one_a_line_and_each_has_its_test() -> None:
    heading, blank, *lines = (ROOT / "tests" / "faults.md").read_text().splitlines()
    assert (heading, blank) == ("# Faults: what must hold, and the test", "")
    assert lines[:2] == ["| No | Right | Test |", "|---|---|---|"]
    numbers = []
    for line in lines[2:]:
        _, number, right, test, _ = (part.strip() for part in line.split("|"))
        assert right and _TEST.search(test), line
        assert f"fault_{number}_" in test, line
        numbers.append(int(number))
    assert numbers == sorted(set(numbers))


def test_tests_of_faults_are_of_those_in_the_table() -> None:
    table = (ROOT / "tests" / "faults.md").read_text()
    known = set(re.findall(r"^\| (\d+) \|", table, re.MULTILINE))
    for file in (ROOT / "tests").rglob("test_*.py"):
        said = set(re.findall(r"def test_fault_(\d+)_", file.read_text()))
        assert said <= known, (file, said - known)
