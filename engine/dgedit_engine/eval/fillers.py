"""The ways of filling a hole that are compared: the canvas, as the editor fills, and its controls.

`causal` reads the same prompt with the same weights and writes token by token, the most probable
one each time. It learns earlier than the canvas, which is worth its steps once it is ahead. `empty`
fills with nothing, and shows what a rate of files that parse is worth.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch

from dgedit_engine.engine import Engine
from dgedit_engine.infill import CANVASES, encode
from dgedit_engine.prompt import build
from dgedit_engine.types import Backend, InfillRequest, Step, Stopped

CAUSAL_TOKENS = 128
"""Where the causal filler gives up waiting for an end."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a way of filling gave for one hole."""

    pieces: tuple[str, ...]
    """The text, token by token."""
    steps: int
    """Times the model was run, the reading of the prompt apart."""
    ms: float
    """Milliseconds, the reading of the prompt included."""
    stopped: Stopped
    """Why it ended."""

    @property
    def text(self) -> str:
        """What to put into the hole."""
        return "".join(self.pieces)


Filler = Callable[[InfillRequest], Answer]


def fillers(engine: Engine) -> dict[str, Filler]:
    """The ways of filling with this engine, each reading its prompt anew so that times compare."""

    def canvas(request: InfillRequest) -> Answer:
        engine.cache.truncate(0)
        return refined(engine, request)

    return {"canvas": canvas, "causal": partial(_causal, engine), "empty": _empty}


def refined(backend: Backend, request: InfillRequest) -> Answer:
    """What the steps of any backend come to. Raises RuntimeError without a last step."""
    started = time.perf_counter()
    last: Step | None = None
    for step in backend.infill(request):
        last = step
    if last is None or not last.last:
        raise RuntimeError("the stream of steps ended without a last step")
    ms = 1000 * (time.perf_counter() - started)
    return Answer(last.drafts[0].pieces, last.index, ms, last.stopped or "settled")


def _causal(engine: Engine, request: InfillRequest) -> Answer:
    """Token after token until an end, behind the prompt that the canvas has too."""
    tokenizer, config = engine.tokenizer, engine.model.config
    started = time.perf_counter()
    engine.cache.truncate(0)
    prompt = build(request, tokenizer, context=config.context - config.canvas * CANVASES)
    found: list[int] = []
    pieces: list[str] = []
    steps, ended = 0, False
    for token in islice(_greedy(engine, prompt.ids), CAUSAL_TOKENS):
        steps += 1
        ended = token in config.eos
        if not ended:
            found.append(token)
            pieces = [piece.text.replace("\ufffd", "") for piece in tokenizer.pieces(found)]
            ended = prompt.closing is not None and prompt.closing in "".join(pieces)
        if ended:
            break
    engine.cache.truncate(len(prompt.ids))
    ms = 1000 * (time.perf_counter() - started)
    return Answer(_before(prompt.closing, pieces), steps, ms, "settled" if ended else "cap")


def _greedy(engine: Engine, prompt: Sequence[int]) -> Iterator[int]:
    """The most probable token behind the prompt, then the one behind that, without end."""
    encode(engine.model, engine.cache, prompt[:-1])
    token = prompt[-1]
    while True:
        with torch.inference_mode():
            ids = torch.tensor([[token]], device=engine.cache.device)
            hidden = engine.model.encode(ids, engine.cache)
            token = int(engine.model.logits(hidden)[0, -1].argmax())
        yield token


def _before(closing: str | None, pieces: Sequence[str]) -> tuple[str, ...]:
    """The pieces in front of `closing`, or all; none of them empty."""
    whole = "".join(pieces)
    room = whole.find(closing) if closing is not None and closing in whole else len(whole)
    kept = []
    for piece in pieces:
        if cut := piece[:room]:
            kept.append(cut)
        room -= len(cut)
    return tuple(kept)


def _empty(request: InfillRequest) -> Answer:
    """Nothing, at no cost."""
    return Answer((), 0, 0.0, "unchanged")
