"""The page that a project opens with: the keys to know, the model, recent files and projects.

Knows paths and words; the caller opens what is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from dgedit.text.visible import visible
from dgedit.tui.widgets.status import NO_MODEL

Recents = Sequence[tuple[str, Sequence[tuple[str, Path]]]]
"""Headings, each with paths and the words for them."""


class StartPage(Vertical):
    """A list of recent files and projects, below what to know at the start."""

    class Chosen(Message):
        """A file or a folder was chosen."""

        def __init__(self, path: Path) -> None:
            super().__init__()
            self.path = path

    class Typed(Message):
        """A character was typed, or with "" the page was left."""

        def __init__(self, character: str) -> None:
            super().__init__()
            self.character = character

    def __init__(self, keys: Sequence[tuple[str, str]], recents: Recents) -> None:
        """`keys` are keys and what they do."""
        super().__init__()
        self.keys, self.recents = keys, recents
        self._paths: list[Path | None] = []

    def compose(self) -> ComposeResult:
        """Lay out the title, the keys, the model and the list."""
        yield Static("dgedit", classes="title")
        yield Static("mask a part of a text, and a diffusion model fills it in", classes="about")
        keys = [Content.assemble((key, "bold $primary"), f" {does}") for key, does in self.keys]
        yield Static(Content("   ").join(keys), classes="keys")
        yield Static(classes="engine")
        yield OptionList(*self._options(), compact=True)

    def tell(self, engine: str) -> None:
        """Show which model is ready."""
        said = visible(engine)
        if engine == NO_MODEL:
            said = "none could be opened; dgedit doctor names the best for this machine"
        self.query_one(".engine", Static).update(Content(f"model: {said}"))

    def focus_list(self) -> None:
        """Focus the list, on the first file."""
        self.query_one(OptionList).focus()
        self.query_one(OptionList).action_first()

    def _options(self) -> list[Option]:
        found = []
        for heading, some in self.recents:
            if some:
                found.append(Option(Content.assemble((heading, "bold")), disabled=True))
                self._paths.append(None)
            for words, path in some:
                found.append(Option(Content(f"  {visible(words)}")))
                self._paths.append(path)
        return found

    @on(OptionList.OptionSelected)
    def _chosen(self, message: OptionList.OptionSelected) -> None:
        message.stop()
        if (path := self._paths[message.option_index]) is not None:
            self.post_message(self.Chosen(path))

    def on_key(self, event: events.Key) -> None:
        """Pass on what is typed: it belongs to the text."""
        character = (event.character or "") if event.is_printable else ""
        if character or event.key == "escape":
            event.stop()
            event.prevent_default()
            self.post_message(self.Typed(character))
