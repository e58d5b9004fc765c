"""A file being edited, with its holes.

The document changes through edits alone; drafts are drawn over it. Whatever grows or shrinks above
the viewport, the cursor and what is in the viewport stay where they are.

Knows one file and its holes; nothing of engines, requests or other files.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.document._document import EditResult, Location, Selection
from textual.document._document_navigator import DocumentNavigator
from textual.document._edit import Edit
from textual.geometry import Offset, Size
from textual.message import Message
from textual.strip import Strip
from textual.widgets import TextArea

from dgedit.document import Document
from dgedit.tui.buffer import LINE_END, Buffer, Highlight, syntax_of
from dgedit.tui.overlay import OpenHole, Rows
from dgedit.tui.paint import Ink, Painted
from dgedit_engine.types import Draft

# Rows whose syntax is queried together.
_BLOCK = 64


@dataclass
class Filling(Edit):
    """The edit that accepts an infill. Undone, it leaves the holes open again."""

    holes: list[OpenHole] = field(default_factory=list)

    def do(self, text_area: TextArea, record_selection: bool = True) -> EditResult:
        """Fill the holes and close them."""
        assert isinstance(text_area, Editor)
        spans = {hole.span for hole in self.holes}
        text_area.holes[:] = [hole for hole in text_area.holes if hole.span not in spans]
        text_area.post_message(Editor.Touched())  # when it is done anew, others may be filling them
        return super().do(text_area, record_selection)

    def undo(self, text_area: TextArea) -> EditResult:
        """Restore the text and the holes."""
        result = super().undo(text_area)
        assert isinstance(text_area, Editor)
        text_area.open_holes(OpenHole(hole.start, hole.end) for hole in self.holes)
        return result


class Editor(TextArea):
    """A text area that shows drafts in place."""

    BINDINGS: ClassVar[list[BindingType]] = [  # here, or a wide text would be scrolled instead
        Binding("ctrl+pagedown", "app.turn(1)", "next file", show=False),
        Binding("ctrl+pageup", "app.turn(-1)", "previous file", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "editor--hole",
        "editor--draft",
        "editor--settled",
        "editor--changed",
        "editor--sign",
    }

    class Touched(Message):
        """An edit changed what a hole covers: from then on it is another hole, or none."""

    def __init__(self, path: Path, file: Document) -> None:
        self.path = path
        self.file = file
        """The file as last loaded or saved."""
        self.holes: list[OpenHole] = []
        """In order; none overlaps another."""
        self._syntax = syntax_of(path, file.text)
        self._blocks: dict[int, dict[int, list[Highlight]]] = {}
        self._steady = False
        super().__init__(file.text, soft_wrap=False, show_line_numbers=True, tab_behavior="indent")
        self.indent_type = "tabs" if "\n\t" in file.text else "spaces"

    @property
    def buffer(self) -> Buffer:
        """The text area's document."""
        assert isinstance(self.document, Buffer)
        return self.document

    @property
    def rows(self) -> Rows:
        """The text area's view of its document."""
        assert isinstance(self.wrapped_document, Rows)
        return self.wrapped_document

    @property
    def dirty(self) -> bool:
        """Whether there is anything to save."""
        return self.text != self.file.text

    @property
    def current(self) -> Document:
        """The file as edited."""
        return self.file.with_text(self.text)

    # Holes

    def toggle_hole(self) -> None:
        """Mask the selection, or open an empty hole at the cursor; on a hole, close it."""
        start, end = sorted(map(self.buffer.index, self.selection))
        met = [
            hole
            for hole in self.holes
            if hole.start <= start == end <= hole.end or (hole.start < end and start < hole.end)
        ]
        with self.steady():
            if met:
                self.holes[:] = [hole for hole in self.holes if hole not in met]
            else:
                self.open_holes([OpenHole(start, end)])
            self.selection = Selection.cursor(self.selection.end)

    def open_holes(self, holes: Iterator[OpenHole] | Sequence[OpenHole]) -> None:
        """Add holes; one that meets another is left out."""
        for hole in holes:
            if not any(
                (h.start < hole.end and hole.start < h.end) or h.span == hole.span
                for h in self.holes
            ):
                insort(self.holes, hole, key=lambda one: (one.start, one.end))
        self.rows.wrap(0)

    def show(self, drafts: Sequence[tuple[OpenHole, Draft | None]]) -> None:
        """Let drafts stand in for holes; None shows the document again."""
        with self.steady():
            for hole, draft in drafts:
                if draft is None:
                    hole.clear()
                else:
                    hole.show(draft)
            self.rows.wrap(0)

    def accept(self, holes: Sequence[OpenHole]) -> None:
        """Put the drafts of these holes into the text, as one edit."""
        old = self.current
        fills = [(hole, hole.draft.text) for hole in holes if hole.draft is not None]
        new = old.apply([(hole.span, text) for hole, text in fills]).text
        grown = {
            hole: len(old.apply([(hole.span, text)]).text) - len(old.text) for hole, text in fills
        }
        first, last = holes[0].start, holes[-1].end
        cursor = self._moved_cursor(grown)
        edit = Filling(
            new[first : len(new) - len(old.text) + last],
            self.buffer.location(first),
            self.buffer.location(last),
            maintain_selection_offset=False,
            holes=[OpenHole(hole.start, hole.end) for hole in holes],
        )
        with self.steady(lambda index: _moved(index, grown)):
            self.history.checkpoint()
            self.edit(edit)
            self.history.checkpoint()
            self.selection = Selection.cursor(cursor(self.buffer))

    def reload(self, file: Document) -> None:
        """Take the text that is on disk, as one edit of what differs."""
        old, new = self.text, file.text
        self.file = file
        if old == new:
            return
        # Whole lines, lest an edit part \r from \n.
        first = old.rfind("\n", 0, _common(old, new)) + 1
        tail = min(_common(old[::-1], new[::-1]), min(len(old), len(new)) - first)
        stop = old.find("\n", len(old) - tail) + 1 or len(old)
        edit = Edit(
            new[first : len(new) - (len(old) - stop)],
            self.buffer.location(first),
            self.buffer.location(stop),
            maintain_selection_offset=True,
        )
        with self.steady():
            self.history.checkpoint()
            self.edit(edit)
            self.history.checkpoint()

    def _moved_cursor(self, grown: dict[OpenHole, int]) -> Callable[[Buffer], Location]:
        """Where the cursor will be: on its character; in a hole, on its cell."""
        row, column = self.cursor_location
        index = self.buffer.index((row, column))
        inside = next((hole for hole in grown if hole.start <= index <= hole.end), None)
        if inside is None:
            return lambda buffer: buffer.location(_moved(index, grown))
        top = self.buffer.location(inside.start)[0]
        start = _moved(inside.start, grown)
        end = start + inside.end - inside.start + grown[inside]

        def cursor(buffer: Buffer) -> Location:
            return min((buffer.location(start)[0] + row - top, column), buffer.location(end))

        return cursor

    def _shift(self, start: int, end: int, length: int) -> None:
        """Keep the holes on their text after an edit."""
        shift = length - (end - start)
        for at, hole in reversed(list(enumerate(self.holes))):
            if end <= hole.start:
                hole.start, hole.end = hole.start + shift, hole.end + shift
            elif start < hole.end:
                self.post_message(self.Touched())
                if start <= hole.start and hole.end <= end:
                    del self.holes[at]
                elif start < hole.start:
                    self.holes[at] = OpenHole(start + length, hole.end + shift)
                else:
                    rest = start if hole.end < end else hole.end + shift
                    self.holes[at] = OpenHole(hole.start, rest)

    # Keys

    async def _on_key(self, event: events.Key) -> None:
        # Every key in its turn: a binding that bubbled up first would run after what is typed next,
        # and what is typed after a change of tabs may still come here.
        front = self.screen.focused
        if isinstance(front, Editor) and front is not self:
            front.post_message(events.Key(event.key, event.character))
        elif event.is_printable:
            return
        elif not await self.app._check_bindings(event.key):
            if event.key == "escape":
                self.selection = Selection.cursor(self.selection.end)
            elif event.key == "enter":
                self._break_line()
            else:
                return
        event.stop()
        event.prevent_default()

    def _break_line(self) -> None:
        row, column = min(self.selection)
        line = self.document[row][:column]
        indent = line[: len(line) - len(line.lstrip(" \t"))]
        self._replace_via_keyboard("\n" + indent, *self.selection)

    def _replace_via_keyboard(
        self, insert: str, start: Location, end: Location
    ) -> EditResult | None:
        return super()._replace_via_keyboard(LINE_END.sub(self.buffer.newline, insert), start, end)

    # The view

    @contextmanager
    def steady(self, moved: Callable[[int], int] = lambda index: index) -> Iterator[None]:
        """Keep the viewport on its text, whatever happens above; `moved` follows an offset."""
        top = round(self.scroll_y)
        row, _ = self.rows.offset_to_location(Offset(0, top))
        lead = top - self.rows.y_of(row)
        index = self.buffer.index((row, 0))
        self._steady = True
        try:
            yield
            self._refresh_size()
            self._place_cursor()
            y = self.rows.y_of(self.buffer.location(moved(index))[0]) + lead
            if y != top:
                self._scroll_to(y=y, animate=False, force=True)
        finally:
            self._steady = False
        self.refresh()

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        """Follow the cursor, but not when it is something else that changes."""
        if self._steady:
            self._place_cursor()
            return Offset(0, 0)
        return super().scroll_cursor_visible(center, animate)

    def _place_cursor(self) -> None:
        self._cursor_offset = self.rows.location_to_offset(self.cursor_location)

    @property
    def gutter_width(self) -> int:
        """A blank, the line number, the sign of a hole, a blank."""
        return len(str(self.document.line_count)) + 3

    def _set_document(self, text: str, language: str | None) -> None:
        buffer = Buffer(text, newline=self.file.eol, syntax=self._syntax)
        buffer.edited = self._shift
        self.document = buffer
        self.wrapped_document = Rows(buffer, self.holes, self.indent_width)
        self.navigator = DocumentNavigator(self.wrapped_document)
        self._build_highlight_map()
        self._rewrap_and_refresh_virtual_size()

    def _build_highlight_map(self) -> None:
        self._blocks.clear()

    def _refresh_size(self) -> None:
        width = max(self.buffer.get_size(self.indent_width).width, self.rows.width)
        self.virtual_size = Size(width + self.gutter_width + 1, self.rows.height)
        self._refresh_scrollbars()

    def render_line(self, y: int) -> Strip:
        """One row: the document's, or a draft's."""
        ink = self._ink()
        scroll_x, scroll_y = self.scroll_offset
        y += scroll_y
        if y >= self.rows.height:
            return Strip.blank(self.size.width, ink.base)
        runs, number, held = self.rows.row(y)
        painted = Painted(runs, self.rows)
        here = y == self._cursor_offset[1]
        if here:
            painted.lay_ground(ink.cursor_line)
        painted.lay_runs(
            ink, {run.at[0]: self._highlights_of(run.at[0]) for run in runs if run.kind.held}
        )
        self._lay_selection(painted, ink, y)
        if here and self._draw_cursor:
            painted.lay_cell(ink.cursor, self._cursor_offset[0])
        width = max(0, self.size.width - self.gutter_width)
        strip = Strip(painted.text.render(self.app.console), painted.text.cell_len)
        strip = strip.crop_extend(scroll_x, scroll_x + width, ink.cursor_line if here else ink.base)
        return Strip([*self._gutter(number, held, here), *strip]).apply_style(ink.base)

    def _lay_selection(self, painted: Painted, ink: Ink, y: int) -> None:
        start, end = sorted(self.selection)
        if start != end:
            painted.lay_range(ink.selection, start, end)
            row, _ = self.rows.offset_to_location(Offset(0, y))
            if start[0] <= row < end[0] and self.rows.y_of(row) == y:
                painted.lay_cell(ink.selection, painted.text.cell_len)
        elif self._matching_bracket_location is not None:
            for row, column in (self._matching_bracket_location, end):
                painted.lay_range(ink.bracket, (row, column), (row, column + 1))

    def _gutter(self, number: int | None, held: bool, here: bool) -> list[Segment]:
        theme = self._theme
        style = (theme.cursor_line_gutter_style if here else theme.gutter_style) or Style()
        digits = "" if number is None else str(number + 1)
        sign = style + self.get_component_rich_style("editor--sign", partial=True)
        return [
            Segment(f"{digits:>{self.gutter_width - 2}}", style),
            Segment("▌ " if held else "  ", sign),
        ]

    def _highlights_of(self, row: int) -> list[Highlight]:
        block = row // _BLOCK
        if block not in self._blocks:
            self._blocks[block] = self.buffer.highlights(block * _BLOCK, (block + 1) * _BLOCK)
        return self._blocks[block].get(row, [])

    def _ink(self) -> Ink:
        theme = self._theme

        def component(name: str) -> Style:
            style = self.get_component_rich_style(f"editor--{name}", partial=True)
            ground = self.get_component_rich_style(f"editor--{name}").bgcolor
            return style + Style(bgcolor=ground) if style.bgcolor else style

        return Ink(
            base=theme.base_style or self.rich_style,
            cursor=theme.cursor_style or Style(reverse=True),
            cursor_line=theme.cursor_line_style or Style(),
            selection=theme.selection_style or Style(reverse=True),
            bracket=theme.bracket_matching_style or Style(),
            hole=component("hole"),
            draft=component("draft"),
            settled=component("settled"),
            changed=component("changed"),
        )


def _moved(index: int, grown: dict[OpenHole, int]) -> int:
    """Where an offset outside the holes is once they have grown."""
    return index + sum(
        more for hole, more in grown.items() if hole.end <= index and hole.start < index
    )


def _common(one: str, two: str) -> int:
    """The length of the common start."""
    low, high = 0, min(len(one), len(two))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == two[:middle] else (low, middle - 1)
    return low
