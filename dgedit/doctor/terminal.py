"""Ask a terminal about its abilities, with a time limit, and leave no answer for the shell.

All questions are sent at once, and last one that every terminal answers: when its answer is there,
no other can be missing. What is drawn for measuring is erased. Not to be used while an editor runs,
which reads the same answers.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

PATIENCE = 2.0
"""Seconds to wait: a local terminal answers within a few milliseconds."""

SYNCHRONISED, PASTES = 2026, 2004
"""Modes: synchronised output, and bracketed paste."""

_WIDE, _JOINED = "漢", "👩\u200d🌾"
_NAME = "\x1b[>q"
_KEYBOARD = "\x1b[?u"
_COPIES = "\x1bP+q4d73\x1b\\"  # the terminfo name Ms, in hexadecimal
_LAST = "\x1b[c"
_WHERE = "\x1b[6n"
_WIPE = "\r\x1b[K"

_ANSWER = re.compile(
    rb"\x1bP>\|(?P<name>[^\x1b]*)\x1b\\"
    rb"|\x1bP(?P<copies>[01])\+r[^\x1b]*\x1b\\"
    rb"|\x1b\[\?(?P<keyboard>\d+)u"
    rb"|\x1b\[\?(?P<mode>\d+);(?P<set>\d+)\$y"
    rb"|\x1b\[\d+;(?P<column>\d+)R"
    rb"|\x1b\[\?(?P<last>[\d;]*)c"
)


@dataclass(frozen=True, slots=True)
class TerminalFacts:
    """The abilities that a terminal reported."""

    answered: bool = False
    """True if it answered everything it will; False if it took too long."""
    name: str = ""
    """The terminal's name."""
    modes: Mapping[int, bool] = field(default_factory=dict)
    """The modes that were asked for, each with whether it is supported."""
    keyboard: bool = False
    """True if it can distinguish all keys, by kitty's protocol."""
    copies: bool = False
    """True if programs may set its clipboard (OSC 52)."""
    widths: tuple[int, ...] = ()
    """The columns of a wide character, and of an emoji joined of two."""


def ask(fd: int, *, unicode: bool = True, patience: float = PATIENCE) -> TerminalFacts | None:
    """Ask the terminal behind a file descriptor; None if we are in the background.

    `unicode` allows sending Unicode characters. Raises OSError if the terminal is gone.
    """
    if os.tcgetpgrp(fd) != os.getpgrp():  # in the background, asking would stop the process
        return None
    texts = (_WIDE, _JOINED) if unicode else ()
    measured = "".join(f"\r{text}{_WHERE}" for text in texts)
    modes = "".join(f"\x1b[?{mode}$p" for mode in (SYNCHRONISED, PASTES))
    question = measured + _NAME + _KEYBOARD + modes + _COPIES + _WIPE + _LAST
    try:
        with _unechoed(fd):
            os.write(fd, question.encode())
            return parsed(_received(fd, patience))
    except termios.error as error:
        raise OSError(*error.args) from None


def parsed(data: bytes) -> TerminalFacts:
    """Parse the bytes that a terminal sent."""
    found = list(_ANSWER.finditer(data))
    said = {key: one for match in found for key, one in match.groupdict().items() if one}
    columns = [int(match["column"]) - 1 for match in found if match["column"]]
    modes = {int(match["mode"]): match["set"] in (b"1", b"2") for match in found if match["mode"]}
    last = [match["last"] for match in found if match["last"] is not None]
    return TerminalFacts(
        bool(last),
        said.get("name", b"").decode("utf-8", "replace"),
        modes,
        "keyboard" in said,
        said.get("copies") == b"1" or any(b"52" in one.split(b";") for one in last),
        tuple(columns),
    )


def _received(fd: int, patience: float) -> bytes:
    """Return what arrives until the last answer, or until time is over."""
    data, until = b"", time.monotonic() + patience
    while not parsed(data).answered and (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([fd], [], [], left)
        if not ready or not (more := os.read(fd, 4096)):
            break
        data += more
    return data


@contextlib.contextmanager
def _unechoed(fd: int) -> Iterator[None]:
    """Read input unbuffered and without echo; discard what is left at the end."""
    before = termios.tcgetattr(fd)
    during = termios.tcgetattr(fd)
    during[3] &= ~(termios.ECHO | termios.ICANON)
    during[6][termios.VMIN], during[6][termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSADRAIN, during)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)
