"""Confine drafts that are written from left to right to a template, character by character.

The template is a row of cells: a fixed character, a blank, or a byte of a character that has no
token of its own. A draft may go on with any token whose text fits the cells at its place. Fixed
text is written in the tokens in which a reader would meet it, so that no two drafts of a beam are
the same text in other tokens; its last one alone may be another, since what a blank becomes may
belong to the same word. The last token may reach into the text behind the hole, for the same
reason.

Knows one template and the text around it; no model. Fast enough: the tokens that fit a place are
found once for it, by comparing arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dgedit_engine.decode.drafting import Row
from dgedit_engine.prompt.plain import Around
from dgedit_engine.prompt.template import assembled, choices, untouched
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Draft, Hole

TOKENS = 320
"""Tokens of a template, at most: so many can be read beside others."""

_WIDEST = 24  # characters of a token that may fit; longer ones are runs of spaces and words
_BEHIND = 8  # characters of the text behind the hole that its last token may reach into
_BLANK, _BYTE = -1, -2  # cells that are no code points


class TemplateGuide:
    """A template between the texts around it."""

    def __init__(self, hole: Hole, here: Around, tokenizer: Tokenizer) -> None:
        """Raises ValueError, naming the value, where the template is too long or the vocabulary
        has nothing for its blanks.
        """
        self.hole, self._tokenizer = hole, tokenizer
        self.text, blanks = _normal(hole, here.newline)
        """The template as the model reads it, lines ending with "\n"."""
        if (size := len(tokenizer.encode(self.text))) > TOKENS:
            raise ValueError(f"a template has at most {TOKENS} tokens, not {size}: fill a part")
        self._known = choices(tokenizer, hole.alphabet)
        self._letters = np.array(sorted(map(ord, self._known.values())), dtype=np.int32)
        self._texts: dict[int, str] = {token: text for text, token in tokenizer.words()}
        self._blanks = blanks
        self._cells: list[int] = []
        self._canonical: dict[int, int] = {}  # the token of each byte's cell
        self.tokens: set[int] = set(self._known)
        """Tokens that a draft may need, whatever it says."""
        places = {len(here.forced) + place for place in blanks}
        tail = here.place.behind[:_BEHIND]
        whole = here.forced + self.text
        edges = [-1, *sorted(places), len(whole)]
        for first, last in pairwise(edges):
            self._fix(whole[first + 1 : last])
            self._cells += [_BLANK] if last < len(whole) else []
        self._size = len(self._cells)  # what is behind is no part of the template
        self._cells += map(ord, tail)
        self.pattern = "x" * len(self._cells)
        """As many characters as there are cells: what is left of it says how far a draft is."""
        self._array = np.array(self._cells, dtype=np.int32)
        self._fitting: dict[int, list[int]] = {}
        codes = [(token, text) for token, text in self._texts.items() if len(text) <= _WIDEST]
        self._ids = np.array([token for token, _ in codes], dtype=np.int64)
        self._lengths = np.array([len(text) for _, text in codes], dtype=np.int32)
        self._codes = _codes([text for _, text in codes])

    def fitting(self, left: str) -> list[int]:
        """Return the tokens with which a draft may go on that has so much of `pattern` left."""
        at = len(self.pattern) - len(left)
        if at not in self._fitting:
            self._fitting[at] = self._found(at)
        return self._fitting[at]

    def taken(self, token: int) -> str:
        """Return so much of `pattern` as a token takes: its characters, or one byte."""
        return self._texts.get(token, "x")

    def over(self, written: Sequence[Row]) -> Iterator[str]:
        """End the drafts that have filled the template, and those that say the same as one before;
        yields the texts of those that are complete.
        """
        seen: set[tuple[int, str]] = set()
        for row in written:
            if row.over:
                continue
            characters = "".join(character for character, _ in self._said(row.ids, row.own))
            key = (len(row.left), characters)
            complete = len(self.pattern) - len(row.left) >= self._size
            row.over = complete or key in seen
            row.held = complete
            seen.add(key)
            if complete:
                text = list(self.text)
                for place, character in zip(self._blanks, characters, strict=True):
                    text[place] = character
                yield "".join(text)

    def shown(self, ids: Sequence[int], own: Sequence[float] = ()) -> Draft:
        """Return a draft under way: the template with the blanks that are filled so far."""
        found = list(self._said(ids, own))
        rest = [self.hole.text[place] for place in self.hole.blanks[len(found) :]]
        characters = [*(character for character, _ in found), *rest]
        sure = [*(float(np.exp(value)) for _, value in found), *(0.0 for _ in rest)]
        return assembled(self.hole, characters, sure, [False] * len(characters))

    def whole(self, text: str, draft: Draft) -> Draft:
        """Return the draft of a complete text, whose pieces and their probabilities `draft` has."""
        sure: list[float] = []
        for piece, value in zip(draft.pieces, draft.confidence, strict=True):
            sure += [value] * len(piece)
        if len(sure) != len(text):  # other line ends: the least probable piece stands for all
            sure = [min(draft.confidence, default=0.0)] * len(text)
        if text == self.text and not draft.pieces:
            return untouched(self.hole)
        return assembled(
            self.hole,
            [text[place] for place in self._blanks],
            [sure[place] for place in self._blanks],
            [True] * len(self._blanks),
        )

    def _said(self, ids: Sequence[int], own: Sequence[float]) -> Iterator[tuple[str, float]]:
        """Yield the characters that tokens put into blanks, each with its token's
        log-probability.
        """
        at = 0
        for token, value in zip(ids, own, strict=True):
            text = self.taken(token)
            cells = self._cells[at : at + len(text)]
            yield from ((one, value) for one, cell in zip(text, cells, strict=True) if cell == -1)
            at += len(text)

    def _fix(self, run: str) -> None:
        """Add the cells of a run of fixed text."""
        ids = self._tokenizer.encode(run)
        self.tokens.update(ids)
        for start in range(1, min(len(run), _WIDEST)):  # behind a token that began in a blank
            self.tokens.update(self._tokenizer.encode(run[start:]))
        for token in ids:
            first = len(self._cells)
            text = self._texts.get(token)
            if text is None:  # a byte
                self._cells.append(_BYTE)
                self._canonical[first] = token
            else:
                self._cells += map(ord, text)

    def _found(self, at: int) -> list[int]:
        """Find the tokens that fit the cells from `at` on."""
        if self._cells[at] == _BYTE:
            return [self._canonical[at]]
        least = 1
        if self._cells[at] != _BLANK:
            end = at
            while end < len(self._cells) and self._cells[end] >= 0:
                end += 1
            ids = self._tokenizer.encode("".join(map(chr, self._cells[at:end])))
            if end == len(self._cells) or self._cells[end] == _BYTE or len(ids) > 1:
                return ids[:1]
            least = end - at
        fits = (self._lengths >= least) & (self._lengths <= len(self._cells) - at)
        rows = fits.nonzero()[0]
        for place in range(min(_WIDEST, len(self._cells) - at)):
            cell = self._cells[at + place]
            code = self._codes[rows, place]
            over = self._lengths[rows] <= place
            same = np.isin(code, self._letters) if cell == _BLANK else code == cell
            rows = rows[over | same]
        found: list[int] = self._ids[rows].tolist()
        return found or self._tokenizer.encode("".join(map(chr, self._cells[at : at + least])))[:1]


def _normal(hole: Hole, newline: str) -> tuple[str, list[int]]:
    """Return a template with "\n" for the file's line ends, and the places of its blanks then."""
    done, text, blanks = 0, "", []
    for place in hole.blanks:
        text += hole.text[done:place].replace(newline, "\n")
        blanks.append(len(text))
        text += hole.text[place]
        done = place + 1
    return text + hole.text[done:].replace(newline, "\n"), blanks


def _codes(texts: Sequence[str]) -> npt.NDArray[np.int32]:
    """Return the code points of texts, (n, _WIDEST), 0 behind their ends."""
    joined = "".join(text.ljust(_WIDEST, "\0") for text in texts)
    found = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.int32)
    return found.reshape(len(texts), _WIDEST)
