"""Group keys: those that insert their character, and bursts of text.

Knows only Textual's keys.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from textual import events
from textual.message import Message


class Burst(Message):
    """Keys that arrived at once: text, and the line ends in it."""

    def __init__(self, keys: list[events.Key]) -> None:
        super().__init__()
        self.keys = keys


def is_text(event: events.Key) -> bool:
    """Say whether a key inserts its character; most terminals send one with Alt+R too.

    Characters that join emoji, and non-ASCII blanks, count as text although Textual calls them
    unprintable.
    """
    char = event.character or "\0"
    printable = event.is_printable or unicodedata.category(char) in ("Cf", "Co", "Zs")
    return printable and not event.key.startswith(("alt+", "ctrl+"))


def in_bursts(messages: Iterable[Message]) -> Iterator[Message]:
    """Yield the messages, with consecutive text keys combined into one."""
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
