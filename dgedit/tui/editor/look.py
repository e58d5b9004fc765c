"""Everything that decides how a row is painted: what is in it, and the styles of the style sheet.

Knows values and styles; draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.style import Style
from textual.document._document import Location
from textual.widgets import TextArea
from textual.widgets.text_area import TextAreaTheme

from dgedit.text.drafts import BANDS, LEVELS
from dgedit.tui.editor.highlighting import Highlight
from dgedit.tui.editor.holes import Kind, Run
from dgedit.tui.editor.signs import PROBLEMS, SIGNED


@dataclass(frozen=True, slots=True)
class Ink:
    """The styles, as the style sheet defines them."""

    base: Style
    """The editor itself."""
    cursor: Style
    """The cell of the cursor."""
    cursor_line: Style
    """The row of the cursor."""
    gutter: Style
    """The line numbers."""
    cursor_gutter: Style
    """The line number of the cursor's line."""
    signs: tuple[Style, ...]
    """Added to the gutter's sign: for a hole, then for each mark of a line."""
    selection: Style
    """The selection."""
    bracket: Style
    """The bracket at the cursor and its partner."""
    hole: Style
    """Masked text before its first draft."""
    draft: Style
    """A piece that may still change."""
    settled: Style
    """A settled piece."""
    unsure: Style
    """A settled piece that may well be wrong."""
    changed: Style
    """Added to a piece that the last step changed."""
    marked: Style
    """The selection in a draft."""
    found: Style
    """A search match."""
    problems: tuple[Style, ...]
    """Added to what is wrong, the worst first."""
    folded: Style
    """What stands for lines that are folded away."""
    levels: tuple[Style, ...]
    """Added to a piece that is not certain, for each level of confidence, the surest first."""
    heat: tuple[Style, ...]
    """Added to a piece, by its band of confidence, the surest first."""
    ruler: Style
    """A cell of a ruler."""
    blank: Style
    """The sign of a blank or a tab."""
    dark: bool = True
    """True for a dark background."""

    def of(self, kind: Kind) -> Style:
        """Return the style of a run of a kind other than text."""
        match kind:
            case Kind.HOLE:
                return self.hole
            case Kind.SETTLED:
                return self.settled
            case Kind.UNSURE:
                return self.unsure
        return self.draft


def mixed(area: TextArea, theme: TextAreaTheme, *, dark: bool) -> Ink:
    """Mix the styles from the theme and the style sheet."""

    def component(name: str) -> Style:
        style = area.get_component_rich_style(f"editor--{name}", partial=True)
        ground = area.get_component_rich_style(f"editor--{name}").bgcolor
        return style + Style(bgcolor=ground) if style.bgcolor else style

    return Ink(
        base=theme.base_style or area.rich_style,
        cursor=theme.cursor_style or Style(reverse=True),
        cursor_line=theme.cursor_line_style or Style(),
        gutter=theme.gutter_style or Style(),
        cursor_gutter=theme.cursor_line_gutter_style or Style(),
        signs=tuple(
            area.get_component_rich_style(f"editor--{name}", partial=True) for name in SIGNED
        ),
        selection=theme.selection_style or Style(reverse=True),
        bracket=theme.bracket_matching_style or Style(),
        hole=component("hole"),
        draft=component("draft"),
        settled=component("settled"),
        unsure=component("unsure"),
        changed=component("changed"),
        marked=component("marked"),
        levels=tuple(component(f"level-{level}") for level in range(len(LEVELS) + 1)),
        found=component("found"),
        folded=component("folded"),
        problems=tuple(component(name) for name in PROBLEMS),
        heat=tuple(component(f"heat-{band}") for band in range(len(BANDS) + 1)),
        ruler=component("ruler"),
        blank=component("blank"),
        dark=dark,
    )


class Look(NamedTuple):
    """Everything that decides how a row is painted."""

    runs: tuple[Run, ...]
    """The visible runs."""
    left: int
    """The cell at which they start."""
    number: int | None
    """The line number that is shown."""
    held: bool
    """True if holes touch it."""
    here: bool
    """True if the cursor is on it."""
    cursor: int | None
    """The cursor's cell, if the cursor is drawn."""
    highlights: tuple[Sequence[Highlight], ...]
    """The highlights of each run."""
    found: tuple[tuple[Location, Location], ...]
    """The start and end of each search match."""
    problems: tuple[tuple[int, Location, Location], ...]
    """How bad each problem is, and its start and end."""
    ranges: tuple[tuple[bool, Location, Location], ...]
    """The start and end of selected ranges (true), or else of matching brackets (false)."""
    others: tuple[int, ...]
    """The cells of the other cursors."""
    open: bool
    """True if the line ending is selected too."""
    span: tuple[int, int]
    """The range of visible cells."""
    gutter: int
    """The width of the gutter."""
    mark: int
    """The line's mark, see `LineMark`."""
    rulers: tuple[int, ...]
    """The cells at which rulers are drawn."""
    folded: int
    """How many lines are folded away below it."""
