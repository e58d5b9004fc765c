"""Keys and mouse of a text editor: commands on lines and words, movement by characters.

The keys are those of most editors outside the terminal. Where a terminal cannot send one (Ctrl+/
arrives as Ctrl+_, Ctrl+Shift+K and Ctrl+Backspace only from terminals with the newer keyboard
protocol), there is a second key.

Every command is one edit, and so one undo; undo is unlimited. Knows a buffer and commands; nothing
of files or holes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import isawaitable

from textual import events
from textual.document._document import EditResult, Location, Selection
from textual.document._edit import Edit
from textual.message import Message

from dgedit.protocol.replies import Problem
from dgedit.text import edits, graphemes
from dgedit.text.comments import comment_marks, toggle_comment
from dgedit.text.edits import Change
from dgedit.tui.editor.anchors import Anchors
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.cursors import Cursors
from dgedit.tui.editor.highlighting import LINE_END
from dgedit.tui.editor.holes import OpenHole, Place
from dgedit.tui.editor.keystrokes import Keystrokes
from dgedit.tui.editor.problems import Problems
from dgedit.tui.editor.transaction import History, Joined, Transaction, Typing
from dgedit.tui.editor.view import View


class Writing(View):
    """A text area with an editor's keys."""

    class Note(Message):
        """A message to show to the user."""

        def __init__(self, words: str) -> None:
            super().__init__()
            self.words = words

    line_copied: Callable[[str], None] = staticmethod(lambda text: None)
    """Told what was copied as a line, without a selection."""
    indent_size = 4
    """How many cells a step of indentation has."""
    file_name = ""
    """The name that says which language it is."""

    def __init__(self, text: str) -> None:
        self.keystrokes = Keystrokes(self)
        self.anchors = Anchors()
        """Places that stay on their text."""
        self.problems = Problems(self.anchors)
        """What is wrong in it, as far as that is known."""
        self.cursors = Cursors(self, self)
        super().__init__()
        self.history: History = History(self.history)
        # Not passed to the parent's constructor, which would split and measure the text in its own
        # way first, and then in ours twice; in 50,000 lines that is 0.4 s.
        self._set_document(text, None)

    @property
    def buffer(self) -> Buffer:
        """The text area's document."""
        assert isinstance(self.document, Buffer)
        return self.document

    def take_problems(self, found: Sequence[Problem]) -> None:
        """Mark these problems in place of those before."""
        self.problems.take(found)
        self.flaws = (lambda row: self.problems.marks(self.buffer, row)) if found else None
        self.refresh()

    @property
    def selected(self) -> edits.Selection:
        """The selection as anchor and cursor, in code points."""
        start, end = self.selection
        return self.buffer.index(start), self.buffer.index(end)

    @selected.setter
    def selected(self, selected: edits.Selection) -> None:
        start, end = map(self.buffer.location, selected)
        self.selection = Selection(start, end)

    @property
    def indent_unit(self) -> str:
        """A step of indentation."""
        return "\t" if self.indent_type == "tabs" else " " * self.indent_size

    @property
    def has_drafts(self) -> bool:
        """Whether drafts are drawn in it."""
        return False

    def in_hole(self, index: int) -> bool:
        """Return whether an offset is in a hole, or at one."""
        return False

    def change(
        self,
        change: Change | None,
        *,
        goes: Mapping[OpenHole, Place | None] | None = None,
        loaded: bool = False,
    ) -> None:
        """Apply a change as one undo; see `Transaction`."""
        if change is None or (self.read_only and not loaded):
            return
        self.history.checkpoint()
        self.edit(Transaction.of(self.buffer, change, goes=goes, loaded=loaded))
        self.history.checkpoint()

    def put(self, text: str, *, above: bool = False) -> None:
        """Put a text in the place of the selection, or above the line of a cursor, as one undo."""
        dealt = self.cursors.dealt(text)
        for at in self.cursors.each():
            if above and self.selection.is_empty:
                self._run(edits.insert_above, self._fitting(text))
                continue
            self.history.checkpoint()
            self._replace_via_keyboard(dealt[at], *self.selection)
            self.history.checkpoint()

    def type_text(self, text: str) -> None:
        """Type a text at the cursor as its keys would, one after another.

        Runs of characters that do not combine with others are inserted in one edit.
        """
        self._restart_blink()
        if text and not self.cursors.type_at_all(text):
            for _ in self.cursors.each():
                self._type(text)

    def _type(self, text: str) -> None:
        while text and not self.read_only:
            if self.keystrokes.take(text[0]):
                text = text[1:]
                continue
            count = self._typed_at_once(self.keystrokes.plain(text))
            if count > 1:
                self.edit(Typing.of_text(self, text[:count]))
            else:
                self._replace_via_keyboard(text[0], *self.selection)
            text = text[max(1, count) :]

    def _typed_at_once(self, text: str) -> int:
        if not self.selection.is_empty:
            return 1
        row, column = self.cursor_location
        rest = self.buffer[row][column : column + 1]
        if graphemes.left_end(f"x{rest}", 1) != 1:  # the next character would combine with it
            return 1
        return len(graphemes.ALONE.match(text)[0])  # type: ignore[index]

    # Lines

    def action_toggle_comment(self) -> None:
        """Make comments of the lines, or, where all are, lines of the comments."""
        if marks := comment_marks(self.file_name):
            self._run(toggle_comment, marks)
        else:
            self.post_message(self.Note("no comments are known for this kind of file"))

    def action_indent(self) -> None:
        """Indent the lines of a selection, or insert blanks up to the next tab stop."""
        start, end = self.selection
        unit = self.indent_unit
        if start[0] != end[0]:
            self._run(edits.indent, unit)
        else:
            past = 0 if unit == "\t" else self.get_column_width(*min(start, end)) % len(unit)
            self._replace_via_keyboard(unit[past:], start, end)

    def action_dedent(self) -> None:
        """Dedent the lines."""
        self._run(edits.dedent, self.indent_size)

    def action_move_lines(self, down: bool) -> None:
        """Swap the lines with a neighbour."""
        self.change(edits.move(self.buffer.text, self.selected, down=down))

    def action_duplicate(self, below: bool) -> None:
        """Insert a copy of the lines below; the selection moves to it if `below`."""
        newline = self.buffer.newline
        self.change(edits.duplicate(self.buffer.text, self.selected, newline, below=below))

    def action_delete_line(self) -> None:
        """Delete the lines."""
        self._run(edits.delete_lines)

    def action_join(self) -> None:
        """Join the lines into one."""
        self._run(edits.join)

    def action_select_lines(self) -> None:
        """Extend the selection to whole lines, or by one more line."""
        self.selected = edits.select_lines(self.buffer.text, self.selected)

    def action_cut(self) -> None:
        """Cut the selection, or the line."""
        if self.cursors.several and not self.read_only:
            self.action_copy()
            whole = all(one.start == one.end for one in self.cursors.all)
            for _ in self.cursors.each(by_line=whole):
                if whole:
                    self.action_delete_line()
                elif not self.selection.is_empty:
                    self._delete_via_keyboard(*self.selection)
        elif self.selection.is_empty and not self.read_only:
            self.action_copy()
            self.action_delete_line()
        else:
            super().action_cut()

    def action_copy(self) -> None:
        """Copy the selection, or the line, which has an end then."""
        if self.cursors.several:
            self.app.copy_to_clipboard(self.cursors.copied())
        elif self.selection.is_empty:
            text = self.buffer.text
            line = edits.line_at(text, self.selected[1])
            whole = text[line.start : line.stop] + self.buffer.newline * (line.end == line.stop)
            self.app.copy_to_clipboard(whole)
            self.line_copied(whole)
        else:
            super().action_copy()

    # Words, characters, places

    def action_select_word(self) -> None:
        """Select the word at the cursor; if there is a selection, its next occurrence too."""
        if self.selection.is_empty:
            for _ in self.cursors.each():
                self.selected = edits.word_at(self.buffer.text, self.selected[1])
        else:
            self._say(self.cursors.add_next())

    def action_select_occurrences(self) -> None:
        """Select the word at the cursor, or what is selected, wherever else it is."""
        if self.selection.is_empty:
            self.selected = edits.word_at(self.buffer.text, self.selected[1])
        self._say(self.cursors.add_equal())

    def action_add_cursor(self, down: bool) -> None:
        """Add a cursor above the first one, or below the last one."""
        self._say(self.cursors.add_beside(down=down))

    async def action_each(self, name: str, given: tuple[object, ...]) -> None:
        """Run an action; one on the text at each cursor."""
        if name == "delete_left" and self.cursors.delete_at_all():
            return
        for _ in self.cursors.turns(name, given):
            done = getattr(self, f"action_{name}")(*given)
            if isawaitable(done):
                await done

    def _say(self, why_not: str) -> None:
        if why_not:
            self.post_message(self.Note(why_not))

    def _watch_selection(self, previous_selection: Selection, selection: Selection) -> None:
        self.reveal()
        if self.cursors.may_move():
            super()._watch_selection(previous_selection, selection)

    def _undo_batch(self, edits: Sequence[Edit]) -> None:
        with self.cursors.back_to(edits.before if isinstance(edits, Joined) else ()):
            super()._undo_batch(edits)

    def _redo_batch(self, edits: Sequence[Edit]) -> None:
        with self.cursors.back_to(edits.after if isinstance(edits, Joined) else ()):
            super()._redo_batch(edits)

    def action_to_bracket(self, select: bool = False) -> None:
        """Go to the matching bracket."""
        at = edits.matching_bracket(self.buffer.text, self.selected[1])
        if at is not None:
            self.move_cursor(self.buffer.location(at), select=select)

    def action_to_end(self, which: int, select: bool = False) -> None:
        """Go to the text's start or end."""
        self.move_cursor((0, 0) if which < 0 else self.document.end, select=select)

    def action_page(self, by: int) -> None:
        """Extend the selection by pages."""
        rows = by * max(1, self.content_size.height - 1)
        target = self.navigator.get_location_at_y_offset(self.cursor_location, rows)
        self.move_cursor(target, select=True)

    def get_cursor_left_location(self) -> Location:
        """Return the location one grapheme cluster to the left."""
        return self._located(graphemes.left_of)

    def get_cursor_right_location(self) -> Location:
        """Return the location one grapheme cluster to the right."""
        return self._located(graphemes.right_of)

    def get_cursor_word_left_location(self) -> Location:
        """Return the location one word to the left."""
        return self._located(edits.word_left)

    def get_cursor_word_right_location(self) -> Location:
        """Return the location one word to the right."""
        return self._located(edits.word_right)

    def get_cursor_line_start_location(self, smart_home: bool = False) -> Location:
        """Return the line's first column.

        With `smart_home`, apply `edits.home` to the row that the cursor is on or, if that does not
        move the cursor, to the whole line.
        """
        row, column = self.cursor_location
        if not smart_home:
            return row, 0
        line = self.buffer[row]
        offsets = self.wrapped_document.get_offsets(row)
        begin = max((start for start in offsets if start <= column), default=0)
        at = begin + edits.home(line[begin:], column - begin)
        return row, at if at != column else edits.home(line, column)

    def get_cursor_line_end_location(self) -> Location:
        """Return the end of the line, not of the wrapped row."""
        row, _ = self.cursor_location
        return row, len(self.buffer[row])

    def action_cursor_line_end(self, select: bool = False) -> None:
        """Go to the end of the row that the cursor is on; from there, of the line."""
        row, column = self.cursor_location
        last = self.get_cursor_line_end_location()
        offsets = self.wrapped_document.get_offsets(row)
        ends = (self.clamp_visitable((row, start - 1)) for start in offsets if start > column)
        end = next(ends, last)
        self.move_cursor(last if end == (row, column) else end, select=select)

    def action_delete_left(self) -> None:
        """Delete the selection, the character on the left, or what goes with it."""
        if not self.keystrokes.delete_left():
            super().action_delete_left()

    def action_delete_word_right(self) -> None:
        """Delete the selection, or up to the end of the word."""
        start, end = self.selection
        self._delete_via_keyboard(
            start, end if start != end else self.get_cursor_word_right_location()
        )

    def clamp_visitable(self, location: Location) -> Location:
        """Return the nearest valid cursor location: in the text, and not within a
        grapheme cluster.
        """
        row, column = super().clamp_visitable(location)
        return row, graphemes.left_end(self.buffer[row], column)

    # The mouse, and what a terminal pastes

    async def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        self.put(event.text)

    def on_click(self, event: events.Click) -> None:
        """Select the word on a double click, the line on a triple click."""
        at = self.get_target_document_location(event)
        here = self.buffer.index(at)
        if event.chain == 2:
            self.selected = edits.word_at(self.buffer.text, here)
        elif event.chain == 3:
            self.selected = edits.select_lines(self.buffer.text, (here, here))

    def _replace_via_keyboard(
        self, insert: str, start: Location, end: Location
    ) -> EditResult | None:
        return super()._replace_via_keyboard(self._fitting(insert), start, end)

    def _fitting(self, text: str) -> str:
        """Return a text as it is put in: with the line ends that are usual here, and no NUL."""
        return LINE_END.sub(self.buffer.newline, text.replace("\0", ""))

    def _run(self, command: Callable[..., Change | None], *more: object) -> None:
        self.change(command(self.buffer.text, self.selected, *more))

    def _located(self, step: Callable[[str, int], int]) -> Location:
        """Apply a step to the cursor; it sees only the line and its neighbours."""
        row, column = self.cursor_location
        lines: Sequence[str] = [
            self.buffer[at] for at in (row - 1, row, row + 1) if 0 <= at < self.buffer.line_count
        ]
        before = len(lines[0]) + 1 if row > 0 else 0
        at = step("\n".join(lines), before + column)
        if at < before:
            return row - 1, at
        if at > before + len(self.buffer[row]):
            return row + 1, at - before - len(self.buffer[row]) - 1
        return row, at - before
