"""The editor's app: the routing of actions, keys and messages to its parts.

An action is a row of `keymap.py`, which names a part and its method. The widgets' messages are
routed here, so that this is the only place that says which part handles which message.
"""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from textual import actions, events, on
from textual.widgets import DirectoryTree, OptionList, Tabs

from dgedit.files.document import readable
from dgedit.tui.editor.editing import Writing
from dgedit.tui.editor.editor import Editor
from dgedit.tui.infill.controller import Holed
from dgedit.tui.infill.session import Stage
from dgedit.tui.infill.worker import Connected, Failed, Refined
from dgedit.tui.keymap import ACTIONS
from dgedit.tui.parts import Parts
from dgedit.tui.terminal.keys import Burst
from dgedit.tui.widgets.find_bar import FindBar, LineBar
from dgedit.tui.widgets.question_bar import Bar
from dgedit.tui.widgets.start_page import StartPage
from dgedit.tui.widgets.tree import FileTree
from dgedit.tui.workspace.language_servers import ServerNews
from dgedit.tui.workspace.pages import Page


class DgeditApp(Parts):
    """The editor, which routes what happens to its parts."""

    CSS_PATH = "app.tcss"

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
        one, fill = _BY_ID[str(parameters[0])], self.infill.fill
        stage = fill.stage if fill else None
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

    @on(Editor.Changed)
    def _edited(self, message: Editor.Changed) -> None:
        editor = message.text_area
        assert isinstance(editor, Editor)
        self.workspace.mark(editor)
        self.workspace.tell_place()
        self.recovery.note_edit(editor)
        self.auto_saving.note_edit(editor)
        self.finder.text_changed(editor)
        self.search.text_changed(editor)
        self.git.note_edit(editor)
        self.servers.note_edit(editor)
        self.ruled.note_edit(editor)
        self.panels.list_anew()

    @on(Editor.SelectionChanged)
    def _cursor_moved(self) -> None:
        self.workspace.tell_place()
        self.crumbs.moved()
        self.servers.tell_problem()
        self.completing.cursor_moved()
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

    @on(ServerNews)
    def _server_said(self, message: ServerNews) -> None:
        self.servers.take(message)

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        self.infill.give_up(message)


_BY_ID = {action.id: action for action in ACTIONS}
