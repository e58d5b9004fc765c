"""Group keys: those that insert their character, and bursts of text.

Knows only Textual's keys.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from textual import events
from textual.message import Message

# More keys of a text that come at once, or a line's end with more behind it, were typed by nobody.
_QUICK = 16


class Burst(Message):
    """Keys that arrived at once: text, and the line ends in it."""

    def __init__(self, keys: list[events.Key], *, pasted: bool = False) -> None:
        super().__init__()
        self.keys = keys
        self.pasted = pasted
        """Whether they are of a text that nobody typed key by key."""


def is_text(event: events.Key) -> bool:
    """Say whether a key inserts its character; most terminals send one with Alt+R too.

    Characters that join emoji, and non-ASCII blanks, count as text although Textual calls them
    unprintable.
    """
    char = event.character or "\0"
    printable = event.is_printable or unicodedata.category(char) in ("Cf", "Co", "Zs")
    return printable and not event.key.startswith(("alt+", "ctrl+"))


def in_bursts(messages: Iterable[Message]) -> Iterator[Message]:
    """Yield the messages, with keys of a text that follow each other in one."""
    messages, run = list(messages), list[events.Key]()
    pasted = is_pasted(messages)
    for message in messages:
        if isinstance(message, events.Key) and _is_of_text(message):
            run.append(message)
        else:
            yield from _burst(run, pasted)
            run = []
            yield message
    yield from _burst(run, pasted)


def is_pasted(messages: Sequence[Message]) -> bool:
    """Return whether keys that came at once are of a text that nobody typed key by key."""
    keys = [one.key for one in messages if isinstance(one, events.Key) and _is_of_text(one)]
    return len(keys) > _QUICK or "enter" in keys[:-1]


def _is_of_text(key: events.Key) -> bool:
    return is_text(key) or key.key == "enter"


def _burst(run: list[events.Key], pasted: bool) -> list[Message]:
    return [Burst(run, pasted=pasted)] if len(run) > 1 or (run and pasted) else [*run]
