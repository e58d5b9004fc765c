"""Muon for the matrices, AdamW for the rest, and a schedule that follows the clock.

Muon: momentum, then the nearest semi-orthogonal matrix by a quintic Newton-Schulz iteration (Jordan
et al. 2024, kellerjordan.github.io/posts/muon). Embeddings, norms and scalars take AdamW.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic, as published


class Muon(torch.optim.Optimizer):
    """Takes parameters of two or more dimensions; of three, each matrix of the stack by itself."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, lr: float, momentum: float, decay: float
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update the parameters from their gradients; matrices of one shape together, for fewer
        launches.
        """
        for group in self.param_groups:
            alike: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append(parameter)
            for shape, parameters in alike.items():
                directions = self._directions(parameters, group["momentum"])
                rows, columns = shape[-2:]
                length = group["lr"] * max(1.0, rows / columns) ** 0.5
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["decay"])
                torch._foreach_add_(parameters, directions, alpha=-length)

    def _directions(self, parameters: list[Tensor], momentum: float) -> list[Tensor]:
        """Return the update directions of parameters of one shape: their gradients, averaged and
        made orthogonal.
        """
        for parameter in parameters:
            if "momentum" not in self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        moving = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_lerp_(moving, gradients, 1 - momentum)
        ahead = torch._foreach_lerp(gradients, moving, momentum)  # Nesterov
        if ahead[0].is_cuda:
            return list(orthogonal(torch.stack(ahead)).unbind())
        return [orthogonal(one) for one in ahead]


def clip(parameters: Iterable[nn.Parameter], largest: float) -> Tensor:
    """Scale the gradients to a norm of at most `largest`; returns the norm that they had.

    Where it is not finite all of them become zero, so that one broken batch spoils no weight. Never
    waits for the device.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    scale = (largest / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.nan_to_num_(0.0, 0.0, 0.0)
    torch._foreach_mul_(gradients, torch.where(norm.isfinite(), scale, 0.0))
    return norm


def orthogonal(matrix: Tensor, *, rounds: int = 5) -> Tensor:
    """Push the singular values of (…, m, n) to about 1 by a Newton-Schulz iteration, in
    bfloat16.
    """
    a, b, c = _COEFFICIENTS
    x = matrix.bfloat16()
    wide = x.shape[-2] <= x.shape[-1]
    x = x if wide else x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    found: Tensor = (x if wide else x.mT).to(matrix.dtype)
    return found


def optimisers(model: nn.Module, *, lr: float) -> list[torch.optim.Optimizer]:
    """Make Muon for the layers' matrices and AdamW for all else. `lr` is Muon's; the others keep
    their published ratios to it.
    """
    named = dict(model.named_parameters())
    matrices = [p for name, p in named.items() if p.dim() >= 2 and "embedding" not in name]
    vectors = [p for p in named.values() if p.dim() < 2]
    embedding = [p for name, p in named.items() if "embedding" in name]
    adam = torch.optim.AdamW(
        [
            {"params": embedding, "lr": lr * 0.15, "weight_decay": 0.001},
            {"params": vectors, "lr": lr * 0.15, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.98),
    )
    return [Muon(matrices, lr=lr, momentum=0.95, decay=0.01), adam]


class Descent:
    """AdamW over some groups of an adapter's parameters, each with a peak rate of its own."""

    def __init__(
        self,
        groups: Sequence[tuple[Iterable[nn.Parameter], float]],
        *,
        decay: float,
        clip: float,
        warm_up: float,
        constant: float,
    ) -> None:
        """`clip` is the largest gradient norm of all together; the schedule is `rate`'s."""
        self.clip, self.warm_up, self.constant = clip, warm_up, constant
        self.parameters = [list(parameters) for parameters, _ in groups]
        self.adam = torch.optim.AdamW(
            [
                {"params": own, "lr": peak, "peak": peak}
                for own, (_, peak) in zip(self.parameters, groups, strict=True)
                if own
            ],
            betas=(0.9, 0.95),
            weight_decay=decay,
        )

    def step(self, progress: float, share: float | None = None) -> Tensor:
        """Update the parameters from their gradients, which become none, at a `share` of their peak
        rates (None: `rate`'s); returns the norm that the gradients had.
        """
        norm = clip((one for group in self.parameters for one in group), self.clip)
        if share is None:
            share = rate(progress, warm_up=self.warm_up, constant=self.constant)
        for group in self.adam.param_groups:
            group["lr"] = group["peak"] * share
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        return norm


def rate(progress: float, *, warm_up: float = 0.01, constant: float = 0.5) -> float:
    """Return the share of the peak learning rate at `progress` (0 to 1 of the schedule): up, level,
    then linear to 0.
    """
    if progress < warm_up:
        return progress / warm_up
    return min(1.0, max(0.0, (1 - progress) / (1 - constant)))


def cosine(progress: float, step: int, *, warm_up: int, least: float = 0.1) -> float:
    """Return the share of the peak learning rate at a step, from 0 on: up in `warm_up` steps, and
    with the cosine of `progress` down to `least`.
    """
    risen = min(1.0, (step + 1) / max(1, warm_up))
    return risen * (least + (1 - least) * (1 + math.cos(math.pi * min(1.0, progress))) / 2)
