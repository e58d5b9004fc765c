"""What a chat model says again of the text around a hole is no part of the infill."""

from __future__ import annotations

import pytest

from dgedit_engine.decode.trimming import trimmed
from dgedit_engine.prompt.plain import Surroundings
from dgedit_engine.types import Draft


def trim(text: str, before: str, behind: str = "", present: str = "") -> str:
    pieces = tuple(text[at : at + 3] for at in range(0, len(text), 3))
    draft = Draft(pieces, (0.5,) * len(pieces), (True,) * len(pieces))
    found = trimmed(draft, Surroundings(before, behind, present))
    assert len(found.pieces) == len(found.confidence) == len(found.settled)
    assert all(found.pieces)
    return found.text


@pytest.mark.parametrize(
    ("text", "before", "behind", "expected"),
    [
        ("x = f(1)", "x = f(", ")\n", "1"),  # who begins the line anew also ends it
        ("f(1)", "f(", ")\n", "f(1)"),  # two characters agree, and may be meant
        ("total = sum(1)", "a\n    total = ", "\n", "sum(1)"),
        ("    total = 1", "a\n    total = ", "\n", "1"),
        ("def f(x):\n    return x", "a\ndef f(x):\n    ", "\n", "return x"),
        ("    return x", "def f(x):\n    ", "\n", "return x"),
        ("        deeper", "if x:\n    ", "\n", "    deeper"),
        ("1, 2, 3) + rest", "f(", ") + rest\ny", "1, 2, 3"),
        ("1\nprint(y)", "x = ", "\nprint(y)\n", "1"),
        ("1\n\nprint(y)\nz = 3\n", "x = ", "\n\nprint(y)\nz = 3\nmore\n", "1"),
        ("g(x)", "y = f(", ")\n", "g(x)"),  # one bracket may be its own
        ("print(y)", "", "\nprint(y)\n", "print(y)"),  # it is all there is
        ("not x", "return not ", "\n", "not x"),
    ],
)
def test_text_around_is_not_said_again(text: str, before: str, behind: str, expected: str) -> None:
    assert trim(text, before, behind) == expected


def test_block_written_at_the_margin_is_indented() -> None:
    before, behind = "def f(x):\n    ", "\n    return y\n"
    assert trim("if x:\n    y = 1\n\nelse:\n    y = 2", before, behind) == (
        "if x:\n        y = 1\n\n    else:\n        y = 2"
    )


@pytest.mark.parametrize("behind", ["\n\nprint(f(1))\n", "\n", ""])
def test_block_may_end_where_the_text_behind_does_not_go_on(behind: str) -> None:
    text = "return x\n\n\ndef g(x):\n    return 2"
    assert trim(text, "def f(x):\n    ", behind) == text


def test_block_at_the_margin_whose_indentation_is_the_holes() -> None:
    found = trim("if x:\n    y = 1", "def f(x):\n    ", "\n    return y\n")
    assert found == "if x:\n        y = 1"
    assert trim("f(\n    )", "def f(x):\n    ", "\n    return y\n") == "f(\n    )"


def test_block_with_its_own_indentation_stays() -> None:
    text = "if x:\n        y = 1"
    assert trim(text, "def f(x):\n    ", "\n    return y\n") == text


def test_present_text_says_how_far_a_block_is_indented() -> None:
    found = trim("if x:\n  y()", "def f(x):\n    ", "", "if z:\n        w()")
    assert found == "if x:\n      y()"


def test_long_fence_closed_by_a_short_one() -> None:
    assert trim("x = 1\n```", "a\n", "\n") == "x = 1"
    assert trim("```\ncode\n```", "a\n", "\n") == "```\ncode\n```"
    assert trim("code\n```", "# Title\n```py\n", "\n") == "code\n```"  # opened before the hole
