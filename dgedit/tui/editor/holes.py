"""Holes in an open file, and the runs of text that make up a row.

A draft is drawn in place of its hole, but is never in the document.

Knows texts and holes; draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from textual.document._document import Location

from dgedit.files.document import LINE_END, Span
from dgedit.text.blanks import Blanks
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.highlighting import DraftSyntax, Highlight
from dgedit_engine.types import Draft

EMPTY_HOLE = "░"
"""Drawn in a hole without a text, and for what a draft still has to say."""
_NOISE = 24  # columns that a line which is being written has at least


class Kind(Enum):
    """The kinds of runs."""

    TEXT = "text"
    HOLE = "hole"
    DRAFT = "draft"
    SETTLED = "settled"
    UNSURE = "unsure"

    def __init__(self, name: str) -> None:
        self.held = name in ("text", "hole")
        """True if the document holds the text, character by character."""


class Run(NamedTuple):
    """A stretch of text on one row that is drawn in one style."""

    text: str
    """The text, tabs and control characters included."""
    kind: Kind
    """Its kind."""
    at: Location
    """Its location in the document; for a draft, the end of its hole."""
    changed: bool = False
    """True if the last step changed it."""
    heat: int | None = None
    """The band of its confidence, 0 for the surest; None if confidence is not shown."""
    marked: bool = False
    """True if it is selected in a draft."""
    level: int = 0
    """The level of its confidence while that is not certain, 0 for the surest; see `LEVELS`."""
    syntax: tuple[Highlight, ...] = ()
    """The highlights of a draft's text."""


@dataclass(frozen=True, slots=True)
class Place:
    """A hole's span, and how much of its draft has been accepted."""

    span: Span
    """The text that it covers."""
    taken: str = ""
    """The start of its draft that was accepted."""
    picked: bool = False
    """True if a hunk of its draft was accepted."""

    @classmethod
    def of(cls, hole: OpenHole) -> Place:
        """Return the present place of a hole."""
        return cls(hole.span, hole.taken, hole.picked)


@dataclass(eq=False, slots=True)
class OpenHole:
    """A hole in an open file."""

    start: int
    """Its first code point."""
    end: int
    """The first code point after it."""
    draft: Draft | None = None
    """The draft drawn in its place; None before the first step."""
    changed: tuple[bool, ...] = ()
    """For each piece of the draft, true if the last step changed it."""
    height: int = 1
    """The most lines of any draft so far; as many rows are reserved."""
    fits: bool = False
    """True if no row is reserved, not even for the text that it covers."""
    unsure: bool = False
    """True if its settled draft may well be wrong."""
    syntax: DraftSyntax = ()
    """The highlights of the draft; empty without a grammar."""
    noise: int = 0
    """The cells of noise behind a draft that is being written from left to right."""
    wrapped: int = 0
    """The most rows that its lines have taken while long lines were wrapped."""
    taken: str = ""
    """The start of its draft that has been accepted into the document."""
    picked: bool = False
    """True if a hunk of its draft has been accepted."""
    caret: int | None = None
    """The piece of the draft that the cursor is before; None if the cursor is elsewhere."""
    anchor: int = 0
    """The piece at which a selection within the draft was begun."""
    blanks: Blanks | None = None
    """What is a blank in it, if it is a template."""
    grows: bool = False
    """True if it was made from the text at the cursor, so that masking again enlarges it."""

    @property
    def span(self) -> Span:
        """The span of the document that it covers."""
        return Span(self.start, self.end)

    @property
    def parted(self) -> bool:
        """True if a part of its draft has been accepted."""
        return bool(self.taken) or self.picked

    @property
    def marked(self) -> range:
        """The range of selected pieces in the draft."""
        if self.caret is None:
            return range(0)
        return range(min(self.caret, self.anchor), max(self.caret, self.anchor))

    def show(
        self,
        draft: Draft,
        syntax: DraftSyntax = (),
        *,
        quiet: bool = False,
        fit: bool = False,
        unsure: bool = False,
        growing: bool = False,
    ) -> None:
        """Draw a draft in place of the hole, with the syntax that it has there.

        `quiet` does not mark what changed; `fit` reserves no more rows than the draft has; `unsure`
        marks it as possibly wrong; `growing` draws noise where it goes on.
        """
        before = draft.pieces if quiet else self.draft.pieces if self.draft else ()
        same = [one == two for one, two in zip(before, draft.pieces, strict=False)]
        self.changed = tuple(not (i < len(same) and same[i]) for i in range(len(draft.pieces)))
        self.fits, self.unsure = fit, unsure
        if fit:
            self.height = self.wrapped = 0
        self.height = max(self.height, len(LINE_END.findall(draft.text)) + 1)
        self.draft, self.syntax, self.caret = draft, syntax, None
        written = len(LINE_END.split(draft.text)[-1])
        self.noise = max(1, _NOISE - written) if growing else 0

    def clear(self) -> None:
        """Show the document's text again."""
        self.draft, self.changed, self.syntax, self.caret = None, (), (), None
        self.fits = self.unsure = False
        self.noise = 0
        self.height, self.wrapped = 1, 0

    def put(self, place: Place) -> None:
        """Move the hole to a place, without a draft, which its owner has to draw again."""
        self.clear()
        self.start, self.end = place.span.start, place.span.end
        self.taken, self.picked = place.taken, place.picked


def nearest(holes: Sequence[OpenHole], buffer: Buffer, location: Location) -> OpenHole | None:
    """Return the hole at a location, or else the nearest by rows, then columns; None if there are
    no holes.
    """
    index, (row, column) = buffer.index(location), location

    def distance(hole: OpenHole) -> tuple[bool, int, int]:
        top, left = buffer.location(hole.start)
        rows = max(top - row, row - buffer.location(hole.end)[0])
        return not hole.start <= index <= hole.end, rows, abs(left - column)

    return min(holes, key=distance, default=None)


def collide(one: Span, two: Span) -> bool:
    """Say whether two holes cannot both be open: they share text, or are at the same place."""
    return (one.start < two.end and two.start < one.end) or one == two
