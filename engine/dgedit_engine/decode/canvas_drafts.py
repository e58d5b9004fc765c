"""Drafts from the canvas for a base that has one: from noise, all slots at once, in a few steps.

Several canvases stand side by side behind one prompt. A step reads all their slots, keeps the most
certain ones, and more of them every time, so that the last step keeps all; the others become noise
again, and what was predicted for them comes back as the self-conditioning signal. A canvas was
trained to go on behind the hole as the file does, so its text is treated as a draft that is written
from left to right: every place where it may end is a candidate, for the causal reading to judge.

Knows one hole and the text around it; neither how candidates are judged nor steps of a request.

Letters: K canvases, C slots, S tokens of the head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from dgedit_engine.decode import sampler
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.cuts import cuts, visible
from dgedit_engine.decode.drafts import mean_log
from dgedit_engine.decode.endings import agreed
from dgedit_engine.model.cache import PromptCache
from dgedit_engine.model.canvases import behind, restored
from dgedit_engine.model.config import Sampling
from dgedit_engine.model.model import Model
from dgedit_engine.prompt.plain import Around
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Draft, ModelError

ROWS = 4
"""Canvases side by side, at most: memory is planned for so many (`memory/passes.py`)."""
SLOTS = 32
"""Slots of a canvas by default: a line and what follows it."""
STEPS = 6
"""Steps from noise to a text."""

_LIKELY = 64  # tokens of which one is drawn, the likeliest: a draw of all is dear on a CPU


@dataclass(frozen=True, slots=True)
class CanvasDrafts:
    """The state of the canvases after a step."""

    texts: list[str]
    """Their texts that may stand in the hole: the most certain canvas first, and of each the text
    up to where it goes on as the file does; none twice.
    """
    draft: Draft
    """The first of them in pieces, to be shown."""


def refined(
    model: Model,
    tokenizer: Tokenizer,
    cache: PromptCache,
    prompt: Sequence[int],
    here: Around,
    *,
    rows: int,
    sampling: Sampling,
    generator: torch.Generator | None,
    slots: int = SLOTS,
    steps: int = STEPS,
    greedy: bool = True,
) -> Iterator[CanvasDrafts]:
    """Refine `rows` canvases of `slots` behind the prompt `prompt`, for the hole in `here`; yields
    their state after each step, and ends when none changes any more.

    The temperature and the entropy bound are `sampling`'s. All but a `greedy` first canvas keep
    tokens that are drawn. `cache` is for that prompt; if it is used between two steps and no longer
    holds the prompt, the missing part is encoded again. Raises ModelError for a model that reads no
    canvas, and for logits that are not finite.
    """
    if not model.canvas:
        raise ModelError("the model was not taught to refine a canvas")
    sampling, known = replace(sampling, steps=steps), prompt[: behind(model, len(prompt))]
    last = torch.tensor(prompt[-1:], device=cache.device)
    state = _State(torch.empty(0), None)
    for step in range(steps):
        encode(model, cache, known)
        with torch.inference_mode():
            if not step:
                size = _size(model)
                state.ids = _noise(model, size, (rows, slots), cache.device, generator)
            hidden = restored(model, state.ids[None], last, cache, state.soft)[0]  # (K, C, D)
            logits = _begun(model.logits(hidden), model, tokenizer, here.forced)
            reading = _read(logits / sampler.temperature(sampling, steps - step), generator)
            kept = _kept(reading.entropy, sampling.entropy_bound, (step + 1) / steps)
            still = state.take(model, reading, kept, generator, greedy=greedy)
            best, sure = model.tokens(reading.best), reading.sure
        yield _said(best.tolist(), sure.tolist(), kept.tolist(), model, tokenizer, here)
        if still:
            return


class _Reading(NamedTuple):
    """The prediction of a step for every slot; tokens as places of the logits."""

    sample: Tensor
    """(K, C): one that is drawn."""
    best: Tensor
    """(K, C): the most probable one."""
    sure: Tensor
    """(K, C): its probability."""
    entropy: Tensor
    """(K, C): in nats."""
    probs: Tensor
    """(K, C, S)."""


@dataclass(slots=True)
class _State:
    """The input of the next step."""

    ids: Tensor
    """(K, C): tokens."""
    soft: Tensor | None
    """(1, K, C, D): the self-conditioning signal."""

    def take(
        self,
        model: Model,
        reading: _Reading,
        kept: Tensor,
        generator: torch.Generator | None,
        *,
        greedy: bool,
    ) -> bool:
        """Keep slots, and make the others noise; return whether nothing has changed, and nothing
        will.
        """
        chosen = reading.sample.clone()
        if greedy:
            chosen[0] = reading.best[0]
        tokens = model.tokens(chosen)
        size = reading.probs.shape[-1]
        noise = _noise(model, size, tokens.shape, tokens.device, generator)
        still = bool((kept & (tokens == self.ids)).all())
        self.ids = torch.where(kept, tokens, noise)
        if model.conditioning is not None:
            self.soft = model.soft_embed(reading.probs)[None]
        return still


def _size(model: Model) -> int:
    """Return how many tokens the head has logits for."""
    return model.config.vocab if model.head is None else model.head.size


def _noise(
    model: Model,
    size: int,
    shape: Sequence[int],
    device: torch.device | str,
    generator: torch.Generator | None,
) -> Tensor:
    """Draw tokens evenly from the `size` that the head has logits for."""
    return model.tokens(torch.randint(size, tuple(shape), generator=generator, device=device))


def _begun(logits: Tensor, model: Model, tokenizer: Tokenizer, forced: str) -> Tensor:
    """Restrict the first slot of logits (K, C, S) to tokens that begin the text `forced`, with
    which the draft has to begin.
    """
    if not forced:
        return logits
    tokens = torch.tensor(tokenizer.beginning(forced), dtype=torch.int64, device=logits.device)
    places = model.places(tokens)
    places = places[places >= 0]
    if len(places):
        some = logits[:, 0, places].clone()
        logits[:, 0] = -torch.inf
        logits[:, 0, places] = some
    return logits


def _read(logits: Tensor, generator: torch.Generator | None) -> _Reading:
    """Read tempered logits (K, C, S)."""
    probs = logits.softmax(-1)
    if bool(probs[..., 0].isnan().any()):  # a draw would fail the device
        raise ModelError("the model's logits are no finite numbers: damaged weights?")
    worth, places = probs.topk(min(_LIKELY, probs.shape[-1]))
    drawn = torch.multinomial(worth.flatten(0, 1), 1, generator=generator).view(*worth.shape[:2], 1)
    entropy = torch.special.entr(probs).sum(-1)
    sample = places.gather(-1, drawn)[..., 0]
    return _Reading(sample, places[..., 0], worth[..., 0], entropy, probs)


def _kept(entropy: Tensor, bound: float, share: float) -> Tensor:
    """Return which slots of entropy (K, C) are kept: those within the bound, and at least that
    share, the most certain first.
    """
    least = -(-entropy.shape[-1] * share // 1)
    order = entropy.argsort(-1).argsort(-1)
    return sampler.accept(entropy, bound) | (order < least)


def _said(
    best: Sequence[Sequence[int]],
    sure: Sequence[Sequence[float]],
    kept: Sequence[Sequence[bool]],
    model: Model,
    tokenizer: Tokenizer,
    here: Around,
) -> CanvasDrafts:
    """Return the canvases' texts, those of the most certain canvas first."""
    found = [
        _draft(*row, model.config.eos, tokenizer, here)
        for row in zip(best, sure, kept, strict=True)
    ]
    drafts = [one for one in found if one is not None]
    drafts.sort(key=lambda one: -mean_log([one[0]]))
    texts: dict[str, None] = {}
    for _, ends in drafts:
        texts.update(dict.fromkeys(ends))
    return CanvasDrafts([*texts], drafts[0][0] if drafts else Draft((), (), ()))


def _draft(
    ids: Sequence[int],
    sure: Sequence[float],
    kept: Sequence[bool],
    ends: Sequence[int],
    tokenizer: Tokenizer,
    here: Around,
) -> tuple[Draft, list[str]] | None:
    """Return a canvas's draft, up to where it goes on as the file does, and its candidates; None
    for one that does not begin as it has to.
    """
    over = next((place for place, token in enumerate(ids) if token in ends), len(ids))
    pieces = tokenizer.pieces(ids[:over])
    whole = "".join(piece.text for piece in pieces)
    if not whole.startswith(here.forced):
        return None
    text = visible(whole[len(here.forced) :], here.place)
    lengths = [
        length
        for length in cuts(text, here.place, ended=over < len(ids))
        if "\ufffd" not in text[:length]
    ]
    lengths.sort(key=lambda length: -agreed(text[length:], here.place.behind))  # ties: the shorter
    room = lengths[0] if lengths else len(text)
    skipped, place = len(whole) - len(text), 0
    shown: list[tuple[str, float, bool]] = []
    for piece in pieces:
        own = slice(place, place + piece.tokens)
        place += piece.tokens
        said = piece.text[skipped:][:room]
        skipped = max(0, skipped - len(piece.text))
        room -= len(said)
        if said and "\ufffd" not in said:
            shown.append((said.replace("\n", here.newline), min(sure[own]), all(kept[own])))
    parts = tuple(zip(*shown, strict=True)) or ((), (), ())
    return Draft(*parts), [text[:length] for length in lengths]
