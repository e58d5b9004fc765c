"""Language servers that the settings name: what they find wrong, say of a name, and where it is
defined.

One server is started for each language when a file of it is first shown. It is told what a text is
a moment after the last edit, and problems in a text that has changed meanwhile are dropped: those
before stay on their text until then. A server that is not there, fails or hangs is said so once;
editing goes on without it.

Knows editors and their texts; `protocol/` knows what is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from weakref import WeakKeyDictionary

from textual.document._document import Location
from textual.message import Message
from textual.timer import Timer

from dgedit.files.disk import Fingerprint, reason
from dgedit.protocol.language_server import LanguageServer
from dgedit.protocol.replies import Problem, Target
from dgedit.text.languages import kind_of
from dgedit.text.visible import visible
from dgedit.tui.editor.editor import Editor
from dgedit.tui.widgets.picker import Choice, Choose
from dgedit.tui.widgets.text_dialog import TextDialog
from dgedit.tui.workspace.tabs import Workspace

_PAUSE = 0.25  # seconds without an edit after which a server is told
_PATIENCE = 4.0  # seconds that an answer is waited for
_STARTS = 3  # times that a server is started which ends by itself
_KINDS = {1: "error", 2: "warning", 3: "note", 4: "hint"}

T = TypeVar("T")


class ServerNews(Message):
    """A server has said something, in a thread of its own."""


class ProblemsFound(ServerNews):
    """A server has found these in a text."""

    def __init__(self, path: Path, text: str, problems: Sequence[Problem]) -> None:
        super().__init__()
        self.path, self.text, self.problems = path, text, problems


class ServerEnded(ServerNews):
    """A server has ended by itself."""

    def __init__(self, language: str, why: str) -> None:
        super().__init__()
        self.language, self.why = language, why


@dataclass(slots=True)
class _Known:
    """What a server knows of a file."""

    server: LanguageServer
    path: Path
    fingerprint: Fingerprint | None


class LanguageServers:
    """The servers of all languages, and what is asked of them."""

    def __init__(self, workspace: Workspace, commands: Mapping[str, Sequence[str]]) -> None:
        """Take the command of each language's server."""
        self.workspace, self.app, self._commands = workspace, workspace.app, commands
        self._running: dict[str, LanguageServer] = {}
        self._starts: dict[str, int] = {}
        self._known: WeakKeyDictionary[Editor, _Known] = WeakKeyDictionary()
        self._edited: set[Editor] = set()
        self._timer: Timer | None = None

    def start(self) -> None:
        """Start the servers of the visible files, after the first frame."""
        if self._commands:
            self._timer = self.app.set_interval(_PAUSE, self._tell_edited, pause=True)
            self.app.call_after_refresh(self.look)

    async def stop(self) -> None:
        """End them all."""
        running, self._running = list(self._running.values()), {}
        await asyncio.gather(*(asyncio.to_thread(one.stop) for one in running))

    # Telling them

    def look(self) -> None:
        """Tell them which files are shown, closed, saved or under another name."""
        if self._timer is None:
            return
        for editor in [one for one in self._known if one not in self.workspace.editors]:
            known = self._known.pop(editor)
            known.server.close(known.path)
        for editor in self.workspace.visible:
            self._tell(editor)

    def note_edit(self, editor: Editor) -> None:
        """Tell a file's server once no edit has come for a moment."""
        if self._timer is not None and editor in self._known:
            self._edited.add(editor)
            self._timer.reset()
            self._timer.resume()

    def _tell_edited(self) -> None:
        assert self._timer is not None
        self._timer.pause()
        edited, self._edited = self._edited, set()
        for editor in edited:
            if editor in self.workspace.editors:
                self._tell(editor)

    def _tell(self, editor: Editor) -> LanguageServer | None:
        """Tell a file's server what it does not know of it yet; return it if there is one."""
        known, path = self._known.get(editor), editor.path
        if known is not None and (known.path != path or not known.server.running):
            known.server.close(known.path)
            del self._known[editor]
            known = None
        server = known.server if known else self._server(editor)
        if server is None:
            return None
        server.tell(path, editor.text)
        if known is None:
            self._known[editor] = _Known(server, path, editor.file.fingerprint)
        elif known.fingerprint != editor.file.fingerprint:
            known.fingerprint = editor.file.fingerprint
            server.saved(path)
        return server

    def _server(self, editor: Editor) -> LanguageServer | None:
        """Return the server for a file, started where it has to be."""
        language = kind_of(editor.file_name).language
        if language is None or language not in self._commands or not editor.path.is_absolute():
            return None
        server, starts = self._running.get(language), self._starts.get(language, 0)
        if server is not None and server.running:
            return server
        if starts >= _STARTS:
            return None
        self._starts[language] = starts + 1
        command = self._commands[language]
        post = self.app.post_message
        try:
            self._running[language] = server = LanguageServer(
                command,
                self.workspace.folder,
                language,
                lambda path, text, found: post(ProblemsFound(path, text, found)),
                lambda why: post(ServerEnded(language, why)),
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL
            self._starts[language] = _STARTS
            self._say(f"no language server for {language}: {command[0]}: {reason(error)}")
            return None
        return server

    def _say(self, words: str) -> None:
        self.workspace.notice(visible(words))

    # What they say

    def take(self, message: ServerNews) -> None:
        """Mark the problems that were found, or say that a server has ended."""
        match message:
            case ProblemsFound():
                self._mark(message)
            case ServerEnded():
                self._ended(message)
        self.tell_problem()

    def _mark(self, message: ProblemsFound) -> None:
        """Mark the problems of a text that is as it was."""
        for editor in self.workspace.editors:
            if editor.path == message.path and editor.text == message.text:
                editor.take_problems(message.problems)

    def _ended(self, message: ServerEnded) -> None:
        """Say why a server is not there any more; it is started again with the next edit."""
        server = self._running.pop(message.language, None)
        for editor, known in self._known.items():
            if known.server is server:
                editor.take_problems(())
                self._edited.add(editor)
        again = self._starts.get(message.language, 0) < _STARTS
        self._say(
            f"the language server for {message.language} {message.why}"
            + ("" if again else ": it is not started again")
        )

    def tell_problem(self) -> None:
        """Show the worst problem of the cursor's line in the status line."""
        editor = self.workspace.editor
        row, column = editor.selection.end
        here = editor.problems.at(editor.buffer, row, column) if len(editor.problems) else []
        self.workspace.status.problem = " ".join(here[0].words.split()) if here else ""

    # Going to problems

    def step(self, by: int) -> None:
        """Go to the next problem of the current file, or the previous one."""
        editor = self.workspace.editor
        found = editor.problems.next(editor.buffer.index(editor.selection.end), by)
        if found is None:
            self._say(f"no problem is known in {editor.path.name}")
            return
        start, number = found
        editor.move_cursor(editor.buffer.location(start), center=True)
        self._say(f"problem {number:,} of {len(editor.problems):,}")

    def list_all(self) -> None:
        """Choose among the problems of the open files, the worst ones' files first."""
        self.workspace.work(self._list_all, group="problems")

    async def _list_all(self) -> None:
        found = [
            (editor, row, column, one)
            for editor in self.workspace.editors
            for row, column, one in editor.problems.all(editor.buffer)
        ]
        if not found:
            self._say("no problem is known in the open files")
            return
        choices = [
            Choice(
                " ".join(one.words.split()),
                (_KINDS[one.severity], self.workspace.short(f"{editor.path}:{row + 1}")),
            )
            for editor, row, _, one in found
        ]
        at = await self.app.push_screen_wait(Choose("go to a problem", choices))
        if at is not None:
            editor, row, column, _ = found[at]
            self.workspace.show(editor)
            editor.move_cursor((row, column), center=True)

    # Asking them

    def hover(self) -> None:
        """Show what is wrong at the cursor, and what is known of the name there."""
        self.workspace.work(self._hover, group="hover")

    async def _hover(self) -> None:
        editor = self.workspace.editor
        row, column = editor.selection.end
        problems = [
            f"{_KINDS[one.severity]}: {one.words}" + (f" ({one.source})" if one.source else "")
            for one in editor.problems.at(editor.buffer, row, column)
        ]
        said = ""
        if (server := self._tell(editor)) is not None:
            place = editor.buffer.index((row, column))
            said = await _within(server.hover(editor.path, place), "")
        if parts := [*problems, *([said] if said else [])]:
            await self.app.push_screen_wait(TextDialog("At the cursor", "\n\n".join(parts)))
        elif server is None:
            self._say("no language server is set for this kind of file: see [lsp] in the settings")
        else:
            self._say("the language server says nothing of this place")

    async def definition(self, editor: Editor) -> list[tuple[Path, Location]]:
        """Return where a file's server says that the name at the cursor is defined."""
        if (server := self._tell(editor)) is None:
            return []
        place = editor.buffer.index(editor.selection.end)
        none: list[Target] = []
        found = await _within(server.definition(editor.path, place), none)
        return await asyncio.to_thread(server.places, found)


async def _within(answer: Future[T], none: T) -> T:
    """Return an answer, or `none` where it takes too long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            return await asyncio.wrap_future(answer)
    return none
