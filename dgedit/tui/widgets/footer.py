"""The row of keys below the text: what matters now comes first, and none is cut in the middle.

Keys that there is no room for are left out, those that matter least; so are those that could do
nothing but say why. Knows actions, their words and cells; whether an action is any use now is
`check_action`'s.
"""

from __future__ import annotations

from rich.cells import cell_len
from textual import actions, events
from textual.app import ComposeResult
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

from dgedit.tui.bindings import NO_KEY
from dgedit.tui.keymap import ACTIONS

# An action, and those that make it useless where they can be done.
_INSTEAD = {
    "accept-all": {"accept"},
    "mask": {"result-diff", "cancel"},
    "fill": {"cancel"},
    "instruct": {"cancel"},
}
_RANKS = {action.id: action.rank for action in ACTIONS if action.hint}


class Hints(Footer):
    """As many keys as fit."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)

    def compose(self) -> ComposeResult:
        """The keys, and what they do."""
        keys = (key for key in super().compose() if isinstance(key, FooterKey))
        every = {_id(key): key for key in keys if key.key != NO_KEY}
        room = self.size.width
        # first what is not in the table: keys of what has the keyboard
        for name in sorted(every, key=lambda name: _RANKS.get(name, 0)):
            if _INSTEAD.get(name, set()) & every.keys():
                continue
            key = every[name]
            room -= cell_len(f" {key.key_display} {key.description} ")
            if room < 0:
                return
            yield key

    def on_resize(self, event: events.Resize) -> None:
        """Choose anew."""
        self.call_after_refresh(self.recompose)


def _id(key: FooterKey) -> str:
    """The id of an action; of one that is not in the table the action itself."""
    _, name, given = actions.parse(key.action)
    return str(given[0]) if name == "do" else key.action
