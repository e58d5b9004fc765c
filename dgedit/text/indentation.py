"""What the lines of a file are indented with, and when they are indented further.

By the file's name and by its text. Knows strings.
"""

from __future__ import annotations

import re

from dgedit.text.comments import comment_marks

_BRACKETS = "([{"
_TABS_NEEDED = frozenset(["makefile", "gnumakefile", "bsdmakefile", ".mk", ".mak", ".make", ".tsv"])
_BLANKS_NEEDED = frozenset([".yaml", ".yml", ".nim", ".elm"])
_TABS_USUAL = frozenset([".go", "go.mod", "go.work", ".gitmodules", ".gitconfig"])


def uses_tabs(text: str, name: str, wanted: bool | None = None) -> bool:
    """Whether a text in a file of this name is indented with tabs: as its language demands, else as
    is `wanted`, else as its lines are, else as is usual there.
    """
    name = name.lower()
    _, dot, suffix = name.rpartition(".")
    names = {name, name.partition(".")[0], dot + suffix}
    if names & _TABS_NEEDED or names & _BLANKS_NEEDED:
        return bool(names & _TABS_NEEDED)
    if wanted is not None or re.search(r"(?:^|[\r\n])\t", text):
        return wanted is not False
    return bool(names & _TABS_USUAL) and not re.search(r"(?:^|[\r\n])  +[^\s*]", text)


def opens_block(line: str, name: str) -> bool:
    """Whether what follows a line, in a file of this name, is indented further: behind an open
    bracket at its end, in Python behind a colon.
    """
    marks = comment_marks(name)
    line = line.strip()
    if marks is None or not line or line.startswith(marks[0]):
        return False
    return line[-1] in _BRACKETS or (line[-1] == ":" and name.lower().endswith((".py", ".pyi")))
