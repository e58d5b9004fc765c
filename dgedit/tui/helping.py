"""What the editor can do: all keys in a panel, all actions in a list, and the themes.

Both are made of the actions that `keys.py` gathers, with the user's own keys, so they say what is.
Knows actions and their words; not what they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from dgedit.config import config_path
from dgedit.recent import LastTheme
from dgedit.tui import keys
from dgedit.tui.choose import Choice, Choose
from dgedit.tui.desk import Desk
from dgedit.tui.dialogs import Modal
from dgedit.tui.keys import Action
from dgedit.visible import visible

# The concerns of these come first in help, in this order: what one uses this editor for.
_FIRST = ("mask", "instruct", "accept", "holes")
# At that many columns the ids have a column of their own.
_ROOMY = 100


class Helping(Desk):
    """Help."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "help", key_display="F1"),
        Binding("alt+x,ctrl+shift+p", "commands", "all commands", show=False),
        Binding("alt+t", "themes", "choose a theme", show=False),
    ]

    actions: Sequence[Action] = ()
    """All there is to do."""
    last_theme = LastTheme()
    """The theme to begin with next time."""

    def on_mount(self) -> None:
        """Take the user's keys, and the theme chosen last."""
        self.set_keymap(keys.keymap(self.actions, self.settings.keys))
        self.call_next(self._take_theme)

    def action_help(self) -> None:
        """Show all keys."""
        self.push_screen(Help(self._sections()))

    @work(exclusive=True, group="commands")
    async def action_commands(self) -> None:
        """Find a command by a few letters of its name, and do it."""
        choices = [Choice(action.words, (self._keys_of(action),)) for action in self.actions]
        at = await self.push_screen_wait(Choose("letters of a command", choices))
        if at is not None:
            action = self.actions[at]
            target = self.editor if action.of_text else self
            if not await self.run_action(action.action, target):
                self.notice(f"not now: {action.words}")

    @work(exclusive=True, group="commands")
    async def action_themes(self) -> None:
        """Choose a theme, seeing each; Escape leaves it as it was."""
        names, before = sorted(self.available_themes), self.theme
        names.sort(key=lambda name: name != before)

        def peek(at: int | None) -> None:
            self.theme = before if at is None else names[at]

        aside = {True: "dark", False: "light"}
        choices = [Choice(name, (aside[self.available_themes[name].dark],)) for name in names]
        at = await self.push_screen_wait(Choose("letters of a theme", choices, peek=peek))
        if at is not None:
            self.theme = names[at]
            self.last_theme.keep(self.theme)
            if named := self.last_theme.named_by:
                self.notice(f"{self.theme} until you quit: {named} names a theme, and that counts")
            else:
                self.notice(f"{self.theme} from now on")

    def _take_theme(self) -> None:
        if (name := self.last_theme.read()) in self.available_themes:
            self.theme = name

    def get_key_display(self, binding: Binding) -> str:
        """A key, written the same way everywhere."""
        return keys.written([binding.key])[0]

    def _sections(self) -> list[tuple[str, list[tuple[str, str, str]]]]:
        """For each concern its actions with a key: keys, words, id. Infilling comes first."""
        groups = sorted(
            keys.grouped(self.actions).items(),
            key=lambda pair: min(_place(action) for action in pair[1]),
        )
        return [
            (concern, [(self._keys_of(one), one.words, one.id) for one in group if one.keys])
            for concern, group in groups
        ]

    def _keys_of(self, action: Action) -> str:
        return "  ".join(keys.written(action.keys))


class Help(Modal[None]):
    """All keys, by what they are about."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,q,enter", "leave", "close", show=False),
    ]

    def __init__(self, sections: Sequence[tuple[str, list[tuple[str, str, str]]]]) -> None:
        super().__init__()
        self.sections = sections
        """Headings, and under each: keys, what they do, its id."""

    def compose(self) -> ComposeResult:
        """One line an action."""
        with Vertical(), VerticalScroll():
            yield Static(self._lines())

    def _lines(self) -> Content:
        rows = [row for _, group in self.sections for row in group]
        wide = max(len(shown) for shown, _, _ in rows) + 2
        words = max(len(said) for _, said, _ in rows) * (self.app.size.width >= _ROOMY)
        parts: list[tuple[str, str] | str] = []
        for heading, group in self.sections:
            parts.append((f"{heading}\n", "bold $primary"))
            for shown, said, name in group:
                parts += [(f"  {shown:<{wide}}", "$secondary"), f"{said:<{words}}  "]
                parts.append((f"{name if words or name != said else ''}\n", "dim"))
            parts.append("\n")
        parts.append(f"The names on the right are for [keys] in {visible(str(config_path()))}:\n")
        parts.append(('  [keys]\n  fill = "f5,alt+f"', "dim"))
        return Content.assemble(*parts)

    def action_leave(self) -> None:
        """Back to the text."""
        self.dismiss()


def _place(action: Action) -> int:
    return _FIRST.index(action.id) if action.id in _FIRST else len(_FIRST)
