"""What a terminal says of itself, asked with a patience, and no answer left for the shell to read.

All questions go out at once, and one that every terminal answers comes last: with its answer, all
others have come that will. What is drawn to be measured is wiped. Not for while an editor runs,
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
"""Seconds: of a terminal that is near, all answers come within a few milliseconds."""

SYNCHRONISED, PASTES = 2026, 2004
"""Modes: what is drawn appears at once; what is pasted is marked."""

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
    """What a terminal said."""

    answered: bool = False
    """Whether it answered all it will; False where it took too long."""
    name: str = ""
    """What it calls itself."""
    modes: Mapping[int, bool] = field(default_factory=dict)
    """Which modes it has."""
    keyboard: bool = False
    """Whether it can tell all keys apart, by kitty's protocol."""
    copies: bool = False
    """Whether it says that programs may set its clipboard."""
    widths: tuple[int, ...] = ()
    """Columns of a wide character, and of an emoji that is joined of two."""


def ask(fd: int, *, unicode: bool = True, patience: float = PATIENCE) -> TerminalFacts | None:
    """Ask the terminal behind a descriptor; None where we must not: it is another's at present.
    `unicode` says whether it may be sent some. Raises OSError for what is no terminal any more.
    """
    if os.tcgetpgrp(fd) != os.getpgrp():  # in the background, to ask would be to stop
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
    """What the bytes say that a terminal sent."""
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
    """What comes until the last answer, or until nobody would wait any longer."""
    data, until = b"", time.monotonic() + patience
    while not parsed(data).answered and (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([fd], [], [], left)
        if not ready or not (more := os.read(fd, 4096)):
            break
        data += more
    return data


@contextlib.contextmanager
def _unechoed(fd: int) -> Iterator[None]:
    """Read what is sent as it comes, and not on the screen; what is left over is thrown away."""
    before = termios.tcgetattr(fd)
    during = termios.tcgetattr(fd)
    during[3] &= ~(termios.ECHO | termios.ICANON)
    during[6][termios.VMIN], during[6][termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSADRAIN, during)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)
