"""A terminal driver that reads text in bursts, and can ask for the clipboard.

A terminal without bracketed paste, or `tmux send-keys`, sends pasted text as keys. The keys of one
read become one message here, and text between two other keys one edit: 1,200 characters a second
became 12,000. The answer to a question for the clipboard (OSC 52) is taken out of the input before
it could be read as keys, also when it comes late or in parts.

Knows bytes, keys and the thread that reads them; nothing of texts.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import selectors
import signal
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from time import monotonic
from typing import Any

import regex
from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from dgedit.tui.terminal.keys import in_bursts

# Seconds that a terminal may take to answer; usually it takes a few milliseconds.
_PATIENCE = 0.5
# Seconds between checks whether to stop reading, and whether an Escape was a key of its own.
_TICK = 0.1
# Seconds after which a possible start of an answer counts as keys, and a certain one as broken off.
_SOON, _LATE = 0.03, 2.0

_ASK = "\x1b]52;c;?\x07"
_ANSWER = regex.compile(r"\x1b\]52;[a-z0-9]*;([A-Za-z0-9+/=?]*)(?:\x07|\x1b\\)")
_SURELY = "\x1b]52;"

# The start and end of a bracketed paste.
_BEGIN, _END = "\x1b[200~", "\x1b[201~"
# Alt with a key; no other sequence begins like it.
_ALT = regex.compile(r"(\x1b[^\x1b\[\]OPNX^_])")


class Answers:
    """Separates answers to questions for the clipboard from a terminal's other input."""

    def __init__(self) -> None:
        self.asked = False
        """True once a question was asked: an answer may then come at any time."""
        self._held = ""
        self._since = 0.0

    @property
    def wait(self) -> float:
        """Seconds after which to call `take` again even without input."""
        return _SOON if self._held else _TICK

    def take(self, data: str, now: float) -> tuple[str, list[str]]:
        """Split new input into the part to read as keys, and the texts of answers."""
        if not self.asked:
            return data, []
        if not data:
            return self._given_up(now), []
        data, self._held, self._since = self._held + data, "", now
        keys, done, texts = "", 0, list[str]()
        for match in _ANSWER.finditer(data, partial=True):
            keys += data[done : match.start()]
            done = match.end()
            if match.partial:
                self._held = match[0]
            elif (text := _decoded(match[1])) is not None:
                texts.append(text)
        return keys + data[done:], texts

    def _given_up(self, now: float) -> str:
        """Return what has waited too long for the rest of an answer, to be read as keys."""
        held, surely = self._held, self._held.startswith(_SURELY)
        if now - self._since < (_LATE if surely else _SOON):
            return ""
        self._held = ""
        return "" if surely else held


class Sequences(XTermParser):
    """Textual's parser, without the exception for a key number that is not a character, which ended
    the reading thread.
    """

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        with suppress(ValueError, OverflowError):
            yield from super()._sequence_to_key_events(sequence, alt)


class Keyboard:
    """Turns a terminal's input into keys, correcting Textual's parser.

    After Alt and a letter the parser waits for more: with another key in the same read, as when
    Alt+K is held down, it took the two for `^` and the letter. It reads Alt+Backspace as Ctrl+W,
    which here closes a file, and Alt with a sign as the sign. And it reads pasted text after an
    escape as keys; here it only sees the start and end of a paste.
    """

    def __init__(self, *, debug: bool = False) -> None:
        self._parser = Sequences(debug)
        self._before = ""  # the last characters, which may be the first part of a paste's start
        self._pasted: str | None = None

    def read(self, data: str) -> list[Message]:
        """Return the messages in new input, and keys that have waited too long for more."""
        found: list[Message] = []
        self._before = self._before if data else ""
        while data:
            if self._pasted is None:
                seen = self._before + data
                at = seen.find(_BEGIN)
                stop = len(data) if at < 0 else at + len(_BEGIN) - len(self._before)
                found += self._keys(data[:stop])
                self._before = seen[1 - len(_BEGIN) :] if at < 0 else ""
                self._pasted, data = None if at < 0 else "", data[stop:]
            else:
                text, end, data = (self._pasted + data).partition(_END)
                self._pasted = None if end else text
                if end:
                    [*self._parser.feed(end)]  # ends the parser's own paste, which is empty
                    found.append(events.Paste(text.replace("\0", "")))
        return [*found, *self._parser.tick()]

    def _keys(self, data: str) -> Iterator[Message]:
        for at, part in enumerate(_ALT.split(data)):
            if at % 2 == 0:
                yield from self._parser.feed(part) if part else ()
            elif part == "\x1b\x7f":
                yield events.Key("alt+backspace", None)
            else:
                keys = self._parser._sequence_to_key_events
                yield from [*keys(part)] or map(_with_alt, keys(part[1], alt=True))


class Terminal(LinuxDriver):
    """Textual's driver with reading in bursts, and a readable clipboard."""

    _awaited: asyncio.Future[str] | None = None
    _resumed = False  # by the stop itself, of which the signal to continue is still to be heard

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Between two callbacks of the loop, not between any two instructions as Textual has it:
        # what was interrupted may hold a lock of the queue that is written to.
        self._loop.add_signal_handler(signal.SIGTSTP, self._sigtstp_application)
        self._loop.add_signal_handler(signal.SIGCONT, self._sigcont_application)

    async def clipboard(self) -> str:
        """Return the text on the terminal's clipboard. Raises TimeoutError if it does not
        answer.
        """
        self._answers.asked = True
        self._awaited = asyncio.get_running_loop().create_future()
        self.write(_ASK)
        self.flush()
        return await asyncio.wait_for(self._awaited, _PATIENCE)

    @cached_property
    def _answers(self) -> Answers:
        return Answers()

    def _get_terminal_size(self) -> tuple[int, int]:
        """Return the size of the keyboard's terminal: Textual asks standard output, which may be a
        file.
        """
        try:
            return os.get_terminal_size(self.fileno)
        except OSError:
            return super()._get_terminal_size()

    def _sigtstp_application(self, *_: object) -> None:
        """Give the terminal back, stop, and resume before anything else is drawn."""
        super()._sigtstp_application()
        self._sigcont_application()
        self._resumed = True

    def _sigcont_application(self, *_: object) -> None:
        """Resume after being stopped by any signal: SIGSTOP cannot be noticed."""
        if self._resumed:
            self._resumed = False
            return
        if not self._app.is_running or self._app._exit:
            return  # the app is starting or exiting
        if not self._must_signal_resume:
            self.suspend_application_mode()
            self._must_signal_resume = True
        super()._sigcont_application()

    def run_input_thread(self) -> None:
        """Read input until the end, a burst at a time."""
        decode = getincrementaldecoder("utf-8")("replace").decode
        keyboard = Keyboard(debug=self._debug)
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                data = b""
                if selector.select(self._answers.wait):
                    data = os.read(self.fileno, 65_536)
                    if not data:  # the terminal is gone
                        self.exit_event.wait(_TICK)
                keys, texts = self._answers.take(decode(data), monotonic())
                for text in texts:
                    self._loop.call_soon_threadsafe(self._answer, text)
                for message in in_bursts(keyboard.read(keys)):
                    self.process_message(message)

    def _answer(self, text: str) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(text)


def _with_alt(key: events.Key) -> events.Key:
    """Say of a sign that Alt was held, as the parser says of letters alone."""
    sign = key.character or ""
    held = key.key.startswith("alt+") or not sign.isprintable() or sign.isspace()
    return key if held else events.Key(f"alt+{key.key}", None)


def _decoded(data: str) -> str | None:
    """Decode the text of an answer; None if it is not one, such as our own question echoed."""
    with suppress(binascii.Error, ValueError):
        return base64.b64decode(data, validate=True).decode("utf-8", "replace")
    return None
