"""Write a unified diff that `git apply` accepts, whatever bytes the text holds.

Only a newline ends a line, as in git: a carriage return or a form feed belongs to its line. The
`diff --git` line is needed for empty files, and for paths relative to the top of the repository.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

_COLORS = {"@": "36", "-": "31", "+": "32"}  # cyan, red, green
_HEAD = "1"  # bold
_PLACE = re.compile(r"( [-+])(\d+)")
_ESCAPES = {"\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r"}


def unified_diff(before: str, after: str, path: str, *, above: int = 0) -> str:
    """Return the diff of one file; empty if nothing changed. `above` is the number of lines of the
    file that precede the two texts.
    """
    if before == after:
        return ""
    old, new = _quoted(f"a/{path}"), _quoted(f"b/{path}")
    head = f"diff --git {old} {new}\n--- {_ended(old)}\n+++ {_ended(new)}\n"
    return head + "".join(_hunks(_lines(before), _lines(after), above))


def painted(diff: str) -> str:
    """Colour a diff as git does, with ANSI escapes."""
    lines, in_hunk = [], False
    for line in diff.split("\n"):
        if line.startswith(("diff --git ", "@@ ")):
            in_hunk = line.startswith("@@ ")
        color = _COLORS.get(line[:1], "") if in_hunk else _HEAD
        lines.append(f"\x1b[{color}m{line}\x1b[m" if color and line else line)
    return "\n".join(lines)


def _hunks(before: list[str], after: list[str], above: int) -> Iterator[str]:
    lines = difflib.unified_diff(before, after)
    next(lines), next(lines)  # its own header
    for line in lines:
        if above and line.startswith("@@"):
            line = _PLACE.sub(lambda found: f"{found[1]}{int(found[2]) + above}", line)
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(text: str) -> list[str]:
    lines = [f"{line}\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _quoted(name: str) -> str:
    """Return a name as git writes it: quoted and escaped if it holds special characters."""
    if not any(char in '"\\\x7f' or char < " " for char in name):
        return name
    return '"' + "".join(_escaped(char) for char in name) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char in _ESCAPES:
        return f"\\{_ESCAPES[char]}"
    return f"\\{ord(char):03o}" if char < " " or char == "\x7f" else char


def _ended(name: str) -> str:
    """Add a tab to a name with spaces, so that a reader of the diff sees where it ends."""
    return f"{name}\t" if " " in name and not name.startswith('"') else name
