"""Search for what fills one hole: drafts side by side, every place where one may end judged.

Drafting and judging take turns: as soon as most drafts have ended a line, the candidates so far are
judged, and a draft goes on only while it could still end in something better. Knows one hole and
the text around it; neither requests of several nor steps.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice

import torch

from dgedit_engine.decode.canvas_drafts import ROWS, refined
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.cuts import cuts, fitting, too_far
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.drafting import Row, drafted
from dgedit_engine.decode.faults import may_be_sound
from dgedit_engine.decode.guide import TemplateGuide
from dgedit_engine.decode.joint import AFTER
from dgedit_engine.decode.pool import LONGEST, Pool
from dgedit_engine.decode.unbound import Names
from dgedit_engine.decode.verified import BLOCK, VerifiedReader, copied
from dgedit_engine.model.config import Sampling
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Draft, InfillRequest, Phase

_SHOWN_EVERY = 4  # tokens between two steps
_ROUND = 24  # tokens after which drafts are judged though many have not ended their line
_USUAL = 0.5  # nats a token that the text behind a rightly filled hole costs, mostly less
_GOING = 4  # drafts that go on to another line, at most
_CAREFUL = 0.5  # effort above which these branch again into as many as there were
_STALE = 2  # rounds without a better candidate after which a hole is done
_BROKEN = 5  # the same where each breaks its file
_TRIED = 256  # beginnings of drafts that may be sound where no end of one is
_SOUND = 16  # of these, the likeliest
_BINDING = 4  # drafts that begin by binding a name which the others leave unbound


@dataclass(slots=True)
class Width:
    """How many drafts there may be side by side. Apart from them, so that what writes them knows
    nothing that knows it, and its memory is free once they are dropped.
    """

    rows: int


@dataclass(slots=True)
class Drafts:
    """A hole's drafts under way."""

    pool: Pool
    made: Iterator[list[Row]]
    """Yields all of them after each token (`drafted`)."""
    width: Width
    """How many there may be, from the next token on."""
    rows: list[Row] = field(default_factory=list)
    """The latest of these, the best one first."""
    taken: int = 0
    """Tokens so far."""

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
    yield from _rounds(pool, _drafts(pool, request, decoding, generator), request)
    if request.exact:
        return
    if pool.names is not None:
        yield from _bound(pool, pool.names, request, decoding, generator)
    if pool.parts and pool.broken():
        pool.judge(dict.fromkeys(_sound(pool), math.inf))
        for one in pool.sound()[:1]:
            yield one.draft, "refine"


def _bound(
    pool: Pool,
    names: Names,
    request: InfillRequest,
    decoding: Decoding,
    generator: torch.Generator,
) -> Iterator[tuple[Draft, Phase]]:
    """Draft what binds the names that the best candidate leaves unbound: first that alone, then
    behind the best one, as long as there are fewer of them each time.
    """
    narrow = replace(decoding, candidates=min(_BINDING, decoding.candidates))
    text, left = "", len(names.missing)
    while left and pool.best and pool.best[0].unbound:
        for start in names.bindings(pool.around.place, text):
            yield from _rounds(
                pool, _drafts(pool, request, narrow, generator, text + start), request
            )
            if not pool.best[0].unbound:
                return
        best = pool.best[0]
        if best.unbound >= left:
            return
        text, left = best.text.rstrip("\n") + "\n", best.unbound


def _rounds(pool: Pool, drafts: Drafts, request: InfillRequest) -> Iterator[tuple[Draft, Phase]]:
    """Draft and judge in turns until there is nothing better to be found."""
    stale, ended, broken = 0, False, False
    while stale < (_BROKEN if broken else _STALE):
        if drafts.taken and all(row.over for row in drafts.rows):
            break
        for written in drafts.until_lines_end():
            if drafts.taken % _SHOWN_EVERY == 1 and written:
                best = [one.draft for one in pool.best[:1]] or [pool.shown(written[0])]
                yield best[0], "refine" if pool.best else "draft"
        candidates = _candidates(pool, drafts.rows)
        if candidates and request.effort <= _CAREFUL:
            drafts.width.rows = min(drafts.width.rows, _GOING)
        ended = ended or bool(candidates)
        stale += ended
        if pool.judge(candidates):
            stale = 0
            yield pool.best[0].draft, "refine"
        broken = pool.broken() and not request.exact
        if broken:
            _remember(pool, drafts.rows)
            broken = may_be_sound(pool.alone)  # else going on would seldom mend it
        _give_up(pool, drafts.rows, broken=broken)


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
    pool: Pool,
    request: InfillRequest,
    decoding: Decoding,
    generator: torch.Generator,
    start: str = "",
) -> Drafts:
    """Start the hole's drafts, none written yet; all begin with the text `start`. An exact one is
    the likeliest token after token, guessed from the text around it and from the present text.
    """
    reader, here = pool.reader, pool.around
    encode(reader.model, reader.cache, here.ids[:-1])
    guide, width = pool.guide, Width(decoding.candidates)
    exact: VerifiedReader | None = None
    if request.exact:
        guess = partial(copied, beside=reader.tokenizer.encode(here.place.present))
        exact = VerifiedReader(reader.model, reader.cache, here.ids, guess, block=BLOCK)
    made = drafted(
        reader.model,
        reader.cache,
        here.ids,
        rows=decoding.candidates,
        longest=len(guide.pattern) if guide else LONGEST,
        heat=decoding.heat,
        generator=generator if request.seed and not request.exact else None,
        forced=guide.pattern if guide else here.forced + start,
        beginnings=guide.fitting if guide else reader.tokenizer.beginning,
        text_of=guide.taken if guide else partial(_said, reader.tokenizer),
        ends=here.ends,
        read=None if exact is None else exact.read,
        narrowed=lambda: width.rows,
    )
    return Drafts(pool, made, width)


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
    ends, odds = _odds(pool, row)
    for length in cuts(text, here.place, ended=row.ended, asked=bool(here.ends)):
        if "\ufffd" not in text[:length]:
            yield text[:length], odds[bisect.bisect_right(ends, length) - 1]


def _odds(pool: Pool, row: Row) -> tuple[list[int], list[float]]:
    """Return the places in a draft's text where its pieces begin and end, and the log-probability
    up to each. What the draft had to begin with stands before 0.
    """
    skipped = len(pool.around.forced) + len(pool.said(row)) - len(pool.text(row))
    ends, odds, place = [-skipped], [0.0], 0
    for piece in pool.reader.tokenizer.pieces(row.ids):
        ends.append(ends[-1] + len(piece.text))
        odds.append(odds[-1] + sum(row.own[place : place + piece.tokens]))
        place += piece.tokens
    return ends, odds


def _remember(pool: Pool, written: Sequence[Row]) -> None:
    """Keep what the drafts begin with, up to each end of a word or a sign."""
    for row in written:
        if row.left:
            continue
        text = pool.text(row)
        ends, odds = _odds(pool, row)
        for at in range(1, len(text) + 1):
            if at == len(text) or not (text[at - 1].isalnum() and text[at].isalnum()):
                pool.parts[text[:at]] = odds[bisect.bisect_right(ends, at) - 1]


def _sound(pool: Pool) -> list[str]:
    """Return the likeliest beginnings of drafts, wherever they end, that leave the file sound."""
    likely = sorted(pool.parts.keys() - pool.seen, key=lambda text: (-pool.parts[text], text))
    fit = (text for text in likely if "\ufffd" not in text and fitting(text, pool.around.place))
    some = list(islice(fit, _TRIED))
    found: list[str] = []
    for start in range(0, len(some), _SOUND):
        batch = some[start : start + _SOUND]
        ended = [text.replace("\n", pool.around.newline) for text in batch]
        found += [text for text, bad in zip(batch, pool.errors(ended), strict=True) if bad == 0]
        if len(found) >= _SOUND:
            break
    return found


def _give_up(pool: Pool, written: Sequence[Row], *, broken: bool = False) -> None:
    """End the drafts that can no longer come first: their text so far is too unlikely, even if the
    text behind were as likely as at the right place; but for those that may still mend what is
    `broken`. Of the others the likeliest go on.
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
        if not row.over and (broken or own + after > best.joint):
            hopes[place] = own
    going = sorted(hopes, key=lambda place: -hopes[place])[:_GOING]
    for place, row in enumerate(written):
        row.over = row.over or place not in going


def _said(tokenizer: Tokenizer, token: int) -> str:
    return tokenizer.pieces([token])[0].text
