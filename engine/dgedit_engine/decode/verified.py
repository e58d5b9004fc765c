"""Read what follows a prompt many tokens at a time, and choose as if it were one by one.

The causal reading says in one pass what it would write behind each of many tokens. So a guess of
what comes next is read together with the token that is known; as long as the caller writes what was
guessed, no further pass is needed ("speculative decoding", Leviathan et al., arXiv 2211.17192,
greedy). Whatever is guessed, the text is the same token for token: a guess decides when a pass is
made, never what is written. On a CPU not even by rounding: attention takes one token at a time, and
every product has as many rows, whether a pass has as many tokens or not. Libraries choose how they
add up by the number of rows (a row of 2,048 columns is rounded otherwise alone than among eight, on
an EPYC), but not by a row's place among them.

Guesses come from the text itself ("prompt lookup": what followed the last time that these tokens
stood there), and where that has none from a canvas, if the model has one. Knows ids, neither holes
nor text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile

import torch
from torch import Tensor

from dgedit_engine.decode import loop
from dgedit_engine.decode.canvas import seed_canvas, text_ids
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.work import Work
from dgedit_engine.model.cache import PromptCache
from dgedit_engine.model.model import Model

Guess = Callable[[Sequence[int], int], Sequence[int]]
"""Returns at most so many tokens that may follow a text."""

BLOCK = 8
"""Tokens of a pass, at most: the known one and those guessed."""
SLOTS = 16
"""Slots of a canvas that guesses, which is also the block that is read then."""

_SUFFIX = 6  # last tokens of the text that are looked up, at most
_LEAST = 2  # and at least: a lone token stands in too many places
_STEPS = 1  # of a canvas that guesses
_CREDIT = 6  # passes that canvases may have cost more than they have spared


class VerifiedReader:
    """Gives the logits behind each token of a text, in fewer passes than it has tokens."""

    def __init__(
        self,
        model: Model,
        cache: PromptCache,
        ids: Sequence[int],
        guess: Guess,
        *,
        block: int,
        rows: int = 0,
    ) -> None:
        """The text begins with `ids` but for the last one, which is to be `read` first. `cache` may
        be used for other texts between two tokens: it is brought back to this one. A pass has
        `rows` tokens, a block's if not more: readers that have as many give the same logits.
        """
        self.model, self.cache, self.guess, self.block = model, cache, guess, block
        self.rows = max(rows, block)
        self.passes = 0
        """Passes so far, those of a canvas that guesses not counted."""
        self.tokens = 0
        """Tokens read so far."""
        self._text = list(ids[:-1])
        self._fed: list[int] = []
        self._place = 0
        self._hidden = torch.empty(0)

    @torch.inference_mode()
    def read(self, token: int) -> Tensor:
        """Read the next token of the text; return the logits (1, S) of the one behind it."""
        self._place += 1
        if self._place >= len(self._fed) or self._fed[self._place] != token:
            self._pass(token)
        self._text.append(token)
        self.tokens += 1
        # a row at a time: codes of a head are of all rows that are read together
        return self.model.logits(self._hidden[self._place : self._place + 1])

    def _pass(self, token: int) -> None:
        """Read the token and what is guessed to follow it."""
        more = list(self.guess([*self._text, token], self.block - 1))[: self.block - 1]
        self._fed, self._place = [token, *more], 0
        known = self.cache.match(self._text)
        new, found = [*self._text[known:], *self._fed], list[Tensor]()
        for start in range(0, len(new), self.rows):
            some = new[start : start + self.rows]
            filled = [some + some[-1:] * (self.rows - len(some))]
            ids = torch.tensor(filled, device=self.cache.device)
            found.append(self.model.encode(ids, self.cache, singly=True)[0, : len(some)])
            self.cache.truncate(known + start + len(some))
        self._hidden = torch.cat(found)[-len(self._fed) :]
        self.passes += 1


def copied(text: Sequence[int], most: int, *, beside: Sequence[int] = ()) -> list[int]:
    """Guess what follows a text: what followed its last tokens the last time that they stood in it,
    or `beside` it; the more of them, the better.
    """
    whole = [*beside, *text]
    for size in range(min(_SUFFIX, len(whole) - 1), _LEAST - 1, -1):
        tail, first = whole[-size:], whole[-size]
        for start in range(len(whole) - size - 1, -1, -1):
            if whole[start] == first and whole[start : start + size] == tail:
                return whole[start + size : start + size + most]
    return []


class CanvasGuess:
    """Guesses with a canvas, refined from noise behind the text in one step, where the text itself
    has nothing to copy; and only as long as its guesses spare the passes that they cost.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self._text: list[int] = []
        self._made: list[int] = []
        self._owed = 0

    def __call__(self, text: Sequence[int], most: int) -> Sequence[int]:
        """Return at most `most` tokens that may follow `text`."""
        if self._made:  # what stands behind the text for which they were
            pairs = zip(self._made, text[len(self._text) :], strict=False)
            self._owed -= sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            self._made = []
        if (found := copied(text, most)) or self._owed > _CREDIT:
            return found
        before = self.work.model.forwards
        self._text, self._made = list(text), self._refined(text)[:most]
        self._owed += self.work.model.forwards - before
        return self._made

    def _refined(self, text: Sequence[int]) -> list[int]:
        work, config = self.work, self.work.model.config
        encode(work.model, work.cache, text)
        slots = min(SLOTS, config.canvas)
        seed = seed_canvas(
            [[]],
            [[]],
            [slots],
            end=config.eos[0],
            vocab=config.vocab,
            strength=1.0,
            generator=work.generator,
        )
        start = loop.Start(seed, min(_STEPS, work.sampling.steps))
        *_, (one,) = loop.refine(
            work.refiner, [start], work.sampling, work.generator, shrinking=False
        )
        (segment,) = one.canvas.segments
        found = text_ids(one.best, segment, config.eos)
        return found if len(found) == slots else [*found, config.eos[0]]
