"""The editor's app: its parts, the routing of messages and actions to them, and the screen.

An action is a row of `keymap.py`, which names a part and its method. The widgets' messages are
routed here, so that this is the only place that says which part handles which message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import isawaitable
from pathlib import Path
from typing import Any

from textual import actions, events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import DirectoryTree, OptionList, Tabs

from dgedit.config import Settings, unknown
from dgedit.errors import UsageError
from dgedit.files.document import Document, readable
from dgedit.files.journal import Journal
from dgedit.files.paths import WorkingFolder
from dgedit.files.project import project_of
from dgedit.files.recent import LastTheme, Recent
from dgedit.files.sessions import SessionStore
from dgedit.tui import bindings
from dgedit.tui.editor.editing import Writing
from dgedit.tui.editor.editor import Editor
from dgedit.tui.help import Guide
from dgedit.tui.infill.answered import open_answered
from dgedit.tui.infill.controller import Holed, InfillController
from dgedit.tui.infill.instruction import Instructing
from dgedit.tui.infill.panels import Panels
from dgedit.tui.infill.review import Review
from dgedit.tui.infill.session import Fill, Stage
from dgedit.tui.infill.worker import Connected, EngineWorker, Failed, Refined
from dgedit.tui.keymap import ACTIONS
from dgedit.tui.terminal.app import TerminalApp
from dgedit.tui.terminal.clipboard import Clipboards
from dgedit.tui.terminal.keys import Burst
from dgedit.tui.widgets.find_bar import FindBar, LineBar
from dgedit.tui.widgets.footer import Hints
from dgedit.tui.widgets.question_bar import Bar
from dgedit.tui.widgets.start_page import StartPage
from dgedit.tui.widgets.tree import FileTree
from dgedit.tui.workspace.crumbs import Crumbs
from dgedit.tui.workspace.definitions import Definitions
from dgedit.tui.workspace.disk_changes import DiskChanges
from dgedit.tui.workspace.expanding import Expanding
from dgedit.tui.workspace.file_commands import FileCommands
from dgedit.tui.workspace.filtering import Filtering
from dgedit.tui.workspace.finding import Finder
from dgedit.tui.workspace.folding import Folding
from dgedit.tui.workspace.git_gutter import GitGutter
from dgedit.tui.workspace.jumps import Jumps
from dgedit.tui.workspace.leftover import LeftOver
from dgedit.tui.workspace.opening import Opening
from dgedit.tui.workspace.pages import STDIN, Page, Pages
from dgedit.tui.workspace.project_search import ProjectSearch
from dgedit.tui.workspace.questions import Questions
from dgedit.tui.workspace.recovery import Recovery
from dgedit.tui.workspace.saving import Saving
from dgedit.tui.workspace.sessions import Sessions
from dgedit.tui.workspace.stdin import Piped
from dgedit.tui.workspace.tabs import Workspace
from dgedit.tui.workspace.welcome import Welcome
from dgedit_engine.types import Backend, Infill, InfillRequest


class DgeditApp(TerminalApp):
    """The editor with all its parts, on one screen."""

    CSS_PATH = "app.tcss"

    def __init__(
        self,
        paths: Iterable[Path],
        *,
        connect: Callable[[], Backend],
        folder: Path | None = None,
        effort: float = 0.5,
        seed: int = 0,
        watch: bool = True,
        settings: Settings | None = None,
        recent: Recent | None = None,
        last_theme: LastTheme | None = None,
        journal: Journal | None = None,
        sessions: SessionStore | None = None,
        read_only: bool = False,
        force: bool = False,
        piped: Document | None = None,
        answered: tuple[InfillRequest, Infill] | None = None,
    ) -> None:
        """Open the files at `paths`.

        `folder` is the project's folder, shown at the start; `watch` watches the files for changes
        on disk. Raises InputError, and UsageError for invalid settings.
        """
        super().__init__()
        self.settings = settings = settings or Settings()
        if settings.theme not in self.available_themes:
            raise UsageError(unknown("theme", settings.theme, self.available_themes))
        if settings.reduced_motion:
            self.animation_level = "none"
        self.failure: Exception | None = None
        """The internal error that ended the app."""
        self.answered, self.show_tree = answered, folder is not None
        recent = recent or Recent(None)
        self.started_in = here = WorkingFolder.now()

        pages = Pages(settings, here, read_only=read_only, force=force, piped=piped)
        self.workspace = workspace = Workspace(self, pages)
        self.finder = Finder(workspace)
        self.clipboards = Clipboards(self, workspace.notice)
        self.infill = InfillController(
            workspace,
            EngineWorker(connect, self.post_message),
            effort=effort,
            seed=seed,
            caution=settings.caution,
            live=settings.live,
        )
        self.review = Review(self.infill)
        self.instructing = Instructing(self.infill)
        self.actions = bindings.rebound(ACTIONS, settings.keys)
        holes = next(action for action in self.actions if action.id == "holes")
        self.panels = Panels(self.infill, next(iter(bindings.written(holes.keys)), ""))
        self.questions = Questions(workspace)
        self.piped = Piped(workspace, piped)
        self.recovery = Recovery(workspace, self.questions, self.piped, journal)
        self.disk = DiskChanges(workspace, self.questions, self.infill.is_in, watch=watch)
        self.saving = Saving(workspace, self.disk, self.infill, self.piped, recent)
        self.opening = Opening(workspace, self.disk, self.saving, recent)
        self.expanding = Expanding(workspace)
        self.folding = Folding(workspace)
        self.filtering = Filtering(workspace, self.saving.refuse)
        self.jumps = Jumps(workspace, self.opening)
        self.search = ProjectSearch(workspace, self.jumps)
        self.definitions = Definitions(workspace, self.jumps, self.search)
        self.crumbs = Crumbs(workspace)
        self.files = FileCommands(workspace, self.opening)
        self.git = GitGutter(workspace, on=settings.git)
        kept = sessions if folder is not None and settings.sessions else None
        self.sessions = Sessions(workspace, kept)
        self.leftover = LeftOver(workspace, self.questions, self.opening, self.recovery)
        self.welcome = Welcome(workspace, self.opening, recent)
        self.guide = Guide(workspace, self.actions, last_theme or LastTheme())

        pages.first = self.review.first
        pages.line_copied = self.clipboards.line_copied
        pages.open_result, pages.reopen = self.infill.open_result, self.infill.reopen
        self.review.bind(self.actions)
        workspace.added = self._added
        workspace.shown, self.disk.looked = self._shown, self.git.look
        again = self.sessions.read(here.absolute(folder), pages) if folder else []
        wanted = (path if path == STDIN else here.absolute(path) for path in paths)
        self.sessions.restore(workspace.begin(wanted, again))
        first = self.editor.path if self.editor.file.path else (here.path or Path("/")) / "x"
        workspace.folder = here.absolute(folder) if folder else project_of(first)

    @property
    def editor(self) -> Editor:
        """The current file's editor."""
        return self.workspace.editor

    @property
    def editors(self) -> list[Editor]:
        """The editors, in the order of their tabs."""
        return self.workspace.editors

    @property
    def fill(self) -> Fill | None:
        """The open infill."""
        return self.infill.fill

    # The screen

    def compose(self) -> ComposeResult:
        """Lay out tabs, panes, bars, status line and keys."""
        yield self.workspace.strip
        with Horizontal(id="middle"):
            yield self.workspace.panes
        yield self.search.panel
        yield self.finder.find_bar
        yield self.finder.line_bar
        yield self.workspace.bar
        yield self.workspace.status
        yield Hints()

    def on_mount(self) -> None:
        """Show the first file, and start each part."""
        self.theme = self.settings.theme
        self.set_keymap(bindings.keymap(self.actions, self.settings.keys))
        self.call_next(self.guide.start)
        self.editor.focus()
        self.clipboards.start()
        self.infill.start()
        self.piped.start()
        self.leftover.start()  # before recovery: one question for all files comes first
        self.recovery.start()
        self.opening.start(show_tree=self.show_tree)
        if self.show_tree:
            self.welcome.start(bindings.hints(self.actions, "mask", "fill", "help"))
        self.sessions.start()
        self.disk.watch_anew()
        self.git.start()
        self.questions.show()
        if self.answered is not None:
            self.call_after_refresh(open_answered, self.infill, *self.answered)

    def exit(self, *given: Any, **named: Any) -> None:
        """End the editor, and keep how the project is left."""
        self.sessions.keep()
        super().exit(*given, **named)

    def copy_to_clipboard(self, text: str) -> None:
        """Copy a text. Undecodable bytes are kept only in our own clipboard."""
        super().copy_to_clipboard(readable(text))
        self._clipboard = text
        self.clipboards.copy(text)

    def _handle_exception(self, error: Exception) -> None:
        """Keep unsaved text before anything else; the command line reports the error."""
        self.failure = self.failure or error
        self.recovery.secure()
        super()._handle_exception(error)
        self._exit_renderables.clear()

    # Actions

    async def action_do(self, name: str) -> None:
        """Run an action of the table."""
        part, method, given = actions.parse(_BY_ID[name].call)
        done: Any = getattr(getattr(self, part), method)(*given)
        if isawaitable(done):
            await done

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Say whether an action is available; none is while a dialog is open."""
        if action != "do":
            return super().check_action(action, parameters)
        if self.screen.is_modal:
            return False
        one, stage = _BY_ID[str(parameters[0])], self.fill.stage if self.fill else None
        match one.needs:
            case "":
                return True
            case "bar":
                return self.finder.is_open
            case "running":
                return stage not in (None, Stage.READY)
            case _:
                return stage is Stage.READY and self.review.allows(one)

    # Keys and the terminal

    async def on_event(self, event: events.Event) -> None:
        """Clear the notice on a key or a click, before it is handled."""
        ends = isinstance(event, events.Key | events.Paste | events.MouseDown)
        if ends and not event.is_forwarded:
            self.workspace.notice("")
        await super().on_event(event)

    async def on_burst(self, burst: Burst) -> None:
        """Pass a burst to the focused editor, or to other widgets key by key."""
        self.app_focus = True
        self.workspace.notice("")
        if isinstance(self.focused, Editor):
            self.focused.post_message(Burst(burst.keys, pasted=burst.pasted))
        else:
            for key in burst.keys:
                await self.on_event(key)

    def on_app_focus(self) -> None:
        """Check the files on disk again."""
        self.disk.focus()
        self.git.read_again()

    @on(events.CursorPosition)
    def _shift_f3(self) -> None:
        """Find the previous match.

        Terminals such as xterm send a sequence for Shift+F3 that parses as a cursor position
        report, which is never requested.
        """
        self.finder.step(-1)

    # Messages and the parts that handle them

    def _shown(self) -> None:
        self.git.look()
        self.sessions.shown()

    def _added(self, editor: Editor) -> None:
        self.recovery.offer_left(editor)
        self.welcome.close()

    @on(Editor.Changed)
    def _edited(self, message: Editor.Changed) -> None:
        editor = message.text_area
        assert isinstance(editor, Editor)
        self.workspace.mark(editor)
        self.recovery.note_edit(editor)
        self.finder.text_changed(editor)
        self.search.text_changed(editor)
        self.git.note_edit(editor)
        self.panels.list_anew()

    @on(Editor.SelectionChanged)
    def _cursor_moved(self) -> None:
        self.workspace.tell_place()
        self.crumbs.moved()
        self.review.leave_drafts()
        self.review.cursor_moved()

    @on(Editor.Touched)
    def _touched(self, message: Editor.Touched) -> None:
        self.infill.touched(message)
        self.panels.list_anew()

    @on(Editor.Pointed)
    def _pointed(self, message: Editor.Pointed) -> None:
        self.review.point(message)

    @on(Writing.Note)
    def _noted(self, message: Writing.Note) -> None:
        self.workspace.notice(message.words)

    @on(Page.Refused)
    def _refused(self) -> None:
        self.saving.refuse()

    @on(Tabs.TabActivated)
    def _turned(self) -> None:
        self.workspace.follow_tab()
        self.crumbs.moved()
        self.questions.show()
        self.review.cursor_moved()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Follow the focus to a file."""
        self.workspace.follow_focus(event.widget)

    @on(Bar.Left)
    def _bar_left(self) -> None:
        self.questions.leave()

    @on(FindBar.Asked)
    def _query_changed(self) -> None:
        self.finder.query_changed()

    @on(LineBar.Typed)
    def _line_typed(self) -> None:
        self.finder.show_line()

    @on(DirectoryTree.FileSelected)
    async def _file_chosen(self, message: DirectoryTree.FileSelected) -> None:
        await self.opening.open_file(message.path)

    @on(StartPage.Chosen)
    async def _recent_chosen(self, message: StartPage.Chosen) -> None:
        await self.welcome.choose(message.path)

    @on(StartPage.Typed)
    def _typed(self, message: StartPage.Typed) -> None:
        self.welcome.type_text(message.character)

    @on(FileTree.Unfolded)
    def _tree_unfolded(self) -> None:
        self.files.follow_tree()

    @on(FileTree.Left)
    def _tree_left(self) -> None:
        self.opening.leave_tree()

    @on(OptionList.OptionSelected)
    def _option_chosen(self, message: OptionList.OptionSelected) -> None:
        self.panels.go(message)

    @on(Holed)
    def _holed(self) -> None:
        self.review.tell_keys()
        self.panels.list_anew()

    @on(Connected)
    def _connected(self) -> None:
        self.infill.connected()
        self.instructing.connected()

    @on(Refined)
    def _refined(self, message: Refined) -> None:
        self.infill.draw_step(message)

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        self.infill.give_up(message)


_BY_ID = {action.id: action for action in ACTIONS}
