"""Train a base to refine canvases: an adapter of its own for that reading, and self-conditioning.

The base and its causal reading stay as they are. Each prompt is read once, causally and without
gradient, together with the right text, so that the causal reading's prediction of every slot comes
at no cost; then several noised canvases are denoised behind it, side by side. The head is a
shortlist of the base's tokens. Knows nothing of the command line.

Letters: B prompts, T their tokens, K canvases each, C slots, S tokens of the head, D width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from dgedit_engine.model.cache import GradientCache
from dgedit_engine.model.canvases import behind, restored
from dgedit_engine.model.conditioning import SelfConditioning
from dgedit_engine.model.config import Config
from dgedit_engine.model.model import Model
from dgedit_engine.train import schedule
from dgedit_engine.train.adapter import SPECIALS, TrainedAdapter
from dgedit_engine.train.canvas_examples import Canvases
from dgedit_engine.train.canvas_recipe import CanvasRecipe
from dgedit_engine.train.head_loss import Shortlist, head_loss
from dgedit_engine.train.lora_recipe import descent
from dgedit_engine.train.noise import Noised, corrupt, own_draft
from dgedit_engine.train.recipe import StepPlan, plan
from dgedit_engine.train.schedule import Means
from dgedit_engine.weights import readings

LEVELS = (1.0, 0.5, 0.2)
"""Shares of noised slots at which a run is measured."""

_LOGGED = 10  # steps between entries
_COOLEST, _WARMER = 0.4, 0.4  # the sampler's temperature without noise, and what noise adds


class CanvasRun:
    """A training run: the base, the canvas's adapter and signal, the optimiser and counters."""

    def __init__(self, model: Model, recipe: CanvasRecipe, shortlist: Iterable[int]) -> None:
        self.model, self.recipe = model, recipe
        self.device = model.embedding.device
        self.known = Shortlist.of(model, (*range(SPECIALS), *shortlist))
        self.adapter = TrainedAdapter(model, recipe.settings(), seed=recipe.seed, causal=False)
        self.adapter.to(self.device)
        self.signal = signal(model.config, seed=recipe.seed).to(self.device)
        model.conditioning, model.canvas = self.signal, True
        model.shifted = recipe.read == "before"
        self.descent = descent(recipe, self.adapter.parts.values(), self.signal.parameters())
        self.step, self.tokens, self.progress = 0, 0, 0.0

    def train(
        self, batches: Iterator[Sequence[Canvases]], *, log: Path
    ) -> Iterator[dict[str, float]]:
        """Train until the clock or the step count ends; yields the log's entries."""
        yield from schedule.train(self, batches, log=log, every=_LOGGED)

    def update(self, batch: Sequence[Canvases]) -> dict[str, Tensor]:
        """Take an optimiser step on a batch; returns the values for the log."""
        recipe = self.recipe
        generator = self._generator(recipe.seed * 1_000_003 + self.step)
        this = plan(recipe, self.progress, self.step)
        total, count = Means(), sum(len(part.gold) for part in batch)
        for part in batch:
            values, loss = self.loss(part, this, generator)
            (loss * (len(part.gold) / count)).backward()  # type: ignore[no-untyped-call]
            total.add(values)
            self.tokens += part.prompt.size + part.gold.size * (1 + recipe.copies)
        values = total.means()
        values["norm"] = self.descent.step(self.progress)
        self.step += 1
        return values

    def loss(
        self, part: Canvases, this: StepPlan, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Compute the loss of one pass, and its parts for the log, in nats a slot -> the parts, the
        loss.
        """
        recipe, prompt, gold = self.recipe, self._on(part.prompt), self._on(part.gold)
        cache, teacher = self.read(prompt, gold)
        noised = self.noised(gold, teacher, generator)
        ids, soft = self.first_look(noised, prompt, cache, this, generator)
        hidden = restored(self.model, ids, prompt[:, -1], cache, soft)  # (B, K, C, D)
        wrong = ids != gold[:, None]
        weight = self._on(part.weights)[:, None] * torch.where(wrong, 1.0, recipe.clean)
        places = self.known.places[gold][:, None].expand_as(ids)
        counted = (weight > 0) & (places >= 0)
        own, weight = hidden[counted], weight[counted] / weight[counted].sum()
        middle = self._on(part.middle)[:, None].expand_as(ids)
        nan = torch.tensor(torch.nan, device=self.device)
        values, loss = dict.fromkeys(("right", "wrong", "from_noise", "kl"), nan), own.sum() * 0
        rows, none = self.known.rows, own.new_zeros(0, own.shape[-1])
        if recipe.kl < 1:
            sum_, each = head_loss(own, none, rows, weight, places=places[counted])
            loss = loss + (1 - recipe.kl) * sum_
            hardest = (noised.level >= 1)[..., None] & middle & (this.bound is None)
            for name, some in (("right", ~wrong), ("wrong", wrong), ("from_noise", hardest)):
                values[name] = each[(some & middle)[counted]].mean()
        if recipe.kl > 0:
            said = teacher[:, None].expand_as(hidden)[counted]
            sum_, _ = head_loss(own, none, rows, weight, teacher=said)
            loss, values["kl"] = loss + recipe.kl * sum_, sum_.detach()
        return values, loss

    @torch.no_grad()
    def read(self, prompt: Tensor, gold: Tensor) -> tuple[GradientCache, Tensor]:
        """Read prompt (B, T) and gold (B, C) causally -> the cache that canvases are read behind,
        and the hidden states (B, C, D) that predict each slot.
        """
        cache, length = GradientCache(self.model.config, device=self.device), prompt.shape[1]
        hidden = self.model.encode(torch.cat((prompt, gold), 1), cache)
        cache.truncate(behind(self.model, length))
        return cache, hidden[:, length - 1 : -1]

    @torch.no_grad()
    def noised(self, gold: Tensor, teacher: Tensor, generator: torch.Generator) -> Noised:
        """Noise the canvases as the recipe says, from gold (B, C) and the causal reading's hidden
        states (B, C, D) -> (B, K, C).
        """
        recipe, size = self.recipe, len(self.known.ids)
        none = torch.zeros_like(gold, dtype=torch.bool)
        copies = recipe.copies
        noised = corrupt(
            gold,
            none,
            copies=copies,
            vocab=size,
            full=recipe.full,
            scattered=recipe.scattered,
            generator=generator,
        )
        noise = self.known.ids[noised.ids.clamp(max=size - 1)]
        if recipe.noise != "uniform":
            said = self.known.logits(teacher).softmax(-1).flatten(0, 1)  # (B C, S)
            drawn = torch.multinomial(said, copies, replacement=True, generator=generator)
            drawn = self.known.ids[drawn].view(*gold.shape, copies).transpose(1, 2)
            share = 1.0 if recipe.noise == "causal" else 0.5
            chosen = torch.rand(noised.level.shape, generator=generator, device=self.device)
            noise = torch.where((chosen < share)[..., None], drawn, noise)
        ids = torch.where(noised.corrupted, noise, gold[:, None])
        return Noised(ids, noised.corrupted, noised.level)

    @torch.no_grad()
    def first_look(
        self,
        noised: Noised,
        prompt: Tensor,
        cache: GradientCache,
        this: StepPlan,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the input of the pass with gradient: the canvases (B, K, C), as they are or as the
        sampler makes them of a first pass, and the self-conditioning signal of that pass (B, K, C,
        D).
        """
        ids = noised.ids
        if not this.conditioned:
            return ids, None
        hidden = restored(self.model, ids, prompt[:, -1], cache)
        heat = _COOLEST + _WARMER * noised.level[..., None, None]
        probs = (self.known.logits(hidden) / heat).softmax(-1)  # (B, K, C, S)
        soft = probs.to(self.known.rows.dtype) @ self.known.rows * self.model.scale
        if this.bound is not None:
            flat = probs.flatten(1, 2)
            free = torch.zeros(flat.shape[:2], dtype=torch.bool, device=self.device)
            options = {"copies": ids.shape[1], "bound": this.bound}
            drawn = own_draft(flat, free, generator=generator, **options)  # type: ignore[arg-type]
            ids = self.known.ids[drawn].view_as(ids)
        return ids, soft.to(hidden.dtype)

    @torch.no_grad()
    def measure(self, parts: Sequence[Canvases]) -> dict[str, float]:
        """Measure, at each level of uniform noise with self-conditioning, the nats a noised slot of
        the holes' texts and the share of them whose likeliest token is right; and the same of the
        causal reading, which is given all that is before a slot.
        """
        means = Means()
        for number, part in enumerate(parts):
            prompt, gold = self._on(part.prompt), self._on(part.gold)
            places = self.known.places[gold]
            asked = self._on(part.middle) & (places >= 0)
            cache, teacher = self.read(prompt, gold)
            found = dict(_rated("causal", self.known.logits(teacher[asked]), places[asked]))
            generator = self._generator(number)
            for level in LEVELS:
                draw = torch.rand(gold.shape, generator=generator, device=self.device) < level
                size = (len(self.known.ids), gold.shape)
                noise = torch.randint(*size, generator=generator, device=self.device)
                ids = torch.where(draw, self.known.ids[noise], gold)[:, None]
                share = torch.full((len(gold), 1), level, device=self.device)
                noised = Noised(ids, draw[:, None], share)
                _, soft = self.first_look(noised, prompt, cache, StepPlan(), generator)
                hidden = restored(self.model, ids, prompt[:, -1], cache, soft)[:, 0]
                some = asked & draw
                found |= _rated(f"{level:g}", self.known.logits(hidden[some]), places[some])
            means.add(found)
        return {name: round(value, 4) for name, value in means.take().items()}

    def save(self, folder: Path, *, base: str) -> None:
        """Write the canvas's part of an adapter's folder, and what `resume` needs."""
        place = folder / readings.DENOISE
        layout = "prompt, then a canvas that goes on behind it"
        self.adapter.save(place, base=base, layout=layout, dtype=torch.bfloat16)
        readings.save_conditioning(self.signal, place, shifted=self.model.shifted)
        state = {
            "adapter": self.adapter.state_dict(),
            "signal": self.signal.state_dict(),
            "optimiser": self.descent.adam.state_dict(),
            "counters": (self.step, self.tokens, self.progress),
            "recipe": asdict(self.recipe),
        }
        schedule.keep(state, folder)

    def resume(self, folder: Path) -> None:
        """Go on from the state in `folder`, bit for bit."""
        state = schedule.kept(folder, self.device)
        self.adapter.load_state_dict(state["adapter"])
        self.signal.load_state_dict(state["signal"])
        self.descent.adam.load_state_dict(state["optimiser"])
        self.step, self.tokens, self.progress = state["counters"]

    def _generator(self, seed: int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(seed)

    def _on(self, array: object) -> Tensor:
        return torch.as_tensor(array, device=self.device)


@torch.no_grad()
def signal(config: Config, *, seed: int) -> SelfConditioning:
    """Make a self-conditioning block without effect as yet: its last matrix is zero."""
    block = SelfConditioning(config)
    generator = torch.Generator().manual_seed(seed)
    size = block.gate_up.shape
    block.gate_up.copy_(torch.randn(size, generator=generator) * config.dim**-0.5)
    nn.init.ones_(block.pre_norm)
    nn.init.zeros_(block.down)
    return block


def _rated(name: str, logits: Tensor, places: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield the mean cross-entropy in nats of logits (n, S), and the share whose largest is right;
    NaN for none.
    """
    yield name, nn.functional.cross_entropy(logits, places)
    yield f"{name} right", (logits.argmax(-1) == places).float().mean()
