"""Search for what fills one hole: drafts side by side, every place where one may end judged.

Drafting and judging take turns: as soon as most drafts have ended a line, the candidates so far are
judged, and a draft goes on only while it could still end in something better. Knows one hole and
the text around it; neither requests of several nor steps.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from dgedit_engine.decode.canvas_drafts import ROWS, refined
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.certainty import Certainty, features
from dgedit_engine.decode.cuts import cuts, too_far, visible
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.drafting import Row, drafted
from dgedit_engine.decode.guide import TemplateGuide
from dgedit_engine.decode.joint import AFTER, Scored, drafted_text, head, rows, scored
from dgedit_engine.decode.verified import BLOCK, VerifiedReader, copied
from dgedit_engine.model.cache import PromptCache
from dgedit_engine.model.config import Sampling
from dgedit_engine.model.model import Model
from dgedit_engine.prompt.plain import Around, around
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Draft, InfillRequest, Phase

LONGEST = 192
"""Tokens after which a draft is given up."""

_SHOWN_EVERY = 4  # tokens between two steps
_ROUND = 24  # tokens after which drafts are judged though many have not ended their line
_USUAL = 0.5  # nats a token that the text behind a rightly filled hole costs, mostly less
_GOING = 4  # drafts that go on to another line, at most
_CAREFUL = 0.5  # effort above which these branch again into as many as there were
_STALE = 2  # rounds without a better candidate after which a hole is done
_RANKED = 8  # the best candidates, of which none is missed
_SLACK = 1.0  # nats by which a text may be likelier, spelt in other tokens than its draft had


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
    best: list[Scored] = field(default_factory=list)
    """All candidates, the best one first."""
    seen: set[str] = field(default_factory=set)
    """Their texts, and those that were not scored."""
    tokens: set[int] = field(default_factory=set)
    """Tokens admitted to the head's shortlist for this hole."""
    guide: TemplateGuide | None = None
    """Confines the drafts of a template; None for a hole that is none."""

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

    def certainty(self, found: Sequence[Scored], at: int) -> float | None:
        """Return the probability that the candidate `found[at]` is right; None where unknown."""
        certainty = self.reader.certainty
        if certainty is None:
            return None
        return round(certainty.of(features(found, at, self.around.place, self.asked)), 4)

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


@dataclass(slots=True)
class Drafts:
    """A hole's drafts under way."""

    pool: Pool
    made: Iterator[list[Row]]
    """Yields all of them after each token (`drafted`)."""
    rows: list[Row] = field(default_factory=list)
    """The latest of these, the best one first."""
    taken: int = 0
    """Tokens so far."""
    wide: int = 1
    """How many there may be."""

    def until_lines_end(self) -> Iterator[list[Row]]:
        """Write on until the better half of the drafts have ended another line or are over; those
        that have gone too far are given up.
        """
        pool, here = self.pool, self.pool.around
        for since, written in enumerate(self.made, 1):
            self.rows, self.taken = written, self.taken + 1
            for row in written:
                if not row.over and too_far(pool.said(row), here.place):
                    row.over = row.held = True
                row.held = row.held or pool.lines(row) > row.lines
            yield written
            better = self.rows[: -(-len(self.rows) // 2)]
            if since == _ROUND or all(row.held for row in better):
                break
        else:
            for row in self.rows:
                row.over = True
        for row in self.rows:
            row.lines, row.held = pool.lines(row), False


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
    pool = Pool(reader, found, behind, len(tokenizer.encode(behind)))
    forced = [found.forced[start:] for start in range(len(found.forced))]
    own = [token for text in (pool.behind, *forced) for token in tokenizer.encode(text)]
    if request.holes[hole].blanks:
        pool.guide = TemplateGuide(request.holes[hole], found, tokenizer)
        own += pool.guide.tokens
    pool.admit({*own, *found.ids})
    return pool


def search(
    pool: Pool, request: InfillRequest, decoding: Decoding, generator: torch.Generator
) -> Iterator[tuple[Draft, Phase]]:
    """Draft and judge in turns; yields the drafts to be shown on the way, none worse than before.

    Where it may stay as it is, the hole's present text is a candidate as others are; and so are the
    canvases' texts, where the model has some.
    """
    if pool.guide is not None:
        yield from _guided(pool, pool.guide, request, decoding, generator)
        return
    if request.strength < 1 and _offered(pool):
        pool.judge({pool.around.place.present: 0.0})
        yield pool.best[0].draft, "draft"
    if decoding.canvas and pool.reader.model.canvas:
        yield from _refined(pool, request)
    drafts, stale, ended = _drafts(pool, request, decoding, generator), 0, False
    while stale < _STALE and not (drafts.taken and all(row.over for row in drafts.rows)):
        for written in drafts.until_lines_end():
            if drafts.taken % _SHOWN_EVERY == 1 and written:
                best = [one.draft for one in pool.best[:1]] or [pool.shown(written[0])]
                yield best[0], "refine" if pool.best else "draft"
        candidates = _candidates(pool, drafts.rows)
        if candidates and request.effort <= _CAREFUL:
            drafts.wide = min(drafts.wide, _GOING)
        ended = ended or bool(candidates)
        stale += ended
        if pool.judge(candidates):
            stale = 0
            yield pool.best[0].draft, "refine"
        _give_up(pool, drafts.rows)


def _refined(pool: Pool, request: InfillRequest) -> Iterator[tuple[Draft, Phase]]:
    """Refine canvases from noise: shown as they converge, and judged at last."""
    reader, here = pool.reader, pool.around
    # draws of their own, so that drafts are the same with and without canvases
    generator = torch.Generator(device=reader.cache.device).manual_seed(request.seed)
    texts: list[str] = []
    for stand in refined(
        *(reader.model, reader.tokenizer, reader.cache, here.ids, here),
        rows=ROWS,
        sampling=Sampling(),
        generator=generator,
        greedy=request.seed == 0,
    ):
        texts = stand.texts
        yield (pool.best[0].draft if pool.best else stand.draft), "draft"
    if pool.judge(dict.fromkeys(texts, 0.0)):
        yield pool.best[0].draft, "refine"


def _guided(
    pool: Pool,
    guide: TemplateGuide,
    request: InfillRequest,
    decoding: Decoding,
    generator: torch.Generator,
) -> Iterator[tuple[Draft, Phase]]:
    """Draft a template, and judge all drafts when they are over."""
    made = _drafts(pool, request, decoding, generator).made
    found: dict[str, None] = {}
    yield guide.shown(()), "draft"
    for taken, written in enumerate(made, 1):
        found.update(dict.fromkeys(guide.over(written)))
        if taken % _SHOWN_EVERY == 1 and written:
            yield guide.shown(written[0].ids, written[0].own), "draft"
    # should no draft fit, the template stays as it is
    pool.judge(dict.fromkeys(found or (guide.text,), 0.0))
    yield pool.best[0].draft, "refine"


def _offered(pool: Pool) -> bool:
    """Say whether a hole holds some text, and no more than can be read beside others."""
    present = pool.around.place.present
    room = 2 * LONGEST - AFTER
    return bool(present.strip()) and len(pool.reader.tokenizer.encode(present)) <= room


def _drafts(
    pool: Pool, request: InfillRequest, decoding: Decoding, generator: torch.Generator
) -> Drafts:
    """Start the hole's drafts, none written yet. An exact one is the likeliest token after token,
    guessed from the text around it and from the present text.
    """
    reader, here = pool.reader, pool.around
    encode(reader.model, reader.cache, here.ids[:-1])
    guide = pool.guide
    drafts = Drafts(pool, iter(()), wide=decoding.candidates)
    exact: VerifiedReader | None = None
    if request.exact:
        guess = partial(copied, beside=reader.tokenizer.encode(here.place.present))
        exact = VerifiedReader(reader.model, reader.cache, here.ids, guess, block=BLOCK)
    drafts.made = drafted(
        reader.model,
        reader.cache,
        here.ids,
        rows=decoding.candidates,
        longest=len(guide.pattern) if guide else LONGEST,
        heat=decoding.heat,
        generator=generator if request.seed and not request.exact else None,
        forced=guide.pattern if guide else here.forced,
        beginnings=guide.fitting if guide else reader.tokenizer.beginning,
        text_of=guide.taken if guide else partial(_said, reader.tokenizer),
        ends=here.ends,
        read=None if exact is None else exact.read,
        narrowed=lambda: drafts.wide,
    )
    return drafts


def _candidates(pool: Pool, written: Sequence[Row]) -> dict[str, float]:
    """Return the drafts' candidates, each text with its log-probability, the highest that a draft
    gives it.
    """
    found: dict[str, float] = {}
    for row in written:
        for text, odds in _endings(pool, row):
            found[text] = max(odds, found.get(text, -math.inf))
    return found


def _endings(pool: Pool, row: Row) -> Iterator[tuple[str, float]]:
    """Yield a draft's text at each of the places where it may end, and the log-probability of its
    tokens.
    """
    if row.left:
        return
    here, text = pool.around, pool.text(row)
    skipped = len(here.forced) + len(pool.said(row)) - len(text)
    ends, odds = _odds(pool.reader.tokenizer, row)
    for length in cuts(text, here.place, ended=row.ended, asked=bool(here.ends)):
        if "\ufffd" not in text[:length]:
            yield text[:length], odds[bisect.bisect_right(ends, skipped + length) - 1]


def _odds(tokenizer: Tokenizer, row: Row) -> tuple[list[int], list[float]]:
    """Return the places in a draft where its pieces begin and end, and the log-probability up to
    each.
    """
    ends, odds, place = [0], [0.0], 0
    for piece in tokenizer.pieces(row.ids):
        ends.append(ends[-1] + len(piece.text))
        odds.append(odds[-1] + sum(row.own[place : place + piece.tokens]))
        place += piece.tokens
    return ends, odds


def _give_up(pool: Pool, written: Sequence[Row]) -> None:
    """End the drafts that can no longer come first: their text so far is too unlikely, even if the
    text behind were as likely as at the right place. Of the others the likeliest go on.
    """
    if not pool.best:
        return
    best = pool.best[0]
    usual = -_USUAL * max(1, pool.asked)
    after = max(one.after for one in pool.best)
    after = after if best.after >= usual else max(after, usual)
    hopes: dict[int, float] = {}
    for place, row in enumerate(written):
        text = pool.text(row)
        begun = [one for one in pool.best if text.startswith(one.text)]
        own = max(begun, key=lambda one: len(one.text)).own if begun else sum(row.own)
        if not row.over and own + best.weight * after > best.joint:
            hopes[place] = own
    going = sorted(hopes, key=lambda place: -hopes[place])[:_GOING]
    for place, row in enumerate(written):
        row.over = row.over or place not in going


def _said(tokenizer: Tokenizer, token: int) -> str:
    return tokenizer.pieces([token])[0].text
