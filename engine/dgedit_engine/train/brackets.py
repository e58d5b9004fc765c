"""Find the spans of a text's names, expressions, arguments and blocks, by its brackets alone.

For programming languages other than Python: strings and comments are passed over, and the text
between two brackets that match is a node. It needs no grammar and takes texts that do not parse;
now and then it takes a quote for a string's start, and finds less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

Span = tuple[int, int]

_CLOSES = {")": "(", "]": "[", "}": "{"}
_PASSED = re.compile(
    r"""//[^\n]*|/\*.*?\*/|(?:(?<=\s)|^)\#[^\n]*"""
    r"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`"""
    r"""|[()\[\]{}]""",
    re.DOTALL | re.MULTILINE,
)
_NAME = re.compile(r"[^\W\d][\w$]*")
_CALLED = re.compile(r"[\w$.:]+!?$")
_VALUE = re.compile(
    r"(?:(?<![=!<>:+\-*/|&%^])(?::=|=)(?!=|>)|\breturn\b)[ \t]+([^\n]*?)[;,]?[ \t]*$", re.M
)
_KEYWORDS = frozenset(
    [
        *("if", "else", "for", "while", "do", "switch", "case", "break", "continue", "return"),
        *("func", "fn", "function", "let", "const", "var", "mut", "pub", "use", "import", "from"),
        *("export", "default", "class", "struct", "enum", "impl", "trait", "interface", "type"),
        *("package", "range", "go", "defer", "match", "async", "await", "new", "in", "of", "self"),
        *("static", "void", "int", "char", "true", "false", "null", "nil", "None", "this", "then"),
        *("fi", "done", "esac", "extends", "implements", "where", "as", "typeof", "try", "catch"),
    ]
)


@dataclass(frozen=True, slots=True)
class Nodes:
    """The spans of a text's syntax nodes, each list in order of start."""

    names: list[Span]
    """Variables, attributes and arguments."""
    expressions: list[Span]
    """Calls, operations, literals, comprehensions and the like."""
    arguments: list[Span]
    """What stands between a call's parentheses."""
    blocks: list[Span]
    """The bodies of functions, loops, conditions and the like."""


def nodes(text: str) -> Nodes:
    """Return the nodes of a text in a language with brackets."""
    found = Nodes([], [], [], [])
    hidden: list[Span] = []  # strings and comments
    opened: list[tuple[str, int]] = []
    for match in _PASSED.finditer(text):
        mark, place = match[0], match.start()
        if len(mark) > 1:
            hidden.append(match.span())
            if mark[0] in "\"'`":
                found.expressions.append(match.span())
        elif mark not in _CLOSES:
            opened.append((mark, place))
        elif opened and opened[-1][0] == _CLOSES[mark]:
            _collect(text, opened.pop()[1], match.end(), found)
        else:
            opened.clear()
    visible = list(_visible(hidden, len(text)))
    for start, end in visible:
        for match in _NAME.finditer(text, start, end):
            if match[0] not in _KEYWORDS:
                found.names.append(match.span())
    found.expressions.extend(
        match.span(1) for match in _VALUE.finditer(text) if len(match[1].strip()) > 1
    )
    for spans in (found.names, found.expressions, found.arguments, found.blocks):
        spans.sort()
    return found


def _collect(text: str, start: int, end: int, found: Nodes) -> None:
    """Add the text between two brackets, and the call they are of."""
    inner = _stripped(text, start + 1, end - 1)
    if inner is None:
        return
    if text[start] == "(":
        found.arguments.append(inner)
        called = _CALLED.search(text, max(0, start - 80), start)
        if called and called[0] not in _KEYWORDS:
            found.expressions.append((called.start(), end))
    elif text[start] == "[" or "\n" not in text[slice(*inner)]:
        found.expressions.append((start, end))
    if text[start] == "{" and "\n" in text[start : inner[0]]:
        found.blocks.append(inner)


def _stripped(text: str, start: int, end: int) -> Span | None:
    """Return the span without blanks at its ends; None for blanks alone."""
    inner = text[start:end]
    if not inner.strip():
        return None
    return start + len(inner) - len(inner.lstrip()), start + len(inner.rstrip())


def _visible(hidden: list[Span], length: int) -> Iterator[Span]:
    """Yield the spans between the hidden ones."""
    last = 0
    for start, end in hidden:
        if start > last:
            yield last, start
        last = end
    if last < length:
        yield last, length
