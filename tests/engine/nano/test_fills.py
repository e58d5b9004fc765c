"""nano with its published base fills what a newcomer tries first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.types import Hole, Infill, collect
from small_base import request

DEMO = Path(__file__).parents[3] / "demo" / "inventory.py"


@pytest.fixture
def nano(base: Path) -> Iterator[Engine]:
    """Opened anew: half a gigabyte is not kept between tests."""
    yield open_engine(None, "cpu")


def fill(engine: Engine, before: str, behind: str, path: str) -> Infill:
    return collect(engine.infill(request(before, Hole(), behind, path=path)))


def test_first_holes_of_a_newcomer(nano: Engine) -> None:
    one = fill(nano, "def add(a, b):\n    return ", "\n", "add.py")
    assert one.texts == ("a + b",) and one.stopped == "settled"
    before, behind = DEMO.read_text().split("<FILL>")
    assert "self.items" in fill(nano, before, behind, "inventory.py").texts[0]
    before = "function sum(items) {\n  let total = 0;\n  for (const item of items) {\n    "
    one = fill(nano, before, "\n  }\n  return total;\n}\n", "sum.js")
    assert one.texts[0].startswith("total += item")
    one = fill(nano, "def add(a, b):\r\n    ", "\r\n\r\n\r\nprint(add(1, 2))\r\n", "add.py")
    assert one.texts[0].strip() and "\n" not in one.texts[0].replace("\r\n", "")
    assert not one.texts[0].endswith("\r")
    assert len({it.draft.text for it in one.candidates[0]}) == len(one.candidates[0]) > 1
