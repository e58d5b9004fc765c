"""An app for the terminal that paints quickly, and reads keys with our driver.

Knows the screen and keys; nothing of texts and parts.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import ClassVar

from textual import on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import Screen
from textual.timer import Timer

from dgedit.tui import bindings
from dgedit.tui.terminal.driver import Terminal


class Swift(Screen[None]):
    """A screen painted up to 120 times a second, not 60: a key that comes right after a frame of an
    infill waits half as long for its own.
    """

    @cached_property
    def _update_timer(self) -> Timer:
        paint = self._on_timer_update
        return self.set_interval(1 / 120, paint, name="screen_update", pause=True)


class TerminalApp(App[None], inherit_bindings=False):
    """An app with the keys of the table, on one screen."""

    TITLE = "dgedit"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [*bindings.bindings(of_text=False)]

    def get_default_screen(self) -> Screen[None]:
        """Return the editor's screen."""
        return Swift(id="_default")

    def get_driver_class(self) -> type[Driver]:
        """Return our driver in place of Textual's Linux driver."""
        given = super().get_driver_class()
        return Terminal if given is LinuxDriver else given

    def get_key_display(self, binding: Binding) -> str:
        """Return a key as it is written everywhere."""
        return _display(binding.key)

    @on(Driver.SignalResume)
    def _draw_again(self) -> None:
        """Redraw the whole screen, which another program may have changed."""
        self.refresh(layout=True)


@cache  # the footer asks for all of its keys whenever one changes
def _display(key: str) -> str:
    return bindings.written([key])[0]
