"""The row of keys below the text: the most useful first, and none cut in the middle.

Keys for which there is no room are left out, the least useful first; so are keys that could only
explain why they do nothing. Knows actions, their words and cells; `check_action` knows whether an
action is available now.
"""

from __future__ import annotations

from rich.cells import cell_len
from textual import actions, events
from textual.app import ComposeResult
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

from dgedit.tui.bindings import NO_KEY
from dgedit.tui.keymap import ACTIONS

_YIELDS = {action.id: set(action.yields_to.split()) for action in ACTIONS}
_RANKS = {action.id: action.rank for action in ACTIONS if action.hint}


class Hints(Footer):
    """A footer with as many keys as fit."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)

    def compose(self) -> ComposeResult:
        """Choose the keys and their words."""
        keys = (key for key in super().compose() if isinstance(key, FooterKey))
        every = {_id(key): key for key in keys if key.key != NO_KEY}
        room = self.size.width
        # first keys that are not in the table: those of the focused widget
        for name in sorted(every, key=lambda name: _RANKS.get(name, 0)):
            if _YIELDS.get(name, set()) & every.keys():
                continue
            key = every[name]
            room -= cell_len(f" {key.key_display} {key.description} ")
            if room < 0:
                return
            # Bound to the footer, every key would be kept by it for ever: Textual's issue 6666.
            key._reactive_connect = None
            key.set_reactive(FooterKey.compact, self.compact)
            yield key

    def on_resize(self, event: events.Resize) -> None:
        """Choose again for the new width."""
        self.call_after_refresh(self.recompose)


def _id(key: FooterKey) -> str:
    """Return an action's id, or the action itself if it is not in the table."""
    _, name, given = actions.parse(key.action)
    return str(given[0]) if name == "do" else key.action
