"""The editor's parts, each constructed once and given what it needs, and the screen they are on.

Nothing is routed here: `app.py` says which part handles which action and message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.app import ComposeResult
from textual.color import Color
from textual.containers import Horizontal

from dgedit.config import Settings
from dgedit.errors import UsageError, unknown
from dgedit.files.document import Document
from dgedit.files.journal import Journal
from dgedit.files.paths import WorkingFolder
from dgedit.files.project import project_of
from dgedit.files.recent import LastTheme, Recent
from dgedit.files.sessions import SessionStore
from dgedit.tui import bindings
from dgedit.tui.editor.editor import Editor
from dgedit.tui.help import Guide
from dgedit.tui.infill.answered import open_answered
from dgedit.tui.infill.controller import InfillController
from dgedit.tui.infill.instruction import Instructing
from dgedit.tui.infill.panels import Panels
from dgedit.tui.infill.review import Review
from dgedit.tui.infill.session import Fill
from dgedit.tui.infill.templates import Templates
from dgedit.tui.infill.worker import EngineWorker
from dgedit.tui.keymap import ACTIONS
from dgedit.tui.terminal.app import TerminalApp
from dgedit.tui.terminal.clipboard import Clipboards
from dgedit.tui.widgets.footer import Hints
from dgedit.tui.workspace.auto_saving import AutoSaving
from dgedit.tui.workspace.colouring import Colouring
from dgedit.tui.workspace.completing import Completing
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
from dgedit.tui.workspace.language_servers import LanguageServers
from dgedit.tui.workspace.leftover import LeftOver
from dgedit.tui.workspace.opening import Opening
from dgedit.tui.workspace.pages import STDIN, Pages
from dgedit.tui.workspace.project_search import ProjectSearch
from dgedit.tui.workspace.questions import Questions
from dgedit.tui.workspace.recovery import Recovery
from dgedit.tui.workspace.rewriting import Rewriting
from dgedit.tui.workspace.ruled import Ruled
from dgedit.tui.workspace.saving import Saving
from dgedit.tui.workspace.sessions import Sessions
from dgedit.tui.workspace.stdin import Piped
from dgedit.tui.workspace.tabs import Workspace
from dgedit.tui.workspace.welcome import Welcome
from dgedit_engine.types import Backend, Infill, InfillRequest


class Parts(TerminalApp):
    """The editor with all its parts, on one screen."""

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
        self._take_themes()
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
        self.templates = Templates(self.infill)
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
        self.auto_saving = AutoSaving(self.saving, self.questions, settings.auto_save)
        self.opening = Opening(workspace, self.disk, self.saving, recent)
        self.expanding = Expanding(workspace)
        self.colouring = Colouring(workspace)
        self.rewriting = Rewriting(workspace, self.saving.refuse)
        self.completing = Completing(workspace, self.saving.refuse)
        self.folding = Folding(workspace)
        self.filtering = Filtering(workspace, self.saving.refuse)
        self.jumps = Jumps(workspace, self.opening)
        self.search = ProjectSearch(workspace, self.jumps)
        commands = {name: table["command"] for name, table in settings.lsp.items()}
        self.servers = LanguageServers(workspace, commands)
        self.ruled = Ruled(workspace)
        self.definitions = Definitions(workspace, self.jumps, self.search, self.servers)
        self.crumbs = Crumbs(workspace)
        self.files = FileCommands(workspace, self.opening)
        self.git = GitGutter(workspace, on=settings.git)
        kept = sessions if folder is not None and settings.sessions else None
        self.sessions = Sessions(workspace, kept)
        self.leftover = LeftOver(workspace, self.questions, self.opening, self.recovery)
        self.welcome = Welcome(workspace, self.opening, self.sessions, recent)
        self.guide = Guide(workspace, self.actions, last_theme or LastTheme())

        pages.first = self.review.first
        pages.line_copied = self.clipboards.line_copied
        pages.uncoloured = self.colouring.color
        pages.open_result, pages.reopen = self.infill.open_result, self.infill.reopen
        self.review.bind(self.actions)
        workspace.added = self._added
        workspace.shown, self.disk.looked = self._shown, self._looked
        again = self.sessions.read(here.absolute(folder), pages) if folder else []
        wanted = (path if path == STDIN else here.absolute(path) for path in paths)
        self.sessions.restore(workspace.begin(wanted, again))
        first = self.editor.path if self.editor.file.path else (here.path or Path("/")) / "x"
        workspace.folder = here.absolute(folder) if folder else project_of(first)

    def _take_themes(self) -> None:
        """Make the user's themes: those that they are based on, with other colours."""
        for name, table in self.settings.themes.items():
            base = table.get("base", Settings().theme)
            if (theme := self.available_themes.get(base)) is None:
                raise UsageError(f"themes.{name}: {unknown('theme', base, self.available_themes)}")
            colors = {key: color for key, color in table.items() if key != "base"}
            ground = colors.get("background")
            dark = theme.dark if ground is None else Color.parse(ground).brightness < 0.5
            self.register_theme(replace(theme, name=name, dark=dark, **colors))

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
        self.servers.start()
        self.questions.show()
        if self.answered is not None:
            self.call_after_refresh(open_answered, self.infill, *self.answered)

    async def on_unmount(self) -> None:
        """End what runs beside the editor."""
        self.colouring.close()
        await self.servers.stop()

    def exit(self, *given: Any, **named: Any) -> None:
        """End the editor, and keep how the project is left."""
        self.sessions.keep()
        super().exit(*given, **named)

    def _added(self, editor: Editor) -> None:
        self.recovery.offer_left(editor)
        self.welcome.close()

    def _shown(self) -> None:
        self._looked()
        self.sessions.shown()

    def _looked(self) -> None:
        self.git.look()
        self.servers.look()
        self.ruled.look()
