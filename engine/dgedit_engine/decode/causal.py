"""The causal reading: encode a prompt, draft token by token, score the likelihood of given tokens.

The causal reading learns before the canvas does, and it is a language model, so it drafts holes
that canvases then revise, and it says which of several infills is likely. Knows ids and prompts,
neither canvases nor which candidate is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dgedit_engine.decode.drafts import open_part
from dgedit_engine.decode.endings import MET, met
from dgedit_engine.model.cache import PromptCache
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.masks import side_by_side
from dgedit_engine.model.model import Model
from dgedit_engine.prompt.prompt import Prompt
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import ModelError

LONGEST = 128
"""Tokens after which a hole's draft is given up."""
SHOWN_EVERY = 8
"""Tokens of a draft under way between two steps that show it."""


@dataclass(slots=True)
class Drafted:
    """One draft of all holes, complete or under way."""

    holes: list[list[int]]
    """Each hole's tokens so far, without an end."""
    confidence: list[list[float]]
    """Their probabilities."""
    ended: bool = True
    """Whether no hole was given up for its length; one that was is cut where an end was
    likeliest.
    """
    written: list[int] = field(default_factory=list)
    """All tokens that were written for the last hole, those behind the cut too."""
    sure: list[float] = field(default_factory=list)
    """Their probabilities."""
    ends: list[float] = field(default_factory=list)
    """Probability of an end before each of them, and behind the last one if an end came there."""
    _queue: list[int] = field(default_factory=list)
    """Fixed tokens between two holes, still to be read."""
    _hole: int = 0
    """The index of the hole that is being written; their number when all are."""
    _ends: list[float] = field(default_factory=list)
    """Probability of an end before each token of that hole."""

    @property
    def over(self) -> bool:
        """Whether all holes are written."""
        return self._hole == len(self.holes)


def draft(
    model: Model,
    tokenizer: Tokenizer,
    cache: PromptCache,
    prompt: Prompt,
    *,
    rows: int,
    greedy: bool = True,
    heat: float,
    generator: torch.Generator | None,
    following: str = "",
    read: Callable[[int], Tensor] | None = None,
) -> Iterator[list[Drafted]]:
    """Draft all holes `rows` times side by side behind the prompt that `cache` holds, drawn at
    temperature `heat`, but for the first draft if it is `greedy`. Yields the drafts under way, and
    when all are over.

    One that runs into `following`, the text behind a lone hole, is given up. Of a lone draft,
    `read` may give the logits (1, V) behind a token, in place of a pass for each (`verified.py`).
    Raises ModelError for logits that are not finite.
    """
    assert read is None or rows == 1, "one text is read at a time"
    count = len(prompt.holes)
    drafts = [Drafted([[] for _ in range(count)], [[] for _ in range(count)]) for _ in range(rows)]
    behind = cache.fork(rows, len(prompt.ids) - 1) if read is None else None
    tokens = [prompt.ids[-1]] * rows
    taken = 0
    while not all(one.over for one in drafts):
        with torch.inference_mode():
            if behind is None:
                assert read is not None
                logits = read(tokens[0])
            else:
                ids = torch.tensor(tokens, device=cache.device)[:, None]
                logits = model.logits(model.encode(ids, behind))[:, -1]  # (rows, V)
            chosen, sure, ends = _choose(logits, heat, model.config.eos, generator, greedy=greedy)
        for one, end in zip(drafts, ends, strict=True):
            one._ends.append(end)
        tokens = [
            _write(one, token, probability, model, tokenizer, prompt, following)
            for one, token, probability in zip(drafts, chosen, sure, strict=True)
        ]
        taken += 1
        if taken % SHOWN_EVERY == 1 or all(one.over for one in drafts):  # the first one at once
            yield drafts


def encode(model: Model, cache: PromptCache, ids: Sequence[int]) -> None:
    """Make the cache hold exactly `ids`, encoding only what lies behind the prefix it holds
    already.
    """
    known = cache.match(ids)
    if isinstance(cache, DeviceCache) and cache.reader is not None:
        cache.reader.read(cache, ids[known:])
        return
    for start in range(known, len(ids), cache.chunk):
        with torch.inference_mode():
            new = torch.tensor([ids[start : start + cache.chunk]], device=cache.device)
            model.encode(new, cache)


def log_probabilities(
    model: Model, cache: PromptCache, rows: Sequence[Sequence[int]], counted: Sequence[int]
) -> list[list[float]]:
    """Return the log-probabilities, in nats, of the last `counted[k]` tokens of row k, each behind
    all before it.

    All rows follow what `cache` holds, which stays, and are read in one pass.
    """
    fed = [list(row[:-1]) for row in rows]
    sizes = [len(row) for row in fed]
    device = cache.device
    targets = [list(row[1:]) for row in rows]
    with torch.inference_mode():
        ids = torch.tensor([[token for row in fed for token in row]], device=device)
        hidden = model.encode(ids, cache, beside=side_by_side(sizes, device))
        wanted = [
            start + place
            for start, size, count in zip(_starts(sizes), sizes, counted, strict=True)
            for place in range(size - count, size)
        ]
        said = model.logits(hidden[:, wanted])[0].log_softmax(-1)  # (sum of counted, V)
        tails = [
            token
            for row, count in zip(targets, counted, strict=True)
            for token in row[len(row) - count :]
        ]
        found: list[float] = said[torch.arange(len(tails)), tails].tolist()
    edges = _starts(list(counted))
    return [found[start : start + count] for start, count in zip(edges, counted, strict=True)]


def _choose(
    logits: Tensor,
    heat: float,
    ends: Sequence[int],
    generator: torch.Generator | None,
    *,
    greedy: bool,
) -> tuple[list[int], list[float], list[float]]:
    """Choose a token for each row of logits (rows, V), the best for a `greedy` first one; return
    it, its probability and that of an end.
    """
    probs = logits.softmax(-1)
    if bool(probs[..., 0].isnan().any()):  # a draw would fail the device
        raise ModelError("the model's logits are no finite numbers: damaged weights?")
    best = logits.argmax(-1)
    if len(logits) > greedy:
        drawn = (logits[int(greedy) :] / heat).softmax(-1)
        best[int(greedy) :] = torch.multinomial(drawn, 1, generator=generator)[:, 0]
    sure: list[float] = probs.gather(-1, best[:, None])[:, 0].tolist()
    ending: list[float] = probs[:, list(ends)].sum(-1).tolist()
    return best.tolist(), sure, ending


def _write(
    one: Drafted,
    token: int,
    probability: float,
    model: Model,
    tokenizer: Tokenizer,
    prompt: Prompt,
    following: str,
) -> int:
    """Take the token that the model predicts; return the token that it must read next."""
    end = model.config.eos[0]
    if one._queue:  # the prediction is not used: between two holes the tokens are fixed
        one._ends = []
        return one._queue.pop(0)
    if one.over:
        return end
    text, known = one.holes[one._hole], one.confidence[one._hole]
    ended = token in model.config.eos
    if not ended:
        text.append(token)
        known.append(probability)
        if (kept := open_part(text, tokenizer, prompt.closing)) is not None:
            ended = True
            del text[kept:], known[kept:]
    over = len(text) >= LONGEST or (following and _met(text, tokenizer, following))
    if not ended and not over:
        return token
    one.written, one.sure, one.ends = list(text), list(known), list(one._ends)
    if not ended:
        cut = max(range(1, len(one._ends)), key=one._ends.__getitem__, default=1)
        del text[cut:], known[cut:]
    one.ended = one.ended and ended
    one._hole += 1
    one._ends = []
    if not one.over:
        one._queue = list(prompt.markers[one._hole])
    return end


def _met(text: list[int], tokenizer: Tokenizer, following: str) -> bool:
    """Say whether the last tokens of a text are those that stand behind its hole."""
    return met("".join(piece.text for piece in tokenizer.pieces(text[-2 * MET :])), following)


def _starts(sizes: Sequence[int]) -> list[int]:
    starts = [0]
    for size in sizes[:-1]:
        starts.append(starts[-1] + size)
    return starts
