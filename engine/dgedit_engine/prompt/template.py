"""A template hole in tokens: its fixed text, and a token of its own for each blank.

Its drafts are put together from the hole's own text, so that no vocabulary can change a character
that is not to be filled. Knows holes and tokenizers; neither canvases nor models.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import LINE_ENDS, Draft, Hole


@dataclass(frozen=True, slots=True)
class Template:
    """A template hole, as a canvas holds it."""

    hole: Hole
    """The hole."""
    ids: list[int]
    """Its tokens; in the place of a blank, one of its `choices`."""
    free: tuple[int, ...]
    """The places of the blanks in `ids`."""
    choices: Mapping[int, str]
    """The tokens that a blank may become, each with its character."""

    def draft(
        self,
        ids: Sequence[int],
        confidence: Sequence[float],
        accepted: Sequence[bool],
        *,
        ended: bool,
    ) -> Draft:
        """Return the draft of tokens in the places of `ids`; once `ended`, all is settled."""
        return assembled(
            self.hole,
            [self.choices[ids[place]] for place in self.free],
            [confidence[place] for place in self.free],
            [ended or accepted[place] for place in self.free],
        )


def template(hole: Hole, tokenizer: Tokenizer) -> Template | None:
    """Return a hole's template; None for a hole that is none. Raises ValueError, naming the
    alphabet, where the vocabulary has none of its characters.
    """
    if not hole.blanks:
        return None
    known = choices(tokenizer, hole.alphabet)
    ids: list[int] = []
    free: list[int] = []
    for text, blank in _runs(hole):
        ids += tokenizer.encode(text)
        if blank:
            free.append(len(ids))
            ids.append(next(iter(known)))
    return Template(hole, ids, tuple(free), known)


def choices(tokenizer: Tokenizer, alphabet: str) -> dict[int, str]:
    """Return the tokens that a blank may become, each with its character. Raises ValueError, naming
    the alphabet, where there is none.
    """
    wanted = set(alphabet)
    found = {
        token: text
        for text, token in tokenizer.words()
        if len(text) == 1 and (text in wanted if wanted else fillable(text))
    }
    if not found:
        raise ValueError(f"the model has no token for any of {alphabet!r:.50}")
    return found


def fillable(character: str) -> bool:
    """Say whether a blank of any alphabet may become a character."""
    return character not in LINE_ENDS and unicodedata.category(character) not in ("Cc", "Cs", "Cn")


def assembled(
    hole: Hole, characters: Sequence[str], sure: Sequence[float], settled: Sequence[bool]
) -> Draft:
    """Return a template's draft: a piece for each blank and each run of fixed text."""
    pieces: list[tuple[str, float, bool]] = []
    blanks = iter(zip(characters, sure, settled, strict=True))
    for text, blank in _runs(hole):
        pieces += [(text, 1.0, True)] if text else []
        pieces += [next(blanks)] if blank else []
    return Draft(*zip(*pieces, strict=True))


def untouched(hole: Hole) -> Draft:
    """Return the draft of a template before its blanks are looked at: its text as it is."""
    count = len(hole.blanks)
    own = [hole.text[place] for place in hole.blanks]
    return assembled(hole, own, [0.0] * count, [False] * count)


def _runs(hole: Hole) -> Iterator[tuple[str, bool]]:
    """Yield the fixed text before each blank, with True, and that behind the last one."""
    done = 0
    for place in hole.blanks:
        yield hole.text[done:place], True
        done = place + 1
    yield hole.text[done:], False
