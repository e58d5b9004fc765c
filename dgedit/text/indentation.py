"""Tell whether a file is indented with tabs, and which lines open an indented block.

Decided by the file's name and its text. Knows strings.
"""

from __future__ import annotations

import re

from dgedit.text.languages import kind_of

_BRACKETS = "([{"


def uses_tabs(text: str, name: str, wanted: bool | None = None) -> bool:
    """Say whether a text in a file of this name is indented with tabs.

    Its language decides if it demands one style; then `wanted`, then the text's own lines, then
    what is usual for the language.
    """
    needed = kind_of(name).indentation
    if needed in ("tabs", "blanks"):
        return needed == "tabs"
    if wanted is not None or re.search(r"(?:^|[\r\n])\t", text):
        return wanted is not False
    return needed is not None and not re.search(r"(?:^|[\r\n])  +[^\s*]", text)


def opens_block(line: str, name: str) -> bool:
    """Say whether the line after this one is indented further in a file of this name: after an
    opening bracket at its end, in Python also after a colon.
    """
    kind, line = kind_of(name), line.strip()
    if kind.comment is None or not line or line.startswith(kind.comment[0]):
        return False
    return line[-1] in _BRACKETS or (line[-1] == ":" and kind.language == "python")
