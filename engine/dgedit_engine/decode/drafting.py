"""Drafts side by side behind one prompt, token by token: the likeliest one, and others drawn.

The rows share the prompt's keys and advance together; those that are over are left out of a step's
work once they are half of all. Knows ids and how a draft must begin; neither holes nor
when a draft is over, which the caller says between two steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dgedit_engine.model.model import Model, PromptCache
from dgedit_engine.types import ModelError

_LIKELY = 64  # tokens of which one is drawn, the likeliest


@dataclass(slots=True)
class Row:
    """One draft under way."""

    number: int
    """Which one it is; 0 is the likeliest where that was asked for."""
    left: str = ""
    """What of the text that it has to begin with is still to come."""
    ids: list[int] = field(default_factory=list)
    """Its tokens."""
    own: list[float] = field(default_factory=list)
    """Their log-probabilities, in nats, as the model has them."""
    ended: bool = False
    """Whether the model said the end of the text."""
    over: bool = False
    """Whether it is done with; for the caller to set."""


def drafted(
    model: Model,
    cache: PromptCache,
    ids: Sequence[int],
    *,
    rows: int,
    longest: int,
    heat: float,
    greedy: bool,
    generator: torch.Generator | None,
    forced: str = "",
    beginnings: Callable[[str], list[int]] | None = None,
    text_of: Callable[[int], str] | None = None,
) -> Iterator[list[Row]]:
    """`rows` drafts behind the prompt `ids`, which `cache` holds, of at most `longest` tokens; all
    of them after each token.

    All but a `greedy` first one are drawn at temperature `heat`. They begin with the text `forced`,
    in tokens that `beginnings` gives for what is left of it and whose texts are `text_of`. Raises
    ModelError for logits that are no numbers.
    """
    found = [Row(number, forced) for number in range(rows)]
    live = list(found)
    forked = cache.fork(rows, len(ids) - 1)
    tokens = [ids[-1]] * rows
    for _ in range(longest):
        with torch.inference_mode():
            fed = torch.tensor(tokens, device=cache.device)[:, None]
            logits = model.logits(model.encode(fed, forked))[:, -1]  # (live, S)
            allowed = _allowed(logits, live, model, beginnings)
            first = greedy and live[0].number == 0
            chosen, sure = _choose(logits, allowed, model, heat, generator, greedy=first)
        for row, token, own in zip(live, chosen, sure, strict=True):
            if row.over:
                continue
            if token in model.config.eos or token == model.config.pad:
                row.ended = row.over = True
                continue
            row.ids.append(token)
            row.own.append(own)
            if row.left and text_of is not None:
                row.left = row.left[len(text_of(token)) :]
        yield found
        kept = [place for place, row in enumerate(live) if not row.over]
        if not kept:
            return
        if len(kept) <= len(live) // 2:
            forked.keep(kept)
            live, chosen = [live[place] for place in kept], [chosen[place] for place in kept]
        tokens = chosen


def _allowed(
    logits: Tensor,
    rows: Sequence[Row],
    model: Model,
    beginnings: Callable[[str], list[int]] | None,
) -> Tensor | None:
    """What each row may say, (live, S); None: anything. A row that cannot say what it has to is
    over.
    """
    if beginnings is None or not any(row.left for row in rows):
        return None
    allowed = torch.ones(logits.shape, dtype=torch.bool, device=logits.device)
    for place, row in enumerate(rows):
        if not row.left or row.over:
            continue
        tokens = torch.tensor(beginnings(row.left), dtype=torch.int64, device=logits.device)
        places = model.places(tokens)
        row.over = not bool((places >= 0).any())
        if row.over:
            continue
        allowed[place] = False
        allowed[place, places[places >= 0]] = True
    return allowed


def _choose(
    logits: Tensor,
    allowed: Tensor | None,
    model: Model,
    heat: float,
    generator: torch.Generator | None,
    *,
    greedy: bool,
) -> tuple[list[int], list[float]]:
    """A token for each row of logits (rows, S), and its log-probability."""
    said = logits.log_softmax(-1)
    if bool(said[..., 0].isnan().any()):  # a draw would fail the device
        raise ModelError("the model's logits are no finite numbers: damaged weights?")
    asked = logits if allowed is None else logits.masked_fill(~allowed, -torch.inf)
    best = asked.argmax(-1)
    if len(logits) > greedy:
        worth, places = asked[int(greedy) :].topk(min(_LIKELY, asked.shape[-1]))
        drawn = torch.multinomial((worth / heat).softmax(-1), 1, generator=generator)
        best[int(greedy) :] = places.gather(-1, drawn)[:, 0]
    sure: list[float] = said.gather(-1, best[:, None])[:, 0].tolist()
    return model.tokens(best).tolist(), sure
