"""Beam search over drafts behind one prompt, token by token: the likeliest ones, none twice.

Drawn one by one, drafts repeat each other. A beam has as many different ones as it is wide, and the
likeliest, which are the ones that the text behind is to choose from. A draft may be held, as one is
that has ended its line: it keeps its place by what it was worth then, and goes on without
branching, so that the others can catch up.

The rows share the prompt's keys and advance together. Knows ids and how a draft must begin; neither
holes nor when a draft is over or held, which the caller says between two steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dgedit_engine.model.cache import PromptCache
from dgedit_engine.model.model import Model
from dgedit_engine.types import ModelError

_LIKELY = 64  # tokens of which others are drawn, the likeliest


@dataclass(slots=True)
class Row:
    """One draft under way."""

    left: str = ""
    """The part still to come of the text that it has to begin with."""
    ids: list[int] = field(default_factory=list)
    """Its tokens."""
    own: list[float] = field(default_factory=list)
    """Their log-probabilities, in nats, at temperature 1."""
    odds: float = 0.0
    """Their sum in nats, at the temperature at which they are drawn."""
    worth: float = 0.0
    """What it is sorted by: its odds, or a draw around them; it stays while the row is held."""
    lines: int = 0
    """Lines that it had when it was last judged; for the caller."""
    held: bool = False
    """Whether it keeps its place until it is judged; for the caller to set, and to take back."""
    ended: bool = False
    """Whether the model predicted the end of the text."""
    over: bool = False
    """Whether it gets no more tokens; for the caller to set. It is left out unless it is held."""


def drafted(
    model: Model,
    cache: PromptCache,
    ids: Sequence[int],
    *,
    rows: int,
    longest: int,
    heat: float = 1.0,
    generator: torch.Generator | None = None,
    forced: str = "",
    beginnings: Callable[[str], list[int]] | None = None,
    text_of: Callable[[int], str] | None = None,
    ends: Sequence[int] = (),
    read: Callable[[int], Tensor] | None = None,
    narrowed: Callable[[], int] | None = None,
) -> Iterator[list[Row]]:
    """Write at most `rows` drafts behind the prompt `ids`, which `cache` holds, of at most
    `longest` tokens; yields all of them after each token, the best one first.

    They are the likeliest, or with a `generator` drawn without replacement at temperature `heat`
    (Kool, van Hoof and Welling, "Stochastic Beams and Where to Find Them", arXiv 1903.06059). They
    begin with the text `forced`, in tokens that `beginnings` gives for what is left of it and whose
    texts are `text_of`; `ends` end them beside the model's own ends. Of a lone row, `read` may give
    the logits (1, S) behind a token, in place of a pass for each (`verified.py`). `narrowed` is
    asked before each token how many drafts there may be from then on. Raises ModelError for logits
    that are not finite.
    """
    assert read is None or rows == 1, "one text is read at a time"
    live, done = [Row(forced)], list[Row]()
    forked = cache.fork(1, len(ids) - 1) if read is None else None
    tokens = [ids[-1]]
    for _ in range(longest):
        with torch.inference_mode():
            if forked is None:
                assert read is not None
                logits = read(tokens[0])
            else:
                fed = torch.tensor(tokens, device=cache.device)[:, None]
                logits = model.logits(model.encode(fed, forked))[:, -1]  # (live, S)
            allowed = _allowed(logits, live, model, beginnings)
            wide = rows if narrowed is None else min(rows, narrowed())
            children = _children(logits, allowed, live, model, wide, heat, generator)
        children += [(None, row) for row in done]
        children.sort(key=lambda child: -child[1].worth)
        del children[wide:]
        for _, row in children:
            _settle(row, (*model.config.eos, model.config.pad, *ends), text_of)
        found = [row for _, row in children]
        yield found
        going = [(parent, row) for parent, row in children if not row.over and parent is not None]
        done = [row for row in found if row.over and row.held]
        if not going:
            return
        parents = [parent for parent, _ in going]
        if forked is not None and parents != list(range(len(live))):
            forked.keep(parents)
        live, tokens = [row for _, row in going], [row.ids[-1] for _, row in going]


def _children(
    logits: Tensor,
    allowed: Tensor | None,
    live: Sequence[Row],
    model: Model,
    rows: int,
    heat: float,
    generator: torch.Generator | None,
) -> list[tuple[int | None, Row]]:
    """Return the rows one token on, each with its parent's place: the `rows` likeliest of each, one
    of those that are held. A row that cannot go on has none. Logits are (live, S).
    """
    said = logits.log_softmax(-1)
    if bool(said[..., 0].isnan().any()):  # a draw would fail the device
        raise ModelError("the model's logits are no finite numbers: damaged weights?")
    odds = said if generator is None or heat == 1 else (logits / heat).log_softmax(-1)
    odds = odds if allowed is None else odds.masked_fill(~allowed, -torch.inf)
    count = min(rows if generator is None else max(rows, _LIKELY), odds.shape[-1])
    odds, places = odds.topk(count, -1)  # (live, count)
    # from here on the CPU: few numbers, and not every device has float64
    totals = odds.cpu().double() + torch.tensor([[row.odds] for row in live])
    worth = totals if generator is None else _drawn(totals, live, generator)
    worth, order = worth.topk(min(rows, count), -1)
    totals = totals.gather(-1, order)
    own = said.gather(-1, places).cpu().gather(-1, order).tolist()
    tokens = model.tokens(places).cpu().gather(-1, order).tolist()
    found: list[tuple[int | None, Row]] = []
    for parent, (row, sums, values) in enumerate(
        zip(live, totals.tolist(), worth.tolist(), strict=True)
    ):
        least = int(totals[parent].argmax()) if row.held else 0
        for place in range(least, least + 1) if row.held else range(len(sums)):
            if sums[place] == -torch.inf:
                continue
            child = replace(
                row,
                ids=[*row.ids, tokens[parent][place]],
                own=[*row.own, own[parent][place]],
                odds=sums[place],
                worth=row.worth if row.held else values[place],
            )
            found.append((parent, child))
    return found


def _drawn(totals: Tensor, live: Sequence[Row], generator: torch.Generator) -> Tensor:
    """Draw around the odds of the rows' children (live, n), the largest of each as much as its
    parent is worth, so that the largest of all are drawn without replacement (arXiv 1903.06059).
    """
    uniform = torch.rand(totals.shape, generator=generator, device=generator.device).cpu().double()
    drawn = totals - (-uniform.clamp(1e-12, 1 - 1e-12).log()).log()
    parents = torch.tensor([[row.worth] for row in live]).double()
    below = (drawn - drawn.amax(-1, keepdim=True)).expm1().neg().log()  # log(1 - e^x)
    gap = parents - drawn + below
    found = parents - gap.clamp(min=0) - (-gap.abs()).exp().log1p()
    return found.masked_fill(totals == -torch.inf, -torch.inf)


def _settle(row: Row, ends: Sequence[int], text_of: Callable[[int], str] | None) -> None:
    """Remove an end that a row has just predicted; else remove its last token's text from what it
    still has to begin with.
    """
    if row.over:
        return
    if row.ids[-1] in ends:
        row.ids.pop()
        row.own.pop()
        row.ended = row.over = row.held = True
    elif row.left and text_of is not None:
        row.left = row.left[len(text_of(row.ids[-1])) :]


def _allowed(
    logits: Tensor,
    rows: Sequence[Row],
    model: Model,
    beginnings: Callable[[str], list[int]] | None,
) -> Tensor | None:
    """Return the tokens that each row may go on with, (live, S) bool; None: any."""
    if beginnings is None or not any(row.left for row in rows):
        return None
    allowed = torch.ones(logits.shape, dtype=torch.bool, device=logits.device)
    for place, row in enumerate(rows):
        if not row.left:
            continue
        tokens = torch.tensor(beginnings(row.left), dtype=torch.int64, device=logits.device)
        places = model.places(tokens)
        allowed[place] = False
        allowed[place, places[places >= 0]] = True
    return allowed
