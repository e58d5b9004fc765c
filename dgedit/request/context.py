"""Choose parts of the other open files that help a model to fill the holes.

First come the definitions of names used near the holes, the nearest name first; then, if there is
room, whole files of the same type. They are added to the request as passages without holes, after
those with holes: an engine that has to shorten starts at the end, and the first passage stays the
one whose name says what is being written.

Knows texts and names; nothing of tokens, which each engine counts in its own way. Fast: one search
for names near the holes and one for definitions in each file, 0.1 s for a megabyte.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from dgedit.files.document import Document, readable
from dgedit.text.visible import visible
from dgedit_engine.types import Hole, InfillRequest, Passage

# The most characters of other files. Nano reads 1,024 tokens in all, some 3,000 characters; a large
# model 8,192 tokens.
_ROOM = 6_000
# The distance from a hole, in characters, within which a name counts as near.
_NEAR = 2_000
# The most lines shown of one definition.
_LINES = 40

_NAME = re.compile(r"[^\W\d]\w+")
_DEFINITION = re.compile(
    r"^(?P<indent>[ \t]*)"
    r"(?:(?:pub(?:\([a-z]+\))?|export|default|public|private|protected|static|final|abstract|async"
    r"|unsafe|inline|const|extern)[ \t]+)*"
    r"(?:(?:def|class|fn|func|function|struct|enum|trait|interface|type|impl|mod|module|macro|object"
    r"|var|let|const|val|record)[ \t]+(?:\([^)\n]*\)[ \t]*)?(?P<name>[^\W\d]\w+)"
    r"|(?P<constant>[^\W\d]\w+)[ \t]*(?::[^=\n]+)?=(?!=))",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Given:
    """One part of the text that a model reads."""

    title: str
    """A title that says which file it is from, and why it is included."""
    text: str
    """The text; for a hole, what it holds at present."""
    hole: bool
    """True for a hole."""
    tokens: int
    """The number of its tokens, exact or estimated."""


def beside(near: Sequence[Passage], others: Sequence[Document]) -> tuple[Passage, ...]:
    """Return passages from other files, as many as there is room for, for passages with holes."""
    names = _names(near)
    kinds = {PurePath(passage.path).suffix for passage in near}
    texts = [readable(other.text) for other in others]
    found = sorted(_definitions(texts, names), key=lambda one: (names[one[3]], one[:2]))
    chosen: dict[int, list[tuple[int, int]]] = {}
    room = _ROOM
    for at, start, end, _ in found:
        within = any(left <= start and end <= right for left, right in chosen.get(at, ()))
        if not within and end - start + 2 <= room:
            chosen.setdefault(at, []).append((start, end))
            room -= end - start + 2
    passages = [
        Passage(_path(others[at]), ("\n\n".join(texts[at][s:e] for s, e in _outer(spans)),))
        for at, spans in chosen.items()
    ]
    for at, (other, text) in enumerate(zip(others, texts, strict=True)):
        same = other.path is not None and other.path.suffix in kinds
        if same and at not in chosen and text.strip() and len(text) <= room:
            passages.append(Passage(_path(other), (text,)))
            room -= len(text)
    return tuple(passages)


def given(request: InfillRequest, count: Callable[[str], int] | None = None) -> list[Given]:
    """List a request part by part.

    `count` returns the number of tokens of a text; without it, four characters count as one token.
    """
    count = count or (lambda text: -(-len(text) // 4))
    parts = []
    if request.instruction:
        text = request.instruction
        parts.append(Given("instruction", text, False, count(text)))
    number = 0
    for passage in request.passages:
        name = passage.path or "text"
        seen = False
        for part in passage.parts:
            if isinstance(part, Hole):
                number += 1
                seen = True
                starts = request.strength < 1
                # From scratch, the model does not read the hole's present text.
                tokens = count(part.text) if starts else 0
                title = f"hole {number} of {len(request.holes)}"
                kept = (
                    f", refined at strength {request.strength:.2f}" if starts else ", from scratch"
                )
                parts.append(Given(title + kept, part.text, True, tokens))
            else:
                about = "" if passage.holes else ": what goes with it"
                about = about or (": after" if seen else ": before")
                parts.append(Given(name + about, part, False, count(part)))
    return [Given(visible(one.title), one.text, one.hole, one.tokens) for one in parts]


def _names(near: Sequence[Passage]) -> dict[str, int]:
    """Return the names used near holes, each with its distance from the nearest hole."""
    names: dict[str, int] = {}

    def meet(name: str, distance: int) -> None:
        names[name] = min(distance, names.get(name, distance))

    for passage in near:
        for at, part in enumerate(passage.parts):
            if isinstance(part, Hole):
                for found in _NAME.finditer(part.text):
                    meet(found[0], 0)
                continue
            if at + 1 < len(passage.parts):  # a hole follows
                start = max(0, len(part) - _NEAR)
                for found in _NAME.finditer(part, start):
                    meet(found[0], len(part) - found.end())
            if at:
                for found in _NAME.finditer(part, 0, _NEAR):
                    meet(found[0], found.start())
    return names


def _definitions(
    texts: Sequence[str], names: dict[str, int]
) -> Iterator[tuple[int, int, int, str]]:
    """Yield where names are defined: the index of the text, start, end and the name."""
    for at, text in enumerate(texts):
        for found in _DEFINITION.finditer(text):
            # An indented assignment is local to a definition, and defines no name for others.
            name = found["name"] or ("" if found["indent"] else found["constant"])
            if name in names:
                yield at, *_extent(text, found.start(), len(found["indent"].expandtabs(4))), name


def _extent(text: str, start: int, indent: int) -> tuple[int, int]:
    """Return the range of a definition: its line, the lines indented deeper, and a
    closing bracket.
    """
    end = _line_end(text, start)
    for _ in range(_LINES):
        first = end + 1
        stop = _line_end(text, first)
        line = text[first:stop]
        deeper = len(line) - len(line.lstrip()) and _indent(line) > indent
        closes = _indent(line) == indent and line.lstrip()[:1] in ("}", ")", "]")
        if first > len(text) or (line.strip() and not deeper and not closes):
            break
        end = stop
        if closes and line.strip()[:1] == "}":
            break
    return start, start + len(text[start:end].rstrip())


def _outer(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans in order, without those that are inside another."""
    kept: list[tuple[int, int]] = []
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return kept


def _indent(line: str) -> int:
    wide = line.expandtabs(4)
    return len(wide) - len(wide.lstrip())


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return end if end >= 0 else len(text)


def _path(document: Document) -> str:
    return readable(str(document.path)) if document.path else ""
