"""The nodes of languages with brackets."""

from __future__ import annotations

import numpy as np

from dgedit_engine.train.brackets import nodes
from dgedit_engine.train.spans import Outline, pick

CODE = """// if (this) is a comment
function total(prices, tax = 0) {
  let found = "not (a call)";
  for (const price of prices) {
    found += rounded(price * 2, [tax, 1]);
  }
  return math.floor(found);
}
"""


def texts(spans: list[tuple[int, int]]) -> list[str]:
    return [CODE[start:end] for start, end in spans]


def test_names_are_neither_keywords_nor_in_strings_and_comments() -> None:
    names = texts(nodes(CODE).names)
    assert {"total", "prices", "found", "math", "floor"} <= set(names)
    assert not {"is", "comment", "not", "call", "for", "return"} & set(names)


def test_arguments_calls_and_values() -> None:
    found = nodes(CODE)
    assert "price * 2, [tax, 1]" in texts(found.arguments)
    expressions = texts(found.expressions)
    assert "rounded(price * 2, [tax, 1])" in expressions and "math.floor(found)" in expressions
    assert '"not (a call)"' in expressions and "[tax, 1]" in expressions


def test_blocks_are_bodies_without_their_braces() -> None:
    blocks = texts(nodes(CODE).blocks)
    assert "found += rounded(price * 2, [tax, 1]);" in blocks
    assert any(block.startswith('let found = "') and block.endswith("(found);") for block in blocks)


def test_brackets_that_do_not_match_are_passed_over() -> None:
    assert nodes("(] f(a) }{").arguments == [(5, 6)]
    assert nodes("") == nodes("((((")


def test_spans_of_other_languages_come_from_brackets() -> None:
    outline, rng = Outline(CODE, "shop/till.js"), np.random.default_rng(0)
    for _ in range(50):
        span = pick(outline, "node", rng)
        assert span is not None and CODE[slice(*span)].strip()
    assert not Outline(CODE, "till.py").nodes.names
