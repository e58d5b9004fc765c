"""Where texts are cut."""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from dgedit_engine.train import corpus, spans
from dgedit_engine.train.spans import KINDS, WEIGHTS, Outline, cut, evaluation_spans

FOREIGN = '''\
"""Ein Modul für Grüße 😀."""

größe = {"ä": 1, "😀": [2, 3]}; länge = len(größe)


@staticmethod
def grüße(wer: str, *, größe: int = 3) -> str:
    """Grüßt."""
    if größe > 2:
        text = f"Grüß {wer!r} 😀" + str(größe.bit_length())
        return text.join(["é" * größe, wer])

    return "ß"
'''
BROKEN = "def f(:\n    x = (1\n\n    y = 'ü\n" * 9
CODE = inspect.getsource(corpus)
TEXTS = (FOREIGN, BROKEN, CODE, "x", "\n \n\n")


@pytest.mark.parametrize("text", TEXTS)
def test_cut_gives_ordered_spans_inside_the_text(text: str) -> None:
    outline = Outline(text)
    for seed in range(400):
        made = cut(outline, np.random.default_rng(seed))
        places = [place for span in made.spans for place in span]
        assert places == sorted(places) and places[0] >= 0 and places[-1] <= made.end <= len(text)
        assert all(start < end for start, end in made.spans)
        assert (len(made.spans) > 1) == (made.kind == "holes")
        edges = [0, *places, made.end]
        pieces = [text[a:b] for a, b in pairwise(edges)]
        assert "".join(pieces) == text[: made.end]


def test_cut_is_the_same_for_the_same_seed() -> None:
    first, second = ([cut(Outline(CODE), np.random.default_rng(9))] for _ in range(2))
    assert first == second


def test_cut_gives_each_kind_its_share() -> None:
    outline, rng = Outline(CODE), np.random.default_rng(1)
    made = [cut(outline, rng) for _ in range(3000)]
    counts = Counter(one.kind for one in made)
    for kind in KINDS:
        assert counts[kind] / len(made) == pytest.approx(WEIGHTS[kind], abs=0.04)
    assert sum(one.end < len(CODE) for one in made) / len(made) == pytest.approx(0.12, abs=0.03)


def test_a_line_is_whole_or_starts_behind_its_indentation() -> None:
    outline, rng = Outline(FOREIGN), np.random.default_rng(2)
    lines = FOREIGN.split("\n")
    found = set()
    for _ in range(300):
        ((start, end),) = cut(outline, rng, kinds={"line": 1.0}).spans
        text = FOREIGN[start:end]
        assert FOREIGN[end : end + 1] == "\n"
        assert text in lines or text in [line.lstrip() for line in lines]
        found.add(text)
    assert {line for line in lines if line.strip()} <= found


def test_lines_are_two_to_twelve_or_a_block() -> None:
    outline, rng = Outline(CODE), np.random.default_rng(3)
    counts = []
    for _ in range(300):
        ((start, end),) = cut(outline, rng, kinds={"lines": 1.0}).spans
        counts.append(CODE[start:end].count("\n") + 1)
    assert min(counts) >= 1 and np.median(counts) >= 4 and np.mean(np.array(counts) == 1) < 0.1


def test_nodes_are_found_where_characters_are_wider_than_a_byte() -> None:
    nodes = Outline(FOREIGN).nodes
    names = [FOREIGN[start:end] for start, end in nodes.names]
    assert all(name.isidentifier() for name in names)
    assert {"größe", "länge", "bit_length", "wer"} <= set(names)
    assert "größe.bit_length()" in [FOREIGN[start:end] for start, end in nodes.expressions]
    assert '["é" * größe, wer]' in [FOREIGN[start:end] for start, end in nodes.arguments]
    blocks = [FOREIGN[start:end] for start, end in nodes.blocks]
    assert blocks[0].startswith('"""Grüßt') and blocks[0].endswith('return "ß"')


def test_expressions_parse_by_themselves() -> None:
    for start, end in Outline(CODE).nodes.expressions:
        ast.parse(f"({CODE[start:end]})")


def test_a_text_that_does_not_parse_has_no_nodes() -> None:
    nodes = Outline(BROKEN).nodes
    assert not (nodes.names or nodes.expressions or nodes.arguments or nodes.blocks)


def test_random_spans_have_one_to_four_hundred_characters() -> None:
    rng = np.random.default_rng(4)
    lengths = [end - start for start, end in (spans._random(CODE, rng) for _ in range(2000))]
    assert min(lengths) == 1 and 300 < max(lengths) <= 400 and 10 < np.median(lengths) < 40


def test_evaluation_spans_have_one_hole_of_each_kind() -> None:
    made = list(evaluation_spans(Outline(CODE), np.random.default_rng(5)))
    assert [one.kind for one in made] == ["line", "lines", "node", "random"]
    assert all(len(one.spans) == 1 and one.end == len(CODE) for one in made)
