"""Turn what a user names (`FILE:RANGE`, `FILE::NAME`, markers) into spans of a text.

    FILE:10   FILE:10-20   FILE:L10-L20     lines, counted from 1, the last one included
    FILE:10-   FILE:10+5                    to the end; line 10 and the 5 after it, as in sed
    FILE:10:5-12:3                          lines and columns (code points) from 1, the end excluded
    FILE::Class.method   FILE::function     a body, without its docstring, by the syntax tree
    FILE                                    every marker in the file

The editor accepts the same when it opens a file, and also `FILE:10:5`, a line and a column.

A range of lines leaves out its last line ending. Lines end at \\n, \\r\\n and \\r and nowhere else.
A grammar is loaded only for a name. A body begins behind its indentation and ends with its last
character, so that the white space around it stays.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from dgedit.errors import InputError, UsageError
from dgedit.files.document import LINE_END, Document, Span
from dgedit.files.paths import WorkingFolder
from dgedit.request.markers import MARKER, marked, position

_RANGE = re.compile(
    r"L?(?P<line>\d+)(?:(?P<open>-)|-L?(?P<last>\d+)|\+(?P<more>\d+))?"
    r"|L?(?P<from>\d+):(?P<from_column>\d+)-L?(?P<to>\d+):(?P<to_column>\d+)",
    re.ASCII,
)
_AFTER_PATH = re.compile(r"(?P<path>.+?)(?::L?\d[L\d:+-]*|::[^/]+)", re.ASCII | re.DOTALL)
_PLACE = re.compile(r"L?(?P<line>\d{1,9})(?::(?P<column>\d{1,9}))?:?", re.ASCII)
_NEW = re.compile(rf"(?P<path>.+?):{_PLACE.pattern}", re.ASCII | re.DOTALL)
_PLUS = re.compile(r"\+\d+", re.ASCII)
_LONGEST = 4096  # no path is longer
_DIGITS = 9  # no text that fits into memory has a line with a longer number


class LineSpans(Protocol):
    """The spans of a text's lines, each without its ending."""

    def __len__(self) -> int: ...
    def __getitem__(self, line: int, /) -> Span: ...


def parse_target(target: str) -> tuple[Path, str | None]:
    """Split `FILE:RANGE` into the file and the range; None for a file without a range.

    The range of a `FILE::NAME` begins with the second colon. Whatever exists is a file, even with
    colons in its name.
    """
    at = len(target) if len(target) <= _LONGEST else target.rfind(":", 0, _LONGEST)
    while at > 0:
        path = Path(target[:at])
        if os.path.exists(path):  # unlike Path.exists, False also for a path that is too long
            return path, target[at + 1 :] if at < len(target) else None
        at = target.rfind(":", 0, at)
    if target == "-":
        raise UsageError("no such file: - (dgedit pipe fills standard input)")
    WorkingFolder.now().absolute(Path(target))  # raises if the current folder was removed
    match = _AFTER_PATH.fullmatch(target[:_LONGEST])
    name = match["path"] if match else target
    _refuse_circle(name)
    raise InputError(f"no such file: {name or repr(target)}")


def to_open(given: Sequence[str]) -> Iterator[tuple[Path, str | None]]:
    """Yield the files to open in the editor, each with its place or None: see `place_in`.

    As in vi, `+10` is a line of the file that follows it. Whatever exists is a file, even when
    named like that.
    """
    line = None
    for at, one in enumerate(given, 1):
        if at < len(given) and _PLUS.fullmatch(one) and not os.path.lexists(one):
            line = one[1:]
            continue
        path, place = _opened(one)
        yield path, place or line
        line = None


def place_in(document: Document, given: str) -> Span:
    """Return what the editor selects for a place. Raises as `spans_of` does.

    For a line, or a line and a column, that is an empty span: the nearest position that exists, as
    lists of places are often older than the file.
    """
    match = _PLACE.fullmatch(given)
    if not match:
        return spans_of(document, [given])[0]
    lines = _lines(document.text) or [Span(0, 0)]
    line = lines[min(max(int(match["line"]), 1), len(lines)) - 1]
    at = min(line.start + max(int(match["column"] or 1), 1) - 1, line.end)
    return Span(at, at)


def spans_of(
    document: Document, ranges: Iterable[str | None], *, marker: str = MARKER
) -> list[Span]:
    """Return the spans that the ranges name, in order; None stands for every marker.

    Raises UsageError for a malformed range, an ambiguous name and overlaps; InputError for a range
    outside the text, an unknown name and a text without a marker.
    """
    name = str(document.path or "the text")
    lines = _lines(document.text)
    spans: list[Span] = []
    for one in ranges:
        if one is None:
            spans.extend(_marker_spans(document.text, marker, name))
        elif one.startswith(":"):
            spans.append(_body_span(one.lstrip(":"), document, name, marker))
        else:
            spans.append(range_span(one, lines, name))
    spans.sort()
    refuse_overlaps(spans, document)
    return spans


def range_span(given: str, lines: LineSpans, name: str) -> Span:
    """Return the span of a range of lines, or of lines and columns."""
    match = _RANGE.fullmatch(given)
    if not match:
        raise UsageError(f"not a range: {given!r} (try 10, 10-20, 10-, 10+5 or 10:5-12:3)")
    if max(map(len, re.findall(r"\d+", given))) > _DIGITS:
        raise UsageError(f"not a range: {given[:40]!r} (no text has so many lines)")
    if match["line"]:
        first = int(match["line"])
        last = first + int(match["more"] or 0)
        last = max(first, len(lines)) if match["open"] else int(match["last"] or last)
        ordered = 1 <= first <= last
    else:
        first, last = int(match["from"]), int(match["to"])
        columns = int(match["from_column"]), int(match["to_column"])
        ordered = (1, 1) <= (first, columns[0]) <= (last, columns[1]) and min(columns) >= 1
    if not ordered:
        raise UsageError(f"not a range: {given!r} (it counts from 1, and the start comes first)")
    if last > len(lines):
        has = f"{len(lines)} line{'' if len(lines) == 1 else 's'}"
        raise InputError(f"range {given} is outside {name}, which has {has}")
    if match["line"]:
        return Span(lines[first - 1].start, lines[last - 1].end)
    ends = []
    for line, column in zip((lines[first - 1], lines[last - 1]), columns, strict=True):
        if line.start + column - 1 > line.end:
            raise InputError(f"range {given} is outside {name}: column {column} is past the line")
        ends.append(line.start + column - 1)
    return Span(*ends)


def bodies_in(document: Document, *, marker: str = MARKER) -> list[tuple[str, int, Span]]:
    """Return each definition that has a body: its name, the offset of the name, and the body.

    Raises InputError if the text's language is not known, or its grammar is not installed.
    """
    from dgedit.text.languages import grammar_of, language_of

    name = str(document.path or "the text")
    language = language_of(document.path or Path())
    if language is None:
        raise InputError(f"no names are known in {name}: its language is not (give a range)")
    grammar = grammar_of(language)
    if grammar is None:
        raise InputError(f"no names are known in {name}: tree-sitter-{language} is not installed")
    from tree_sitter import Parser

    from dgedit.text.symbols import bodies

    # Replace markers by names of the same length, as no grammar knows markers.
    text = document.text
    for one in marked(text, marker) if marker else ():
        start, end = one.span.start, one.span.end
        text = f"{text[:start]}{'_' * (end - start)}{text[end:]}"
    source = text.encode("utf-8", "replace")
    lines = source.decode().split("\n")
    tree = Parser(grammar).parse(source)

    def place(byte: int) -> int:
        return byte if len(source) == len(text) else len(source[:byte].decode("utf-8", "ignore"))

    result = []
    for body in bodies(tree, lines, language):
        start = place(body.start)
        # Some grammars include the last line's ending.
        end = start + len(text[start : place(body.end)].rstrip())
        result.append((body.name, place(body.at), Span(start, end)))
    return result


def refuse_overlaps(spans: Sequence[Span], document: Document) -> None:
    """Raise UsageError if two of the spans, which are in order, overlap or are the same."""
    for left, right in pairwise(spans):
        if right.start < left.end or left == right:
            line = position(document.text, right.start)[0] + document.outside.lines
            raise UsageError(f"the ranges overlap at line {line} of {document.path or 'the text'}")


def no_marker(marker: str, name: str, text: str = "") -> InputError:
    """Make the error for a text without a marker; it says where one begins but is not closed."""
    begin = f"{marker[:-1]}:"  # the start of a marker with an instruction
    at = text.find(begin) if len(marker) > 1 and marker.endswith(">") else -1
    if at < 0:
        return InputError(f"{name} has no {marker}, and no range was given")
    return InputError(f"{begin} at line {position(text, at)[0]} of {name} is not closed by a >")


def all_of(text: str) -> Span:
    """Return the span of a text without the white space around it: indentation and a last line
    ending stay.
    """
    start = len(text) - len(text.lstrip())
    if start == len(text):  # nothing but white space: behind the first line's indentation
        start = len(text) - len(text.lstrip(" \t"))
    return Span(start, max(start, len(text.rstrip())))


def _refuse_circle(name: str) -> None:
    """Raise InputError for links that lead to each other."""
    try:
        os.stat(name)
    except ValueError:  # the name holds a NUL
        pass
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(f"cannot read {name}: {error.strerror}") from None


def _opened(given: str) -> tuple[Path, str | None]:
    """Return a file to open and the place in it. For a new file, the place is dropped."""
    with contextlib.suppress(InputError, UsageError):
        path, place = parse_target(given)
        if place is None or (path.is_file() and _AFTER_PATH.fullmatch(f"_:{place}")):
            return path, place
    match = _NEW.fullmatch(given[:_LONGEST])
    return Path(match["path"] if match else given), None


def _lines(text: str) -> list[Span]:
    """Return every line without its ending; the empty rest after a final line ending is no line."""
    spans, start = [], 0
    for end in LINE_END.finditer(text):
        spans.append(Span(start, end.start()))
        start = end.end()
    return [*spans, Span(start, len(text))] if start < len(text) else spans


def _marker_spans(text: str, marker: str, name: str) -> list[Span]:
    if not marker:
        raise UsageError("the marker must not be empty")
    found = [one.span for one in marked(text, marker)]
    if not found:
        raise no_marker(marker, name, text)
    return found


def _body_span(wanted: str, document: Document, name: str, marker: str) -> Span:
    """Return the body of the one definition of this name; a method's class may be left out."""
    found = bodies_in(document, marker=marker)
    met = [one for one in found if one[0] == wanted]
    met = met or [one for one in found if one[0].endswith(f".{wanted}")]
    if len(met) == 1:
        return met[0][2]
    if met:
        places = [f"{whole} at line {position(document.text, at)[0]}" for whole, at, _ in met]
        several = f"{', '.join(places[:-1])} and {places[-1]}"
        raise UsageError(f"{wanted!r} may be {several} of {name}: name one, or give its lines")
    if not wanted:
        raise UsageError(f"{name}:: names nothing (try {name}::Class.method)")
    known = {part: whole for whole, _, _ in found for part in (whole.rpartition(".")[2], whole)}
    near = difflib.get_close_matches(wanted, list(known), n=1, cutoff=0.5)
    advice = f"; did you mean {known[near[0]]!r}?" if near else ""
    raise InputError(f"{name} defines no {wanted!r} with a body{advice}")
