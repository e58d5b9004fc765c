"""Two panels: the holes of all files, and what the model is given.

F4 lists the holes beside the text: Enter goes to one, Delete removes it, Escape closes the list;
from the text, where Escape is for other things, F4 closes it. F7 shows the request part by part,
with the tokens of each: of the infill that is open, else of the one that F5 would ask for. Tokens
are the model's own where it counts them in this process, else four characters each. What is too
much for a model, it leaves out, the farthest first.

Knows holes and requests; changes nothing but which holes there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual import on
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
from dgedit.tui import keymap
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.holes import OpenHole
from dgedit.tui.infill.controller import Holed, Infilling
from dgedit.tui.infill.session import Fill, Stage, Wish
from dgedit.tui.widgets.dialogs import Modal

# The cells of a line in the panel.
_WIDE = 35
_SIGNS = {Stage.WAITING: "…", Stage.RUNNING: "…", Stage.READY: "✓"}


class HolesPanel(OptionList):
    """The holes of all files."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("delete,backspace", "remove", "remove"),
        Binding("escape", "app.holes", "close"),
    ]

    def __init__(self, key: str) -> None:
        super().__init__(compact=True)
        self.holes: list[tuple[Editor, OpenHole]] = []
        self.border_title = "Holes"
        self._key = key
        """What closes it from anywhere; empty where no key does."""

    def on_focus(self) -> None:
        """The keys are for the list."""
        self.border_subtitle = "Enter go · Del remove · Esc close"

    def on_blur(self) -> None:
        """The keys are for the text."""
        self.border_subtitle = f"{self._key} close" if self._key else ""

    def list(self, editors: list[Editor], fill: Fill | None) -> None:
        """Show the holes that there are."""
        at = self.highlighted
        self.holes = [(editor, hole) for editor in editors for hole in editor.holes]
        self.clear_options()
        self.add_options([Option(_line(*one, fill)) for one in self.holes])
        if not self.holes:
            self.add_option(Option("none: F2 makes one", disabled=True))
        else:
            self.highlighted = min(at or 0, len(self.holes) - 1)

    def action_remove(self) -> None:
        """Remove the hole; its text stays."""
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
    """What a model is given."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,f7", "dismiss", "close")]

    def __init__(self, parts: list[Given], title: str) -> None:
        super().__init__()
        self.parts, self.heading = parts, title

    def compose(self) -> ComposeResult:
        """A title, and each part below its own."""
        with Vertical():
            yield Static(Content(self.heading), classes="title")
            with VerticalScroll():
                for part in self.parts:
                    tokens = f" · {part.tokens:,} tokens" if part.tokens else ""
                    yield Static(Content(part.title + tokens), classes="part")
                    text = visible(part.text, keep="\n\t") or "(nothing)"
                    yield Static(Content(text), classes="hole" if part.hole else "text")
            yield Static("↑ ↓ PgUp PgDn scroll   Esc close", classes="keys")

    def on_mount(self) -> None:
        """The keys scroll."""
        self.query_one(VerticalScroll).focus()


class Panels(Infilling):
    """Panels"""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f4", "holes", "all holes", show=False),
        Binding("f7", "given", "what the model is given", show=False),
    ]

    _holes: HolesPanel | None = None

    async def action_holes(self) -> None:
        """Show the panel of holes, or close it."""
        if self._holes is not None:
            panel, self._holes = self._holes, None
            self.screen.set_focus(self.editor)
            await panel.remove()
            return
        active = self.active_bindings.items()
        bound = [
            key for key, one in active if one.binding.action == "holes" and key != keymap.NO_KEY
        ]
        self._holes = HolesPanel(keymap.written(bound)[0] if bound else "")
        await self.query_one("#middle").mount(self._holes)
        self._list()
        self.screen.set_focus(self._holes)

    def action_given(self) -> None:
        """Show what the model was given, or would be."""
        try:
            wish = Wish(self.effort, self.seed)
            fill = self.fill or Fill.ask(self.editors, wish, others=self.documents())
        except (DgeditError, ValueError) as error:
            holed = any(editor.holes for editor in self.editors)
            self.notice(str(error) if holed else "no hole: there is nothing to give")
            return
        count = self._count()
        parts = given(fill.request, count)
        about = "" if count else "about "
        verb = "was" if self.fill else "would be"
        total = sum(part.tokens for part in parts)
        title = f"What the model {verb} given: {len(parts)} parts, {about}{total:,} tokens"
        self.push_screen(GivenView(parts, title))

    @on(OptionList.OptionSelected)
    def _go(self, message: OptionList.OptionSelected) -> None:
        """Go to a hole."""
        panel = self._holes
        if panel is None or message.option_list is not panel:
            return
        editor, hole = panel.holes[message.option_index]
        if hole in editor.holes and editor in self.editors:
            self.show(editor)
            # not before it has its size, or it is scrolled to show a place in none
            self.call_after_refresh(self._arrive, editor, hole)

    def _arrive(self, editor: Editor, hole: OpenHole) -> None:
        if hole in editor.holes:
            editor.selection = Selection.cursor(editor.buffer.location(hole.start))
            editor.scroll_cursor_visible(center=True)

    @on(Holed)
    @on(Editor.Changed)
    @on(Editor.Touched)
    def _list(self) -> None:
        if self._holes is not None:
            self._holes.list(self.editors, self.fill)

    def _count(self) -> Callable[[str], int] | None:
        """The model's own count of tokens, where it is in this process."""
        encode = getattr(getattr(self.source.backend, "tokenizer", None), "encode", None)
        return None if encode is None else lambda text: len(encode(text))


def _line(editor: Editor, hole: OpenHole, fill: Fill | None) -> Content:
    row, _ = editor.buffer.location(hole.start)
    held = hole.draft.text if hole.draft else editor.text[hole.start : hole.end]
    sign = "░"
    if fill is not None and (editor, hole) in fill.present:
        sign = "?" if fill.is_unsure(hole) else _SIGNS[fill.stage]
    place = f"{sign} {visible(editor.path.name)}:{row + 1} "
    words = visible(" ".join(held.split())) or "(insertion point)"
    room = max(0, _WIDE - cell_len(place))
    words = words if cell_len(words) <= room else set_cell_size(words, max(0, room - 1)) + "…"
    return Content.assemble((place, "bold"), words)
