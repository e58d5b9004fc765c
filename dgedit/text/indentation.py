"""What the lines of a file are indented with, and when they are indented further.

By the file's name and by its text. Knows strings.
"""

from __future__ import annotations

import re

from dgedit.text.languages import kind_of

_BRACKETS = "([{"


def uses_tabs(text: str, name: str, wanted: bool | None = None) -> bool:
    """Whether a text in a file of this name is indented with tabs: as its language demands, else as
    is `wanted`, else as its lines are, else as is usual there.
    """
    needed = kind_of(name).indentation
    if needed in ("tabs", "blanks"):
        return needed == "tabs"
    if wanted is not None or re.search(r"(?:^|[\r\n])\t", text):
        return wanted is not False
    return needed is not None and not re.search(r"(?:^|[\r\n])  +[^\s*]", text)


def opens_block(line: str, name: str) -> bool:
    """Whether what follows a line, in a file of this name, is indented further: behind an open
    bracket at its end, in Python behind a colon.
    """
    kind, line = kind_of(name), line.strip()
    if kind.comment is None or not line or line.startswith(kind.comment[0]):
        return False
    return line[-1] in _BRACKETS or (line[-1] == ":" and kind.language == "python")
