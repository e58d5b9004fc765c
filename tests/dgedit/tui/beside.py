"""An editor over random files, driven step by step beside a model of its texts.

Waits for what is to happen, not for the processor to be idle, as Textual's pilot does: a step takes
30 ms, not 150.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from pathlib import Path
from threading import Semaphore

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant
from textual import events
from textual.geometry import Offset

from dgedit.files.document import LINE_END, Document
from dgedit.tui.app import DgeditApp
from dgedit.tui.editor.editor import Editor
from dgedit.tui.infill.session import Fill, Stage
from dgedit.tui.terminal.keys import Burst
from dgedit_engine.types import Candidate, InfillRequest, Step
from scripted import DONE, HALF, NOISE, Script, draft

from .conftest import Desk
from .drawn import check_rows, check_view
from .modelled import History, Selection, Typist, same_outside

NAMES = "a.py", "b.txt"
FAMILY = "e\u0301👩\u200d👩\u200d👧"
PIECES = [
    "def f(x):",
    "    return x",
    "\tif a:",
    "# é",
    "界 你",
    "foo(bar)",
    "if x:\n    y",
    "    z",
    " ",
    "",
    FAMILY,
    "\x0c",
]
ENDS = ["\n", "\n", "\n", "\r\n", "\r\n", "\r", "\u2028"]
LINES = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(ENDS)), max_size=8)
TEXTS = LINES.map(lambda lines: "".join(line + end for line, end in lines))
STORED = st.one_of(
    TEXTS.map(str.encode),
    st.tuples(TEXTS, TEXTS).map(lambda two: two[0].encode() + b"\xff\xc3" + two[1].encode()),
    TEXTS.map(lambda text: b"\xef\xbb\xbf" + text.encode()),
    TEXTS.map(lambda text: ("\ufeff" + text).encode("utf-16-le")),
)
ANSWERS = ("one", "two\n    three", "", f"{FAMILY} [x]", "a = (1,\n", "return x + 1")


class Answers(Script):
    """Has an answer for any number of holes, three candidates, and a gate for each infill: one that
    is given up takes no step from the next.
    """

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        self.gate = Semaphore(0)
        self.requests.append(request)
        count = len(request.holes)
        for at in (NOISE, HALF, DONE):
            self.gate.acquire()
            every = [
                tuple(draft(ANSWERS[(i + by) % len(ANSWERS)], at) for i in range(count))
                for by in range(3)
            ]
            candidates = tuple(
                tuple(Candidate(one, -i, "sample") for i, one in enumerate(hole))
                for hole in zip(*every, strict=True)
            )
            more = candidates if at == DONE else ()
            yield Step(at + 1, 3, every[0], at == DONE, "settled", 0.0, more)


class Beside(RuleBasedStateMachine):
    """Two files in an editor, and their model beside them. What is pressed others say."""

    @initialize(stored=st.tuples(STORED, STORED))
    def start(self, stored: tuple[bytes, bytes]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="random-keys-"))
        self.paths = [self.folder / name for name in NAMES]
        for path, data in zip(self.paths, stored, strict=True):
            path.write_bytes(data)
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.script = Answers()
        self.app = DgeditApp(self.paths, connect=lambda: self.script, watch=False)
        self.runner.run(self._open())
        self.editors = list(self.app.editors)
        self.texts = {one: Document.from_bytes(one.path.read_bytes()).text for one in self.editors}
        self.first = dict(self.texts)
        self.histories = {one: History(text) for one, text in self.texts.items()}
        self.disk: dict[Editor, bytes | None] = {one: one.path.read_bytes() for one in self.editors}
        self.copied, self.line_copied = "", False
        self.left: dict[Path, bytes] = {}
        """Files whose text goes on under another name."""
        self.numbers = count()

    async def _open(self) -> None:
        pilot = await self.stack.enter_async_context(self.app.run_test(size=(60, 16)))
        self.desk = Desk(self.app, pilot, self.script)
        for editor in self.app.editors:
            editor.cursor_blink = False
        await self._until(lambda: self.app.infill.source.backend is not None)

    def teardown(self) -> None:
        if not hasattr(self, "runner"):
            return
        try:
            if sys.exc_info()[0] is None:  # no step failed
                self.do(self._undo_all_and_redo_all)
        finally:
            self.app.infill.drop()  # or a step would be drawn on a screen that is gone
            self.script.go(100)
            self.runner.run(self.stack.aclose())
            self.runner.close()
            shutil.rmtree(self.folder)

    def _undo_all_and_redo_all(self) -> None:
        for editor in self.editors:
            while editor.history.redo_stack:
                editor.redo()
            last = editor.text
            while editor.history.undo_stack:
                editor.undo()
            assert editor.text == self.first[editor]
            while editor.history.redo_stack:
                editor.redo()
            assert editor.text == last

    # The model

    @property
    def front(self) -> Editor:
        return self.app.editor

    @property
    def text(self) -> str:
        return self.texts[self.front]

    @property
    def depth(self) -> int:
        return depth_of(self.front)

    def press(self, *keys: str) -> None:
        self.post(*(events.Key(key, key if len(key) == 1 else None) for key in keys))

    def post(self, *messages: events.Event | Burst) -> None:
        for message in messages:
            self.app.post_message(message)
        self.idle()

    def do(self, what: Callable[[], object]) -> None:
        """Do something that no key does."""

        async def now() -> None:
            what()

        self.runner.run(now())
        self.idle()

    def opens_again(self, path: Path) -> None:
        """Open a file that was closed: all there was to undo is gone."""
        self.runner.run(self.app.opening.open_file(path))
        self.idle()
        (new,) = (one for one in self.app.editors if one not in self.editors)
        new.cursor_blink = False
        self.editors = list(self.app.editors)
        stored = path.read_bytes() if path.exists() else None
        text = Document.from_bytes(stored or b"").text
        self.disk[new], self.texts[new], self.first[new] = stored, text, text
        self.histories[new] = History(text)

    def click(self, at: Offset, to: Offset, chain: int) -> None:
        """Press the mouse on a cell of the screen, and let it go there, or at another."""
        widget = self.app.get_widget_at(*at)[0]
        if not isinstance(widget, Editor):
            return  # or what is asked there would be answered
        kinds = [events.MouseDown, events.MouseMove, events.MouseUp]
        for kind, (x, y) in zip(kinds, (at, to, to), strict=True):
            self._point(kind(widget, x, y, 0, 0, 1, False, False, False, x, y))
        if at == to:
            x, y = at
            self._point(events.Click(widget, x, y, 0, 0, 1, False, False, False, x, y, chain=chain))

    def _point(self, event: events.MouseEvent) -> None:
        self.app.mouse_position = Offset(event.screen_x, event.screen_y)
        self.do(lambda: self.app.screen._forward_event(event))

    def step(self, fill: Fill, steps: int) -> None:
        """Let the engine take some more steps."""
        at = min(3, (fill.step.index if fill.step else 0) + steps)
        self.script.go(steps)
        self.until(lambda: fill.step is not None and fill.step.index == at)
        self.idle()

    def until(self, fact: Callable[[], bool]) -> None:
        self.runner.run(self._until(fact))

    def until_holds(self, check: Callable[[], None]) -> None:
        """Wait a moment for what is painted with the next frame."""
        for _ in range(10):
            try:
                check()
            except (AssertionError, KeyError):
                self.runner.run(asyncio.sleep(0.004))
            else:
                return
        check()

    async def _until(self, fact: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not fact():
                await asyncio.sleep(0.002)

    def idle(self) -> None:
        """Wait until all is done, and the engine has begun if it is to, or ended."""
        self.runner.run(self._idle())

    async def _idle(self) -> None:
        await self.desk.settled()
        fill, requests = self.app.fill, self.script.requests
        if fill is not None and fill.stage is not Stage.READY:
            await self._until(lambda: bool(requests) and requests[-1] is fill.request)
        elif requests:
            self.script.go(3)

    def _working(self) -> bool:
        """Whether something is being done that waits for no answer."""
        return not self.app.screen.is_modal and any(one.is_running for one in self.app.workers)

    def typist(self) -> Typist:
        """One who types at the cursor."""
        editor = self.front
        return Typist(
            self.text,
            editor.selected,
            editor.path.name,
            editor.indent_size,
            editor.indent_unit,
            editor.keystrokes.pending,
        )

    @property
    def in_hole(self) -> bool:
        """Whether the cursor is at a hole, or the end of the selection where it begins."""
        return self.front.in_hole(min(self.front.selected))

    def accepts(self, fill: Fill, key: str) -> None:
        shown = {hole: fill.shown_for(hole) for _, hole in fill.present}
        expected = dict(self.texts)
        for editor, hole in sorted(fill.present, key=lambda one: -one[1].start):
            one = shown[hole]
            assert one is not None
            text = expected[editor]
            expected[editor] = text[: hole.start] + one.text + text[hole.end :]
        depths = {one: depth_of(one) for one in self.editors}
        self.press(key)
        assert self.app.fill is None
        for editor in self.editors:
            # Which line ends they have is `Document.apply`'s.
            assert _read(editor.text) == _read(expected[editor])
            assert depth_of(editor) <= depths[editor] + 1
            self.follow(editor)

    def replaced_in_project(self, text: str, by: str) -> None:
        """Replace in all files: those that are open are edited, the others saved."""
        search = self.app.search
        self.press("f9", *text, "tab", "ctrl+a", "backspace", *by)
        self.until(lambda: not search.running)
        self.press("alt+a")
        if self.app.screen.is_modal:
            self.press("enter")
            self.until(lambda: not search.running)
        self.press("escape")
        for editor in self.editors:
            assert editor.text == self.texts[editor].replace(text, by)
            self.follow(editor)
        for path, stored in self.left.items():
            file = Document.from_bytes(stored)
            self.left[path] = file.with_text(file.text.replace(text, by)).encode()

    def with_drafts(self, fill: Fill) -> list[str]:
        """What the texts are once all that is shown is accepted."""
        texts = {one: one.text for one in self.editors}
        for editor, holes in fill.fills():
            texts[editor] = editor.current.apply([(hole.span, new) for hole, new in holes]).text
        return [_read(text) for text in texts.values()]

    def is_as_of(self, typist: Typist) -> None:
        """The text in front is what somebody typed."""
        self.is_now(typist.text, typist.selection)

    def is_now(self, text: str, cursor: int | Selection) -> None:
        """The text in front is that, unless one of its line ends is two by an edit."""
        if not self._parted:
            assert ascii(self.front.text) == ascii(text)
            assert self.front.selected in (cursor, (cursor, cursor))
        self.follow(self.front)
        self.is_unchanged()

    def changed_within(self, start: int, end: int) -> None:
        """Nothing changed elsewhere."""
        assert same_outside(self.text, self.front.text, start, end) or self._parted
        self.follow(self.front)
        self.is_unchanged()

    def may_be_reloaded(self, *, merged: bool = False) -> None:
        """A text is as it was, or what is on disk."""
        for editor in self.editors:
            stored = self.disk[editor]
            if editor.text != self.texts[editor] and not merged:
                assert stored is not None and editor.text == Document.from_bytes(stored).text
            self.follow(editor)

    def follow(self, editor: Editor) -> None:
        """Take the editor's text for the model's."""
        depth, history = depth_of(editor), self.histories[editor]
        if editor.text != self.texts[editor] or depth != history.depth:
            history.edited(depth, editor.text)
        self.texts[editor] = editor.text

    def is_unchanged(self) -> None:
        for editor in self.editors:
            assert editor.text == self.texts[editor]

    @property
    def _parted(self) -> bool:
        """Whether a \\r and a \\n that came together are still two line ends."""
        buffer = self.front.buffer
        return buffer.line_count != len(LINE_END.split(buffer.text))

    # What is always true

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "disk"):
            return
        assert self.app._exception is None
        assert not self.app.screen.is_modal
        assert self.app.focused is self.front
        self.is_unchanged()
        for editor in self.editors:
            size, done = len(editor.text), 0
            assert editor.buffer.length == size
            for hole in editor.holes:
                assert done <= hole.start <= hole.end <= size
                done = hole.end
            assert max(editor.selected) <= size
            stored = editor.path.read_bytes() if editor.path.exists() else None
            assert stored == self.disk[editor]
            check_rows(editor)
            if editor.display:
                self.until_holds(partial(check_view, editor))
        for path, stored in self.left.items():
            assert path.read_bytes() == stored
        self._drafts_are_the_infill()

    def _drafts_are_the_infill(self) -> None:
        fill = self.app.fill
        drafted = [hole for editor in self.editors for hole in editor.holes if hole.draft]
        if fill is None:
            assert not drafted
            return
        present = [hole for _, hole in fill.present]
        assert present and all(hole in present for hole in drafted)
        if fill.stage is Stage.READY:
            assert [hole.draft for hole in present] == [fill.shown_for(hole) for hole in present]


def depth_of(editor: Editor) -> int:
    """How many edits can be undone; not the results that were left without one."""
    return sum(bool(edits[0].change.parts) for edits in editor.history.undo_stack)


def _read(text: str) -> str:
    return LINE_END.sub("\n", text)
