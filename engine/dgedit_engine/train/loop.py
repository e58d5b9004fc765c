"""The training loop: batches in, checkpoints and a log out, as many steps as the clock allows.

The learning rate follows the wall-clock, so a run of `minutes` always ends annealed, on any
machine. A checkpoint every few minutes is a folder that `dgedit` can open, and a run resumes from
it with its optimiser. From a seed and a number of steps a run on the CPU repeats bit for bit.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from dgedit_engine import checkpoint, sampler
from dgedit_engine.cache import GradientCache
from dgedit_engine.config import Sampling, save_config
from dgedit_engine.model import Model
from dgedit_engine.train.examples import Batch
from dgedit_engine.train.loss import canvas_loss, causal_loss, counted_causally, slot_losses
from dgedit_engine.train.noise import Noised, corrupt
from dgedit_engine.train.optimiser import optimisers, rate

_TAIL = 200  # steps over which the averaged weights look back


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a run, beside the data and the model's shape."""

    minutes: float
    """Wall-clock of the schedule."""
    steps: int | None = None
    """Steps of the schedule instead, for runs that must repeat exactly."""
    seed: int = 0
    """Of noise and order."""
    lr: float = 0.02
    """Muon's peak learning rate."""
    copies: int = 2
    """Canvases noised for each encoded prompt, K."""
    full: float = 0.15
    """Share of canvases that are all noise."""
    conditioned: float = 0.5
    """Share of steps with self-conditioning, until the last phase."""
    on_policy: float = 0.0
    """Share of steps on the model's own drafts, until the last phase."""
    last_phase: float = 0.3
    """Share of the run, at its end, with self-conditioning at 0.95 and the model's own drafts at
    0.5.
    """
    causal: float = 1.0
    """Weight of the causal loss."""
    clip: float = 1.0
    """Largest gradient norm."""


class Run:
    """One training run: the model with its optimisers, averages and counters."""

    def __init__(self, model: Model, recipe: Recipe, *, device: torch.device | str = "cpu") -> None:
        self.model, self.recipe, self.device = model.to(device), recipe, device
        self.optimisers = optimisers(model, lr=recipe.lr)
        self.average = {name: p.detach().clone() for name, p in model.named_parameters()}
        self.step, self.tokens, self.progress = 0, 0, 0.0

    def train(self, batches: Iterator[Batch], *, log: Path) -> Iterator[dict[str, float]]:
        """Train until the clock or the step count ends; yields the log's entries, one each 20
        steps.
        """
        started, entry, since = time.monotonic(), Means(), time.monotonic()
        first = self.progress
        for batch in batches:
            spent = (time.monotonic() - started) / 60 / self.recipe.minutes
            if self.recipe.steps is None:
                self.progress = min(1.0, first + spent)
            else:  # `step` counts the whole schedule, resumed or not
                self.progress = min(1.0, self.step / self.recipe.steps)
            if self.progress >= 1:
                return
            entry.add(self._update(batch))
            if self.step % 20 == 0:
                now = time.monotonic()
                values = {"step": self.step, "progress": self.progress, "tokens": self.tokens}
                values |= {"seconds": now - since, **entry.take()}
                since = now
                with log.open("a") as lines:
                    lines.write(
                        json.dumps({key: round(value, 5) for key, value in values.items()}) + "\n"
                    )
                yield values

    def _update(self, batch: Batch) -> dict[str, float]:
        self.model.train()
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + self.step)
        values, loss = losses(self.model, batch, self.recipe, self.progress, generator, self.device)
        loss.backward()  # type: ignore[no-untyped-call]
        values["norm"] = float(
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        )
        share = rate(self.progress)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group.setdefault("peak", group["lr"])
                group["lr"] = group["peak"] * share
                if "momentum" in group:
                    group["momentum"] = 0.85 + 0.1 * min(1.0, self.step / 300)
            if math.isfinite(values["norm"]):
                optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        keep = min(1 - 1 / _TAIL, self.step / (self.step + 10))
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                self.average[name].lerp_(parameter, 1 - keep)
        self.step += 1
        self.tokens += batch.prompt.size + batch.canvas.size * (1 + self.recipe.copies)
        return values

    def save(self, folder: Path, *, sampling: Sampling) -> None:
        """Write a folder that the engine opens (averaged weights) and `resume` continues from."""
        folder.mkdir(parents=True, exist_ok=True)
        live = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        _fill(self.model, self.average)
        checkpoint.save(self.model, folder / "model.safetensors")
        _fill(self.model, live)
        save_config(self.model.config, sampling, folder)
        state = {
            "live": live,
            "average": self.average,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "counters": (self.step, self.tokens, self.progress),
            "recipe": asdict(self.recipe),
        }
        torch.save(state, folder / "state.pt.new")
        (folder / "state.pt.new").replace(folder / "state.pt")

    def resume(self, folder: Path) -> None:
        """Continue from `folder`: weights, averages, optimisers and counters, to the last bit."""
        state = torch.load(folder / "state.pt", map_location=self.device, weights_only=True)
        _fill(self.model, state["live"])
        self.average = state["average"]
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.tokens, self.progress = state["counters"]


def losses(
    model: Model,
    batch: Batch,
    recipe: Recipe,
    progress: float,
    generator: torch.Generator,
    device: torch.device | str,
) -> tuple[dict[str, float], Tensor]:
    """One batch's losses, for the log and to descend on. Encodes once, denoises `copies` canvases
    side by side.
    """
    prompt, gold = (torch.from_numpy(x).to(device) for x in (batch.prompt, batch.canvas))
    pinned = torch.from_numpy(batch.pinned).to(device)
    config, cache = model.config, GradientCache()
    joined = torch.cat((prompt, gold), 1)
    hidden = model.encode(joined, cache)
    causal = causal_loss(
        model.logits(hidden), joined, counted_causally(prompt, gold, end=config.eos[0])
    )
    cache.truncate(prompt.shape[1])
    noised = corrupt(
        gold.cpu(),
        pinned.cpu(),
        copies=recipe.copies,
        vocab=config.vocab,
        full=recipe.full,
        generator=generator,
    )
    noised = Noised(noised.ids.to(device), noised.corrupted.to(device), noised.level.to(device))
    logits = _denoise(model, cache, noised, gold, pinned, recipe, progress, generator)
    canvas = canvas_loss(logits, gold, ~pinned)
    with torch.no_grad():
        text = (gold != config.eos[0])[:, None] & noised.corrupted
        each = slot_losses(logits, gold)
        hardest = text & (noised.level >= 1)[..., None]
        values = {
            "causal": float(causal),
            "canvas": float(canvas),
            "text": float(each[text].mean()),
            "from_noise": float(each[hardest].mean()),
        }
    return values, canvas + recipe.causal * causal


def _denoise(
    model: Model,
    cache: GradientCache,
    noised: Noised,
    gold: Tensor,
    pinned: Tensor,
    recipe: Recipe,
    progress: float,
    generator: torch.Generator,
) -> Tensor:
    """Logits (B, K, C, V) for noised canvases, after a first pass without gradient where the draw
    asks for one.
    """
    batch, copies, slots = noised.ids.shape
    late = progress >= 1 - recipe.last_phase
    conditioned, on_policy = (0.95, 0.5) if late else (recipe.conditioned, recipe.on_policy)
    draws = torch.rand(2, generator=generator).tolist()
    positions, mask = _side_by_side(len(cache), copies, slots, gold.device)
    ids, soft = noised.ids.flatten(1), None
    if draws[0] < conditioned:
        with torch.no_grad():
            first = model.logits(model.denoise(ids, cache, positions=positions, mask=mask))
            fixed = pinned.repeat(1, copies)
            heat = (
                (0.4 + 0.4 * noised.level)[..., None].expand(-1, -1, slots).flatten(1)
            )  # as the schedule's
            tempered = sampler.pin(first / heat[..., None], ids, fixed)
            soft = model.soft_embed(tempered.softmax(-1))
            if draws[1] < on_policy:
                ids = _own_draft(tempered, fixed, copies, generator)
    hidden = model.denoise(ids, cache, soft, positions=positions, mask=mask)
    return model.logits(hidden).view(batch, copies, slots, -1)


def _own_draft(tempered: Tensor, fixed: Tensor, copies: int, generator: torch.Generator) -> Tensor:
    """The canvases that the sampler would make of these logits (B, K C, V): some slots accepted,
    the rest noise.

    The entropy bound is drawn log-uniformly for the batch, so that canvases with few and with many
    accepted slots occur.
    """
    probs = tempered.softmax(-1)
    uniform = torch.rand(probs.shape[:-1], generator=generator).to(probs.device)
    drawn = (probs.cumsum(-1) < uniform[..., None]).sum(-1).clamp(max=probs.shape[-1] - 1)
    entropy = torch.special.entr(probs).sum(-1)
    bound = 0.05 * 400 ** float(torch.rand((), generator=generator))  # 0.05 to 20 nats
    shape = (fixed.shape[0] * copies, -1)
    kept = sampler.accept(entropy.view(shape), bound).view_as(fixed)
    noise = torch.randint(probs.shape[-1], fixed.shape, generator=generator).to(drawn.device)
    return torch.where(kept | fixed, drawn, noise)


def _side_by_side(
    past: int, copies: int, slots: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Positions (K C,) and mask (K C, T + K C) for K canvases that share a prompt and do not see
    each other.
    """
    own = torch.arange(copies, device=device).repeat_interleave(slots)
    positions = past + torch.arange(slots, device=device).repeat(copies)
    seen = torch.ones(copies * slots, past, dtype=torch.bool, device=device)
    return positions, torch.cat((seen, own[:, None] == own), 1)


def _fill(model: Model, values: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(values[name])


class Means:
    """Running means of the log's values; a NaN (no such slot in the batch) is left out."""

    def __init__(self) -> None:
        self.sums: dict[str, tuple[float, int]] = {}

    def add(self, values: dict[str, float]) -> None:
        for key, value in values.items():
            if math.isfinite(value):
                total, count = self.sums.get(key, (0.0, 0))
                self.sums[key] = (total + value, count + 1)

    def take(self) -> dict[str, float]:
        means = {key: total / count for key, (total, count) in self.sums.items()}
        self.sums.clear()
        return means
