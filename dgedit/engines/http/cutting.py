"""Cut an answer off: at a number of tokens, and before a text that is to stop it. Knows texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class CutText:
    """An answer's text."""

    text: str
    tokens: int
    """Its tokens, those of the stop text included."""
    ended: Literal["eos", "limit", "word"] = "eos"
    """Why it ends there: by itself, at a limit, or at a stop text."""
    word: str = ""
    """That stop text."""


@dataclass(frozen=True, slots=True)
class Cutting:
    """How answers are cut off."""

    most: int | None
    """The most tokens; None for no limit."""
    stops: tuple[str, ...]
    """Texts before which an answer is cut off, none of them empty."""
    count: Callable[[str], int]
    """Returns the number of tokens of a text."""

    def cut(self, pieces: Sequence[str], *, whole: bool = True) -> CutText:
        """Cut off a text; `whole` is False if it was cut short already."""
        kept, tokens = 0, 0
        for piece in pieces:
            # a piece is one token, unless bytes make its characters
            size = 1 if piece.isascii() else max(1, self.count(piece))
            if self.most is not None and tokens + size > self.most:
                break
            kept, tokens = kept + 1, tokens + size
        text = "".join(pieces[:kept])
        if found := [(at, stop) for stop in self.stops if (at := text.find(stop)) >= 0]:
            end, word = min(found)
            return CutText(text[:end], tokens, "word", word)
        short = kept < len(pieces) or self.most == 0 or not whole
        return CutText(text, tokens, "limit" if short else "eos")

    def doubtful(self, text: str) -> int:
        """Return how many characters at the end of a text may be the beginning of a stop text."""
        longest = max((len(one) - 1 for one in self.stops), default=0)
        for length in range(min(longest, len(text)), 0, -1):
            if any(one.startswith(text[-length:]) for one in self.stops):
                return length
        return 0
