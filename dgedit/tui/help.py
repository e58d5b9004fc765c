"""Help: all keys in a panel, all commands in a list, and the themes.

All come from the table in `keymap.py`, with the user's own keys, so that they are always right.
Knows actions and their words; not what they do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from textwrap import wrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from dgedit.config import config_path
from dgedit.files.recent import LastTheme
from dgedit.text.visible import visible
from dgedit.tui import bindings
from dgedit.tui.keymap import Action
from dgedit.tui.widgets.dialogs import Modal
from dgedit.tui.widgets.picker import Choice, Choose
from dgedit.tui.workspace.tabs import Workspace

# Between two columns of help.
_GAP = "  "
# The least width of the descriptions, in cells.
_LEAST = 16


class Guide:
    """Shows keys and commands, and lets the user choose a theme."""

    def __init__(
        self, workspace: Workspace, actions: Sequence[Action], last_theme: LastTheme
    ) -> None:
        """Take the actions with the user's keys, and the store of the last theme."""
        self.workspace, self.app, self.actions = workspace, workspace.app, actions
        self.last_theme = last_theme

    def start(self) -> None:
        """Use the theme that was chosen last."""
        if (name := self.last_theme.read()) in self.app.available_themes:
            self.app.theme = name

    def show_keys(self) -> None:
        """Show all keys."""
        find = next(self.keys_of(one) for one in self.actions if one.id == "commands")
        self.app.push_screen(Help(self._sections(), find.partition(_GAP)[0]))

    def ask_command(self) -> None:
        """Let the user choose a command by letters of its name, and run it."""
        self.workspace.work(self._ask_command, group="commands")

    def ask_theme(self) -> None:
        """Let the user choose a theme with a preview; Escape restores the present one."""
        self.workspace.work(self._ask_theme, group="commands")

    async def _ask_command(self) -> None:
        choices = [
            Choice(action.words, (self.keys_of(action),), _called(action))
            for action in self.actions
        ]
        at = await self.app.push_screen_wait(Choose("letters of a command", choices))
        if at is not None:
            action = self.actions[at]
            target = self.workspace.editor if action.of_text else self.app
            if not await self.app.run_action(action.binding, target):
                self.workspace.notice(f"not now: {action.words}")

    async def _ask_theme(self) -> None:
        names, before = sorted(self.app.available_themes), self.app.theme
        names.sort(key=lambda name: name != before)

        def peek(at: int | None) -> None:
            self.app.theme = before if at is None else names[at]

        aside = {True: "dark", False: "light"}
        choices = [Choice(name, (aside[self.app.available_themes[name].dark],)) for name in names]
        at = await self.app.push_screen_wait(Choose("letters of a theme", choices, peek=peek))
        if at is not None:
            self.app.theme = names[at]
            self.last_theme.keep(self.app.theme)
            if named := self.last_theme.named_by:
                self.workspace.notice(
                    f"{self.app.theme} until you quit: {named} names a theme, and that counts"
                )
            else:
                self.workspace.notice(f"{self.app.theme} from now on")

    def _sections(self) -> list[tuple[str, list[tuple[str, str, str]]]]:
        """Return for each group its actions with a key: keys, words, id."""
        groups: dict[str, list[Action]] = {}
        for action in self.actions:
            groups.setdefault(action.group, []).append(action)
        return [
            (name, [(self.keys_of(one), one.words, one.id) for one in group if one.keys])
            for name, group in groups.items()
        ]

    def keys_of(self, action: Action) -> str:
        """Return the keys of an action, as people write them."""
        return _GAP.join(bindings.written(action.keys))


class Help(Modal[None]):
    """A panel of all keys, by group."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q,enter", "leave", "close", show=False),
    ]

    def __init__(
        self, sections: Sequence[tuple[str, list[tuple[str, str, str]]]], find: str = ""
    ) -> None:
        super().__init__()
        self.sections = sections
        """Headings, each with rows of keys, description and id."""
        self.find = find
        """The key that finds a command by its name."""

    def compose(self) -> ComposeResult:
        """Lay out the columns, and how to go on from here."""
        with Vertical() as box, VerticalScroll():
            yield Columns(self.sections)
        box.border_title = "Keys"
        find = f"{self.find} find by name · " if self.find else ""
        box.border_subtitle = f"↑ ↓ PgUp PgDn scroll · {find}Esc close"

    def action_leave(self) -> None:
        """Close the panel."""
        self.dismiss()


class Columns(Widget):
    """Columns of keys, descriptions and ids. Each is as wide as it must be, but descriptions wrap
    on a narrow screen.
    """

    def __init__(self, sections: Sequence[tuple[str, list[tuple[str, str, str]]]]) -> None:
        super().__init__()
        self.sections = sections

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the number of rows at a width."""
        return len(self._lines(width).split("\n"))

    def render(self) -> Content:
        """Render the rows."""
        return self._lines(self.size.width)

    def _lines(self, width: int) -> Content:
        rows = [row for _, group in self.sections for row in group]
        keyed = max(len(key) for shown, _, _ in rows for key in shown.split(_GAP))
        named = max(len(name) for _, _, name in rows)
        room = width - keyed - named - 3 * len(_GAP)
        worded = max(_LEAST, min(room, max(len(words) for _, words, _ in rows)))
        parts: list[tuple[str, str] | str] = []
        for heading, group in self.sections:
            parts.append((f"{heading}\n", "bold $primary"))
            for shown, words, name in group:
                cells = wrap(shown, keyed), wrap(words, worded), [name]
                for key, word, one in zip_longest(*cells, fillvalue=""):
                    parts.append((f"{_GAP}{key:<{keyed}}", "$secondary"))
                    parts.append(f"{_GAP}{word:<{worded}}{_GAP}")
                    parts.append((f"{one}\n", "$text-muted"))
            parts.append("\n")
        where = wrap(visible(str(config_path())), max(1, width - len(_GAP)))
        parts.append("The names on the right stand for the actions in\n")
        parts += [f"{_GAP}{line}\n" for line in where]
        parts.append((f'\n{_GAP}[keys]\n{_GAP}fill = "f5,alt+f"', "$text-muted"))
        return Content.assemble(*parts)


def _called(action: Action) -> frozenset[str]:
    """Return all words for an action, in lower case."""
    words = f"{action.words} {action.id} {action.group} {action.synonyms}"
    return frozenset(re.findall(r"\w+", words.lower()))
