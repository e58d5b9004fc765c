"""Random keys beside a model of the text: whatever is pressed, text, undo and file agree with it.

    make test                     seven runs, always the same
    FUZZ_SECONDS=600 make fuzz    others each time, for so long

What fails is made as short as it can be, and printed as a list of steps.
"""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test
from textual import events
from textual.geometry import Offset

from dgedit.errors import InputError
from dgedit.files.document import LINE_END, Document
from dgedit.tui.infill.session import Stage
from dgedit.tui.terminal.keys import in_bursts

from .beside import STORED, TEXTS, Beside
from .keys import CELLS, CHARS, COMMANDS, FOLDS, LOOKS, MOVES, SIDEWAYS, TAKES, WORDS, keys
from .modelled import lines_around, put, put_above, right_of
from .terminal.test_driver import keys_of

SECONDS = float(os.environ.get("FUZZ_SECONDS", "180"))


class RandomKeys(Beside):
    """Keys, files and infills."""

    # What is pressed

    @rule(chars=CHARS, at_once=st.booleans())
    def types(self, chars: str, at_once: bool) -> None:
        for text in chars if self.front.holes else [chars]:  # which follow their text
            typist = self.typist()
            typist.types(text, in_hole=self.in_hole)
            each = keys_of(text)
            self.post(*(in_bursts(each) if at_once else each))
            self.is_as_of(typist)

    @rule(text=st.one_of(CHARS, TEXTS))
    def pastes(self, text: str) -> None:
        new = LINE_END.sub(self.front.buffer.newline, text)
        expected = put(self.text, self.front.selected, new)
        self.post(events.Paste(text))
        self.is_now(*expected)

    @rule()
    def deletes(self) -> None:
        start, end = sorted(self.front.selected)
        end = right_of(self.text, end) if start == end else end
        expected = put(self.text, (start, end), "")
        self.press("delete")
        self.is_now(*expected)

    @rule()
    def goes_back(self) -> None:
        typist = self.typist()
        typist.deletes_left(in_hole=self.in_hole)
        self.press("backspace")
        self.is_as_of(typist)

    @rule()
    def breaks_the_line(self) -> None:
        fill = self.app.fill
        if fill is not None and self.app.check_action("do", ("accept",)):
            self.accepts(fill, "enter")
        elif self.app.infill.hole_at_cursor() is not None:
            self.press("enter")
            self.is_unchanged()
        else:
            typist = self.typist()
            typist.breaks_line(self.front.buffer.newline, in_hole=self.in_hole)
            self.press("enter")
            self.is_as_of(typist)

    @rule(key=MOVES)
    def moves(self, key: str) -> None:
        if key == "ctrl+right" and self.app.fill is not None:
            return  # it takes a word
        self.press(key)
        self.is_unchanged()

    @rule(at=st.integers(0, 200), key=FOLDS)
    def folds(self, at: int, key: str) -> None:
        self.do(lambda: self.desk.select(*[at % (len(self.text) + 1)] * 2))
        self.press(key)
        self.is_unchanged()

    @precondition(lambda self: self.front.buffer.folds.any)
    @rule(key=st.one_of(SIDEWAYS, keys("up down shift+up shift+down pageup pagedown")))
    def moves_over_folds(self, key: str) -> None:
        selected, (row, _) = self.front.selected, self.front.cursor_location
        alone = self.app.fill is None and not self.front.cursors.several
        self.press(key)
        moved, (after, _) = self.front.selected, self.front.cursor_location
        if key.endswith(("up", "down")):
            assert after <= row if key.endswith("up") else after >= row
        elif alone:
            self.do(self.app.folding.unfold_all)
            self.do(lambda: self.desk.select(*selected))
            self.press(key)
            assert self.front.selected == moved
        self.is_unchanged()

    @rule(one=st.integers(0, 200), two=st.integers(0, 200), cursor=st.booleans())
    def selects(self, one: int, two: int, cursor: bool) -> None:
        most = len(self.text) + 1
        self.do(lambda: self.desk.select(one % most, one % most if cursor else two % most))
        self.is_unchanged()

    @rule(key=COMMANDS)
    def commands(self, key: str) -> None:
        selection = self.front.selected
        self.press(key)
        self.changed_within(*lines_around(self.text, selection))

    @rule(key=keys("ctrl+x ctrl+c ctrl+v"))
    def uses_the_clipboard(self, key: str) -> None:
        start, end = sorted(self.front.selected)
        held = self.text[start:end]
        new = LINE_END.sub(self.front.buffer.newline, self.copied)
        pasted, cut = put(self.text, (start, end), new), put(self.text, (start, end), "")
        around = lines_around(self.text, (start, end))
        if self.line_copied and not held:
            pasted = put_above(self.text, start, new)
        self.press(key)
        self.line_copied = self.line_copied if key == "ctrl+v" else not held
        if key == "ctrl+v":
            self.is_now(*pasted)
        elif key == "ctrl+x" and held:
            self.is_now(*cut)
        elif key == "ctrl+x":
            self.changed_within(*around)
        else:
            self.is_unchanged()
        self.copied = self.app.clipboard

    @rule(key=keys("ctrl+z ctrl+y"), times=st.integers(1, 3))
    def undoes(self, key: str, times: int) -> None:
        for _ in range(times):
            depth, history = self.depth, self.histories[self.front]
            last = not (self.front.history.redo_stack if key == "ctrl+y" else depth)
            fill = self.app.fill
            self.press(key)
            if last or (self.depth == depth and self.app.fill not in (None, fill)):
                self.is_unchanged()
                continue
            assert self.depth == depth + (1 if key == "ctrl+y" else -1)
            assert self.front.text == history.texts.get(self.depth, self.front.text)
            history.gone_to(self.depth, self.front.text)
            self.texts[self.front] = self.front.text

    # Files

    @rule(key=keys("ctrl+pagedown ctrl+pageup ctrl+backslash f8 alt+left alt+right alt+z"))
    def turns(self, key: str) -> None:
        self.press(key)
        if self.front not in self.editors:  # opened again, while its text is another file's by now
            self.press("ctrl+w")
        self.is_unchanged()

    @rule(at=CELLS, to=st.none() | CELLS, chain=st.integers(1, 3))
    def points(self, at: Offset, to: Offset | None, chain: int) -> None:
        self.click(at, to or at, chain)
        self.is_unchanged()

    @rule(answer=keys("s d escape"))
    def closes(self, answer: str) -> None:
        editor = self.front
        text, dirty = editor.text, editor.dirty
        self.press("ctrl+w")
        if self.app.screen.is_modal:
            assert dirty
            self.press(answer)
            if self.app.screen.is_modal:  # what is on disk has changed
                self.press("escape")
        if editor in self.app.editors:
            self.is_unchanged()
            return
        if dirty and answer == "s":
            self.disk[editor] = editor.file.with_text(text).encode()
        elif not dirty and self.disk[editor] is not None:
            assert self.disk[editor] == editor.file.encode()
        self.opens_again(editor.path)

    @rule()
    def saves_elsewhere(self) -> None:
        editor = self.front
        before, new = editor.path, self.folder / f"{next(self.numbers)}{editor.path.suffix}"
        self.press("f12")
        self.press("end", "ctrl+u")
        self.post(events.Paste(str(new)))
        self.press("enter")
        self.is_unchanged()
        if not new.exists():
            assert "cannot be stored" in self.desk.notice, self.desk.notice
            return
        old = self.disk[editor]
        if old is not None:
            self.left[before] = old
        assert not editor.dirty and editor.path.name == new.name
        self.disk[editor] = editor.file.with_text(self.text).encode()

    @rule(answer=keys("k r m d escape"))
    def saves(self, answer: str) -> None:
        self.press("ctrl+s")
        editor = self.front
        if self.app.screen.is_modal:
            old = self.disk[editor]
            assert old is not None
            self.press(answer)
            if answer == "d":
                self.press("escape")
                self.press("escape")
            if answer != "k" or self.app.screen.is_modal:
                self.may_be_reloaded(merged=answer == "m")
                return
        self.is_unchanged()
        try:
            stored = editor.file.with_text(self.text).encode()
        except InputError:
            assert "cannot be stored" in self.desk.notice, self.desk.notice
            return
        assert "saved" in self.desk.notice and not editor.dirty
        self.disk[editor] = stored

    @rule(which=st.sampled_from([0, 1]), stored=st.one_of(STORED, st.none(), st.just(b"# ")))
    def changes_outside(self, which: int, stored: bytes | None) -> None:
        editor = self.editors[which]
        live = self.app.fill is not None and editor in self.app.fill.editors
        if stored == b"# ":  # above what is there
            there = Document.from_bytes(self.disk[editor] or b"")
            stored = there.with_text("# " + there.text).encode()
        back = self.disk[editor] is None  # then it is held to what it was before
        self.disk[editor] = stored
        kept = editor.dirty or live
        if stored is None:
            editor.path.unlink(missing_ok=True)
        else:
            editor.path.write_bytes(stored)
        self.do(self.app.disk.check)
        if stored is None or (kept and not back):
            assert editor.text == self.texts[editor]
        elif not kept:
            assert editor.text == Document.from_bytes(stored).text
        self.may_be_reloaded()

    @precondition(lambda self: self.app.workspace.bar.question is not None)
    @rule(letter=keys("k r m d"))
    def answers(self, letter: str) -> None:
        self.press("f10", letter)
        if letter == "d":
            self.press("escape")
        self.may_be_reloaded(merged=letter == "m")

    # Finding

    @rule(text=WORDS, steps=st.integers(0, 3))
    def finds(self, text: str, steps: int) -> None:
        self.press("ctrl+f", *text, *["enter"] * steps, "escape")
        self.is_unchanged()
        assert self.app.focused is self.front

    @rule(text=WORDS, by=st.one_of(CHARS, st.just("")))
    def replaces(self, text: str, by: str) -> None:
        count, expected = self.text.count(text), self.text.replace(text, by)  # none has capitals
        self.press("ctrl+r", *text, "tab", "ctrl+a", "backspace", *by, "alt+a")
        assert self.front.text == expected
        said = self.desk.notice  # unless a hole that was edited is told of
        assert "hole" in said or said == f"{count} replaced"
        self.press("escape")
        self.follow(self.front)
        self.is_unchanged()

    replaces_in_project = rule(text=WORDS, by=WORDS)(Beside.replaced_in_project)

    # Infills

    @rule(key=keys("f2 f2 shift+f2"))
    def masks(self, key: str) -> None:
        self.press(key)
        self.is_unchanged()

    @rule(steps=st.sampled_from([0, 1, 2, 3, 3, 3]))
    def fills(self, steps: int) -> None:
        if self.app.fill is None and not any(editor.holes for editor in self.editors):
            self.press("f2")
        self.press("f5")
        self.lets_through(steps)

    @precondition(lambda self: self.app.fill is not None)
    @rule(steps=st.integers(1, 3))
    def lets_through(self, steps: int) -> None:
        fill = self.app.fill
        if fill is not None and fill.stage is not Stage.READY and steps:
            self.step(fill, steps)
        self.is_unchanged()

    @precondition(lambda self: self.app.fill is not None)
    @rule(key=LOOKS)
    def looks(self, key: str) -> None:
        if key.endswith("square_bracket") and not self.app.check_action("do", ("step-forth",)):
            return  # then it is typed
        self.press(key)
        self.is_unchanged()

    @precondition(lambda self: self.app.fill is not None)
    @rule(key=TAKES)
    def takes_a_part(self, key: str) -> None:
        fill = self.app.fill
        own = [hole for one, hole in fill.present if one is self.front] if fill else []
        first, last = (own[0].start, own[-1].end) if own else (0, 0)
        self.press(key)
        self.changed_within(first, last)

    @precondition(lambda self: self.app.fill is not None)
    @rule()
    def takes_all(self) -> None:
        fill = self.app.fill
        if fill is not None and fill.stage is Stage.READY:
            self.accepts(fill, "alt+y")

    @precondition(lambda self: self.app.fill is not None)
    @rule(keys=st.lists(keys("n p a a"), max_size=5))
    def takes_hunks(self, keys: list[str]) -> None:
        fill = self.app.fill
        if fill is None or fill.stage is not Stage.READY:
            return
        whole = self.with_drafts(fill)
        self.press("alt+d")
        for key in keys:
            if self.app.screen.is_modal:
                self.press(key)
        if self.app.screen.is_modal:
            self.press("escape")
        for one in self.editors:
            self.follow(one)
        assert self.with_drafts(fill) == whole

    @precondition(lambda self: self.app.fill is not None)
    @rule(key=keys("alt+y alt+a"), anew=keys("alt+y ctrl+y f5 escape"))
    def takes_and_gives_back(self, key: str, anew: str) -> None:
        fill, editor = self.app.fill, self.front
        if fill is None or fill.stage is not Stage.READY:
            return
        if not any(owner is editor for owner, _ in fill.present):
            return
        text = self.text
        shown = [(hole.span, fill.shown_for(hole)) for one, hole in fill.present if one is editor]
        depth = self.depth
        self.press(key)
        for one in self.editors:
            self.follow(one)
        if self.depth == depth:
            return  # no text for an insertion point: nothing to undo
        taken = self.text
        self.undoes("ctrl+z", 1)
        assert self.text == text and self.app.fill is fill
        back = [(hole.span, fill.shown_for(hole)) for one, hole in fill.present if one is editor]
        assert back == shown
        if anew == "alt+y":
            self.accepts(fill, anew)
        elif anew == "ctrl+y":
            self.undoes("ctrl+y", 1)
            assert self.text == taken
        else:
            self.press(anew)
            self.is_unchanged()


ALWAYS = settings(
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def run(**how: Any) -> None:
    run_state_machine_as_test(RandomKeys, settings=settings(ALWAYS, **how))


def test_random_keys_beside_a_model() -> None:
    run(max_examples=7, derandomize=True)


@pytest.mark.slow
def test_random_keys_for_minutes() -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        run(max_examples=10, stateful_step_count=60)
