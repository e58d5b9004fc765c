"""Train one adapter for both readings of a DiffusionGemma: causal prompt and canvas.

The base stays as it is, its matrices as numbers or as codes. Each prompt is read causally together
with its answer, which gives the causal loss, and noised canvases are denoised behind its keys, so
that the canvas's loss reaches the causal reading's changes too. Logits are there some slots at a
time. A loss that is no number ends a run before it has touched a weight. Knows nothing of the
command line.

Letters: T prompt tokens, C slots, K canvases of a prompt, V vocabulary, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from dgedit_engine.model.cache import GradientCache
from dgedit_engine.model.config import Config
from dgedit_engine.model.masks import side_by_side
from dgedit_engine.model.model import Model
from dgedit_engine.train import schedule
from dgedit_engine.train.adapter import TrainedAdapter
from dgedit_engine.train.both_examples import AnsweredHole
from dgedit_engine.train.both_recipe import BothRecipe
from dgedit_engine.train.head_loss import head_loss
from dgedit_engine.train.noise import Noised, corrupt
from dgedit_engine.train.optimiser import Descent, cosine
from dgedit_engine.train.schedule import Diverged, Means
from dgedit_engine.types import ModelError

LOGITS = 1 << 26
"""Logits that are there at a time: 256 slots of the released vocabulary, 256 MiB in fp32."""

_LOGGED = 5  # steps between entries
_COOLEST, _WARMER = 0.4, 0.4  # the sampler's temperature without noise, and what noise adds


class BothRun:
    """A training run: the base, its adapter, the optimiser and counters."""

    def __init__(self, model: Model, recipe: BothRecipe, *, again: bool = False) -> None:
        """With `again` layers are run again in the backward pass, and nothing inside them is kept.
        The base is a DiffusionGemma (`check_base`).
        """
        check_base(model.config)
        self.model, self.recipe = model, recipe
        self.device = model.embedding.device
        self.adapter = TrainedAdapter(model, recipe.settings(), seed=recipe.seed, causal=None)
        self.descent = Descent(
            [(self.adapter.parts.values(), recipe.lr)],
            decay=recipe.decay,
            clip=recipe.clip,
            warm_up=0.0,
            constant=0.0,
        )
        if again:
            run_again(model)
        self.step, self.tokens, self.progress = 0, 0, 0.0

    def train(
        self, batches: Iterator[Sequence[AnsweredHole]], *, log: Path
    ) -> Iterator[dict[str, float]]:
        """Train until the clock or the step count ends; yields the log's entries. Raises Diverged
        as `update` does.
        """
        yield from schedule.train(self, batches, log=log, every=_LOGGED)

    def update(self, batch: Sequence[AnsweredHole]) -> dict[str, Tensor]:
        """Take an optimiser step on a batch; returns the values for the log. Raises Diverged where
        the loss or its gradient is no finite number; the weights are then as they were.
        """
        recipe, total = self.recipe, Means()
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + self.step)
        good = torch.ones((), dtype=torch.bool, device=self.device)
        for example in batch:
            values, loss = self.loss(example, generator)
            (loss / len(batch)).backward()  # type: ignore[no-untyped-call]
            good &= loss.detach().isfinite()
            total.add(values)
            self.tokens += len(example.prompt) + len(example.canvas) * (1 + recipe.copies)
        parts = [one.grad for one in self.adapter.parts.values() if one.grad is not None]
        good &= torch.nn.utils.get_total_norm(parts).isfinite()
        if not good:  # waits for the device, which has seconds of work
            self.descent.adam.zero_grad(set_to_none=True)
            raise Diverged(f"the loss is no finite number at step {self.step + 1}")
        share = cosine(self.progress, self.step, warm_up=recipe.warm_up, least=recipe.least)
        found = total.means()
        found["norm"] = self.descent.step(self.progress, share)
        self.step += 1
        return found

    def loss(
        self, example: AnsweredHole, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Compute the loss of one prompt, and its parts for the log, in nats -> the parts, the
        loss. The generator is the host's, so that noise is the same on every device.
        """
        recipe, (prompt, gold) = self.recipe, self._on(example)
        cache, causal, _ = self.read(prompt, gold, example.length)
        cache.truncate(prompt.shape[1])
        there = gold.cpu()
        noised = corrupt(
            there,
            torch.zeros_like(there, dtype=torch.bool),
            copies=recipe.copies,
            vocab=self.model.config.vocab,
            full=recipe.full,
            generator=generator,
        ).to(self.device)
        twice = torch.rand((), generator=generator).item() < recipe.conditioned
        hidden = self.denoised(noised, cache, conditioned=twice)  # (1, K, C, D)
        weight = torch.ones(noised.ids.shape, device=self.device)
        weight[..., example.length :] = recipe.padding
        target = gold[:, None].expand_as(noised.ids)
        canvas, each = self._nats(hidden, target, weight / weight.sum())
        text = noised.corrupted[..., : example.length]
        values = {"causal": causal.detach(), "canvas": canvas.detach()}
        values["noised"] = each.view(target.shape)[..., : example.length][text].mean()
        return values, canvas + recipe.causal * causal

    def read(
        self, prompt: Tensor, gold: Tensor, length: int
    ) -> tuple[GradientCache, Tensor, Tensor]:
        """Read prompt (1, T) and gold (1, C) causally -> the cache of both, the mean loss over the
        tokens that count, and the nats of each of the answer's `length` tokens.
        """
        cache, many = GradientCache(self.model.config, device=self.device), prompt.shape[1]
        joined = torch.cat((prompt, gold[:, :length]), 1)
        hidden = self.model.encode(joined, cache)
        first = many - 1 if self.recipe.text == 0 else 0
        weight = torch.ones(1, joined.shape[1] - 1 - first, device=self.device)
        weight[:, : many - 1 - first] = self.recipe.text
        loss, each = self._nats(hidden[:, first:-1], joined[:, 1 + first :], weight / weight.sum())
        return cache, loss, each[many - 1 - first :]

    def denoised(self, noised: Noised, cache: GradientCache, *, conditioned: bool) -> Tensor:
        """Read noised canvases behind the cache, each as if it were alone, after a first pass
        without gradient where they are `conditioned` -> hidden (1, K, C, D).
        """
        model, (_, copies, slots) = self.model, noised.ids.shape
        beside = None if copies == 1 else side_by_side([slots] * copies, self.device)
        ids, soft = noised.ids.flatten(1), None
        if conditioned:
            with torch.no_grad():
                first = model.denoise(ids, cache, beside=beside)
                heat = _COOLEST + _WARMER * noised.level[..., None].expand(-1, -1, slots)
                soft = self._expected(first, heat.flatten(1))
        hidden = model.denoise(ids, cache, soft, beside=beside)
        return hidden.view(1, copies, slots, -1)

    @torch.no_grad()
    def measure(self, examples: Sequence[AnsweredHole]) -> dict[str, float]:
        """Measure the mean nats a token of the answers: `causal`, behind all that is before it;
        `noise` and `half`, on a canvas that is all noise, or half of it, with self-conditioning.
        """
        means, generator = Means(), torch.Generator().manual_seed(1)
        for example in examples:
            prompt, gold = self._on(example)
            cache, _, each = self.read(prompt, gold, example.length)
            cache.truncate(prompt.shape[1])
            found = {"causal": each.mean()}
            for name, level in (("noise", 1.0), ("half", 0.5)):
                noised = _noised(gold.cpu(), level, self.model.config.vocab, generator)
                noised = noised.to(self.device)
                hidden = self.denoised(noised, cache, conditioned=True)
                asked = noised.corrupted.float()
                asked[..., example.length :] = 0
                _, each = self._nats(hidden, gold[:, None], asked)
                found[name] = each.nanmean()
            means.add(found)
        return {name: round(value, 4) for name, value in means.take().items()}

    def save(self, folder: Path, *, base: str) -> None:
        """Write the adapter, and what `resume` needs; each file whole or as it was. Raises OSError
        where they cannot be written.
        """
        state = {
            "adapter": self.adapter.state_dict(),
            "optimiser": self.descent.adam.state_dict(),
            "counters": (self.step, self.tokens, self.progress),
            "recipe": asdict(self.recipe),
        }
        try:
            layout = "the prompt of a request, and its answer's canvas"
            self.adapter.save(folder, base=base, layout=layout, dtype=torch.bfloat16)
            schedule.keep(state, folder)
        except (RuntimeError, SafetensorError) as error:  # a full disk, in the libraries' words
            raise OSError(f"{folder} cannot be written: {str(error).splitlines()[0]}") from error

    def resume(self, folder: Path) -> None:
        """Go on from the state in `folder`, bit for bit. Raises ValueError where it is not of this
        run.
        """
        try:
            state = schedule.kept(folder, self.device)
            given, own = state["recipe"], asdict(self.recipe)
            for name in own.keys() - {"minutes", "steps"}:
                if given[name] != own[name]:
                    raise ValueError(f"{name} was {given[name]}, not {own[name]}")
            self.adapter.load_state_dict(state["adapter"])
            self.descent.adam.load_state_dict(state["optimiser"])
        except (RuntimeError, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{folder / schedule.STATE} is not of this run: {reason}") from None
        self.step, self.tokens, self.progress = state["counters"]

    def _nats(self, hidden: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted sum of the cross-entropies of target (…) under hidden (…, D), and each of
        them in one row.
        """
        counted, head = weight.flatten() > 0, self.model.embedding
        states = hidden.flatten(0, -2)
        none = states.new_zeros(0, states.shape[-1])
        loss, each = head_loss(
            states[counted],
            none,
            head,
            weight.flatten()[counted],
            places=target.flatten()[counted],
            cap=self.model.config.softcap,
            chunk=LOGITS,
        )
        every = each.new_full(counted.shape, torch.nan)
        every[counted] = each
        return loss, every

    def _expected(self, hidden: Tensor, heat: Tensor) -> Tensor:
        """The expected embeddings of what hidden (1, n, D) predicts at temperatures (1, n)."""
        model, step = self.model, max(1, LOGITS // self.model.config.vocab)
        found = []
        for start in range(0, hidden.shape[1], step):
            part = slice(start, start + step)
            found.append(model.soft_embed(model.read(hidden[:, part], heat[:, part])))
        return torch.cat(found, 1)

    def _on(self, example: AnsweredHole) -> tuple[Tensor, Tensor]:
        """An example's prompt (1, T) and canvas (1, C) on the device."""
        both = (example.prompt, example.canvas)
        prompt, canvas = (torch.tensor([ids], device=self.device) for ids in both)
        return prompt, canvas


def check_base(config: Config) -> None:
    """Raise ModelError for a base that has not both readings."""
    if not config.diffusion:
        raise ModelError(f"a {config.family} without canvases has not both readings to train")


def _noised(gold: Tensor, level: float, vocab: int, generator: torch.Generator) -> Noised:
    """A canvas (1, C) of which a share `level` is noise."""
    drawn = torch.rand(gold.shape, generator=generator) < level
    noise = torch.randint(vocab, gold.shape, generator=generator)
    ids = torch.where(drawn, noise, gold)[:, None]
    return Noised(ids, drawn[:, None], torch.full((1, 1), level))


def run_again(model: Model) -> None:
    """Let layers keep their inputs alone, and be run again in the backward pass (Chen et al., arXiv
    1604.06174): for a third more time, one layer's activations are there instead of all layers'.

    What a layer writes to a cache it writes twice, the same numbers at the same place.
    """
    for layer in model.stack():
        again = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
        layer.forward = again  # type: ignore[method-assign]
