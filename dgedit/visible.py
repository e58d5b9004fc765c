"""Text made safe to show: what a terminal would obey, or not show at all, becomes a visible sign.

Escape becomes ␛, a bidirectional override ‹U+202E›. For whatever text of a model or a file reaches
a terminal; not for data on its way to another program, which must stay as it is.
"""

from __future__ import annotations

import unicodedata

# Controls, formats (bidi, zero width), surrogates, line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(text: str, *, keep: str = "") -> str:
    """The text with every unseen character replaced by a sign, but for those to keep."""
    if text.isprintable():
        return text
    return "".join(
        _sign(char) if char not in keep and unicodedata.category(char) in _UNSEEN else char
        for char in text
    )


def _sign(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"‹U+{code:04X}›"
