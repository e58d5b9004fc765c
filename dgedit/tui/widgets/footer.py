"""The row of keys below the text: what matters now comes first, and none is cut in the middle.

Keys that there is no room for are left out, those that matter least; so are those that could do
nothing but say why. Knows actions, their words and cells; whether an action is any use now is
`check_action`'s.
"""

from __future__ import annotations

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

from dgedit.tui.keymap import NO_KEY

# The first matters most; but what is not among them is a key of what has the keyboard.
_ORDER = (
    "accept_here",
    "accept",
    "reject",
    "cancel",
    "other(1)",
    "difference",
    "help",
    "mask",
    "fill",
    "accept_hole",
    "word",
    "line",
    "save",
    "leave",
    "open",
    "instruct",
)
# An action, and what makes it useless where it can be done.
_INSTEAD = {
    "accept": {"accept_here"},
    "mask": {"difference", "cancel"},
    "fill": {"cancel"},
    "instruct": {"cancel"},
}


class Hints(Footer):
    """As many keys as fit."""

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)

    def compose(self) -> ComposeResult:
        """The keys, and what they do."""
        keys = (key for key in super().compose() if isinstance(key, FooterKey))
        every = {key.action: key for key in keys if key.key != NO_KEY}
        room = self.size.width
        for key in sorted(every.values(), key=_place):
            if _INSTEAD.get(key.action, set()) & every.keys():
                continue
            room -= cell_len(f" {key.key_display} {key.description} ")
            if room < 0:
                return
            yield key

    def on_resize(self, event: events.Resize) -> None:
        """Choose anew."""
        self.call_after_refresh(self.recompose)


def _place(key: FooterKey) -> int:
    return _ORDER.index(key.action) if key.action in _ORDER else -1
