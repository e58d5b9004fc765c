"""Keys as messages: those that mean their character, and text that came at once.

Knows Textual's keys alone.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from textual import events
from textual.message import Message


class Burst(Message):
    """Keys that came at once: text, and the line ends in it."""

    def __init__(self, keys: list[events.Key]) -> None:
        super().__init__()
        self.keys = keys


def is_text(event: events.Key) -> bool:
    """Whether a key means its character: from most terminals Alt+R has one as well. What joins
    emoji, and blanks that are not ASCII, are characters although Textual calls none printable.
    """
    char = event.character or "\0"
    printable = event.is_printable or unicodedata.category(char) in ("Cf", "Co", "Zs")
    return printable and not event.key.startswith(("alt+", "ctrl+"))


def in_bursts(messages: Iterable[Message]) -> Iterator[Message]:
    """The messages, with keys of a text that follow each other in one."""
    run: list[events.Key] = []
    for message in messages:
        if isinstance(message, events.Key) and (is_text(message) or message.key == "enter"):
            run.append(message)
        else:
            yield from _burst(run)
            run = []
            yield message
    yield from _burst(run)


def _burst(run: list[events.Key]) -> list[Message]:
    return [Burst(run)] if len(run) > 1 else [*run]
