"""The candidates for one hole: what they are scored by, and how likely the best ones are right.

Knows one hole and the text around it; not how drafts are written.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.certainty import Certainty, features
from dgedit_engine.decode.cuts import cuts, visible
from dgedit_engine.decode.drafting import Row
from dgedit_engine.decode.faults import new_errors, with_fixed
from dgedit_engine.decode.guide import TemplateGuide
from dgedit_engine.decode.joint import Scored, drafted_text, head, line_ends, rows, scored
from dgedit_engine.decode.unbound import Names, names_of
from dgedit_engine.model.cache import PromptCache
from dgedit_engine.model.model import Model
from dgedit_engine.prompt.plain import Around, around
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Draft, InfillRequest

LONGEST = 192
"""Tokens after which a draft is given up."""

JUDGED = 24
"""Candidates whose grammar is looked at, the likeliest."""

_RANKED = 8  # the best candidates, of which none is missed
_SLACK = 1.0  # nats by which a text may be likelier, spelt in other tokens than its draft had
_DOUBTFUL = 0.05  # the probability, at most, that such a one is right


@dataclass(frozen=True, slots=True)
class Reader:
    """An open model that reads from left to right."""

    model: Model
    tokenizer: Tokenizer
    cache: PromptCache
    """The prompt's keys and values."""
    certainty: Certainty | None = None
    """Gives the probability that a candidate is right, where that was fitted."""


@dataclass(slots=True)
class Pool:
    """The candidates for one hole so far."""

    reader: Reader
    around: Around
    behind: str
    """The beginning of the text behind that is scored."""
    asked: int
    """Tokens of that."""
    alone: InfillRequest
    """The request with the holes before it filled."""
    best: list[Scored] = field(default_factory=list)
    """All candidates, the best one first."""
    seen: set[str] = field(default_factory=set)
    """Their texts, and those that were not scored."""
    tokens: set[int] = field(default_factory=set)
    """Tokens admitted to the head's shortlist for this hole."""
    guide: TemplateGuide | None = None
    """Confines the drafts of a template; None for a hole that is none."""
    names: Names | None = None
    """What the file's names say of a candidate; None where they say nothing."""
    parts: dict[str, float] = field(default_factory=dict)
    """What drafts began with, where each end broke the file, and its log-probability."""
    faults: dict[str, int | None] = field(default_factory=dict)
    """Syntax errors of texts that were judged."""

    def admit(self, tokens: Collection[int]) -> None:
        """Admit these tokens to the head's shortlist too."""
        known = self.reader.model.head
        if known is not None and not self.tokens.issuperset(tokens):
            self.tokens.update(tokens)
            known.admit(self.tokens, self.reader.model.embedding)

    def judge(self, texts: Mapping[str, float]) -> bool:
        """Score candidates; return whether there is another best one. `texts` gives an upper bound
        of each text's score, as its own log-probability is: one that cannot be among the best is
        not read.
        """
        new = sorted(texts.keys() - self.seen, key=lambda text: (-texts[text], text))
        self.seen.update(new)
        before = self.best[:1]
        for start in range(0, len(new), _RANKED):
            least = self.best[_RANKED - 1].joint if len(self.best) >= _RANKED else -math.inf
            some = [text for text in new[start : start + _RANKED] if texts[text] + _SLACK > least]
            if not some:
                break
            self._score(some)
        return self.best[:1] != before

    def errors(self, texts: Sequence[str]) -> list[int | None]:
        """Count the syntax errors that each of these texts brings, its lines ended as the file's;
        None where unknown.
        """
        later = [None] * (len(self.alone.holes) - 1)
        new = [text for text in dict.fromkeys(texts) if text not in self.faults]
        found = new_errors(self.alone, [[text, *later] for text in new])
        for text, places in zip(new, found, strict=True):
            self.faults[text] = None if places is None else len(places)
        return [self.faults[text] for text in texts]

    def broken(self) -> bool:
        """Say whether none of the best candidates leaves its file as sound as it was."""
        some = [one.draft.text for one in self.best[:JUDGED]]
        batches = (some[at : at + _RANKED] for at in range(0, len(some), _RANKED))
        return all(all(self.errors(batch)) for batch in batches)

    def sound(self) -> list[Scored]:
        """Return the candidates that are known to bring no syntax error, the best one first."""
        return [one for one in self.best if self.faults.get(one.draft.text) == 0]

    def certainty(self, found: Sequence[Scored], at: int) -> float | None:
        """Return the probability that the candidate `found[at]` is right; None where unknown."""
        certainty = self.reader.certainty
        if certainty is None:
            return None
        likely = certainty.of(features(found, at, self.around.place, self.asked))
        return round(min(likely, _DOUBTFUL) if found[at].unbound else likely, 4)

    def line_ends(self) -> float:
        """Return the probability that the line ends where the hole begins."""
        reader, here = self.reader, self.around
        self.admit(reader.tokenizer.encode(here.forced + "\n"))
        encode(reader.model, reader.cache, here.ids[:-1])
        return line_ends(reader.model, reader.tokenizer, reader.cache, here)

    def _score(self, texts: Sequence[str]) -> None:
        model, tokenizer, cache = self.reader.model, self.reader.tokenizer, self.reader.cache
        # joined to what is around it, a text may be encoded in tokens that no draft had
        end = (*self.around.ends, *model.config.eos)[0]
        asked = rows(self.around, texts, self.behind, tokenizer, end)
        self.admit({token for row in asked for token in row})
        encode(model, cache, self.around.ids[:-1])
        judged = scored(model, tokenizer, cache, self.around, texts, self.behind)
        if (guide := self.guide) is not None:
            judged = (replace(one, draft=guide.whole(one.text, one.draft)) for one in judged)
        if (names := self.names) is not None:
            judged = (replace(one, unbound=names.unbound(one.text)) for one in judged)
        self.best = sorted([*self.best, *judged], key=lambda one: -one.joint)

    def said(self, row: Row) -> str:
        """Return all of a draft's text, without what it had to begin with."""
        pieces = self.reader.tokenizer.pieces(row.ids)
        return "".join(piece.text for piece in pieces)[len(self.around.forced) :]

    def lines(self, row: Row) -> int:
        """Return how many lines a draft has ended."""
        return self.text(row).count("\n")

    def text(self, row: Row) -> str:
        """Return the part of a draft's text that may stand in the hole."""
        return visible(self.said(row), self.around.place)

    def shown(self, row: Row) -> Draft:
        """Return a draft under way, up to where it may end once it is over; a character that is not
        yet whole is left out.
        """
        text, here = self.text(row), self.around
        ends = cuts(text, here.place, asked=bool(here.ends)) if row.over else []
        room = ends[-1] if ends else len(text)
        texts: list[str] = []
        sure: list[float] = []
        place, skipped = 0, len(here.forced) + len(self.said(row)) - len(text)
        for piece in self.reader.tokenizer.pieces(row.ids):
            own = row.own[place : place + piece.tokens]
            place += piece.tokens
            said = piece.text[skipped:][:room]
            skipped = max(0, skipped - len(piece.text))
            room -= len(said)
            if said and "\ufffd" not in said:
                texts.append(said)
                sure.append(min(own))
        return drafted_text(texts, sure, here, settled=False)


def begin(reader: Reader, request: InfillRequest, hole: int, filled: Sequence[str]) -> Pool:
    """Return a pool without candidates for the request's hole of that number, those before it
    `filled`.
    """
    tokenizer, config = reader.tokenizer, reader.model.config
    found = around(
        request,
        hole,
        filled,
        tokenizer,
        bos=config.eos[0] if config.bos is None else config.bos,
        context=max(config.context // 2, config.context - 2 * LONGEST),
    )
    # an infill that was asked for is judged by its end
    behind = "" if found.ends else head(found.place.behind, tokenizer)
    later = [None] * (len(request.holes) - hole)
    alone = with_fixed(request, [*filled, *later])
    pool = Pool(reader, found, behind, len(tokenizer.encode(behind)), alone)
    pool.names = names_of(request, hole, filled)
    forced = [found.forced[start:] for start in range(len(found.forced))]
    own = [token for text in (pool.behind, *forced) for token in tokenizer.encode(text)]
    if request.holes[hole].blanks:
        pool.guide = TemplateGuide(request.holes[hole], found, tokenizer)
        own += pool.guide.tokens
    pool.admit({*own, *found.ids})
    return pool
