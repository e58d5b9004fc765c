"""Train an adapter of a base's causal reading on infilling examples, or of a masked model's.

The base stays as it is, in bfloat16, under a residual stream in fp32; the head is a shortlist of
its tokens. The learning rate follows the wall-clock, and a run goes on where it stopped. Knows
nothing of the command line.

Letters: B rows, T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_engine.model.cache import GradientCache
from dgedit_engine.model.masks import Reading
from dgedit_engine.model.model import Model
from dgedit_engine.prompt.layout import PAD
from dgedit_engine.train import schedule
from dgedit_engine.train.adapter import TrainedAdapter
from dgedit_engine.train.head_loss import Shortlist, head_loss, losses
from dgedit_engine.train.infill_examples import Form, InfillBatch
from dgedit_engine.train.lora_recipe import LoraRecipe, descent
from dgedit_engine.train.schedule import Means

_LOGGED = 10  # steps between entries
_FORMS: tuple[Form, ...] = get_args(Form)
_MEASURED = tuple(f"{form}{part}" for form in _FORMS for part in ("", " end"))
_WIDTH = 64  # a pass has a multiple of so many columns, so that few shapes are compiled
_SKIPPED = 16  # first tokens of a text, which lack context


class LoraRun:
    """A training run: the base, its adapter, the optimiser and counters."""

    def __init__(self, model: Model, recipe: LoraRecipe, shortlist: Sequence[int]) -> None:
        self.model, self.recipe = model, recipe
        self.device = model.embedding.device
        settings = recipe.settings()
        if model.config.family != "gemma3":  # whose first tokens are the special ones
            settings = replace(settings, tokens=0)
        masks = model.config.masks
        self._causal = masks is None
        self._lead = 0 if masks is not None and masks.aligned else 1  # a token is predicted before
        adapter = TrainedAdapter(model, settings, seed=recipe.seed, causal=self._causal)
        self.adapter = adapter.to(self.device)
        known = Shortlist.of(model, (*range(len(self.adapter.rows)), *shortlist))
        self.head, self.places = known.rows, known.places
        rows = [self.adapter.rows] if settings.tokens else []
        self.descent = descent(recipe, self.adapter.parts.values(), rows)
        self.step, self.tokens, self.progress = 0, 0, 0.0

    def train(self, batches: Iterator[InfillBatch], *, log: Path) -> Iterator[dict[str, float]]:
        """Train until the clock or the step count ends; yields the log's entries."""
        yield from schedule.train(self, batches, log=log, every=_LOGGED)

    def update(self, batch: InfillBatch) -> dict[str, Tensor]:
        """Take an optimiser step on a batch; returns the values for the log."""
        recipe = self.recipe
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + self.step)
        total, nan = Means(), torch.tensor(torch.nan, device=self.device)
        size = len(batch.ids)
        # what is read in both directions has no padding
        micro, width = (recipe.micro, _WIDTH) if self._causal else (1, 1)
        for start in range(0, size, micro):
            part = _rows(batch, slice(start, start + micro), width)
            values, loss = self.loss(part, generator)
            (loss * (len(part.ids) / size)).backward()  # type: ignore[no-untyped-call]
            total.add({name: values.get(name, nan) for name in (*_FORMS, "text", "kl")})
            self.tokens += int(part.sizes.sum())
        values = total.means()
        values["norm"] = self.descent.step(self.progress)
        self.step += 1
        return values

    def loss(
        self, batch: InfillBatch, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Compute the loss of one pass, and its parts for the log, in nats a token -> the parts,
        the loss.
        """
        recipe = self.recipe
        ids = torch.from_numpy(batch.ids).to(self.device)
        weights = torch.from_numpy(batch.weights)
        middle = torch.from_numpy(batch.middle)
        light = (weights > 0) & ~middle
        kept = light & (torch.rand(weights.shape, generator=generator) < recipe.text_kept)
        weights = torch.where(kept, weights / max(recipe.text_kept, 1e-6), weights * ~light)
        hidden, lead = self.read(ids), self._lead
        chosen, places, weight = self._counted(self._targets(batch), weights.to(self.device))
        rows, head = self.adapter.rows, self.head
        loss, each = head_loss(hidden[chosen], rows, head, weight, places=places)
        loss = loss / weight.sum()
        own = middle.to(self.device)[:, lead:][chosen[:, : chosen.shape[1] - lead]]
        parts = {batch.form: each[own].mean(), "text": each[~own].mean()}
        if recipe.kl:
            divergence = self.divergence(ids, hidden, batch, generator)
            loss = loss + recipe.kl * divergence
            parts["kl"] = divergence.detach()
        return parts, loss

    def read(self, ids: Tensor) -> Tensor:
        """Read ids (B, T) with the adapter -> hidden (B, T, D)."""
        rows = self.adapter.rows
        x = F.embedding(ids, self.model.embedding).float()
        if len(rows):
            own = rows[ids.clamp(max=len(rows) - 1)]
            x = x + torch.where((ids < len(rows))[..., None], own, 0.0)
        return self._run(x * self.model.scale)

    @torch.no_grad()
    def base(self, ids: Tensor) -> Tensor:
        """Read ids (B, T) as the base does, without the adapter -> hidden (B, T, D)."""
        self.adapter.switch(False)
        try:
            return self._run(F.embedding(ids, self.model.embedding).float() * self.model.scale)
        finally:
            self.adapter.switch(True)

    def divergence(
        self, ids: Tensor, hidden: Tensor, batch: InfillBatch, generator: torch.Generator
    ) -> Tensor:
        """Return how far the reading of the text up to the hole is from the base's, which sees
        nothing but that text: the mean Kullback-Leibler divergence over some tokens, in nats.
        """
        longest = int((batch.prefix[:, 1] - batch.prefix[:, 0]).max())
        bos = self.model.config.bos
        lead = 0 if bos is None else 1
        plain = torch.full((len(ids), lead + longest), PAD, device=self.device)
        if bos is not None:
            plain[:, 0] = bos
        counted = torch.zeros_like(plain, dtype=torch.bool)
        at = torch.zeros_like(plain)
        for row, (first, last) in enumerate(batch.prefix.tolist()):
            plain[row, lead : lead + last - first] = ids[row, first:last]
            counted[row, _SKIPPED : lead + last - first - 1] = True
            at[row] = torch.arange(first - lead, first + longest, device=self.device)
        drawn = torch.rand(plain.shape, generator=generator) < self.recipe.kl_kept
        counted &= drawn.to(self.device)
        if not counted.any():
            return hidden.sum() * 0
        teacher = self.base(plain)[counted]
        at = at.clamp(max=ids.shape[1] - 1)[..., None].expand(-1, -1, hidden.shape[-1])
        own = hidden.gather(1, at)[counted]
        one = torch.full((len(own),), 1 / len(own), device=self.device)
        return head_loss(own, self.adapter.rows, self.head, one, teacher=teacher)[0]

    @torch.no_grad()
    def measure(self, batches: Sequence[InfillBatch], *, base: bool = False) -> dict[str, float]:
        """Measure the mean nats a token of the holes, in each form, and of the first tokens behind
        them.
        """
        means = Means()
        for batch in batches if self._causal else _singly(batches):
            ids = torch.from_numpy(batch.ids).to(self.device)
            hidden = self.base(ids) if base else self.read(ids)
            found = dict.fromkeys(_MEASURED, torch.tensor(torch.nan))
            for name, where in ((batch.form, batch.middle), (f"{batch.form} end", batch.ends)):
                counted = torch.from_numpy(where).to(self.device)
                found[name] = self._mean(hidden, self._targets(batch), counted, base=base)
            means.add(found)
        return {name: round(value, 4) for name, value in means.take().items()}

    def save(self, folder: Path, *, base: str) -> None:
        """Write the adapter, and what `resume` needs."""
        layout = "bos [suffix blank lines] prefix middle suffix"
        self.adapter.save(folder, base=base, layout=layout)
        state = {
            "adapter": self.adapter.state_dict(),
            "optimiser": self.descent.adam.state_dict(),
            "counters": (self.step, self.tokens, self.progress),
            "recipe": asdict(self.recipe),
        }
        schedule.keep(state, folder)

    def resume(self, folder: Path) -> None:
        """Go on from the state in `folder`, bit for bit."""
        state = schedule.kept(folder, self.device)
        self.adapter.load_state_dict(state["adapter"])
        self.descent.adam.load_state_dict(state["optimiser"])
        self.step, self.tokens, self.progress = state["counters"]

    def _run(self, x: Tensor) -> Tensor:
        x = x.to(self.model.activations or self.model.embedding.dtype)
        cache = GradientCache(self.model.config, device=self.device)
        return self.model.run(x, cache, Reading(self._causal, None))

    def _targets(self, batch: InfillBatch) -> Tensor:
        targets = batch.ids if batch.targets is None else batch.targets
        return torch.from_numpy(targets).to(self.device)

    def _counted(self, ids: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return which hidden states (B, T) predict a token that counts, its place and weight."""
        places, weights = self.places[ids[:, self._lead :]], weights[:, self._lead :]
        counted = (weights > 0) & (places >= 0)
        chosen = F.pad(counted, (0, self._lead))
        return chosen, places[counted], weights[counted]

    def _mean(self, hidden: Tensor, ids: Tensor, where: Tensor, *, base: bool = False) -> Tensor:
        chosen, places, _ = self._counted(ids, where.float())
        rows = torch.zeros_like(self.adapter.rows) if base else self.adapter.rows
        return losses(hidden[chosen], rows, self.head, places).mean().cpu()


def _singly(batches: Iterable[InfillBatch]) -> Iterator[InfillBatch]:
    """Yield a batch for each example, without padding."""
    for batch in batches:
        yield from (_rows(batch, slice(row, row + 1), 1) for row in range(len(batch.ids)))


def _rows(batch: InfillBatch, part: slice, width: int) -> InfillBatch:
    """Return some of a batch's examples, without columns that are padding for all of them, but for
    those up to a multiple of `width`.
    """
    longest = int(batch.sizes[part].max())
    columns = slice(0, -(-longest // width) * width)
    return InfillBatch(
        batch.ids[part, columns],
        batch.weights[part, columns],
        batch.middle[part, columns],
        batch.ends[part, columns],
        batch.prefix[part],
        batch.sizes[part],
        batch.form,
        None if batch.targets is None else batch.targets[part, columns],
    )
