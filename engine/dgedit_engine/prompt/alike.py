"""Choose those lines of a long text that are most like the lines around a hole.

A small model has room for little of a file. What it should see of the rest is what shares names
with the place it writes at: runs of lines, ranked by the words they have in common with it, a rare
word counting more, as repository-level completion ranks excerpts of other files (RepoCoder, arXiv
2303.12570, section 2.2, which has the same by Jaccard's index). Knows texts; no tensors.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable

_LINES = 6
"""Lines of a run; each begins in the middle of the one before."""
_WORD = re.compile(r"[^\W\d]\w+")


def alike(text: str, near: str, encode: Callable[[str], list[int]], room: int) -> str:
    """Return lines of `text`, in order and at most `room` tokens of them, that are most like those
    in `near`; where some are left out between two, an empty line stands.
    """
    lines, wanted = text.split("\n"), _words(near)
    starts = range(0, len(lines), _LINES // 2)
    runs = {start: _words("\n".join(lines[start : start + _LINES])) for start in starts}
    common = Counter(word for words in runs.values() for word in words)

    def likeness(words: set[str]) -> float:
        shared = sum(1 / (1 + math.log1p(common[word])) for word in words & wanted)
        return shared / math.sqrt(1 + len(words))

    like = {start: likeness(words) for start, words in runs.items() if words & wanted}
    taken: set[int] = set()
    for start in sorted(like, key=like.__getitem__, reverse=True):
        run = [at for at in range(start, min(start + _LINES, len(lines))) if at not in taken]
        room -= len(encode("\n".join(lines[at] for at in run)))
        if room < 0:
            break
        taken.update(run)
    return "\n".join(_apart(lines, sorted(taken)))


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text))


def _apart(lines: list[str], places: Iterable[int]) -> Iterable[str]:
    """The lines at these places, an empty one where some between two are left out."""
    last = None
    for at in places:
        if last is not None and at != last + 1:
            yield ""
        yield lines[at]
        last = at
