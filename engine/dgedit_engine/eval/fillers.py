"""The ways of filling a hole that are compared: the canvas, as the editor fills, and its controls.

`causal` reads the same prompt with the same weights and writes token by token, blind to nothing
but the canvas: it learns earlier than the canvas, so a canvas is worth its steps once it is ahead.
`empty` fills with nothing, and shows what a rate of files that parse is worth.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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
    """The most probable token after the most probable token, until an end."""
    model, cache, tokenizer, config = (
        engine.model,
        engine.cache,
        engine.tokenizer,
        engine.model.config,
    )
    started = time.perf_counter()
    cache.truncate(0)
    prompt = build(request, tokenizer, context=config.context - config.canvas * CANVASES)
    encode(model, cache, prompt.ids[:-1])
    found: list[int] = []
    text, token, ended = "", prompt.ids[-1], False
    with torch.inference_mode():
        while not ended and len(found) < CAUSAL_TOKENS:
            hidden = model.encode(torch.tensor([[token]], device=cache.device), cache)
            token = int(model.logits(hidden)[0, -1].argmax())
            ended = token in config.eos
            if not ended:
                found.append(token)
                text += "".join(piece.text for piece in tokenizer.pieces(found[-1:]))
                ended = prompt.closing is not None and prompt.closing in text
    cache.truncate(len(prompt.ids))
    ms = 1000 * (time.perf_counter() - started)
    pieces = _before([piece.text for piece in tokenizer.pieces(found)], prompt.closing)
    return Answer(tuple(pieces), len(found) + ended, ms, "settled" if ended else "cap")


def _before(pieces: list[str], closing: str | None) -> list[str]:
    """The pieces in front of `closing`, as a canvas shows them: without unfinished characters."""
    pieces = [piece.replace("\ufffd", "") for piece in pieces]
    whole, kept = "".join(pieces), []
    room = whole.find(closing) if closing is not None and closing in whole else len(whole)
    for piece in pieces:
        kept.append(piece[:room])
        room -= len(kept[-1])
    return [piece for piece in kept if piece]


def _empty(request: InfillRequest) -> Answer:
    """Nothing, at no cost."""
    return Answer((), 0, 0.0, "unchanged")
