"""Copy to and paste from the clipboards of the terminal, the system and the editor itself.

Text is copied to the terminal (OSC 52) and, if there is a display and a program for its clipboard,
to that one; it is pasted from that program or, without one, from the terminal, else from our own
copy. One that does not answer within a second is not asked again.

Knows programs and texts; nothing of documents. Nothing waits for a copy; a paste waits for its
text, and so do the keys typed after it, but not the screen.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

from textual import events
from textual.app import App

from dgedit.files.document import readable
from dgedit.tui.terminal.driver import Terminal

# Seconds that a program may take; usually it takes 5 to 20 ms.
_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Tool:
    """Programs that write and read the system's clipboard."""

    copy: tuple[str, ...]
    """The command that copies its input."""
    paste: tuple[str, ...]
    """The command that prints the clipboard."""
    needs: str = ""
    """The variable that names its display; empty if it needs none."""


_TOOLS = (
    Tool(("wl-copy",), ("wl-paste", "--no-newline"), "WAYLAND_DISPLAY"),
    Tool(
        ("xclip", "-selection", "clipboard"),
        ("xclip", "-selection", "clipboard", "-o"),
        "DISPLAY",
    ),
    Tool(("xsel", "--clipboard", "--input"), ("xsel", "--clipboard", "--output"), "DISPLAY"),
    Tool(("pbcopy",), ("pbpaste",)),
)


def find_tool(
    environment: Mapping[str, str], which: Callable[[str], str | None] = shutil.which
) -> Tool | None:
    """Return the first tool that is installed and has a display; None if there is none."""
    for tool in _TOOLS:
        at_home = environment.get(tool.needs) if tool.needs else sys.platform == "darwin"
        if at_home and which(tool.copy[0]) and which(tool.paste[0]):
            return tool
    return None


async def copy(tool: Tool, text: str, *, patience: float = _PATIENCE) -> bool:
    """Copy a text with a tool; return whether that succeeded. Raises TimeoutError."""
    return await _run(tool.copy, text, patience) is not None


async def paste(tool: Tool, *, patience: float = _PATIENCE) -> str | None:
    """Return the text on the clipboard; None if there is none. Raises TimeoutError."""
    data = await _run(tool.paste, None, patience)
    return None if data is None else data.decode("utf-8", "replace")


async def _run(command: tuple[str, ...], text: str | None, patience: float) -> bytes | None:
    """Run a program and return its output; None if it fails. Raises TimeoutError if it does not
    end.
    """
    process: Process | None = None
    try:
        # When copying, no output is read: a program that stays to serve the clipboard would keep
        # the pipe open.
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=DEVNULL if text is None else PIPE,
            stdout=PIPE if text is None else DEVNULL,
            stderr=DEVNULL,
        )
        data = None if text is None else text.encode("utf-8", "replace")
        out, _ = await asyncio.wait_for(process.communicate(data), patience)
        return (out or b"") if process.returncode == 0 else None
    except TimeoutError:  # an OSError too
        raise
    except OSError:
        return None
    finally:
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()


@runtime_checkable
class TakesText(Protocol):
    """A widget that accepts a text exactly as it is."""

    def put(self, text: str, *, above: bool = False) -> None:
        """Put a text in the place of the selection, or above the line of a cursor."""


class Clipboards:
    """Copies to every clipboard, and pastes from the best one."""

    def __init__(self, app: App[None], notice: Callable[[str], None]) -> None:
        """Take the app, and a function that shows a message to the user."""
        self.app, self._notice = app, notice
        self.tool: Tool | None = None
        """The system's, while it answers."""
        self._silent = False  # whether the terminal did not answer
        self._line = ""  # what was copied last, where that was a line as a whole

    def start(self) -> None:
        """Look for a tool."""
        self.tool = None if self.app.is_headless else find_tool(os.environ)

    def copy(self, text: str) -> None:
        """Copy to the system's clipboard."""
        self._line = ""
        if self.tool is not None:
            task: Any = partial(self._hand_over, self.tool, readable(text))
            self.app.run_worker(task, group="copy", exclusive=True)

    def line_copied(self, text: str) -> None:
        """Note that what was just copied is a line as a whole: pasted, it becomes one again."""
        self._line = readable(text)

    async def paste(self) -> None:
        """Paste into the focused widget."""
        text = await self._text()
        if isinstance(self.app.focused, TakesText):
            self.app.focused.put(text, above=bool(text) and readable(text) == self._line)
        else:
            self.app.post_message(events.Paste(text))

    async def _text(self) -> str:
        """Return the text to paste: the system's, or our own copy if both read the same, since ours
        is exact.
        """
        text = await self._asked_for()
        if text is None or readable(text) == readable(self.app.clipboard):
            return self.app.clipboard
        return text

    async def _hand_over(self, tool: Tool, text: str) -> None:
        try:
            await copy(tool, text)
        except TimeoutError:
            self._no_answer(tool)

    async def _asked_for(self) -> str | None:
        tool, driver = self.tool, self.app._driver
        try:
            if tool is not None:
                return await paste(tool)
            if isinstance(driver, Terminal) and not self._silent:
                return await driver.clipboard() or None
        except TimeoutError:
            if tool is not None:
                self._no_answer(tool)
            else:
                self._silent = True
        if tool is None and not self.app.clipboard:
            self._notice("nothing was copied here; the terminal has a key of its own for pasting")
        return None

    def _no_answer(self, tool: Tool) -> None:
        self.tool = None
        self._notice(f"{tool.copy[0]} does not answer: pasting what was copied here")
