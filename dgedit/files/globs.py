"""Translate globs to regular expressions that no path can stall.

A `*`, and a `**` between slashes, takes the shortest match that lets the part behind it match, and
is never retried: this leaves the most room for the rest, and nothing is matched twice. Each is an
atomic group, except a name's last, which ends where the name does. The time grows with the length
of the glob times that of the path. We have our own because the libraries for it (pathspec, Python's
`glob.translate`) make expressions that backtrack: thirty stars and a name of a hundred characters
never end there.

Knows texts; no files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

LONGEST = 4096
"""The most characters of a glob: no path is longer."""

_TOKEN = re.compile(
    r"(?P<stars>\*+)|(?P<one>\?)"
    r"|(?P<set>\[[!^]?+\]?+(?:\[:\w+:\]|\\.|[^\]\\])*+\])|(?P<open>\[|\\\Z)|\\?(?P<sign>.)",
    re.DOTALL,
)
_MEMBER = re.compile(r"\[:(\w+):\]|(?:\\?(.))(?:-(?:\\?([^\]])))?", re.DOTALL)
_KINDS = {
    **{"alpha": "a-zA-Z", "alnum": "a-zA-Z0-9", "digit": "0-9", "xdigit": "0-9a-fA-F"},
    **{"lower": "a-z", "upper": "A-Z", "space": r"\s", "blank": r" \t", "cntrl": r"\x00-\x1f\x7f"},
    **{"punct": r"!-/:-@\[-`{-~", "graph": "!-~", "print": " -~"},
}
_FOLDERS = "(?:[^/]*/)*?"


@lru_cache(maxsize=4096)
def compiled(glob: str) -> re.Pattern[str] | None:
    """Compile a glob to an expression for a whole path, with the meaning of `.gitignore`: `*` and
    `?` stay within a name, `**` spans folders. Returns None for an invalid glob.
    """
    if len(glob) > LONGEST:
        return None
    runs: list[list[str]] = [[]]
    for name in glob.split("/"):
        if len(name) > 1 and not name.strip("*"):
            runs.append([])
        elif (part := _name(name)) is None:
            return None
        else:
            runs[-1].append(part)
    return re.compile("".join(_joined(runs)), re.DOTALL)


def _joined(runs: list[list[str]]) -> Iterator[str]:
    """Join the runs of names between the `**`s: the first at the start, the last at the end."""
    last = len(runs) - 1
    for at, run in enumerate(runs):
        names = "/".join(run)
        if at == last:
            if at and not run:
                yield ".*"
            else:
                yield rf"(?>{_FOLDERS}{names}\Z)" if at else names
        elif run:
            yield f"(?>{_FOLDERS}{names}/)" if at else f"{names}/"


def _name(glob: str) -> str | None:
    """Return the expression for a name; None if a set or an escape is not closed."""
    chunks = [""]
    for token in _TOKEN.finditer(glob):
        if token["open"]:
            return None
        if token["stars"]:
            chunks.append("")
        elif token["one"]:
            chunks[-1] += "[^/]"
        elif token["set"]:
            if (members := _set(token["set"][1:-1])) is None:
                return None
            chunks[-1] += members
        else:
            chunks[-1] += re.escape(token["sign"])
    first, *others = chunks
    if not others:
        return first
    *inner, end = others
    found = "".join(f"(?>[^/]*?{chunk})" for chunk in inner if chunk)
    return f"{first}{found}[^/]*{end}"  # a slash or the path's end follows: only one match


def _set(inner: str) -> str | None:
    """Return the expression for one character of a set, never a slash; None if a class is
    unknown.
    """
    without = inner[0] in "!^"
    members = ""
    for member in _MEMBER.finditer(inner, without):
        kind, first, last = member.groups()
        if kind is not None and kind not in _KINDS:
            return None
        if kind is not None:
            members += _KINDS[kind]
        elif last is None:
            members += re.escape(first)
        elif first <= last:  # otherwise the range is empty
            members += f"{re.escape(first)}-{re.escape(last)}"
    if not members:
        return "[^/]" if without else "(?!)"
    return f"[^/{members}]" if without else f"(?!/)[{members}]"
