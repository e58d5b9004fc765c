"""The editor of one file with its holes.

The document changes through edits only; drafts are drawn over it. When text above the viewport
grows or shrinks, the cursor and the visible text stay where they are.

Knows one file and its holes; nothing of engines, requests or other files.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.document._document import EditResult, Selection
from textual.document._edit import Edit
from textual.geometry import Offset
from textual.message import Message

from dgedit.files.document import Document
from dgedit.files.paths import WorkingFolder
from dgedit.text.drafts import BANDS, LEVELS
from dgedit.text.edits import Change, line_at
from dgedit.text.indentation import step_of, uses_tabs
from dgedit.text.merge import line_parts
from dgedit.text.pairs import pairs_of
from dgedit.tui.bindings import bindings
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.draft_rules import draft_colours
from dgedit.tui.editor.editing import Writing
from dgedit.tui.editor.highlighting import Syntax, syntax_of
from dgedit.tui.editor.holes import OpenHole, collide
from dgedit.tui.editor.navigator import Navigator
from dgedit.tui.editor.pointing import piece_at
from dgedit.tui.editor.rows import Rows
from dgedit.tui.editor.signs import PROBLEMS, SIGNED
from dgedit.tui.editor.transaction import Touch, Transaction
from dgedit.tui.terminal.keys import Burst, is_text
from dgedit_engine.types import Draft

# Rows that are visible below a hole's start when it is filled.
_ROOM = 6


class Editor(Writing, inherit_bindings=False):
    """A text area that draws drafts in place."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(of_text=True)]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"editor--{name}" for name in ("hole", "draft", "settled", "unsure", "changed")),
        *(f"editor--{name}" for name in ("marked", "found", "folded", *SIGNED, *PROBLEMS)),
        *(f"editor--level-{level}" for level in range(len(LEVELS) + 1)),
        *(f"editor--heat-{band}" for band in range(len(BANDS) + 1)),
    }

    class Touched(Message):
        """An edit changed the text that a hole covers: the hole was replaced or closed."""

        def __init__(self, how: Touch = "edited") -> None:
            self.how = how
            super().__init__()

    class Pointed(Message):
        """The mouse was pressed, or dragged over a draft."""

        def __init__(self, editor: Editor, hole: OpenHole | None, pieces: range) -> None:
            self.editor, self.hole = editor, hole
            self.pieces = pieces
            """The pieces from where it was pressed to where it is now; empty until it is dragged.
            Without a hole, it was pressed outside all drafts.
            """
            super().__init__()

    started_in = WorkingFolder()
    """The folder that its path is shown relative to."""
    locked = False
    """True if edits are refused."""
    filling = False
    """True while an infill is running in it."""
    deleted = False
    """Whether its file is not there any more."""
    warning = ""
    """What is to be told when it is opened."""

    def __init__(self, path: Path, file: Document) -> None:
        self.path, self.file_name = path, path.name
        self.file = file
        """The file as last loaded or saved."""
        self.holes: list[OpenHole] = []
        """In order; none overlaps another."""
        self.first: Callable[[str], Awaitable[bool]] = _none
        """Called with a key before the text sees it; returns whether it handled it."""
        self.open_result: Callable[[], object | None] = lambda: None
        """Returns the open result, which an edit of its drafts remembers."""
        self.reopen: Callable[[object], bool] = lambda result: False
        """Reopens a result that an undo leads back to; returns whether it was closed."""
        self._syntax = syntax_of(path)
        self._steady = False
        self._pressed: tuple[OpenHole, int] | None = None  # the piece that the mouse was pressed on
        super().__init__(file.text)
        self.type_as_usual()

    @property
    def syntax(self) -> Syntax | None:
        """The grammar of the text, if it has one."""
        return self._syntax

    @property
    def dirty(self) -> bool:
        """True if there are unsaved changes."""
        return self.buffer.length != len(self.file.text) or self.text != self.file.text

    @property
    def current(self) -> Document:
        """The file as edited."""
        return self.file.with_text(self.text)

    @property
    def shown(self) -> str:
        """Its path, as short as possible."""
        return self.started_in.shortened(str(self.path))

    @property
    def told(self) -> Document:
        """The file as edited, with the path that a model sees."""
        current = self.current
        return replace(current, path=Path(self.shown)) if current.path else current

    def type_as_usual(self) -> None:
        """Indent, and pair signs, as the language and the text want."""
        self.indent_type = "tabs" if uses_tabs(self.file.text, self.file_name) else "spaces"
        self.indent_size = step_of(self.file.text) or self.indent_width
        self.keystrokes.pairs = pairs_of(self.file_name)

    @property
    def has_drafts(self) -> bool:
        """Whether drafts are drawn in it."""
        return any(hole.draft is not None for hole in self.holes)

    def in_hole(self, index: int) -> bool:
        """Return whether an offset is in a hole, or at one."""
        return any(hole.start <= index <= hole.end for hole in self.holes)

    def rename(self, path: Path, file: Document) -> None:
        """Assign the text to another file, whose name decides the language."""
        self.path, self.file = path, file
        self.take_for(path.name)

    def take_for(self, name: str) -> None:
        """Write and colour the text as that of a file of this name."""
        self.file_name = name
        self.type_as_usual()
        if (syntax := syntax_of(Path(name))) is not self._syntax or syntax is None:
            self._syntax = syntax
            self.buffer.color(syntax)
            self.refresh()

    # Holes

    def open_holes(self, holes: Iterator[OpenHole] | Sequence[OpenHole]) -> None:
        """Add holes; one that collides with another is skipped."""
        for hole in holes:
            if not any(collide(hole.span, one.span) for one in self.holes):
                insort(self.holes, hole, key=lambda one: (one.start, one.end))
        self.rows.wrap(0)
        self._refresh_size()  # one that was folded away is shown

    def show(
        self,
        drafts: Sequence[tuple[OpenHole, Draft | None]],
        *,
        quiet: bool = False,
        fit: Collection[OpenHole] = (),
        unsure: Collection[OpenHole] = (),
        growing: bool = False,
    ) -> None:
        """Draw drafts in place of holes, see `OpenHole.show`; None shows the document again."""
        self.cursors.drop()
        with self.steady():
            for hole, draft in drafts:
                if draft is None:
                    hole.clear()
                    continue
                syntax = hole.syntax
                if hole.draft is None or hole.draft.text != draft.text:
                    name, count = self.file_name, len(drafts)
                    syntax = draft_colours(name, self.buffer, hole.span, draft, drafts=count)
                how = {"fit": hole in fit, "unsure": hole in unsure, "growing": growing}
                hole.show(draft, syntax, quiet=quiet, **how)
            self.rows.wrap(0)

    def make_room(self, hole: OpenHole) -> None:
        """Scroll so that a hole's start is visible, with some rows below it for its draft."""
        start = self.buffer.location(hole.start)
        y, height = self.rows.y_of(start[0]), self.size.height
        if y < self.scroll_y:
            self.selection = Selection.cursor(start)
        rows = min(_ROOM, height // 2)
        if y + rows <= self.scroll_y + height:
            return
        if y + rows > self.rows.height:  # at the end of the text there are no rows to scroll to
            hole.height = max(hole.height, rows)
            self.rows.wrap(0)
            self._refresh_size()
        self.scroll_to(y=y + rows - height, animate=False, force=True)

    # Edits

    def edit(self, edit: Edit) -> EditResult:
        """Apply an edit as a transaction, which the holes follow."""
        one = isinstance(edit, Transaction)
        return super().edit(edit if one else Transaction.of_edit(edit, self))

    def undo(self) -> None:
        """Undo an edit, and reopen the result that it accepted, or the one that was left last."""
        if left := self.history.left:
            self.go_back_to(left.result)
            if not self.reopen(left.result):
                self.undo()
            return
        batch = self.history.undo_stack[-1:]
        super().undo()
        for edit in (edit for edits in batch for edit in edits):
            if isinstance(edit, Transaction) and edit.result is not None:
                self.reopen(edit.result)

    def leave(self, result: object, holes: Iterable[OpenHole]) -> None:
        """Record a result that is closed without an edit, and its holes, so that undo
        reopens it.
        """
        self.history.leave(Transaction.of_left(result, holes))

    def go_back_to(self, result: object) -> None:
        """Restore the holes of a result that was left, if nothing was edited since."""
        left = self.history.left
        if left is not None and left.result is result:
            self.history.drop_left()
            left.restore(self, left.change)
            self.rows.wrap(0)

    def touch(self, how: Touch) -> None:
        """Post that an edit changed the holes."""
        self.post_message(self.Touched(how))

    def replace_text(self, text: str) -> None:
        """Replace the whole text as one undo. The cursor stays on its line, if both texts have that
        line.
        """
        old = self.text
        change = Change(line_parts(old, text), self.selected)
        if not change.parts:
            return

        def moved(index: int) -> int:
            """Return the same column in the line that replaces the offset's line."""
            line = line_at(old, index)
            there = line_at(text, change.map(line.start))
            return min(there.start + index - line.start, there.end)

        anchor, cursor = map(moved, self.selected)
        with self.steady(change.map):
            self.change(replace(change, selection=(anchor, cursor)), loaded=True)
            self.rows.wrap(0)

    # Keys

    async def _on_key(self, event: events.Key) -> None:
        # Handle keys strictly in order: a binding that bubbled up first would run after the next
        # key. A key typed after a change of tabs may still arrive here: pass it on.
        front = self.screen.focused
        if front is not None and front is not self:
            front.post_message(events.Key(event.key, event.character))
        elif event.key == "escape" and self.cursors.several:
            self.cursors.drop()
        elif await self.first(event.key):
            pass
        elif is_text(event):
            self.type_text(event.character or "")
        elif not await self.app._check_bindings(event.key):
            if event.key == "escape":
                self.selection = Selection.cursor(self.selection.end)
            elif event.key == "enter":
                for _ in self.cursors.each():
                    self.keystrokes.break_line()
            elif not event.is_printable:
                return
        event.stop()
        event.prevent_default()

    async def _on_burst(self, burst: Burst) -> None:
        # Same as key by key, but with one edit for each run of text keys.
        burst.stop()
        text = ""
        self.keystrokes.as_is = burst.pasted
        for event in burst.keys:
            mine = self.screen.focused in (self, None) and is_text(event)
            if not mine or (self.holes and len(event.key) > 1):  # its action may read the text
                self.type_text(text)
                text = ""
            if not mine:
                await self.on_event(event)
            elif not await self.first(event.key):
                text += event.character or ""
        self.type_text(text)
        self.keystrokes.as_is = False

    # The mouse on drafts

    async def _on_mouse_down(self, event: events.MouseDown) -> None:
        at = self.buffer.index(self.get_target_document_location(event))
        if event.meta:  # Alt
            event.prevent_default()
            self._say(self.cursors.add((at, at)))
            return
        self._selecting = True
        self.selected = at, at
        self._pressed = self._piece_under(event)
        hole, piece = self._pressed or (None, 0)
        self.post_message(self.Pointed(self, hole, range(piece, piece)))

    async def _on_mouse_move(self, event: events.MouseMove) -> None:
        if self._selecting:
            self._drag_to(event)

    async def _on_click(self, event: events.Click) -> None:
        if self._pressed is not None:
            event.prevent_default()  # or the text area would select a word of the text
            if event.chain == 2:
                self._drag_to(event)

    def _drag_to(self, event: events.MouseEvent) -> None:
        under = self._piece_under(event)
        if self._pressed is not None and under is not None and under[0] is self._pressed[0]:
            first, last = self._pressed[1], under[1]
            pieces = range(first, last + 1) if first <= last else range(first, last - 1, -1)
            self.post_message(self.Pointed(self, under[0], pieces))

    def _piece_under(self, event: events.MouseEvent) -> tuple[OpenHole, int] | None:
        left = self.gutter_width + self.gutter.left
        cell = event.offset - Offset(left, self.gutter.top) + self.scroll_offset
        return piece_at(self.rows, cell) if event.x >= left else None

    # The view

    @contextmanager
    def steady(self, moved: Callable[[int], int] = lambda index: index) -> Iterator[None]:
        """Keep the visible text in place, whatever changes above; `moved` maps an old offset."""
        top = round(self.scroll_y)
        row, _ = self.rows.offset_to_location(Offset(0, top))
        lead = top - self.rows.y_of(row)
        index = self.buffer.index((row, 0))
        self._steady = True
        try:
            yield
            self._refresh_size()
            self.place_cursor()
            y = self.rows.y_of(self.buffer.location(moved(index))[0]) + lead
            if y != top:
                self._scroll_to(y=y, animate=False, force=True)
        finally:
            self._steady = False
        self.refresh()

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        """Scroll to the cursor, but not within `steady`."""
        if self._steady:
            self.place_cursor()
            return Offset(0, 0)
        return super().scroll_cursor_visible(center, animate)

    def place_cursor(self) -> None:
        """Put the terminal's cursor on the cursor's cell, or the caret's in a draft."""
        location = min(self.cursor_location, self.document.end)  # the text may be a shorter one
        self._cursor_offset = self.rows.caret or self.rows.location_to_offset(location)

    def _recompute_cursor_offset(self) -> None:
        self.place_cursor()

    def _rewrap_and_refresh_virtual_size(self) -> None:
        super()._rewrap_and_refresh_virtual_size()
        self.place_cursor()

    def _set_document(self, text: str, language: str | None) -> None:
        buffer = Buffer(text, newline=self.file.eol, syntax=self._syntax)
        self.document = buffer
        self.wrapped_document = Rows(buffer, self.holes, self.indent_width)
        self.navigator = Navigator(self.rows)
        self._build_highlight_map()
        self.set_reactive(Editor.selection, Selection())  # which may be outside of the new text
        self._rewrap_and_refresh_virtual_size()


async def _none(key: str) -> bool:
    return False
