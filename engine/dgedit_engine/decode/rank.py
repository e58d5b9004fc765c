"""Rank several infills for one request, the one to be shown first.

A candidate stands behind another that breaks the grammar less, behind one that stays in its block,
behind one that does not go round in circles, and behind one that came to an end; among equals the
one is best that the causal reading finds most likely: its own tokens behind the prompt, and the
first tokens behind the hole once it is filled (PILL, Hsu et al. 2026, selects so). It is the
model's own, or that of a verifier. Knows no canvas: it judges finished infills alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dgedit_engine.decode.causal import log_probabilities
from dgedit_engine.decode.cuts import fits
from dgedit_engine.decode.drafts import draft_of, mean_log
from dgedit_engine.decode.endings import circle
from dgedit_engine.decode.faults import Error, new_errors
from dgedit_engine.decode.trimming import trimmed
from dgedit_engine.decode.work import Work
from dgedit_engine.model.masks import side_by_side
from dgedit_engine.prompt.layout import PRE
from dgedit_engine.prompt.plain import place_of
from dgedit_engine.prompt.template import Template
from dgedit_engine.types import Candidate, Draft, Hole, InfillRequest, Origin

_BEFORE = 192
"""Tokens before a hole from which what follows it is predicted."""
_AFTER = 8
"""Tokens behind a hole that are predicted."""


@dataclass(frozen=True, slots=True)
class Filling:
    """A finished infill, in tokens."""

    holes: tuple[list[int], ...]
    """Each hole's tokens, without an end."""
    confidence: tuple[list[float], ...]
    """Their probabilities when they were decoded."""
    origin: Origin
    """Where it comes from."""
    ended: bool
    """Whether every hole came to an end."""
    settled: bool
    """Whether the stop rule held."""
    slots: tuple[int, ...] = ()
    """Slots that each hole had on its canvas; none for a causal draft."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A filling with its rank's reasons."""

    filling: Filling
    """The infill."""
    drafts: tuple[Draft, ...]
    """The same in text."""
    score: float
    """What it was ranked by: mean log-probability in nats."""
    places: tuple[Error, ...] = ()
    """Its syntax errors; none where they were not looked for."""

    def candidate(self, hole: int) -> Candidate:
        """Return its candidate for one hole."""
        return Candidate(self.drafts[hole], self.score, self.filling.origin)


def rank(work: Work, fillings: Sequence[Filling]) -> list[Ranked]:
    """Rank the different fillings, the best one first. Where several are scored, the cache is left
    with the prompt but for its last token, which is read anew.
    """
    request, decoding = work.request, work.decoding
    texts: dict[tuple[str, ...], tuple[Filling, tuple[Draft, ...]]] = {}
    for filling in fillings:
        drafts = _drafts(work, filling)
        text = tuple(draft.text for draft in drafts)
        if text not in texts or (filling.ended and not texts[text][0].ended):
            texts[text] = (filling, drafts)
    scores = [mean_log(drafts) for _, drafts in texts.values()]
    if len(texts) > 1 and decoding.ranked:
        unique = [filling for filling, _ in texts.values()]
        scores = _scores(work, unique)
    look = decoding.repairs or (decoding.veto and len(texts) > 1)
    places = new_errors(request, list(texts)) if look else [None] * len(texts)
    ranked = []
    for (filling, drafts), score, found in zip(texts.values(), scores, places, strict=True):
        ranked.append(Ranked(filling, drafts, round(score, 6), found or ()))

    def key(one: Ranked) -> tuple[int, bool, bool, bool, float]:
        errors = len(one.places) if decoding.veto else 0
        circles = decoding.veto and any(circle(draft.text) is not None for draft in one.drafts)
        strays = decoding.veto and not _fits(request, [draft.text for draft in one.drafts])
        likely = -one.score if decoding.ranked else 0.0
        return errors, strays, circles, not one.filling.ended, likely

    return sorted(ranked, key=key)


def confirmed(work: Work, one: Ranked) -> tuple[Draft, ...]:
    """Return the drafts of a filling with those pieces settled that the causal reading would have
    written itself.
    """
    filling = one.filling
    rows = zip(filling.holes, filling.confidence, agreement(work, filling), strict=True)
    words = work.tokenizer, work.prompt.closing
    return _trimmed(work, [draft_of(*row, *words, ended=True) for row in rows])


def agreement(work: Work, filling: Filling) -> list[list[bool]]:
    """Return for each hole which of its tokens the causal reading would have written itself behind
    all before them; it reads them in one pass. The cache is left with the prompt but for its last
    token.
    """
    row, places = _row(work, filling)
    model, cache, last = work.judge.model, work.judge.cache, work.prompt.ids[-1]
    work.judge.begin(work.prompt.ids)
    with torch.inference_mode():
        ids = torch.tensor([[last, *row[:-1]]], device=cache.device)
        hidden = model.encode(ids, cache, beside=side_by_side([len(row)], cache.device))
        wanted: list[int] = model.tokens(model.logits(hidden)[0].argmax(-1)).tolist()
    return [[wanted[at] == row[at] for at in place] for place in places]


def _row(work: Work, filling: Filling) -> tuple[list[int], list[range]]:
    """Return a filling's tokens as they follow the prompt, ends included, and each hole's there."""
    row: list[int] = []
    places = []
    ends = [work.model.config.eos[:1]] * len(filling.holes)
    ends[-1] = work.prompt.tail[:-1] or ends[-1]
    for ids, marker, end in zip(filling.holes, work.prompt.markers, ends, strict=True):
        row += marker
        places.append(range(len(row), len(row) + len(ids)))
        row += [*ids, *end]
    return row, places


def _fits(request: InfillRequest, texts: Sequence[str]) -> bool:
    """Say whether each text can be its hole's, as far as rules of text tell."""
    places = (place_of(request, hole, texts[:hole]) for hole in range(len(texts)))
    return all(fits(text, place) for text, place in zip(texts, places, strict=True))


def _drafts(work: Work, filling: Filling) -> tuple[Draft, ...]:
    templates = work.prompt.templates or (None,) * len(filling.holes)
    rows = zip(filling.holes, filling.confidence, templates, strict=True)
    return _trimmed(work, [_draft(work, *row) for row in rows])


def _trimmed(work: Work, drafts: Sequence[Draft]) -> tuple[Draft, ...]:
    """Return the drafts without what a chat model has said again of the text around its hole."""
    if work.prompt.closing is None:
        return tuple(drafts)
    found: list[Draft] = []
    for hole, draft in enumerate(drafts):
        kept = bool(work.request.holes[hole].blanks)
        place = place_of(work.request, hole, [one.text for one in found])
        found.append(draft if kept else trimmed(draft, place))
    return tuple(found)


def _draft(work: Work, ids: list[int], sure: list[float], template: Template | None) -> Draft:
    settled = [True] * len(ids)
    if template is not None:
        return template.draft(ids, sure, settled, ended=True)
    return draft_of(ids, sure, settled, work.tokenizer, work.prompt.closing, ended=True)


def _scores(work: Work, fillings: Sequence[Filling]) -> list[float]:
    """Return the mean log-probabilities in nats: of the infill behind the prompt, weighted with
    that of the text behind a lone hole.

    Ends are read but not counted: a model with little training hardly expects any, and counting
    them made the longest draft win. An infill without text has nothing but its end.
    """
    model, cache = work.judge.model, work.judge.cache
    prompt, following = work.prompt, work.decoding.following
    rows, counted = [], []
    for filling in fillings:
        row, each = _row(work, filling)
        rows.append(row)
        counted.append([place for one in each for place in one or (one.start,)])
    work.judge.begin(prompt.ids)
    last = prompt.ids[-1:]
    own = log_probabilities(model, cache, [last + row for row in rows], [len(row) for row in rows])
    means = [
        sum(values[place] for place in places) / len(places)
        for values, places in zip(own, counted, strict=True)
    ]
    after = _following(work, fillings) if following else None
    if after is None:
        return means
    return [
        (1 - following) * mean + following * behind
        for mean, behind in zip(means, after, strict=True)
    ]


def _following(work: Work, fillings: Sequence[Filling]) -> list[float] | None:
    """Return the mean log-probability of the first tokens behind a lone hole, in nats, read from
    the left alone; None where there are several holes or nothing follows.
    """
    model, tokenizer, cache = work.judge.model, work.tokenizer, work.judge.cache
    before, after = around(work.request)
    head = tokenizer.encode(after)[:_AFTER]
    if len(work.request.holes) > 1 or not head:
        return None
    opening = [model.config.bos or 0] + ([PRE] if tokenizer.id("<|pre|>") is not None else [])
    ids = [*opening, *tokenizer.encode(before)[-_BEFORE:]]
    context = cache.fresh()
    if len(ids) > 1:
        with torch.inference_mode():
            model.encode(torch.tensor([ids[:-1]], device=cache.device), context)
    rows = [[ids[-1], *filling.holes[0], *head] for filling in fillings]
    found = log_probabilities(model, context, rows, [len(head)] * len(rows))
    return [sum(values) / len(values) for values in found]


def around(request: InfillRequest) -> tuple[str, str]:
    """Return some text right before and behind the first hole."""
    passage = next(passage for passage in request.passages if passage.holes)
    place = next(index for index, part in enumerate(passage.parts) if isinstance(part, Hole))
    before = "".join(part for part in passage.parts[:place] if isinstance(part, str))
    after = "".join(part for part in passage.parts[place + 1 :] if isinstance(part, str))
    return before[-6 * _BEFORE :], after[: 12 * _AFTER]
