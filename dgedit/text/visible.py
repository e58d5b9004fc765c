"""Make text safe to show: characters that a terminal would obey or hide become visible signs.

Escape becomes ␛, a bidirectional override ‹U+202E›. For any text of a model or a file that reaches
a terminal; not for data piped to another program, which must stay as it is. A joiner between two
emoji stays: it makes them one picture, and hides nothing.
"""

from __future__ import annotations

import unicodedata

# Controls, formats (bidi, zero width), surrogates, line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

_JOINER = "\u200d"
_MODIFIERS = "\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"


def visible(text: str, *, keep: str = "") -> str:
    """Replace every invisible character by a sign, except those in `keep`."""
    if text.isprintable():
        return text
    return "".join(
        _sign(char)
        if char not in keep
        and unicodedata.category(char) in _UNSEEN
        and not (char == _JOINER and _joins(text, index))
        else char
        for index, char in enumerate(text)
    )


def _joins(text: str, index: int) -> bool:
    """Say whether there are emoji on both sides, the left one with at most a skin tone or variation
    selector.
    """
    before = text[max(0, index - 2) : index].rstrip(_MODIFIERS)
    after = text[index + 1 : index + 2]
    return all(side and unicodedata.category(side[-1]) == "So" for side in (before, after))


def _sign(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"‹U+{code:04X}›"
