"""Two panels: the holes of all files, and the text that the model is given.

F4 lists the holes beside the text: Enter goes to one, Delete removes it, Escape closes the list;
while the text has the focus, F4 closes it. F7 shows the request part by part, with the tokens of
each: that of the open infill, else the one that F5 would send. Tokens are counted by the model's
tokenizer if it is in this process, else estimated as four characters each. What exceeds a model's
context, it leaves out, the farthest first.

Knows holes and requests; changes nothing but which holes there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.document._document import Selection
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from dgedit.errors import DgeditError
from dgedit.request.context import Given, given
from dgedit.text.visible import visible
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.holes import OpenHole
from dgedit.tui.infill import words
from dgedit.tui.infill.controller import Holed, InfillController
from dgedit.tui.infill.session import Fill, Stage, Wish
from dgedit.tui.widgets.dialogs import Modal

# The most characters of a hole that are listed.
_SAID = 500
_SIGNS = {Stage.WAITING: "…", Stage.RUNNING: "…", Stage.READY: "✓"}


class HolesPanel(OptionList):
    """The list of the holes of all files."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("delete,backspace", "remove", "remove"),
        Binding("escape", "app.do('holes')", "close"),
    ]

    def __init__(self, key: str) -> None:
        super().__init__(compact=True)
        self.holes: list[tuple[Editor, OpenHole]] = []
        self.border_title = "Holes"
        self._key = key
        """The key that closes it from anywhere; empty if there is none."""

    def on_focus(self) -> None:
        """Show the list's keys."""
        self.border_subtitle = "Enter go · Del remove · Esc close"

    def on_blur(self) -> None:
        """Show the key that closes the list."""
        self.border_subtitle = f"{self._key} close" if self._key else ""

    def list(self, editors: list[Editor], fill: Fill | None) -> None:
        """List the present holes."""
        at = self.highlighted
        self.holes = [(editor, hole) for editor in editors for hole in editor.holes]
        self.clear_options()
        self.add_options([Option(_line(*one, fill)) for one in self.holes])
        if not self.holes:
            self.add_option(Option("none: F2 makes one", disabled=True))
        else:
            self.highlighted = min(at or 0, len(self.holes) - 1)

    def action_remove(self) -> None:
        """Close the highlighted hole; its text stays."""
        if self.highlighted is None or not self.holes:
            return
        editor, hole = self.holes[self.highlighted]
        hole.clear()
        with editor.steady():
            editor.holes[:] = [one for one in editor.holes if one is not hole]
            editor.rows.wrap(0)
        editor.post_message(Editor.Touched())
        self.post_message(Holed())


class GivenView(Modal[None]):
    """A dialog with the text that a model is given."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,f7", "dismiss", "close")]

    def __init__(self, parts: list[Given], title: str, account: list[str]) -> None:
        """`account` has lines on what the infill came to, if there is one."""
        super().__init__()
        self.parts, self.heading, self.account = parts, title, account

    def compose(self) -> ComposeResult:
        """Lay out a heading, and each part below its title."""
        with Vertical():
            yield Static(Content(self.heading), classes="title")
            with VerticalScroll():
                if self.account:
                    yield Static("How it went", classes="part")
                    yield Static(Content("\n".join(self.account)), classes="text")
                for part in self.parts:
                    tokens = f" · {part.tokens:,} tokens" if part.tokens else ""
                    yield Static(Content(part.title + tokens), classes="part")
                    text = visible(part.text, keep="\n\t") or "(nothing)"
                    yield Static(Content(text), classes="hole" if part.hole else "text")
            yield Static("↑ ↓ PgUp PgDn scroll   Esc close", classes="keys")

    def on_mount(self) -> None:
        """Focus the scrolled parts, so that keys scroll them."""
        self.query_one(VerticalScroll).focus()


class Panels:
    """Opens and closes the two panels."""

    def __init__(self, infill: InfillController, key: str) -> None:
        """Take the key that closes the panel of holes from anywhere; empty if there is none."""
        self.infill, self.workspace, self.app = infill, infill.workspace, infill.app
        self._panel: HolesPanel | None = None
        self._key = key

    async def show_holes(self) -> None:
        """Open the panel of holes, or close it."""
        if self._panel is not None:
            panel, self._panel = self._panel, None
            self.app.screen.set_focus(self.workspace.editor)
            await panel.remove()
            return
        self._panel = HolesPanel(self._key)
        await self.app.query_one("#middle").mount(self._panel)
        self.list_anew()
        self.app.screen.set_focus(self._panel)

    def show_given(self) -> None:
        """Show what the model was given, or would be given."""
        try:
            wish = Wish(self.infill.effort, self.infill.seed)
            fill = self.infill.fill or Fill.ask(
                self.workspace.editors, wish, others=self.infill.documents()
            )
        except (DgeditError, ValueError) as error:
            holed = any(editor.holes for editor in self.workspace.editors)
            self.workspace.notice(str(error) if holed else "no hole: there is nothing to give")
            return
        count = self._count()
        parts = given(fill.request, count)
        about = "" if count else "about "
        verb = "was" if self.infill.fill else "would be"
        total = sum(part.tokens for part in parts)
        title = f"What the model {verb} given: {len(parts)} parts, {about}{total:,} tokens"
        account = words.account(self.infill.fill) if self.infill.fill else []
        self.app.push_screen(GivenView(parts, title, account))

    def go(self, message: OptionList.OptionSelected) -> None:
        """Go to a hole."""
        panel = self._panel
        if panel is None or message.option_list is not panel:
            return
        editor, hole = panel.holes[message.option_index]
        if hole in editor.holes and editor in self.workspace.editors:
            self.workspace.show(editor)
            # only once it has a size, or it would be scrolled for a viewport of none
            self.app.call_after_refresh(self._arrive, editor, hole)

    def _arrive(self, editor: Editor, hole: OpenHole) -> None:
        if hole in editor.holes:
            editor.selection = Selection.cursor(editor.buffer.location(hole.start))
            editor.scroll_cursor_visible(center=True)

    def list_anew(self) -> None:
        """Update the list of holes."""
        if self._panel is not None:
            self._panel.list(self.workspace.editors, self.infill.fill)

    def _count(self) -> Callable[[str], int] | None:
        """Return the model's own count of tokens, if it is in this process."""
        encode = getattr(getattr(self.infill.source.backend, "tokenizer", None), "encode", None)
        return None if encode is None else lambda text: len(encode(text))


def _line(editor: Editor, hole: OpenHole, fill: Fill | None) -> Content:
    row, _ = editor.buffer.location(hole.start)
    held = hole.draft.text if hole.draft else editor.text[hole.start : hole.end]
    sign = "░"
    if fill is not None and (editor, hole) in fill.present:
        sign = "?" if fill.is_unsure(hole) else _SIGNS[fill.stage]
    place = f"{sign} {visible(editor.path.name)}:{row + 1} "
    said = visible(" ".join(held[:_SAID].split())) or "(insertion point)"
    return Content.assemble((place, "bold"), said)
