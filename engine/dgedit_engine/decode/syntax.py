"""Find where a text breaks its language's grammar: by tree-sitter, for Python by its parser too.

A grammar is a package (`tree_sitter_python`, …) that is imported when a file of its language comes;
where it is missing, nothing is known. Knows neither tokens nor models.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import import_module
from pathlib import PurePath
from typing import Any

from dgedit_engine.types import MOST_JUDGED

_GRAMMARS = {
    **dict.fromkeys((".py", ".pyi"), "python"),
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx"), "javascript"),
    **dict.fromkeys((".sh", ".bash"), "bash"),
    **dict.fromkeys((".yaml", ".yml"), "yaml"),
    ".css": "css",
    ".go": "go",
    ".html": "html",
    ".java": "java",
    ".json": "json",
    ".rs": "rust",
    ".toml": "toml",
}

Place = tuple[int, int]
"""A half-open range of code points."""

_WITHOUT = 20_000  # characters that are parsed anew for each text
_AT_ONCE = 300_000  # characters of Python that are compiled as one; of more, the time grows faster


def faults(
    path: str, text: str, *, whole: bool = False, shared: tuple[int, int] = (0, 0)
) -> tuple[Place, ...] | None:
    """Return the places of syntax errors in a text of the language that `path` names, in order;
    None for a language without a grammar here, and for a text that is too long.

    Python that its own parser takes has none; `whole` Python is no excerpt from inside of blocks,
    even where it is indented. A place may be empty: something is missing there. `shared` are the
    characters at the start and at the end that the next texts have too: these are parsed once.
    """
    if len(text) > MOST_JUDGED:
        return None
    grammar = _GRAMMARS.get(PurePath(path).suffix.lower())
    found: list[Place] = []
    if grammar == "python":
        if (place := refused(text, whole=whole)) is None:
            return ()
        found.append(place)
    parser = grammar and _parser(grammar)
    if not parser:
        return tuple(found) or None
    errors = _errors(str(grammar), text, shared)
    other = [one for one in found if not any(start <= one[0] <= end for start, end in errors)]
    return tuple(sorted([*errors, *other]))


def is_python(path: str) -> bool:
    """Say whether a file is Python by its name."""
    return _GRAMMARS.get(PurePath(path).suffix.lower()) == "python"


def parses(text: str) -> bool:
    """Say whether the text is Python."""
    return refused(text) is None


def refused(text: str, *, whole: bool = False) -> Place | None:
    """Return the place where Python's own compiler stops, if it does: at an error of its grammar,
    or at what it refuses all the same, as a `return` outside functions. An excerpt that begins
    inside blocks is read as such, and by its grammar alone, unless it is said to be `whole`.
    """
    head = "" if whole else _blocks_around(text)
    found = _refused(head + text, whole=not head)
    if found is None:
        return None
    start, end = (max(0, place - len(head)) for place in found)
    return start, end


def _blocks_around(text: str) -> str:
    """Return the heads of the blocks inside which an excerpt begins: one for each smaller
    indentation. Comments stand anywhere.
    """
    lines = ((line, line.lstrip(" ")) for line in text.split("\n") if line.strip())
    depths = [len(line) - len(rest) for line, rest in lines if rest[0] != "#"]
    if not depths or not depths[0]:
        return ""
    outer = [depth for place, depth in enumerate(depths) if depth < min(depths[: place or 1])]
    return "".join(" " * depth + "if 1:\n" for depth in sorted({0, *outer}))


def _refused(text: str, *, whole: bool) -> Place | None:
    """Return the place where Python's own parser stops, if it does, or of a whole file its
    compiler.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if not whole or len(text) > _AT_ONCE:
                tree = ast.parse(text)
                for statement in tree.body if whole else ():
                    compile(ast.Module([statement], []), "", "exec", dont_inherit=True)
            else:
                compile(text, "", "exec", dont_inherit=True)
        except SyntaxError as error:
            lines = text.split("\n")
            row = min(max((error.lineno or 1) - 1, 0), len(lines) - 1)
            start = sum(len(line) + 1 for line in lines[:row])
            column = min(max((error.offset or 1) - 1, 0), len(lines[row]))
            return start + column, start + column
        except (ValueError, RecursionError, MemoryError):
            return 0, len(text)
    return None


@cache
def _parser(grammar: str) -> Any:
    """The grammar's parser, or None where its package is missing."""
    try:
        from tree_sitter import Language, Parser

        return Parser(Language(import_module(f"tree_sitter_{grammar}").language()))
    except (ImportError, AttributeError, ValueError):  # no such package, or not for this library
        return None


def _errors(grammar: str, text: str, shared: tuple[int, int]) -> list[Place]:
    """Find ERROR and MISSING nodes, an error within an error left out."""
    data = text.encode("utf-8", "replace")
    start, end = shared
    if start + end < max(_WITHOUT, len(text) // 2):
        root = _parser(grammar).parse(data).root_node
    else:
        root = _parsed_again(
            grammar, text[:start], text[start : len(text) - end], text[len(text) - end :]
        )
    found: list[Place] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            found.append((node.start_byte, node.end_byte))
        elif node.has_error:
            waiting.extend(node.children)
    return _places(data, found) if found else []


def _parsed_again(grammar: str, before: str, middle: str, behind: str) -> Any:
    """Parse the three as one, from the tree of the first and the last: 1 MB of JavaScript takes 5
    ms for 120. What is broken may have an error elsewhere then, in one of 2,700 texts.
    """
    head, own, tail = (one.encode("utf-8", "replace") for one in (before, middle, behind))
    tree = _tree(grammar, before, behind).copy()
    place, end = _point(head), _point(head + own)
    start, stop = len(head), len(head) + len(own)
    tree.edit(start, start, stop, place, place, end)
    return _parser(grammar).parse(head + own + tail, tree).root_node


@lru_cache(maxsize=2)
def _tree(grammar: str, before: str, behind: str) -> Any:
    return _parser(grammar).parse((before + behind).encode("utf-8", "replace"))


def _point(data: bytes) -> Place:
    """The row and the column, in bytes, of the end of these."""
    return data.count(b"\n"), len(data) - data.rfind(b"\n") - 1


def _places(data: bytes, spans: Sequence[Place]) -> list[Place]:
    """Convert byte ranges to code points."""
    if data.isascii():
        return list(spans)
    return [(len(data[:start].decode()), len(data[:end].decode())) for start, end in spans]
