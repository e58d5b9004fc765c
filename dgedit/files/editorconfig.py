"""What a project's `.editorconfig` files say of a file: how it is indented and how it is stored.

Somebody else wrote them. One that is no regular file, or a large one, says nothing but that it does
so; whether a section is for a file is found out in a time that grows with its pattern's length
times the name's. Our own, since the library for it (editorconfig 0.17.1) makes expressions of its
patterns that go back: six stars and a name of sixty letters take it 1 s, eight more than 30.

Knows paths and names; nothing of texts or screens.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from dgedit.errors import InputError
from dgedit.files import disk

_NAME = ".editorconfig"
# Limits: bytes of a file, its patterns after braces are expanded, and characters of a pattern.
# Nobody writes that many by hand, and these take half a second.
_LARGEST, _MOST, _LONGEST = 64_000, 500, 100
_WIDEST, _FURTHEST = 16, 1000

_LINE = re.compile(r"\[(?P<glob>.+)\]|(?P<key>[\w-]+)\s*[=:]\s*(?P<value>[^\s#;]*).*")
_BRACES = re.compile(r"\{(?:([^{}]*,[^{}]*)|([+-]?\d{1,9})\.\.([+-]?\d{1,9}))\}", re.ASCII)
_TOKEN = re.compile(r"\*+|\[!?[^]/]+\]|\\?.", re.DOTALL)

_FLAGS = {"true": True, "false": False}
_STYLES = {"tab": True, "space": False}
_ENDS = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}
_CHARSETS = ("utf-8", "utf-8-bom", "utf-16le", "utf-16be", "latin1")


@dataclass(frozen=True, slots=True)
class EditorConfig:
    """What is said. None stands for what nothing is said of, or nothing that can be."""

    tabs: bool | None = None
    """Whether lines are indented with tabs."""
    size: int | None = None
    """How many cells a step of indentation has."""
    tab_width: int | None = None
    """How many cells there are from one tab stop to the next."""
    newline: str | None = None
    """What ends a line."""
    charset: str | None = None
    """How the text is stored, in the standard's words."""
    trim: bool | None = None
    """Whether blanks at a line's end are taken out."""
    final_newline: bool | None = None
    """Whether the last line is ended."""
    line_length: int | None = None
    """How many characters a line is to have at most."""
    broken: str = ""
    """The first thing that could not be understood, in words, and where it is."""


def said_of(path: Path) -> EditorConfig:
    """Return what is said of a file; nearer files go before those further up, of which one may be
    the last that is asked.
    """
    found: dict[str, str] = {}
    broken = ""
    for folder in path.parents:
        file = folder / _NAME
        text, wrong = _read(file)
        is_root, said, line = _said(text, os.path.relpath(path, folder))
        wrong = wrong or (f"{file}:{line} is not understood" if line else "")
        wrong = wrong or next((f"{file}: {one}" for one in _mistakes(said)), "")
        found = said | found
        broken = broken or wrong
        if is_root:
            break
    return replace(_understood(found), broken=broken)


def _understood(found: Mapping[str, str]) -> EditorConfig:
    size, width = found.get("indent_size", ""), _number(found.get("tab_width", ""))
    step = width if size == "tab" else _number(size)
    charset = found.get("charset", "")
    return EditorConfig(
        tabs=_STYLES.get(found.get("indent_style", "")),
        size=step or width,
        tab_width=width or step,
        newline=_ENDS.get(found.get("end_of_line", "")),
        charset=charset if charset in _CHARSETS else None,
        trim=_FLAGS.get(found.get("trim_trailing_whitespace", "")),
        final_newline=_FLAGS.get(found.get("insert_final_newline", "")),
        line_length=_number(found.get("max_line_length", ""), _FURTHEST),
    )


def _mistakes(said: Mapping[str, str]) -> Iterator[str]:
    """Return what is said of a file that cannot be, in words."""
    known: dict[str, Collection[str]] = {
        "indent_style": _STYLES,
        "end_of_line": _ENDS,
        "charset": _CHARSETS,
        "trim_trailing_whitespace": _FLAGS,
        "insert_final_newline": _FLAGS,
    }
    for key, value in said.items():
        fits = value == "unset" or value in known.get(key, (value,))
        if key in ("indent_size", "tab_width"):
            fits = value in ("unset", "tab") or _number(value) is not None
        if key == "max_line_length":
            fits = value in ("unset", "off") or (value.isascii() and value.isdecimal())
        if not fits:
            yield f"{key} cannot be {value[:20]!r}"


def _number(value: str, most: int = _WIDEST) -> int | None:
    fits = value.isascii() and value.isdecimal() and 1 <= int(value[:5]) <= most
    return int(value) if fits else None


def _read(file: Path) -> tuple[str, str]:
    """Return a file's text; why it has none, where it is there."""
    try:
        with disk.opened(file) as fd:
            data = b"".join(disk.chunks(fd, 0, _LARGEST + 1))
        if len(data) > _LARGEST:
            return "", f"{file} is too large"
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return data.decode("utf-8-sig", "replace"), f"{file} is not UTF-8"
    except OSError as error:
        there = os.path.lexists(file)  # or nobody may know
        return "", f"{file} cannot be read: {disk.reason(error)}" if there else ""
    except InputError as error:
        return "", str(error)


def _said(text: str, name: str) -> tuple[bool, dict[str, str], int]:
    """Return whether no file further up is to be asked, what is said of a file of this name, and
    the first line that is none, from 1.
    """
    is_root, is_ours, found, left = False, None, dict[str, str](), _MOST
    broken = 0
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line[0] in "#;":
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            broken = broken or number
        elif match["glob"]:
            globs = list(islice(_spread(match["glob"]), left))
            left -= len(globs)
            is_ours = any(_is_for(glob, name) for glob in globs)
        elif is_ours is None:
            is_root |= (match["key"].lower(), match["value"].lower()) == ("root", "true")
        elif is_ours:
            found[match["key"].lower()] = match["value"].lower()
    return is_root, found, broken


def _is_for(glob: str, name: str) -> bool:
    """Say whether a section is for a file; a pattern without a slash matches in any folder."""
    return _fits(glob.removeprefix("/"), name if "/" in glob else os.path.basename(name))


def _spread(glob: str) -> Iterator[str]:
    """Return the patterns that one with braces stands for, or with folders that may be none."""
    waiting = [glob] if len(glob) <= _LONGEST else []
    while waiting:
        glob = waiting.pop()
        if match := _BRACES.search(glob):
            before, after = glob[: match.start()], glob[match.end() :]
            waiting += [before + one + after for one in _alternatives(match)]
        else:
            yield glob
            if "/**/" in glob:
                yield glob.replace("/**/", "/")


def _alternatives(braces: re.Match[str]) -> list[str]:
    if braces[1] is not None:
        return braces[1].split(",")
    first, last = sorted((int(braces[2]), int(braces[3])))
    return [str(one) for one in range(first, min(last + 1, first + _MOST))]


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
