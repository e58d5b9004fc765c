"""Holes in an open file, and the runs of text that a row is made of.

A draft stands in for its hole on the screen, never in the document.

Knows texts and holes; draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from textual.document._document import Location

from dgedit.files.document import Span
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.highlighting import LINE_END
from dgedit_engine.types import Draft

EMPTY_HOLE = "░"


class Kind(Enum):
    """What a run of text is."""

    TEXT = "text"
    HOLE = "hole"
    DRAFT = "draft"
    SETTLED = "settled"
    UNSURE = "unsure"

    def __init__(self, name: str) -> None:
        self.held = name in ("text", "hole")
        """Whether the document holds it, character by character."""


class Run(NamedTuple):
    """Text on one row that is drawn in one way."""

    text: str
    """As it is: tabs and control characters included."""
    kind: Kind
    """What it is."""
    at: Location
    """Where the document holds it; for a draft, where its hole ends."""
    changed: bool = False
    """Whether the last step changed it."""
    heat: int | None = None
    """The band of its confidence, 0 for sure; None where it is not to be told."""
    marked: bool = False
    """Whether it is selected in a draft."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hole is, and how much of its draft is in the text already."""

    span: Span
    """What it covers."""
    taken: str = ""
    """The start of its draft that was taken."""
    picked: bool = False
    """Whether a hunk of its draft was."""

    @classmethod
    def of(cls, hole: OpenHole) -> Place:
        """Say it of a hole now."""
        return cls(hole.span, hole.taken, hole.picked)


@dataclass(eq=False, slots=True)
class OpenHole:
    """A hole in an open file."""

    start: int
    """Its first code point."""
    end: int
    """The first code point after it."""
    draft: Draft | None = None
    """What stands in for it at this step; None before the first."""
    changed: tuple[bool, ...] = ()
    """Which pieces of the draft differ from the step before."""
    height: int = 1
    """The most lines that any draft of it has had, for which rows are kept free."""
    fits: bool = False
    """Whether no row is kept free for the text it covers, either."""
    unsure: bool = False
    """Whether its draft, as settled as it is, may well be wrong."""
    wrapped: int = 0
    """The most rows that its lines have taken where long ones are wrapped."""
    taken: str = ""
    """The start of its draft that is in the document already."""
    picked: bool = False
    """Whether a hunk of its draft is."""
    caret: int | None = None
    """The piece of the draft that the cursor is before; None while it is in the document."""
    anchor: int = 0
    """The piece where a selection within the draft was begun."""
    grows: bool = False
    """Whether it was made from what the cursor was on, and may take in more."""

    @property
    def span(self) -> Span:
        """The document's text that it covers."""
        return Span(self.start, self.end)

    @property
    def parted(self) -> bool:
        """Whether a part of its draft is in the document."""
        return bool(self.taken) or self.picked

    @property
    def marked(self) -> range:
        """The pieces of the draft that are selected."""
        if self.caret is None:
            return range(0)
        return range(min(self.caret, self.anchor), max(self.caret, self.anchor))

    def show(
        self, draft: Draft, *, quiet: bool = False, fit: bool = False, unsure: bool = False
    ) -> None:
        """Let a draft stand in for it; `quiet`: without telling what differs; `fit`: in no more
        rows than it has; `unsure`: it may well be wrong.
        """
        before = draft.pieces if quiet else self.draft.pieces if self.draft else ()
        same = [one == two for one, two in zip(before, draft.pieces, strict=False)]
        self.changed = tuple(not (i < len(same) and same[i]) for i in range(len(draft.pieces)))
        self.fits, self.unsure = fit, unsure
        if fit:
            self.height = self.wrapped = 0
        self.height = max(self.height, len(LINE_END.findall(draft.text)) + 1)
        self.draft, self.caret = draft, None

    def clear(self) -> None:
        """Show the document again."""
        self.draft, self.changed, self.caret = None, (), None
        self.fits = self.unsure = False
        self.height, self.wrapped = 1, 0

    def put(self, place: Place) -> None:
        """Let it be there; whoever has a draft for it draws that again."""
        self.clear()
        self.start, self.end = place.span.start, place.span.end
        self.taken, self.picked = place.taken, place.picked


def nearest(holes: Sequence[OpenHole], buffer: Buffer, location: Location) -> OpenHole | None:
    """The hole at a location, or else the nearest: by rows, then by columns. None of none."""
    index, (row, column) = buffer.index(location), location

    def distance(hole: OpenHole) -> tuple[bool, int, int]:
        top, left = buffer.location(hole.start)
        rows = max(top - row, row - buffer.location(hole.end)[0])
        return not hole.start <= index <= hole.end, rows, abs(left - column)

    return min(holes, key=distance, default=None)


def collide(one: Span, two: Span) -> bool:
    """Whether two holes cannot both be open: they share text, or are at one place."""
    return (one.start < two.end and two.start < one.end) or one == two
