"""A template hole in tokens: its fixed text, and a token of its own for each blank.

Its drafts are put together from the hole's own text, so that no vocabulary can change a character
that is not to be filled. Knows holes and tokenizers; neither canvases nor models.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.rules.forms import FORMS
from dgedit_engine.types import LINE_ENDS, Draft, Hole, InfillRequest

NOWHERE = -1
"""The place of a blank that has no token."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template hole, as a canvas holds it."""

    hole: Hole
    """The hole."""
    ids: list[int]
    """Its tokens; in the place of a blank, one of its `choices`."""
    free: tuple[int, ...]
    """The places of the blanks in `ids`; `NOWHERE` for one that stays, in a comment, say."""
    choices: Mapping[int, str]
    """The tokens that a blank may become, each with its character."""
    others: tuple[int, ...] = ()
    """The places of more blanks, which are filled too and not shown."""
    marks: Sequence[Sequence[int]] | None = None
    """The marks that each token's slot bears, of a model that has marks; the template is then all
    that its canvas holds.
    """

    def draft(
        self,
        ids: Sequence[int],
        confidence: Sequence[float],
        accepted: Sequence[bool],
        *,
        ended: bool,
    ) -> Draft:
        """Return the draft of tokens in the places of `ids`; once `ended`, all is settled."""
        own = [self.hole.text[place] for place in self.hole.blanks]
        pairs = list(zip(self.free, own, strict=True))
        return assembled(
            self.hole,
            [one if place == NOWHERE else self.choices[ids[place]] for place, one in pairs],
            [1.0 if place == NOWHERE else confidence[place] for place in self.free],
            [ended or place == NOWHERE or accepted[place] for place in self.free],
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


def formed(request: InfillRequest, tokenizer: Tokenizer, form: str) -> Template:
    """Return the template of a request for a model of one domain, in its `form`: on its canvas are
    the slots of the whole text, not of the hole alone. Raises ValueError, naming what is wrong,
    for a text of another kind.
    """
    hole, before, behind = _lone(request, form)
    span = range(len(before), len(before) + len(hole.text))
    wanted = [span.start + place for place in hole.blanks]
    found = FORMS[form](before + hole.text + behind, frozenset(wanted), span)
    slots = {place: slot for slot, place in enumerate(found.places)}
    if not any(place in slots for place in wanted):
        raise ValueError(f"the blanks are no part of a {form}")
    letters = set(found.choices) & set(hole.alphabet or found.choices)
    if not letters:
        raise ValueError(f"a blank here becomes one of {found.choices}, not {hole.alphabet!r:.50}")
    known = choices(tokenizer, "".join(sorted(letters)))
    text = before + hole.text + behind
    ids = [
        _token(tokenizer, text[place]) if given else next(iter(known))
        for place, given in zip(found.places, found.given, strict=True)
    ]
    free = tuple(slots.get(place, NOWHERE) for place in wanted)
    others = {slot for slot, given in enumerate(found.given) if not given} - {*free}
    return Template(hole, ids, free, known, tuple(sorted(others)), found.marks)


def _lone(request: InfillRequest, form: str) -> tuple[Hole, str, str]:
    """Return the one hole of a request, which must be a template, and the text around it."""
    if len(request.holes) != 1:
        raise ValueError(f"{len(request.holes)} holes: one {form} is filled at a time")
    (hole,) = request.holes
    if not hole.blanks:
        raise ValueError(f"a {form} is filled where it has blanks (--blank says what they are)")
    parts = next(passage.parts for passage in request.passages if passage.holes)
    place = next(at for at, part in enumerate(parts) if isinstance(part, Hole))
    texts = [part if isinstance(part, str) else part.text for part in parts]
    return hole, "".join(texts[:place]), "".join(texts[place + 1 :])


def _token(tokenizer: Tokenizer, character: str) -> int:
    """Return the token of a given character, in capitals where it has none of its own."""
    for one in (character, character.upper()):
        if len(ids := tokenizer.encode(one)) == 1:
            return ids[0]
    raise ValueError(f"the model has no token for {character!r}")


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
