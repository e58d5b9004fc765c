"""Score how well an infill and the text behind it follow from the prompt: one number for both.

For a model that reads from left to right, the best infill m of a hole between p and s is the one
that makes p m s likeliest: P(m | p, s) is P(m | p) P(s | p, m) up to a factor that all infills
share. So the text that is scored is that of the infill and the beginning of s, in the tokens in
which a reader meets it, and the sum counts, not the mean: a longer infill has more to answer for.
The prompt has s already (`prompt/plain.py`), which makes it likely behind any infill, but no weight
makes up for that: of 860 held-out lines and nodes and 35 of HumanEval-Infilling's lines, twelve
drafts of Gemma 3 270M each, the sum chooses 333 that are exact, s counted twice 322.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch

from dgedit_engine.model.cache import PromptCache
from dgedit_engine.model.masks import side_by_side
from dgedit_engine.model.model import Model
from dgedit_engine.prompt.plain import Around
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Draft

AFTER = 16
"""Tokens of the text behind a hole that are scored, at most."""

REPEATED = 2.0
"""Nats that an infill loses if all its lines stand behind the hole: the prompt has just shown them,
and so makes them likelier than they are. On the 94 lines 47% pass with it, 46 without, and 5 of the
chosen infills are such lines, not 7.
"""

UNBOUND = 4.0
"""Nats that an infill loses for each name that its file reads and nothing binds, as far as Python's
are known (`unbound.py`); for three at most.
"""

TOGETHER = 640
"""Tokens of candidates that are read in one pass, at most."""
LOGITS = 128
"""Tokens whose logits are computed at a time."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate for one hole, with its score."""

    text: str
    """What it puts there; its lines end with "\n"."""
    draft: Draft
    """The same in pieces, each with the probability that the model gives it; its lines end as the
    file's do.
    """
    own: float
    """Log-probability of the text, in nats."""
    after: float
    """Log-probability of the text behind it, in nats."""
    repeats: bool = False
    """Whether all its lines stand behind the hole too."""
    unbound: int = 0
    """Names that are read in the filled file and bound nowhere."""

    @property
    def joint(self) -> float:
        """The score, in nats, that candidates are ranked by."""
        lost = REPEATED * self.repeats + UNBOUND * min(self.unbound, 3)
        return self.own + self.after - lost


def head(behind: str, tokenizer: Tokenizer) -> str:
    """Return the beginning of the text behind a hole that is scored; no character is cut."""
    pieces = tokenizer.pieces(tokenizer.encode(behind)[:AFTER])
    whole = takewhile(lambda piece: "\ufffd" not in piece.text, pieces)
    return behind[: sum(len(piece.text) for piece in whole)]


def rows(
    around: Around, texts: Sequence[str], behind: str, tokenizer: Tokenizer, end: int
) -> list[list[int]]:
    """Return the tokens of each candidate that are scored: its own and those of the text `behind`,
    or the `end` where nothing follows.
    """
    ends = [] if behind else [end]
    return [[*tokenizer.encode(around.forced + text + behind), *ends] for text in texts]


def scored(
    model: Model,
    tokenizer: Tokenizer,
    cache: PromptCache,
    around: Around,
    texts: Sequence[str],
    behind: str,
) -> Iterator[Scored]:
    """Score the candidates `texts` for a hole in `around`; yields them in order. `behind` is
    `head`'s; where nothing follows, the end of the text is scored. A head with a shortlist must
    have all tokens of `rows`.

    `cache` holds the prompt, and is left with it but for its last token.
    """
    cache.truncate(len(around.ids) - 1)
    last = around.ids[-1]
    asked = rows(around, texts, behind, tokenizer, (*around.ends, *model.config.eos)[0])
    for some in _dealt(asked):
        together = [asked[place] for place in some]
        for place, known in zip(some, _read(model, cache, last, together), strict=True):
            yield _judged(texts[place], asked[place], known, around, tokenizer)


def line_ends(model: Model, tokenizer: Tokenizer, cache: PromptCache, around: Around) -> float:
    """Return the probability that the line ends where the hole begins. `cache` holds the prompt but
    for its last token; a head with a shortlist must have the tokens of `forced` and a line's end.
    """
    row = tokenizer.encode(around.forced + "\n")
    return math.exp(_read(model, cache, around.ids[-1], [row])[0][-1])


def _dealt(rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the rows' indices, as many at a time as are read together."""
    some: list[int] = []
    size = 0
    for place, row in enumerate(rows):
        if some and size + len(row) > TOGETHER:
            yield some
            some, size = [], 0
        some.append(place)
        size += len(row)
    if some:
        yield some


def _read(
    model: Model, cache: PromptCache, last: int, rows: Sequence[Sequence[int]]
) -> list[list[float]]:
    """Return the log-probability of each row's tokens behind what the cache holds and `last`, in
    nats.
    """
    fed = [[last, *row[:-1]] for row in rows]
    sizes = [len(row) for row in fed]
    targets = torch.tensor([token for row in rows for token in row], device=cache.device)
    with torch.inference_mode():
        ids = torch.tensor([[token for row in fed for token in row]], device=cache.device)
        hidden = model.encode(ids, cache, beside=side_by_side(sizes, cache.device))[0]
        places = model.places(targets)
        assert bool((places >= 0).all()), "a candidate's token that the head does not know"
        found: list[float] = []
        for start in range(0, len(places), LOGITS):
            some = slice(start, start + LOGITS)
            logits = model.logits(hidden[some])  # (n, S)
            said = logits.gather(-1, places[some, None])[:, 0] - logits.logsumexp(-1)
            found += said.tolist()
    split, start = [], 0
    for size in sizes:
        split.append(found[start : start + size])
        start += size
    return split


def _judged(
    text: str, row: Sequence[int], known: Sequence[float], around: Around, tokenizer: Tokenizer
) -> Scored:
    """Share out a row's log-probabilities between the text and what stands behind it."""
    pieces: list[str] = []
    sure: list[float] = []
    own = after = 0.0
    before = len(around.forced)
    start, place, end = 0, 0, before + len(text)
    for piece in tokenizer.pieces(row):
        each = known[place : place + piece.tokens]
        place += piece.tokens
        if start >= end:
            after += sum(each)
        else:
            own += sum(each)
            shown = piece.text[max(0, before - start) : end - start]
            if shown:
                pieces.append(shown)
                sure.append(min(each))
        start += len(piece.text)
    if "".join(pieces) != text:  # which the vocabulary does not spell as it is
        pieces, sure = [text], [min(sure)]
    draft = drafted_text(pieces, sure, around, settled=True)
    behind = {line.strip() for line in around.place.behind.split("\n")}
    repeats = all(line.strip() in behind for line in text.split("\n") if line.strip())
    return Scored(text, draft, own, after, repeats)


def drafted_text(
    pieces: Sequence[str], sure: Sequence[float], around: Around, *, settled: bool
) -> Draft:
    """Return the draft of these pieces and their log-probabilities, with the file's line ends."""
    return Draft(
        tuple(piece.replace("\n", around.newline) for piece in pieces),
        tuple(torch.tensor(sure).exp().tolist()),
        (settled,) * len(pieces),
    )
