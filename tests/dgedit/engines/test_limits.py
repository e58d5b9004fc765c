"""A request's limits are its own: no door lets more through, and none has others."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from dgedit import cli
from dgedit.engines.http import completions
from dgedit.engines.warm import wire
from dgedit_engine import types
from dgedit_engine.types import Hole, InfillRequest, Passage

ROOT = Path(__file__).parents[3]
HOLE = (Passage("", (Hole(),)),)
BAD: list[dict[str, Any]] = [
    {"candidates": 10**9},
    {"candidates": 0},
    {"steps": 10**9},
    {"refresh": 0},
    {"effort": 2.5},
    {"seed": -1},
    {"seed": 2**63},
    {"strength": 7.5},
    {"entropy_bound": -1.5},
]


def words(**fields: Any) -> str:
    with pytest.raises(ValueError) as caught:
        InfillRequest(**{"passages": HOLE} | fields)
    return str(caught.value)


@pytest.mark.parametrize("fields", BAD, ids=lambda one: next(iter(one)))
def test_fault_11_every_door_has_the_limits_of_the_request(
    fields: dict[str, Any], folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = words(**fields)
    assert str(next(iter(fields.values()))) in said
    whole = wire.request_to_json(InfillRequest(HOLE))
    with pytest.raises(ValueError, match="must be") as caught:
        wire.request_from_json(whole | fields)
    assert str(caught.value) == said
    (folder / "a.py").write_text("x = <FILL>\n")
    ((name, value),) = fields.items()
    assert cli.run(["fill", "a.py", f"--{name.replace('_', '-')}={value}"]) == 2
    assert capfd.readouterr().err == f"dgedit: {said}\n"


def test_fault_11_http_asks_for_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert completions._ANSWERS <= types.MOST_CANDIDATES
    with pytest.raises(ValueError, match="n must be a whole number, 1 to 8"):
        completions.read("completions", {"prompt": "a", "n": 10**9}, effort=0.5)
    monkeypatch.setattr(completions, "_ANSWERS", 10**9)
    with pytest.raises(ValueError, match="candidates must be at most 64"):
        completions.read("completions", {"prompt": "a", "n": 10**9}, effort=0.5)


def test_fault_11_texts_and_holes_have_a_most(monkeypatch: pytest.MonkeyPatch) -> None:
    many = (Passage("", (Hole(),) * 10_001),)
    assert words(passages=many) == "a request has at most 10000 holes, not 10001"
    monkeypatch.setattr(types, "MOST_CHARACTERS", 9)
    InfillRequest((Passage("", ("abc", Hole("def"))),), "ghi")
    said = "a request has at most 9 characters, not 10"
    assert words(passages=(Passage("", ("abc", Hole("def"))),), instruction="ghij") == said
    assert words(passages=(*HOLE, Passage("", ("abcdefghij",)))) == said


def test_fault_11_no_other_file_has_limits_of_a_request() -> None:
    """A second set of them would be forgotten at one door."""
    fields = {"candidates", "steps", "refresh", "entropy_bound", "strength", "effort"}
    for file in (ROOT / "dgedit").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                names = {ast.unparse(side).split(".")[-1] for side in sides}
                numbers = [
                    side.value
                    for side in sides
                    if isinstance(side, ast.Constant) and type(side.value) in (int, float)
                ]
                limits = [one for one in names if one.isupper()] + [n for n in numbers if n > 1]
                assert not (names & fields and limits), (file, ast.unparse(node))
