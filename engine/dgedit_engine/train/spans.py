"""Choose the spans of a text that become holes: lines, syntax nodes, anything, or several.

People mask by line and by thought, so most spans are lines and syntax nodes; spans of arbitrary
characters teach the model to meet a hole anywhere (arXiv 2207.14255). Positions are code points.
Python's nodes are those of its own parser, other languages' those of their brackets. A text's
syntax tree is made once, however many cuts it gives. Knows nothing of tokens.
"""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from dgedit_engine.train import brackets
from dgedit_engine.train.brackets import Nodes, Span
from dgedit_engine.train.licensed import language_of

Kind = Literal["line", "lines", "node", "random", "holes"]
KINDS: tuple[Kind, ...] = get_args(Kind)

WEIGHTS: Mapping[Kind, float] = {
    "line": 0.30,
    "lines": 0.20,
    "node": 0.15,
    "random": 0.25,
    "holes": 0.10,
}
"""The share of each kind in training."""

EMPTY_SUFFIX = 0.12
"""The share of cuts without any text behind them."""

LONGEST = 1500
"""Characters of the largest syntax node that becomes a hole."""

_EXPRESSIONS: tuple[type[ast.expr], ...] = (
    *(ast.Call, ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.Lambda),
    *(ast.Subscript, ast.Attribute, ast.Constant, ast.Await, ast.List, ast.Dict, ast.Set),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.JoinedStr),
)

_Placed = ast.expr | ast.stmt | ast.keyword


@dataclass(frozen=True, slots=True)
class Cut:
    """The spans of a text that become holes."""

    kind: Kind
    """How the spans were chosen."""
    spans: tuple[Span, ...]
    """Ascending, without overlap."""
    end: int
    """The text is used up to here."""


class Outline:
    """A text with the spans of its lines and syntax nodes, found once, when first asked for."""

    def __init__(self, text: str, path: str = ".py") -> None:
        self.text, self.path = text, path
        self.language = language_of(path)

    @cached_property
    def lines(self) -> list[Span]:
        """The lines without their newlines."""
        ends = [match.start() for match in re.finditer("\n", self.text)]
        starts = [0, *(end + 1 for end in ends)]
        return list(zip(starts, [*ends, len(self.text)], strict=True))

    @cached_property
    def nodes(self) -> Nodes:
        """The syntax nodes; none in Python that does not parse."""
        if self.language != "python":
            return brackets.nodes(self.text)
        found = Nodes([], [], [], [])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                tree = ast.parse(self.text)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return found
        waiting: list[ast.AST] = [tree]
        while waiting:
            node = waiting.pop()
            self._collect(node, found)
            if not isinstance(node, ast.JoinedStr):  # before 3.12, places inside are unreliable
                waiting.extend(ast.iter_child_nodes(node))
        for spans in (found.names, found.expressions, found.arguments, found.blocks):
            spans.sort()
        return found

    def _collect(self, node: ast.AST, found: Nodes) -> None:
        """Add the node's spans."""
        if isinstance(node, ast.Name | ast.arg):
            name = node.id if isinstance(node, ast.Name) else node.arg
            start = self._place(node.lineno, node.col_offset)
            found.names.append((start, start + len(name)))
        elif isinstance(node, ast.Attribute):
            end = self._place(node.end_lineno, node.end_col_offset)
            found.names.append((end - len(node.attr), end))
        if isinstance(node, _EXPRESSIONS):
            found.expressions.append(self._span(node, node))
        if isinstance(node, ast.Call) and (node.args or node.keywords):
            inner: list[ast.expr | ast.keyword] = [*node.args, *node.keywords]
            places = [self._span(one, one) for one in inner]
            found.arguments.append((min(places)[0], max(places)[1]))
        body: list[ast.stmt] | ast.expr | None = getattr(node, "body", None)
        if isinstance(body, list) and body and not isinstance(node, ast.Module | ast.ClassDef):
            found.blocks.append(self._span(body[0], body[-1]))

    def _span(self, first: _Placed, last: _Placed) -> Span:
        line, column = first.lineno, first.col_offset
        for decorator in getattr(first, "decorator_list", []):
            if decorator.lineno < line:
                line, column = decorator.lineno, decorator.col_offset - 1  # its @
        return self._place(line, column), self._place(last.end_lineno, last.end_col_offset)

    def _place(self, line: int | None, column: int | None) -> int:
        """Convert a place that `ast` gives, in lines from 1 and UTF-8 bytes, to code points."""
        assert line is not None and column is not None
        start, end = self.lines[line - 1]
        if self._ascii:
            return start + column
        return start + len(self.text[start:end].encode()[:column].decode())

    @cached_property
    def _ascii(self) -> bool:
        return self.text.isascii()


def cut(
    outline: Outline,
    rng: np.random.Generator,
    *,
    kinds: Mapping[Kind, float] = WEIGHTS,
    empty_suffix: float = EMPTY_SUFFIX,
) -> Cut:
    """Draw a training cut. Where the text has nothing of the kind drawn, some characters of it."""
    kind = draw_kind(rng, kinds)
    spans: tuple[Span, ...] | None
    if kind == "holes":
        spans = _several(outline, rng)
    else:
        spans = (span,) if (span := pick(outline, kind, rng)) else None
    if spans is None:
        kind, spans = "random", (_random(outline.text, rng),)
    end = spans[-1][1] if rng.random() < empty_suffix else len(outline.text)
    return Cut(kind, spans, end)


def draw_kind(rng: np.random.Generator, kinds: Mapping[Kind, float] = WEIGHTS) -> Kind:
    """Draw a kind, by its share."""
    edges = np.cumsum([*kinds.values()])
    return [*kinds][int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]


def pick(outline: Outline, kind: Kind, rng: np.random.Generator) -> Span | None:
    """Draw one span of the kind; None where the text has none."""
    if kind == "line":
        return _line(outline, rng, 1)
    if kind == "lines":
        blocks = outline.nodes.blocks if rng.random() < 0.4 else []
        lines = _line(outline, rng, int(rng.integers(2, 13)))
        return _near(blocks, outline.text, rng, several_lines=True) or lines
    if kind == "node":
        nodes = outline.nodes
        groups = [nodes.names, nodes.expressions, nodes.expressions, nodes.arguments, nodes.blocks]
        return _near(groups[int(rng.integers(len(groups)))], outline.text, rng)
    assert kind == "random", kind
    return _random(outline.text, rng)


def evaluation_spans(outline: Outline, rng: np.random.Generator) -> Iterator[Cut]:
    """Draw one cut of each kind that has a single hole; the text behind it is kept."""
    for kind in KINDS:
        if kind != "holes" and (span := pick(outline, kind, rng)):
            yield Cut(kind, (span,), len(outline.text))


def _line(outline: Outline, rng: np.random.Generator, count: int) -> Span | None:
    """Draw up to `count` lines, none blank at the ends; half the time without the first
    indentation.
    """
    first = int(rng.integers(len(outline.lines)))
    for index in (*range(first, len(outline.lines)), *range(first)):
        start, end = outline.lines[index]
        if line := outline.text[start:end].strip():
            break
    else:
        return None
    start += outline.text[start:end].index(line) if rng.random() < 0.5 else 0
    for last in outline.lines[index + 1 : index + count]:
        if outline.text[slice(*last)].strip():
            end = last[1]
    return start, end


def _near(
    spans: list[Span], text: str, rng: np.random.Generator, *, several_lines: bool = False
) -> Span | None:
    """Return the first span of a fit length behind a random place, so that dense corners count
    once.
    """
    if not spans:
        return None
    first = bisect_right(spans, (int(rng.integers(len(text))), 0))
    for index in range(first, first + min(len(spans), 20)):
        start, end = spans[index % len(spans)]
        if 0 < end - start <= LONGEST and (not several_lines or "\n" in text[start:end]):
            return start, end
    return None


def _random(text: str, rng: np.random.Generator) -> Span:
    """Draw any 1 to 400 characters, with an evenly distributed logarithm of the length."""
    length = min(int(np.exp(rng.uniform(0, np.log(401)))), len(text))
    start = int(rng.integers(len(text) - length + 1))
    return start, start + length


def _several(outline: Outline, rng: np.random.Generator) -> tuple[Span, ...] | None:
    """Draw two or three short spans of mixed kinds, within some screens of each other."""
    wanted = int(rng.integers(2, 4))
    around = int(rng.integers(len(outline.text)))
    reach = int(np.exp(rng.uniform(np.log(100), np.log(1500))))
    start, end = max(around - reach, 0), min(around + reach, len(outline.text))
    window = Outline(outline.text[start:end], outline.path)
    spans: list[Span] = []
    for _ in range(4 * wanted):
        kind: Kind = ("line", "node", "random")[int(rng.integers(3))]
        if kind == "node":
            groups = (outline.nodes.names, outline.nodes.expressions, outline.nodes.arguments)
            group = groups[int(rng.integers(3))]
            low, high = bisect_right(group, (start, 0)), bisect_right(group, (end, 0))
            span = group[int(rng.integers(low, high))] if low < high else None
        else:
            span = pick(window, kind, rng)
            span = (span[0] + start, span[1] + start) if span else None
        if span is None or not 0 < span[1] - span[0] <= 160:
            continue
        if all(span[1] < other[0] or other[1] < span[0] for other in spans):
            spans.append(span)
        if len(spans) == wanted:
            break
    return tuple(sorted(spans)) if len(spans) > 1 else None
