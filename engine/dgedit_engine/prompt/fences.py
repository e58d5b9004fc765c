"""Code fences around texts that may have some themselves. Knows texts and the names of files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath

MARKDOWN = frozenset({".md", ".markdown", ".mdx"})
"""Suffixes of files whose text may have code fences."""


def fence_around(texts: Iterable[str], paths: Iterable[str] = ()) -> str:
    """Return a code fence longer than any in the texts, so that it ends none of them; with the path
    of a Markdown file, for which an answer may well have one, longer than the usual.
    """
    longest = max((len(run) for text in texts for run in re.findall("`+", text)), default=0)
    marked = any(PurePath(path).suffix.lower() in MARKDOWN for path in paths)
    return "`" * max(4 if marked else 3, longest + 1)
