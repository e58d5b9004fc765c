"""Texts that no change of ours changes, and lines of them as spans to be filled: learning these is
what a test of tuning looks for.
"""

from __future__ import annotations

import inspect
import textwrap
from json import decoder

TEXTS = [(f"{one.__name__}.py", inspect.getsource(one)) for one in (decoder, textwrap)]


def spans() -> list[tuple[str, str, int, int]]:
    """Lines that stand there once: path, text, start, end."""
    found = []
    for path, text in TEXTS:
        for line in text.split("\n")[10:110:4]:
            if len(line.strip()) > 8 and text.count(line) == 1:
                start = text.index(line) + len(line) - len(line.lstrip())
                found.append((path, text, start, start + len(line.strip())))
    return found
