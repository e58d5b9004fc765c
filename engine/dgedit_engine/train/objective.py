"""The losses of a batch: its prompt is encoded once, and several noised canvases denoised after it.

Nothing here waits for the device: all values stay on it, and what must be known on the host comes
with the plan. On a CPU the generator makes a batch's noise repeat bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from dgedit_engine.model.cache import GradientCache
from dgedit_engine.model.masks import side_by_side
from dgedit_engine.model.model import Model
from dgedit_engine.train.examples import Batch
from dgedit_engine.train.loss import canvas_loss, causal_loss, counted_causally, slot_weights
from dgedit_engine.train.noise import Noised, corrupt, own_draft, shift
from dgedit_engine.train.recipe import Recipe, StepPlan


def losses(
    model: Model,
    batch: Batch,
    recipe: Recipe,
    plan: StepPlan,
    generator: torch.Generator,
    device: torch.device | str,
) -> tuple[dict[str, Tensor], Tensor]:
    """Compute one batch's losses -> those for the log, in nats, and the one to minimise. With a
    weight of 0 there is no causal loss, and nothing is read causally but the prompt.
    """
    prompt, gold, pinned = (_on(device, x) for x in (batch.prompt, batch.canvas, batch.pinned))
    end, cache = model.config.eos[0], GradientCache(model.config, device=device)
    values: dict[str, Tensor] = {}
    causal = None
    if recipe.causal:
        values, causal = _causal(model, cache, prompt, gold, recipe)
        cache.truncate(prompt.shape[1])
    else:
        model.encode(prompt, cache)
    noised = _noised(model, gold, pinned, recipe, plan, generator)
    markers = pinned if batch.pinned.any() else None
    marks = None if batch.marks is None else _on(device, batch.marks).repeat(1, recipe.copies, 1)
    canvases = _Canvases(cache, noised, gold, markers, marks)
    hidden, wrong = _restore(model, canvases, recipe, plan, generator)
    each = model.losses(hidden, gold[:, None].expand(wrong.shape))  # (B, K, C)
    weight = slot_weights(gold, ~pinned, wrong, end=end, clean=recipe.clean, ends=recipe.ends)
    canvas = canvas_loss(each, weight)
    with torch.no_grad():
        text = (gold != end)[:, None] & noised.corrupted
        hardest = text & (noised.level >= 1)[..., None]
        values |= {
            "canvas": canvas.detach(),
            "text": canvas_loss(each, text),  # NaN where there is no such slot
            "from_noise": canvas_loss(each, hardest),
        }
    return values, canvas if causal is None else canvas + recipe.causal * causal


def _causal(
    model: Model, cache: GradientCache, prompt: Tensor, gold: Tensor, recipe: Recipe
) -> tuple[dict[str, Tensor], Tensor]:
    """Read prompts (B, T) and canvases (B, C) causally -> the losses for the log, and the one to
    minimise.
    """
    joined = torch.cat((prompt, gold), 1)
    hidden = model.encode(joined, cache)
    each_next = model.losses(hidden[:, :-1], joined[:, 1:])
    counted = counted_causally(prompt, gold, end=model.config.eos[0])[:, 1:]
    infill = counted.clone()
    infill[:, : prompt.shape[1] - 1] = False
    causal = causal_loss(each_next, torch.where(infill, recipe.infill, 1.0) * counted)
    with torch.no_grad():
        found = {
            "causal": causal_loss(each_next, counted),
            "infill": causal_loss(each_next, infill),
        }
    return found, causal


def _on(device: torch.device | str, array: npt.NDArray[Any]) -> Tensor:
    """Copy the array to the device, without waiting for it."""
    tensor = torch.from_numpy(array)
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _noised(
    model: Model,
    gold: Tensor,
    pinned: Tensor,
    recipe: Recipe,
    plan: StepPlan,
    generator: torch.Generator,
) -> Noised:
    """Noise the canvases as the recipe says, drawn where the generator is."""
    there, markers = gold.to(generator.device), pinned.to(generator.device)
    noised = corrupt(
        there,
        markers,
        copies=recipe.copies,
        vocab=model.config.vocab,
        full=recipe.full,
        scattered=recipe.scattered,
        mask=_mask(model, recipe),
        generator=generator,
    )
    if plan.shifted:
        end, vocab = model.config.eos[0], model.config.vocab
        noised = shift(
            noised, there, markers, share=plan.shifted, vocab=vocab, end=end, generator=generator
        )
    return noised.to(gold.device)


def _mask(model: Model, recipe: Recipe) -> int | None:
    """Return the token that stands for all noise, in the control; no text and no canvas
    holds it.
    """
    return model.config.pad if recipe.noise == "masked" else None


@dataclass(frozen=True, slots=True)
class _Canvases:
    """The canvases of a batch, K for each prompt."""

    cache: GradientCache
    """The prompts' keys and values."""
    noised: Noised
    """What the model sees."""
    gold: Tensor
    """(B, C): what it must restore."""
    pinned: Tensor | None
    """(B, C): slots that stay; None: there are none."""
    marks: Tensor | None
    """(B, K C, any number): the marks that slots bear; None: none."""


def _restore(
    model: Model,
    canvases: _Canvases,
    recipe: Recipe,
    plan: StepPlan,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Denoise canvases, after a first pass without gradient where the plan asks for one -> hidden
    (B, K, C, D), and which slots of what the model read were wrong (B, K, C).
    """
    cache, noised, gold = canvases.cache, canvases.noised, canvases.gold
    pinned, marks = canvases.pinned, canvases.marks
    batch, copies, slots = noised.ids.shape
    beside = None if copies == 1 else side_by_side([slots] * copies, gold.device)
    ids, soft, wrong = noised.ids.flatten(1), None, noised.corrupted
    if plan.conditioned:
        with torch.no_grad():
            first = model.denoise(ids, cache, beside=beside, marks=marks)
            heat = 0.4 + 0.4 * noised.level[..., None].expand(-1, -1, slots)  # as the schedule's
            probs = model.read(first, heat.flatten(1))
            fixed = torch.zeros_like(ids, dtype=torch.bool)
            if pinned is not None:
                fixed = pinned.repeat(1, copies)
                known = torch.zeros_like(probs).scatter_(-1, ids[..., None], 1.0)
                probs = torch.where(fixed[..., None], known, probs)
            soft = model.soft_embed(probs)
            if plan.bound is not None:
                ids = own_draft(
                    probs,
                    fixed,
                    copies=copies,
                    bound=plan.bound,
                    mask=_mask(model, recipe),
                    generator=generator,
                )
                wrong = ids.view_as(wrong) != gold[:, None]
    hidden = model.denoise(ids, cache, soft, beside=beside, marks=marks)
    return hidden.view(batch, copies, slots, -1), wrong
