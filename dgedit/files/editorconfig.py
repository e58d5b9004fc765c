"""Read a file's indentation from the project's `.editorconfig` files.

They are untrusted input. One that is not a regular file, or is too large, is ignored; matching a
section takes time that grows with the length of its pattern times that of the file's name. Knows
paths and names; nothing of texts or screens.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dgedit.errors import InputError
from dgedit.files import disk

_NAME = ".editorconfig"
# Limits: bytes of a file, its patterns after braces are expanded, and characters of a pattern.
# Nobody writes that many by hand, and these take half a second.
_LARGEST, _MOST, _LONGEST = 64_000, 500, 100
_WIDEST = 16

_LINE = re.compile(r"\[(?P<glob>.+)\]|(?P<key>[\w-]+)\s*[=:]\s*(?P<value>[^\s#;]+).*")
_BRACES = re.compile(r"\{([^{}]*,[^{}]*)\}")
_TOKEN = re.compile(r"\*+|\[!?[^]/]+\]|\\?.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Indentation:
    """The indentation settings for a file."""

    tabs: bool | None = None
    """True for tabs, False for blanks; None if not set."""
    width: int | None = None
    """The cells of one indentation step; None if not set."""


def indentation_of(path: Path) -> Indentation:
    """Return the indentation of a file.

    Nearer `.editorconfig` files override those further up; the search ends at one with `root =
    true`.
    """
    found: dict[str, str] = {}
    for folder in path.parents:
        is_root, said = _said(_read(folder / _NAME), os.path.relpath(path, folder))
        found = said | found
        if is_root:
            break
    size = found.get("indent_size", found.get("tab_width", ""))
    width = found.get("tab_width", "") if size == "tab" else size
    fits = width.isascii() and width.isdecimal() and 1 <= int(width[:4]) <= _WIDEST
    style = found.get("indent_style")
    tabs = style == "tab" if style in ("tab", "space") else None
    return Indentation(tabs, int(width) if fits else None)


def _read(file: Path) -> str:
    try:
        with disk.opened(file) as fd:
            data = b"".join(disk.chunks(fd, 0, _LARGEST + 1))
    except (OSError, InputError):
        return ""
    return data.decode("utf-8-sig", "replace") if len(data) <= _LARGEST else ""


def _said(text: str, name: str) -> tuple[bool, dict[str, str]]:
    """Return whether the search ends here (`root = true`), and the settings for a file."""
    is_root, is_ours, found, left = False, None, dict[str, str](), _MOST
    for line in map(str.strip, text.splitlines()):
        match = _LINE.fullmatch(line) if line[:1] not in ("#", ";") else None
        if match is None:
            continue
        if match["glob"]:
            globs = list(islice(_spread(match["glob"]), left))
            left -= len(globs)
            is_ours = any(_is_for(glob, name) for glob in globs)
        elif is_ours is None:
            is_root |= (match["key"].lower(), match["value"].lower()) == ("root", "true")
        elif is_ours:
            found[match["key"].lower()] = match["value"].lower()
    return is_root, found


def _is_for(glob: str, name: str) -> bool:
    """Say whether a section is for a file; a pattern without a slash matches in any folder."""
    return _fits(glob.removeprefix("/"), name if "/" in glob else os.path.basename(name))


def _spread(glob: str) -> Iterator[str]:
    """Expand braces: yield the patterns that one stands for."""
    waiting = [glob] if len(glob) <= _LONGEST else []
    while waiting:
        glob = waiting.pop()
        if match := _BRACES.search(glob):
            before, after = glob[: match.start()], glob[match.end() :]
            waiting += [before + one + after for one in match[1].split(",")]
        else:
            yield glob


def _fits(glob: str, name: str) -> bool:
    tokens = _TOKEN.findall(glob)
    places = _with_none({0}, tokens)
    for char in name:
        after = {at + step for at in places for step in _steps(tokens[at : at + 1], char)}
        places = _with_none(after, tokens)
    return len(tokens) in places


def _with_none(places: set[int], tokens: list[str]) -> set[int]:
    """Add the positions in a pattern that are reached if stars match nothing."""
    found = set(places)
    for at, token in enumerate(tokens):
        if at in found and token[0] == "*":
            found.add(at + 1)
    return found


def _steps(token: list[str], char: str) -> Iterator[int]:
    """Yield how far a character advances in a pattern: not at all (no match), by 1, or by 0 (a star
    that matches more).
    """
    match token:
        case ["*"]:
            yield from () if char == "/" else (0,)
        case [stars] if stars[0] == "*":
            yield 0
        case ["?"]:
            yield from () if char == "/" else (1,)
        case [members] if len(members) > 2:
            inner = members[1:-1].removeprefix("!")
            ranges = re.findall(r"(.)-(.)|(.)", inner, re.DOTALL)
            held = any(one == char or (low and low <= char <= high) for low, high, one in ranges)
            yield from (1,) if held != (members[1] == "!") and char != "/" else ()
        case [sign]:
            yield from (1,) if sign[-1] == char else ()
