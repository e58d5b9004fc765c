"""The tokens of a vocabulary by their texts, in order, in little memory.

Gemma's 262,144 take 4 MB so. As a list of pairs they took 40, and kept 35 more that had been free
around them, for as long as an engine ran. Knows no tokenizer.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate


class SortedTokens:
    """Texts and ids, in the texts' order, and in the ids' where a text has several."""

    def __init__(self, tokens: Iterable[tuple[str, int]]) -> None:
        texts, ids = list[bytes](), array("i")
        for text, token in tokens:
            texts.append(_encoded(text))
            ids.append(token)
        # not as pairs: Python keeps 2,000 of those that go, and with each the memory around it
        order = sorted(sorted(range(len(ids)), key=ids.__getitem__), key=texts.__getitem__)
        self._ids = array("i", map(ids.__getitem__, order))
        self._edges = array("I", accumulate((len(texts[at]) for at in order), initial=0))
        self._joined = b"".join(map(texts.__getitem__, order))
        """In UTF-8, whose order is that of the characters."""

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for place, token in enumerate(self._ids):
            yield self._at(place).decode("utf-8", "surrogatepass"), token

    def between(self, first: str, last: str) -> list[int]:
        """Return the ids of the tokens from one text on and before another."""
        places = range(len(self._ids))
        start, end = (bisect_left(places, _encoded(one), key=self._at) for one in (first, last))
        return self._ids[start:end].tolist()

    def _at(self, place: int) -> bytes:
        return self._joined[self._edges[place] : self._edges[place + 1]]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
