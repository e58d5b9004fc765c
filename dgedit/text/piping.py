"""A part of a text as a program is given it, and what the program makes of it put back.

Its lines end in a newline for the program, where all end alike, and as they did afterwards; bytes
that are no UTF-8 come through. What a program adds of a last line's end goes again. Knows strings.
"""

from __future__ import annotations

import re

from dgedit.errors import InputError

_LINE_END = re.compile(r"\r\n|\n|\r")


def given(text: str, errors: str) -> bytes:
    """Return the bytes for the program; `errors` is how what is no character survives. Raises
    InputError for what cannot be given.
    """
    ends = set(_LINE_END.findall(text))
    try:
        return (_LINE_END.sub("\n", text) if len(ends) == 1 else text).encode("utf-8", errors)
    except UnicodeEncodeError:
        raise InputError("the selection holds what no program can be given") from None


def taken(data: bytes, text: str, errors: str, newline: str) -> str:
    """Return the text that takes the place of the one that was given; `newline` ends its lines
    where that one had none. Raises InputError for what is no text.
    """
    ends = set(_LINE_END.findall(text)) or {newline}
    try:
        new = data.decode("utf-8", errors)
    except UnicodeDecodeError:
        raise InputError("what the command printed is no text") from None
    if "\0" in new:
        raise InputError("what the command printed is no text")
    if not text.endswith(("\n", "\r")):
        new = new.removesuffix("\n")
    return re.sub(r"\r?\n", ends.pop(), new) if len(ends) == 1 else new
