"""Fill holes with a model that was never taught to: a base that reads from left to right alone.

    for each hole:  the text before it -> drafts side by side -> every place where one may end is a
                    candidate -> the text behind decides (`joint.py`) -> the file's grammar

A hole after another is filled behind what was chosen for that one. Drafting and judging take turns:
as soon as every draft has ended a line, the candidates so far are judged, and a draft goes on only
while it could still end in something better. What is shown is always the best so far.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from dgedit_engine.decode.cuts import cuts, left_block, too_far
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.drafting import Row, drafted
from dgedit_engine.decode.joint import Scored, head, scored
from dgedit_engine.decode.phases import encode
from dgedit_engine.decode.rank import new_errors
from dgedit_engine.model.model import Model, PromptCache
from dgedit_engine.prompt.plain import Around, around
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Candidate, Draft, InfillRequest, Phase, Step

LONGEST = 192
"""Tokens after which a draft is given up."""
OFFERED = 4
"""Candidates of a hole that are offered where a request does not say how many, at most."""

_SHOWN_EVERY = 4  # tokens between two looks at the first draft
_JUDGED = 8  # candidates whose grammar is looked at, the likeliest
_USUAL = 1.0  # nats a token that the text behind a rightly filled hole costs, mostly less
_GOING = 4  # drafts that go on to another line, at most
_STALE = 2  # rounds without a better candidate after which a hole is done
_ROUND = 24  # tokens after which drafts are judged though some have not ended their line
_NOTHING = Draft((), (), ())


@dataclass(frozen=True, slots=True)
class Reader:
    """An open model."""

    model: Model
    tokenizer: Tokenizer
    cache: PromptCache
    """For the text before a hole."""
    beside: PromptCache
    """For the turned prompt."""


@dataclass(slots=True)
class Pool:
    """The candidates for one hole so far."""

    around: Around
    behind: str
    """As much of the text behind as is asked for."""
    best: list[Scored] = field(default_factory=list)
    """All, the best one first."""
    seen: set[str] = field(default_factory=set)
    """Their texts, and those that are no candidates."""


@dataclass(slots=True)
class Source:
    """Drafts behind one prompt."""

    reader: Reader
    cache: PromptCache
    ids: list[int]
    around: Around
    drafts: Iterator[list[Row]]
    rows: list[Row] = field(default_factory=list)
    """The drafts as they are."""
    taken: int = 0
    """Tokens so far."""
    lines: dict[int, int] = field(default_factory=dict)
    """How many lines each draft had when they were last judged."""

    def until_lines_end(self) -> Iterator[list[Row]]:
        """Write on until three drafts of four have ended another line or are over; those that have
        gone too far are given up.
        """
        if not self.taken:
            encode(self.reader.model, self.cache, self.ids)
        since = 0
        for rows in self.drafts:
            self.rows, self.taken, since = rows, self.taken + 1, since + 1
            live = [row for row in self.rows if not row.over]
            texts = {row.number: _text(row, self.around, self.reader.tokenizer) for row in live}
            for row in live:
                text = texts[row.number]
                row.over = too_far(text, self.around.before, self.around.behind)
            yield self.rows
            counts = {number: _lines(text) for number, text in texts.items()}
            going = [row.number for row in live if not row.over]
            late = [one for one in going if counts[one] <= self.lines.get(one, 0)]
            if since >= _ROUND or len(late) <= len(live) // 4:
                self.lines |= counts
                return
        for row in self.rows:
            row.over = True


def fill(
    reader: Reader, request: InfillRequest, decoding: Decoding, generator: torch.Generator
) -> Iterator[Step]:
    """Fill the request's holes one after another; the last step has the candidates.

    Raises ModelError where the model's logits are no numbers.
    """
    count = len(request.holes)
    chosen: list[list[Scored]] = []
    index, earlier = 0, reader.model.forwards

    def step(draft: Draft, phase: Phase) -> Step:
        nonlocal index
        index += 1
        drafts = (*(_first(one) for one in chosen), draft)
        drafts += (_NOTHING,) * (count - len(drafts))
        passes = reader.model.forwards - earlier
        return Step(index, index + 1, drafts, score=_mean(draft), phase=phase, forwards=passes)

    held = Step(1, 1, (_NOTHING,) * count)
    for hole in range(count):
        filled = [_first(one).text for one in chosen]
        pool = _pool(reader, request, hole, filled)
        for draft, phase in _search(reader, pool, request, decoding, generator):
            held = step(draft, phase)
            yield held
        chosen.append(_judged(pool, request, chosen))
    wanted = request.candidates or OFFERED
    yield _end(request, chosen, wanted, index + 1, reader.model.forwards - earlier)


def _pool(reader: Reader, request: InfillRequest, hole: int, filled: Sequence[str]) -> Pool:
    """What a hole stands in."""
    model, tokenizer = reader.model, reader.tokenizer
    found = around(
        request,
        hole,
        filled,
        tokenizer,
        bos=model.config.bos,
        context=model.config.context - 2 * LONGEST,
    )
    behind = head(found.behind, tokenizer)
    if model.head is not None:
        own = {
            *found.ids,
            *found.turned,
            *tokenizer.encode(behind),
            *tokenizer.encode(found.forced),
        }
        model.head.admit(own, model.embedding)
    return Pool(found, behind)


def _search(
    reader: Reader,
    pool: Pool,
    request: InfillRequest,
    decoding: Decoding,
    generator: torch.Generator,
) -> Iterator[tuple[Draft, Phase]]:
    """Draft and judge in turns; the drafts to be shown on the way, none worse than before."""
    sources = _sources(reader, pool, request, decoding, generator)
    stale = 0
    while sources and stale < _STALE:
        for source in list(sources):
            for rows in source.until_lines_end():
                if not pool.best and source.taken % _SHOWN_EVERY == 1:
                    yield _shown(rows[0], pool.around, reader.tokenizer), "draft"
        rows = [row for source in sources for row in source.rows]
        stale += 1
        if _judge(reader, pool, rows):
            stale = 0
            yield pool.best[0].draft, "refine"
        _give_up(rows, pool, reader.tokenizer)
        sources = [one for one in sources if not all(row.over for row in one.rows)]


def _sources(
    reader: Reader,
    pool: Pool,
    request: InfillRequest,
    decoding: Decoding,
    generator: torch.Generator,
) -> list[Source]:
    """The drafts behind the turned prompt, where there is one, and those behind the plain one."""
    here, count = pool.around, decoding.candidates
    turned = -(-2 * count // 3) if here.turned else 0
    found = []
    for cache, ids, rows in (
        (reader.beside, here.turned, turned),
        (reader.cache, here.ids, count - turned),
    ):
        if rows:
            drafts = drafted(
                reader.model,
                cache,
                ids,
                rows=rows,
                longest=LONGEST,
                heat=decoding.heat,
                greedy=request.seed == 0,
                generator=generator,
                forced=here.forced,
                beginnings=reader.tokenizer.beginning,
                text_of=partial(_said, reader.tokenizer),
            )
            found.append(Source(reader, cache, ids, here, drafts))
    return found


def _judge(reader: Reader, pool: Pool, rows: Sequence[Row]) -> bool:
    """Score the candidates that are new; whether there is another best one."""
    here = pool.around
    new: list[str] = []
    for row in rows:
        text = _text(row, here, reader.tokenizer)
        if row.left:
            continue
        stays = left_block(text, here.before)
        for length in cuts(text, here.before, here.behind, ended=row.ended):
            inside = stays is None or length <= stays
            if inside and text[:length] not in pool.seen and "\ufffd" not in text[:length]:
                pool.seen.add(text[:length])
                new.append(text[:length])
    if not new:
        return False
    _admit(reader, new, here)
    before = pool.best[:1]
    encode(reader.model, reader.cache, here.ids)
    judged = scored(reader.model, reader.tokenizer, reader.cache, here, new, pool.behind)
    pool.best = sorted([*pool.best, *judged], key=lambda one: -one.joint)
    return pool.best[:1] != before


def _admit(reader: Reader, texts: Sequence[str], here: Around) -> None:
    """Let the head know every token of these texts: joined to what is around them, text may be
    spelt in tokens that no draft had.
    """
    if (known := reader.model.head) is None:
        return
    tokens = {
        token
        for text in texts
        for token in reader.tokenizer.encode(here.forced + text + here.behind)
    }
    known.admit({*tokens, *here.ids, *here.turned}, reader.model.embedding)


def _give_up(rows: Sequence[Row], pool: Pool, tokenizer: Tokenizer) -> None:
    """End the drafts that can no longer come first: going on, they could not make up for what they
    have written, were the text behind as likely as it is at the right place. Of the others the
    likeliest go on.
    """
    if not pool.best:
        return
    usual, best = -_USUAL * len(tokenizer.encode(pool.behind)), pool.best[0]
    after = max(one.after for one in pool.best)
    after = after if best.after >= usual else max(after, usual)
    hopes: dict[int, float] = {}
    for place, row in enumerate(rows):
        text = _text(row, pool.around, tokenizer)
        begun = [one for one in pool.best if text.startswith(one.text)]
        own = max(begun, key=lambda one: len(one.text)).own if begun else -torch.inf
        if not row.over and own + after > best.joint:
            hopes[place] = own
    going = sorted(hopes, key=lambda place: -hopes[place])[:_GOING]
    for place, row in enumerate(rows):
        row.over = row.over or place not in going


def _judged(pool: Pool, request: InfillRequest, chosen: Sequence[Sequence[Scored]]) -> list[Scored]:
    """The candidates for a hole, those with fewer syntax errors first; nothing where there are
    none.
    """
    best = pool.best[:_JUDGED]
    holes, place = len(request.holes), len(chosen)
    before = [_first(one).text for one in chosen]
    texts = [[*before, one.text, *[""] * (holes - place - 1)] for one in best]
    errors = [len(found or ()) for found in new_errors(request, texts)] if texts else []
    order = sorted(range(len(best)), key=lambda one: errors[one])
    return [best[one] for one in order] + pool.best[_JUDGED:]


def _end(
    request: InfillRequest,
    chosen: Sequence[Sequence[Scored]],
    wanted: int,
    index: int,
    passes: int,
) -> Step:
    """The step that ends the stream: the best of each hole; and beside it what else was found, the
    second best of each, and so on.
    """
    offered = [_different(one, wanted) for one in chosen]
    drafts = [
        tuple(one[min(place, len(one) - 1)].draft if one else _NOTHING for one in offered)
        for place in range(max(1, *map(len, offered)))
    ]
    texts = [[draft.text for draft in one] for one in drafts]
    errors = new_errors(request, texts)
    candidates = tuple(
        Candidate(
            one,
            round(sum(map(_mean, one)) / len(one), 6),
            "draft",
            None if found is None else len(found),
        )
        for one, found in zip(drafts, errors, strict=True)
    )
    best = candidates[0]
    return Step(
        index,
        index,
        best.drafts,
        last=True,
        stopped="settled" if all(chosen) else "cap",
        score=best.score,
        candidates=candidates,
        forwards=passes,
    )


def _different(found: Sequence[Scored], wanted: int) -> list[Scored]:
    """The best that differ by more than white space."""
    kept: dict[str, Scored] = {}
    for one in found:
        kept.setdefault("".join(one.text.split()), one)
    return list(kept.values())[:wanted]


def _first(found: Sequence[Scored]) -> Draft:
    return found[0].draft if found else _NOTHING


def _text(row: Row, here: Around, tokenizer: Tokenizer) -> str:
    """A draft's text, without what it had to begin with."""
    text = "".join(piece.text for piece in tokenizer.pieces(row.ids))
    return text[len(here.forced) :]


def _shown(row: Row, here: Around, tokenizer: Tokenizer) -> Draft:
    """A draft under way, up to where it may end."""
    text = _text(row, here, tokenizer)
    ends = cuts(text, here.before, here.behind)
    room, skipped = (ends[-1] if ends and row.over else len(text)), len(here.forced)
    pieces: list[str] = []
    sure: list[float] = []
    place = 0
    for piece in tokenizer.pieces(row.ids):
        own = row.own[place : place + piece.tokens]
        place += piece.tokens
        said = piece.text[skipped:][:room]
        skipped = max(0, skipped - len(piece.text))
        if said:
            pieces.append(said)
            sure.append(min(own))
            room -= len(said)
    return Draft(tuple(pieces), tuple(torch.tensor(sure).exp().tolist()), (False,) * len(pieces))


def _lines(text: str) -> int:
    return text.count("\n")


def _said(tokenizer: Tokenizer, token: int) -> str:
    return tokenizer.pieces([token])[0].text


def _mean(draft: Draft) -> float:
    """Mean log-probability of the pieces, in nats; 0 for no text."""
    sure = torch.tensor(draft.confidence).clamp(min=1e-9).log()
    return float(sure.mean()) if len(sure) else 0.0
