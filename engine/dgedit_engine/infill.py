"""From a request to a stream of steps: the place where text and tensors meet.

    prompt -> encode what the cache does not hold -> draft causally -> refine canvases side by side
           -> rank, repair -> the best candidate's drafts

A model that reads from left to right alone fills in its own way (`left_to_right.py`), and so does
one that reads whole windows with masks (`window.py`), or corrects what another drafts
(`correcting.py`). A chat model fills several holes one after another (`in_turn.py`).
A hole longer than a canvas goes on: the canvas is encoded behind the prompt, and a next one
continues. Closing the iterator at any step cancels; the cache keeps what it has encoded, ready for
the next request.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch

from dgedit_engine.decode import correcting, in_turn, left_to_right, window
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.certainty import Certainty
from dgedit_engine.decode.correcting import Drafter
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.drafts import unchanged
from dgedit_engine.decode.judge import Judge
from dgedit_engine.decode.loop import EagerRefiner, Refiner
from dgedit_engine.decode.masking import Masking
from dgedit_engine.decode.phases import CANVASES, Stream, draft, end, go_on, rank_and_repair, refine
from dgedit_engine.decode.pool import Reader
from dgedit_engine.decode.starts import Memory, origins, recalled, starts
from dgedit_engine.decode.work import Work
from dgedit_engine.model.cache import PromptCache
from dgedit_engine.model.config import Config, Sampling
from dgedit_engine.model.model import Model
from dgedit_engine.prompt.prompt import Prompt, build, chat, plain
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import InfillRequest, ModelError, Origin, Step


def infill(
    model: Model,
    tokenizer: Tokenizer,
    cache: PromptCache,
    sampling: Sampling,
    request: InfillRequest,
    *,
    decoding: Decoding | None = None,
    memory: Memory | None = None,
    refiner: Refiner[Any] | None = None,
    certainty: Certainty | None = None,
    masking: Masking | None = None,
    verifier: Judge | None = None,
    drafter: Drafter | None = None,
) -> Iterator[Step]:
    """Refine the request's holes; `memory` holds the result of the last request, `refiner` denoises
    (PyTorch's way, if none is given), `certainty` says how probably a candidate is right, `masking`
    how a masked diffusion model fills. A `verifier` ranks and confirms what a model of canvases or
    chat turns has written; a `drafter` writes what a masked one corrects, unless some of the
    present text stays, which is the draft then.

    Raises ValueError, naming the number, where the holes do not fit the model, ModelError where its
    logits are not finite.
    """
    if request.strength == 0:
        drafts = tuple(unchanged(hole.text, tokenizer) for hole in request.holes)
        yield Step(1, 1, drafts, last=True, stopped="unchanged")
        return
    if model.config.masks is not None:
        if request.exact:
            raise ValueError("a masked diffusion model has no causal reading to be exact about")
        if request.reading == "causal":
            raise ValueError("a masked diffusion model has no causal reading")
        if any(hole.blanks for hole in request.holes):
            raise ValueError("a masked diffusion model fills no templates")
        generator = torch.Generator(device=cache.device).manual_seed(request.seed)
        reader, masking = Reader(model, tokenizer, cache), masking or Masking()
        if drafter is None or request.strength < 1:
            yield from window.fill(reader, request, masking, generator)
            return
        own = replace(drafter, decoding=drafted(drafter.decoding, request))
        yield from correcting.fill(reader, own, request, masking, generator)
        return
    if plain(tokenizer):
        generator = torch.Generator(device=cache.device).manual_seed(request.seed)
        settings = drafted(decoding or Decoding(), request)
        reader = Reader(model, tokenizer, cache, certainty)
        yield from left_to_right.fill(reader, request, settings, generator)
        return
    if not model.canvas:  # a chat model without canvases, as Gemma 4
        request = replace(request, reading="causal")
    form = (decoding or Decoding()).form
    if form is not None and (request.exact or request.reading == "causal"):
        raise ValueError(f"a model of {form} alone has no causal reading")
    if request.reading == "causal" and any(hole.blanks for hole in request.holes):
        raise ValueError("a template is filled on a canvas, not by the causal reading")
    if len(request.holes) > 1 and not request.together and chat(tokenizer):
        yield from in_turn.fill(
            request,
            lambda one: infill(
                *(model, tokenizer, cache, sampling, one),
                decoding=decoding,
                refiner=refiner,
                certainty=certainty,
                verifier=verifier,
            ),
        )
        return
    prompt = _prompt(request, tokenizer, model.config, form)
    encode(model, cache, prompt.ids)
    work = Work(
        model,
        tokenizer,
        cache,
        dialled(sampling, request),
        chosen(decoding or Decoding(), request),
        request,
        prompt,
        # a graph on a GPU knows fixed slots, but none that are confined to some tokens
        EagerRefiner(model, cache) if refiner is None or prompt.templates else refiner,
        torch.Generator(device=cache.device).manual_seed(request.seed),
        verifier,
    )
    stream = Stream(model, model.forwards)
    before = recalled(work, memory)
    tried = origins(work, before)
    sketches = yield from draft(work, stream, tried)
    refined = yield from refine(work, stream, starts(work, tried, sketches, before))
    fillings = [one for one in sketches if one.origin in tried] + refined
    fillings, ranked = yield from rank_and_repair(work, stream, fillings)
    ranked = yield from go_on(work, stream, fillings, ranked)
    if memory is not None and not prompt.templates:
        memory.prompt, memory.holes = prompt.ids, ranked[0].filling.holes
    yield end(work, stream, ranked)


def dialled(sampling: Sampling, request: InfillRequest) -> Sampling:
    """Return the sampler's settings for a request: effort 0.5 is the model's own, each half of the
    dial a factor of two.
    """
    factor = 4 ** (request.effort - 0.5)
    bound = (
        sampling.entropy_bound / factor if request.entropy_bound is None else request.entropy_bound
    )
    steps = max(1, round(sampling.steps * factor)) if request.steps is None else request.steps
    return replace(sampling, steps=steps, entropy_bound=bound)


def chosen(decoding: Decoding, request: InfillRequest) -> Decoding:
    """Return the decoding settings for a request: the candidates follow `effort` in the same way,
    where the model has more than one. A text that is partly kept is revised by canvases alone, and
    so is a template; the causal reading writes from scratch.
    """
    count = decoding.candidates
    if count > 1:
        count = max(1, round(count * 4 ** (request.effort - 0.5)))
    if request.reading == "causal":
        origins: tuple[Origin, ...] = ("draft", "sample")
        decoding = replace(
            decoding, origins=origins, warm=False, canvas=False, repairs=0, renoised=0
        )
    if request.exact:
        decoding = replace(
            decoding, origins=("draft",), warm=False, canvas=False, repairs=0, renoised=0
        )
        return replace(decoding, candidates=1)
    kept = request.strength < 1 and any(hole.text for hole in request.holes)
    pinned = any(hole.blanks for hole in request.holes)
    if kept or pinned:
        decoding = replace(decoding, origins=("canvas",), canvases=(), warm=False)
    if pinned:  # a repair would make noise of what stays
        decoding = replace(decoding, repairs=0, renoised=0)
    return replace(decoding, candidates=request.candidates or count)


def drafted(decoding: Decoding, request: InfillRequest) -> Decoding:
    """Return the same for a model that reads from left to right alone: at least as many drafts as
    candidates are asked for.
    """
    settings = chosen(decoding, replace(request, candidates=None))
    if request.exact:
        return settings
    return replace(settings, candidates=max(settings.candidates, request.candidates or 0))


def _prompt(
    request: InfillRequest, tokenizer: Tokenizer, config: Config, form: str | None
) -> Prompt:
    """Build the prompt and check that its ids are in the embedding: a GPU does not recover from one
    that is not.
    """
    room = config.context - config.canvas * CANVASES
    prompt = build(request, tokenizer, context=room, form=form)
    largest = max(max(ids, default=0) for ids in (prompt.ids, *prompt.holes, *prompt.markers))
    if largest >= config.vocab:
        raise ModelError(f"the tokenizer has an id {largest}, the model {config.vocab} tokens")
    return prompt
