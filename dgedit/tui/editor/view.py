"""Draw a text on the screen, repainting only the rows that changed.

The look of a row is a value. A refresh compares the visible rows with those drawn last, and
repaints only those that differ: after a key that is one row of forty, and Textual's own work on the
others is most of a frame. A text that takes long to parse is parsed once no key has come for a
moment, in slices between the keys.

Knows rows, styles and a syntax tree; nothing of keys, files or steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Self

from rich.segment import Segment
from textual import events
from textual.document._document import Location, Selection
from textual.geometry import Offset, Region, Size, Spacing
from textual.strip import Strip
from textual.timer import Timer
from textual.widgets import TextArea

from dgedit.config import Whitespace
from dgedit.text.folding import fold_mark
from dgedit.text.line_changes import LineMark
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.highlighting import Highlight
from dgedit.tui.editor.holes import Kind, Run
from dgedit.tui.editor.look import Ink, Look, mixed
from dgedit.tui.editor.paint import Painted
from dgedit.tui.editor.pointing import fold_at
from dgedit.tui.editor.rows import Rows
from dgedit.tui.editor.selected import Selected
from dgedit.tui.editor.signs import sign_of

# Seconds: a large text is parsed after a pause without keys, in slices with gaps for other work.
_PAUSE = 0.12
_SLICE = 0.006
_GAP = 0.001

# The virtual width grows in steps of this many cells, or the scroll bar would move with every key.
_STEP = 32

_REMOVED = (LineMark.REMOVED_BELOW, LineMark.REMOVED_ABOVE)


class View(TextArea):
    """A text area that draws rows."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"editor--ruler", "editor--blank"}

    rulers: tuple[int, ...] = ()
    """The columns behind which a ruler is drawn."""
    whitespace: Whitespace = "none"
    """Which blanks and tabs are drawn as signs."""
    relative_numbers = False
    """True if lines other than the cursor's are numbered by how far away they are."""
    found: Callable[[int], Sequence[tuple[int, int]]] | None = None
    """Returns the columns of search matches in a row."""
    uncoloured: Callable[[], object] = lambda: None
    """Called when colours are wanted for a text without a grammar."""
    flaws: Callable[[int], Sequence[tuple[int, int, int]]] | None = None
    """Returns how bad the problems in a row are, and their columns; None if there are none."""
    others: Sequence[Selection] = ()
    """The selections of the other cursors."""
    scroll_margin = 0
    """Lines that stay visible above and below the cursor, unless the mouse moves it."""
    _height = 0
    _differs = False
    _restyled = True
    _inked: Ink | None = None
    _parsing: Timer | None = None

    def __init__(self) -> None:
        self._drawn: dict[int, tuple[Look | None, Ink]] = {}
        self._looks: dict[tuple[Offset, Size, int], Look | None] = {}
        self._selected = Selected(Selection(), self.others)
        super().__init__(soft_wrap=False, show_line_numbers=True, tab_behavior="indent")

    @property
    def rows(self) -> Rows:
        """The rows of the document as drawn."""
        assert isinstance(self.wrapped_document, Rows)
        return self.wrapped_document

    def action_toggle_wrap(self) -> None:
        """Turn soft wrap on or off."""
        self.soft_wrap = not self.soft_wrap

    def mark_lines(self, marks: bytearray) -> None:
        """Show a sign beside lines, see `LineMark`; one for each line."""
        document = self.rows.document
        assert len(marks) == document.line_count
        if marks != document.marks:
            document.marks = marks
            self.refresh()

    # Folds

    def reveal(self) -> None:
        """Show the lines that the cursors are in, if they are folded away."""
        if self.rows.document.folds.any:
            ends = [end for one in (self.selection, *self.others) for end in one]
            shown = [self.rows.document.show(row) for row, _ in ends]
            if any(shown):
                self.rows.wrap(0)
                self._refresh_size()

    async def _on_mouse_down(self, event: events.MouseDown) -> None:
        cell = event.offset - Offset(self.gutter.left, self.gutter.top)
        head = fold_at(self.rows, cell, self.gutter_width, self.scroll_offset)
        if head is not None:
            event.prevent_default()
            self._selecting = False
            self.rows.document.unfold(head)
            self._rewrap_and_refresh_virtual_size()
            self.refresh()

    # Sizes

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        """Scroll to the cursor, with some lines around it."""
        margin = min(self.scroll_margin, (self.size.height - 1) // 2)
        if center or self._selecting or margin < 1:
            return super().scroll_cursor_visible(center, animate)
        self._cursor_offset = x, y = self.rows.caret or self.rows.location_to_offset(
            self.cursor_location
        )
        top = max(0, y - margin)
        around = Region(x, top, 3, y + margin + 1 - top)
        room = Spacing(right=self.gutter_width)
        return self.scroll_to_region(around, spacing=room, animate=animate, force=True)

    def _on_resize(self) -> None:
        """Keep a visible cursor visible."""
        y = self._cursor_offset[1] - round(self.scroll_y)
        seen, self._height = 0 <= y < self._height, self.size.height
        super()._on_resize()
        if seen:
            self.call_after_refresh(self.scroll_cursor_visible)

    @property
    def gutter_width(self) -> int:
        """The width of a blank, the line number, the hole sign and a blank; without line numbers,
        of the last two.
        """
        return len(str(self.document.line_count)) + 3 if self.show_line_numbers else 2

    def _watch_soft_wrap(self) -> None:
        row, _ = self.rows.offset_to_location(self.scroll_offset)
        self._rewrap_and_refresh_virtual_size()
        self.scroll_to(x=0, y=self.rows.y_of(row), animate=False, force=True)
        self.call_after_refresh(self.scroll_cursor_visible)

    def _rewrap_and_refresh_virtual_size(self) -> None:
        self.rows.wrap_at(self.wrap_width, self.indent_width)
        self._refresh_size()

    def _refresh_size(self) -> None:
        height = self.rows.height
        if self.soft_wrap:
            self.virtual_size = Size(0, height)
        else:
            buffer: Buffer = self.rows.document
            width = max(buffer.get_size(self.indent_width).width, self.rows.width)
            width += self.gutter_width + 1
            if width > self.size.width:
                width = -(-width // _STEP) * _STEP
            self.virtual_size = Size(width, height)
        self._refresh_scrollbars()

    # Syntax

    def _build_highlight_map(self) -> None:
        """Stop parsing in the background, as an edit has made it outdated."""
        if self._parsing is not None:
            self._parsing.stop()
            self._parsing = None

    def _colours(self, run: Run) -> list[Highlight]:
        parse, lexed = self.rows.document.parse, self.rows.document.lexed
        if lexed is not None:
            if lexed.wants(run.at[0]) and self._parsing is None:
                self._parsing = self.set_timer(_PAUSE if lexed.begun else _GAP, self._ask_colours)
            return lexed.highlights(run.at[0])
        if parse is None:
            return []
        found = parse.highlights(run.at[0], run.at[1], run.at[1] + len(run.text))
        if not parse.current and self._parsing is None:
            self._parsing = self.set_timer(_PAUSE if parse.begun else _GAP, self._parse)
        return found

    def _ask_colours(self) -> None:
        self._parsing = None
        self.uncoloured()

    def _parse(self) -> None:
        parse = self.rows.document.parse
        if parse is None or parse.step(_SLICE):
            self._parsing = None
            self.refresh()
        else:
            self._parsing = self.set_timer(_GAP, self._parse)

    # Rows

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """Repaint the rows that differ when the app is idle; all rows if the style has changed."""
        self._looks.clear()
        whole = self._restyled or layout or recompose or not self.is_mounted
        if regions or whole or not repaint:
            self._restyled = self._restyled and not (repaint and not regions)
            return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
        self._differs = True
        self.check_idle()
        return self

    def notify_style_update(self) -> None:
        """Repaint everything after a change of style."""
        self._restyled, self._inked = True, None
        super().notify_style_update()

    def _check_refresh(self) -> None:
        if self._differs:
            self._differs = False
            ink, at = self._ink(), (self.scroll_offset, self.size)
            looks = {(*at, y): self._look(y) for y in range(self.size.height)}
            differ = [key for key, look in looks.items() if self._drawn.get(key[-1]) != (look, ink)]
            if differ:
                self.refresh(*(Region(0, y, self.size.width, 1) for _, _, y in differ))
                self._looks = {key: looks[key] for key in differ}
        super()._check_refresh()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Render some rows."""
        # Skip the parent's: it would apply the style sheet again, which takes a tenth of a frame.
        return super(TextArea, self).render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Render one row, of the document or of a draft."""
        ink = self._ink()
        key = self.scroll_offset, self.size, y
        look = self._looks.pop(key) if key in self._looks else self._look(y)
        self._drawn[y] = look, ink
        if look is None:
            return Strip.blank(self.size.width, ink.base)
        return self._painted(look, ink)

    def _look(self, y: int) -> Look | None:
        left, top = self.scroll_offset
        y += top
        gutter, rows = self.gutter_width, self.rows
        right = left + max(0, self.size.width - gutter)
        if y >= rows.height:
            return None
        whole, number, held = rows.row(y)
        runs, start = rows.window(whole, left, right)
        folded = rows.folded(y)
        here = y == self._cursor_offset[1]
        return Look(
            runs=runs,
            left=start,
            number=None if number is None else self._number(number),
            held=held,
            here=here,
            cursor=self._cursor_offset[0] if here and self._draw_cursor else None,
            highlights=tuple(self._colours(run) if run.kind.held else run.syntax for run in runs),
            found=self._found(runs),
            problems=self._problems(runs),
            ranges=self._ranges(runs),
            others=self._others(whole, y) if self.others else (),
            open=self._is_open(whole),
            span=(left, right),
            gutter=gutter,
            mark=self._mark(whole, number, held=held),
            rulers=self.rulers,
            folded=folded,
        )

    @property
    def _selection(self) -> Selected:
        if not self._selected.is_of(self.selection, self.others):
            self._selected = Selected(self.selection, self.others)
        return self._selected

    def _number(self, row: int) -> int:
        """Return the number of a document row as shown."""
        away = abs(row - self.selection.end[0]) if self.relative_numbers else 0
        return away or row + 1

    def _mark(self, runs: tuple[Run, ...], number: int | None, *, held: bool) -> int:
        """Return a row's mark; of a wrapped line, only the first row tells of a removed one."""
        if held or not runs:
            return 0
        mark = self.rows.document.marks[runs[0].at[0]]
        return 0 if number is None and mark in _REMOVED else mark

    def _found(self, runs: tuple[Run, ...]) -> tuple[tuple[Location, Location], ...]:
        if self.found is None:
            return ()
        rows = dict.fromkeys(run.at[0] for run in runs if run.kind.held)
        return tuple(((row, begin), (row, end)) for row in rows for begin, end in self.found(row))

    def _problems(self, runs: tuple[Run, ...]) -> tuple[tuple[int, Location, Location], ...]:
        if self.flaws is None:
            return ()
        rows = dict.fromkeys(run.at[0] for run in runs if run.kind.held)
        return tuple(
            (level, (row, begin), (row, end))
            for row in rows
            for level, begin, end in self.flaws(row)
        )

    def _ranges(self, runs: tuple[Run, ...]) -> tuple[tuple[bool, Location, Location], ...]:
        if self._selection:
            return self._selection.within(runs)
        end = self.selection.end
        bracket = self._matching_bracket_location
        if bracket is None:
            return ()
        return tuple(
            (False, at, (at[0], at[1] + 1))
            for at in (bracket, end)
            if any(run.kind.held and run.at[0] == at[0] for run in runs)
        )

    def _is_open(self, runs: tuple[Run, ...]) -> bool:
        """Say whether a row ends with a selected line ending."""
        if not self._selection or not runs or not runs[-1].kind.held:
            return False
        (row, column), text = runs[-1].at, runs[-1].text
        whole = column + len(text) == len(self.document[row])
        return whole and self._selection.goes_on((row, column + len(text)))

    def _others(self, runs: tuple[Run, ...], y: int) -> tuple[int, ...]:
        """Return the cells of the other cursors in a row."""
        there = dict.fromkeys(run.at[0] for run in runs if run.kind.held)
        cells = map(self.rows.location_to_offset, self._selection.cursors(there))
        return tuple(cell.x for cell in cells if cell.y == y)

    def _painted(self, look: Look, ink: Ink) -> Strip:
        painted = Painted(look.runs, self.rows, look.left)
        if look.here:
            painted.lay_ground(ink.cursor_line)
        for cell in look.rulers:
            if look.span[0] <= cell < look.span[1]:
                painted.lay_ruler(ink.ruler, cell, ink.cursor_line if look.here else ink.base)
        painted.lay_runs(ink, look.highlights)
        for level, start, end in reversed(look.problems):
            painted.lay_range(ink.problems[level - 1], start, end)
        if self.whitespace == "all" or (self.whitespace == "trailing" and not look.here):
            painted.lay_blanks(ink.blank, trailing=self.whitespace == "trailing")
        painted.lay_mark(ink.folded, fold_mark(look.folded))
        for start, end in look.found:
            painted.lay_range(ink.found, start, end)
        for selected, start, end in look.ranges:
            painted.lay_range(ink.selection if selected else ink.bracket, start, end)
        if look.open:
            painted.lay_cell(ink.selection, look.left + painted.width)
        for cell in look.others:
            painted.lay_cell(ink.cursor, cell)
        if look.cursor is not None:
            painted.lay_cell(ink.cursor, look.cursor)
        segments = [*painted.text.render(self.app.console)]
        (left, right), width = look.span, painted.text.cell_len
        rest = ink.cursor_line if look.here else ink.base
        if left == look.left and width <= right - left:  # avoid a second strip, which is slow
            segments.append(Segment(" " * (right - left - width), rest))
        else:
            whole = Strip(segments, width)
            segments = [*whole.crop_extend(left - look.left, right - look.left, rest)]
        inked = Segment.apply_style([*self._gutter(look, ink), *segments], ink.base)
        return Strip(inked, look.gutter + right - left)

    def _gutter(self, look: Look, ink: Ink) -> list[Segment]:
        style = ink.cursor_gutter if look.here else ink.gutter
        numbered = look.number is not None and self.show_line_numbers
        digits = str(look.number) if numbered else ""
        unsure = any(run.kind is Kind.UNSURE for run in look.runs)
        worst = min((level for level, _, _ in look.problems), default=0)
        sign, at = sign_of(look.mark, worst, held=look.held, unsure=unsure)
        return [
            Segment(f"{digits:>{look.gutter - 2}}", style),
            Segment(sign + " ▸"[look.folded > 0], style + ink.signs[at]),
        ]

    def _ink(self) -> Ink:
        """Return the styles from the style sheet, cached until they change."""
        if self._inked is None:
            self._theme.apply_css(self)
            self._inked = mixed(self, self._theme, dark=self.app.current_theme.dark)
        return self._inked
