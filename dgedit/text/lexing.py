"""Name the parts of a text for highlighting where no grammar is known, as Pygments finds them.

Some of its expressions go back so much that a text takes them minutes, and nothing can interrupt
one. So this runs as a program of its own, `python -m dgedit.text.lexing`, which ends itself when a
text takes too long; the editor runs it. Knows names of files and texts.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import accumulate
from typing import IO, Any

Row = list[tuple[int, int, str]]
"""What is named in a row: first column, column after the last, name."""

SECONDS = 5.0
"""Seconds of work after which a text is given up, and with it the process."""
# Rows of more characters are not coloured: a paint of one would take too long.
_LONG = 2000
_SIZE = struct.Struct(">I")
_NICE = 5  # keys come first
_MAGIC = frozenset("*?[")

# The names that the colours go by, for the kinds of Pygments; a kind without has its parent's.
_NAMES = {
    "Comment": "comment",
    "Comment.Preproc": "preproc",
    "Comment.PreprocFile": "string",
    "Generic.Deleted": "tag",
    "Generic.Emph": "italic",
    "Generic.Heading": "heading",
    "Generic.Inserted": "string",
    "Generic.Strong": "bold",
    "Generic.Subheading": "function",
    "Keyword": "keyword",
    "Keyword.Constant": "constant",
    "Keyword.Type": "type",
    "Literal": "number",
    "Literal.String": "string",
    "Literal.String.Escape": "escape",
    "Literal.String.Symbol": "constant",
    "Name.Attribute": "property",
    "Name.Builtin": "function",
    "Name.Builtin.Pseudo": "variable.builtin",
    "Name.Class": "type",
    "Name.Constant": "constant",
    "Name.Decorator": "attribute",
    "Name.Entity": "escape",
    "Name.Exception": "type",
    "Name.Function": "function",
    "Name.Label": "label",
    "Name.Namespace": "namespace",
    "Name.Property": "property",
    "Name.Tag": "tag",
    "Operator": "operator",
    "Operator.Word": "keyword",
    "Punctuation": "punctuation",
}


def is_known(file_name: str) -> bool:
    """Say whether there is a lexer for a file of this name."""
    whole, ends, starts = _patterns()
    tails = (file_name[at:] for at, sign in enumerate(file_name) if sign == ".")
    return file_name in whole or any(tail in ends for tail in tails) or file_name.startswith(starts)


def languages() -> dict[str, str]:
    """Return the languages that have a lexer, each with the name of a file in it."""
    found = {}
    for name, patterns in _lexers():
        plain = (f"x{one[1:]}" if one[:2] == "*." else one for one in patterns)
        file_name = next((one for one in plain if not _MAGIC & set(one)), None)
        if file_name is not None:
            found[name] = file_name
    return dict(sorted(found.items(), key=lambda one: one[0].lower()))


def rows_of(file_name: str, text: str, top: int) -> list[Row]:
    """Return what is named in the rows of a text, from row `top` on."""
    from pygments.lexers import get_lexer_for_filename
    from pygments.util import ClassNotFound

    lines = text.split("\n")
    rows: list[Row] = [[] for _ in lines[top:]]
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    try:
        lexer = get_lexer_for_filename(file_name, text)
    except ClassNotFound:
        return rows
    for at, kind, value in lexer.get_tokens_unprocessed(text + "\n"):
        if (name := _name_of(kind)) and value.strip():
            row = bisect_right(starts, at) - 1
            column = at - starts[row]
            for part in value.split("\n"):
                if top <= row < len(lines) and part and len(lines[row]) <= _LONG:
                    rows[row - top].append((column, column + len(part), name))
                row, column = row + 1, 0
    return rows


def send(stream: IO[bytes], what: Any) -> None:
    """Write a message."""
    data = json.dumps(what).encode()
    stream.write(_SIZE.pack(len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read a message; None at the end."""
    head = stream.read(_SIZE.size)
    if len(head) < _SIZE.size:
        return None
    (size,) = _SIZE.unpack(head)
    data = stream.read(size)
    return json.loads(data) if len(data) == size else None


def serve(asked: IO[bytes], told: IO[bytes]) -> None:
    """Answer until nothing more is asked; end at once when an answer takes too long."""
    os.nice(_NICE)
    while (given := receive(asked)) is not None:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # the signal ends the process
        try:
            rows = rows_of(*given)
        except Exception:  # a lexer's own fault
            rows = []
        signal.setitimer(signal.ITIMER_PROF, 0)
        send(told, rows)


@cache
def _name_of(kind: Any) -> str | None:
    parts = tuple(kind)
    joined = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((_NAMES[one] for one in joined if one in _NAMES), None)


def _lexers() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the names of all lexers but the one for plain text, and their patterns."""
    from pygments.lexers import get_all_lexers

    for name, aliases, patterns, _ in get_all_lexers(plugins=False):
        if "text" not in aliases:
            yield name, tuple(patterns)


@cache
def _patterns() -> tuple[frozenset[str], frozenset[str], tuple[str, ...]]:
    """Return whole names, endings, and beginnings; of the few other patterns none is known."""
    every = [one for _, patterns in _lexers() for one in patterns]
    whole = frozenset(one for one in every if not _MAGIC & set(one))
    ends = frozenset(one[1:] for one in every if one[:2] == "*." and not _MAGIC & set(one[1:]))
    starts = (one[:-1] for one in every if one[-1] == "*" and not _MAGIC & set(one[:-1]))
    return whole, ends, tuple(starts)


if __name__ == "__main__":
    with suppress(BrokenPipeError, KeyboardInterrupt):
        serve(sys.stdin.buffer, sys.stdout.buffer)
