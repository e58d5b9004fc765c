"""Keys as messages: those that mean their character, and text that came at once.

Knows Textual's keys alone.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from textual import events
from textual.message import Message

# More keys of a text that come at once, or a line's end with more behind it, were typed by nobody.
_QUICK = 16


class Burst(Message):
    """Keys that came at once: text, and the line ends in it."""

    def __init__(self, keys: list[events.Key], *, pasted: bool = False) -> None:
        super().__init__()
        self.keys = keys
        self.pasted = pasted
        """Whether they are of a text that nobody typed key by key."""


def is_text(event: events.Key) -> bool:
    """Whether a key means its character: from most terminals Alt+R has one as well. What joins
    emoji, and blanks that are not ASCII, are characters although Textual calls none printable.
    """
    char = event.character or "\0"
    printable = event.is_printable or unicodedata.category(char) in ("Cf", "Co", "Zs")
    return printable and not event.key.startswith(("alt+", "ctrl+"))


def in_bursts(messages: Iterable[Message]) -> Iterator[Message]:
    """The messages, with keys of a text that follow each other in one."""
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
    """Whether keys that came at once are of a text that nobody typed key by key."""
    keys = [one.key for one in messages if isinstance(one, events.Key) and _is_of_text(one)]
    return len(keys) > _QUICK or "enter" in keys[:-1]


def _is_of_text(key: events.Key) -> bool:
    return is_text(key) or key.key == "enter"


def _burst(run: list[events.Key], pasted: bool) -> list[Message]:
    return [Burst(run, pasted=pasted)] if len(run) > 1 or (run and pasted) else [*run]
