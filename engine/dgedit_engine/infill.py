"""From a request to a stream of steps: the place where text and tensors meet.

    prompt -> encode what the cache does not hold -> refine a canvas, a step at a time -> drafts

A hole longer than a canvas goes on: the canvas is encoded behind the prompt, and a next one
continues. Closing the iterator at any step cancels; the cache stays as it was encoded, ready for
the next request.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dgedit_engine import sampler
from dgedit_engine.cache import KVCache
from dgedit_engine.canvas import Canvas, Seed, seed_canvas, segment_sizes, shrunk, text_ids
from dgedit_engine.config import Config, Sampling
from dgedit_engine.model import Model
from dgedit_engine.prompt import Prompt, build
from dgedit_engine.tokenizer import Tokenizer
from dgedit_engine.types import Draft, InfillRequest, ModelError, Step
from dgedit_kernels.canvas_sampler import SlotReading, read_slots

CANVASES = 8
"""A hole may go on over so many canvases."""


@dataclass(frozen=True, slots=True)
class Refined:
    """A canvas after one step."""

    canvas: Canvas
    """The slots as the step read them."""
    best: list[int]
    """The most probable token of each slot: the draft, and in the end the result."""
    confidence: list[float]
    """Its probability, at the step's temperature."""
    accepted: list[bool]
    """Which slots were accepted within the entropy bound."""
    settled: bool
    """Whether the stop rule held: the draft stood still and the free slots are certain."""


def infill(
    model: Model, tokenizer: Tokenizer, cache: KVCache, sampling: Sampling, request: InfillRequest
) -> Iterator[Step]:
    """Refine the request's holes. Raises ValueError, naming the number, where they do not fit the
    model, ModelError where its logits are no numbers.
    """
    if request.strength == 0:
        drafts = tuple(_unchanged(hole.text, tokenizer) for hole in request.holes)
        yield Step(1, 1, drafts, last=True, stopped="unchanged")
        return
    sampling = dialled(sampling, request)
    config, ends = model.config, model.config.eos
    prompt = _prompt(request, tokenizer, config)
    generator = torch.Generator(device=cache.device).manual_seed(request.seed)
    encode(model, cache, prompt.ids)
    done: list[int] = []  # the ids of a lone hole's earlier canvases
    known: list[float] = []
    settled = True  # no canvas was left at its cap, or without room to go on
    index, total = 0, 0
    for turn in range(CANVASES):
        texts = [text[len(done) :] for text in prompt.holes]
        seed = _seed(model, texts, prompt, request.strength, generator)
        first = max(1, math.ceil(request.strength * sampling.steps))
        total = index + first
        for refined in refine(model, cache, seed, sampling, generator, first=first):
            index += 1
            final = refined.settled or index == total
            open_end = final and _open_end(refined, tokenizer, prompt, ends, done)
            goes_on = open_end and turn < CANVASES - 1
            drafts = _drafts(
                refined, tokenizer, prompt, ends, done, known, ended=final and not goes_on
            )
            step = Step(index, total, drafts, score=_score(drafts))
            if final and not goes_on:
                settled = settled and refined.settled and not open_end
                yield replace(step, last=True, stopped="settled" if settled else "cap")
                return
            yield step
        settled = settled and refined.settled
        done += refined.best
        known += refined.confidence
        encode(model, cache, prompt.ids + done)


def dialled(sampling: Sampling, request: InfillRequest) -> Sampling:
    """The sampler's settings for a request: effort 0.5 is the model's own, each half of the dial a
    factor of two.
    """
    factor = 4 ** (request.effort - 0.5)
    bound = (
        sampling.entropy_bound / factor if request.entropy_bound is None else request.entropy_bound
    )
    steps = max(1, round(sampling.steps * factor)) if request.steps is None else request.steps
    return replace(sampling, steps=steps, entropy_bound=bound)


def encode(model: Model, cache: KVCache, ids: Sequence[int]) -> None:
    """Make the cache hold exactly `ids`, encoding only what lies behind the prefix it holds
    already.
    """
    new = ids[cache.match(ids) :]
    if new:
        with torch.inference_mode():
            model.encode(torch.tensor([new], device=cache.device), cache)


def refine(
    model: Model,
    cache: KVCache,
    seed: Seed,
    sampling: Sampling,
    generator: torch.Generator | None,
    *,
    first: int | None = None,
    shrinking: bool = True,
) -> Iterator[Refined]:
    """Denoise one canvas until it settles or the steps are used up, from `first` steps before the
    end of the schedule.

    With `shrinking` off this is the released sampler, draw for draw.
    """
    canvas, soft = seed.canvas, _seed_signal(model, seed)
    previous: Tensor | None = None
    still = 0  # steps for which the best tokens have stood
    for remaining in range(first or sampling.steps, 0, -1):
        with torch.inference_mode():
            logits = model.logits(model.denoise(canvas.ids, cache, soft))
            heat = sampler.temperature(sampling, remaining)
            reading = _read(sampler.pin(logits / heat, canvas.ids, canvas.fixed), generator)
            kept = sampler.accept_free(reading.entropy, canvas.fixed, sampling.entropy_bound)
            still = still + 1 if previous is not None and torch.equal(reading.best, previous) else 0
            certain = sampler.confident(reading.entropy, canvas.fixed, sampling.confidence)
            # drawn before a stop too, as released: the next canvas's noise follows from it
            ids = sampler.renoise(reading.sample, kept, model.config.vocab, generator)
        refined = _refined(canvas, reading, kept, settled=still >= sampling.stability and certain)
        yield refined
        if refined.settled:
            return
        with torch.inference_mode():
            ids = torch.where(canvas.fixed, canvas.ids, ids)
            soft, previous = model.soft_embed(reading.probs), reading.best
            canvas = replace(canvas, ids=ids)
            cut = (
                shrunk(canvas, refined.best, refined.confidence, model.config.eos)
                if shrinking
                else None
            )
            if cut is not None:
                slots, segments = cut
                canvas = Canvas(ids[:, slots], canvas.fixed[:, slots], segments)
                soft, previous = soft[:, slots], previous[:, slots]


def _read(logits: Tensor, generator: torch.Generator | None) -> SlotReading:
    try:
        return read_slots(logits, generator)
    except FloatingPointError:
        raise ModelError("the model's logits are no finite numbers: damaged weights?") from None


def _refined(canvas: Canvas, reading: SlotReading, kept: Tensor, *, settled: bool) -> Refined:
    confidence = reading.probs.gather(-1, reading.best[..., None])[0, :, 0]
    best: list[int] = reading.best[0].tolist()
    return Refined(canvas, best, confidence.tolist(), kept[0].tolist(), settled)


def _prompt(request: InfillRequest, tokenizer: Tokenizer, config: Config) -> Prompt:
    """The prompt, its ids all in the embedding: a GPU does not recover from one that is not."""
    prompt = build(request, tokenizer, context=config.context - config.canvas * CANVASES)
    largest = max(max(ids, default=0) for ids in (prompt.ids, *prompt.holes, *prompt.markers))
    if largest >= config.vocab:
        raise ModelError(f"the tokenizer has an id {largest}, the model {config.vocab} tokens")
    return prompt


def _seed(
    model: Model,
    texts: list[list[int]],
    prompt: Prompt,
    strength: float,
    generator: torch.Generator,
) -> Seed:
    return seed_canvas(
        texts,
        prompt.markers,
        segment_sizes(texts, prompt.markers, model.config.canvas),
        end=model.config.eos[0],
        vocab=model.config.vocab,
        strength=strength,
        generator=generator,
    )


def _seed_signal(model: Model, seed: Seed) -> Tensor | None:
    """Self-conditioning for the first step: what is known of a present text, as if it had been
    predicted.

    From noise alone there is none, as released.
    """
    if bool((seed.known <= seed.canvas.fixed).all()):
        return None
    return model.embed(seed.canvas.ids) * seed.known[..., None]


def _open_end(
    refined: Refined, tokenizer: Tokenizer, prompt: Prompt, ends: Sequence[int], done: list[int]
) -> bool:
    """Whether a lone hole's text filled its canvas without an end."""
    segment = refined.canvas.segments[0]
    if len(prompt.holes) > 1 or len(text_ids(refined.best, segment, ends)) < len(segment):
        return False
    whole = "".join(piece.text for piece in tokenizer.pieces(done + refined.best))
    return _room(whole, prompt.closing) == len(whole)


def _drafts(
    refined: Refined,
    tokenizer: Tokenizer,
    prompt: Prompt,
    ends: Sequence[int],
    done: list[int],
    known: list[float],
    *,
    ended: bool,
) -> tuple[Draft, ...]:
    """What each hole holds now, behind what earlier canvases settled (`done` with its confidence
    `known`).
    """
    drafts = []
    for segment in refined.canvas.segments:
        length = len(text_ids(refined.best, segment, ends))
        slots = slice(segment.start, segment.start + length)
        ids, confidence = done + refined.best[slots], known + refined.confidence[slots]
        accepted = [True] * len(done) + refined.accepted[slots]
        drafts.append(_draft(ids, confidence, accepted, tokenizer, prompt.closing, ended=ended))
    return tuple(drafts)


def _draft(
    ids: list[int],
    confidence: list[float],
    accepted: list[bool],
    tokenizer: Tokenizer,
    closing: str | None,
    *,
    ended: bool,
) -> Draft:
    """Pieces of ids, the weakest token of each deciding; `closing` and what follows it is cut."""
    pieces = tokenizer.pieces(ids)
    said = [piece.text.replace("\ufffd", "") if ended else piece.text for piece in pieces]
    room = _room("".join(said), closing)
    texts, sure, settled, start = [], [], [], 0
    for piece, text in zip(pieces, said, strict=True):
        tokens = slice(start, start + piece.tokens)
        start += piece.tokens
        if text := text[:room]:
            texts.append(text)
            sure.append(min(confidence[tokens]))
            settled.append(ended or all(accepted[tokens]))
            room -= len(text)
    return Draft(tuple(texts), tuple(sure), tuple(settled))


def _room(whole: str, closing: str | None) -> int:
    """The characters of a text in front of `closing`, which may begin with the line's end that the
    text stands behind.
    """
    place = -1 if closing is None else ("\n" + whole).find(closing)
    return len(whole) if place < 0 else max(0, place - 1)


def _unchanged(text: str, tokenizer: Tokenizer) -> Draft:
    """A hole's own text, whole even where the vocabulary would not spell it."""
    pieces = [piece.text for piece in tokenizer.pieces(tokenizer.encode(text))]
    pieces = pieces if "".join(pieces) == text else [text] if text else []
    return Draft(tuple(pieces), (1.0,) * len(pieces), (True,) * len(pieces))


def _score(drafts: Sequence[Draft]) -> float:
    """Mean log-probability of the pieces; 0 for no text."""
    sure = [math.log(max(value, 1e-9)) for draft in drafts for value in draft.confidence]
    return sum(sure) / len(sure) if sure else 0.0
