"""Who sees whom: how new tokens look at the prompt before them and at each other.

Knows places and windows, no keys and no weights. A canvas is read bidirectionally, a text causally;
several of either may stand side by side in one row, each as if it were alone behind the prompt, so
that they share one pass and nobody copies the prompt's keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Beside:
    """Sequences side by side, n tokens together, that do not see each other."""

    own: Tensor
    """(n,) int32: the sequence of each token."""
    offset: Tensor
    """(n,) int32: its place there, counted from the prompt's end."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One pass over n new tokens."""

    causal: bool
    """Each sees itself and what is before it, a sliding layer `window` tokens of it; else all see
    each other and, in a sliding layer, the last window - 1 tokens of the prompt.
    """
    beside: Beside | None = None
    """The sequences they belong to; None: one."""

    @property
    def kept(self) -> bool:
        """Whether the tokens may become a part of the prompt."""
        return self.causal and self.beside is None

    def mask(
        self, n: int, past: int, device: torch.device | str, *, window: int | None
    ) -> Tensor | None:
        """Where each of n tokens behind `past` may look, (n, keys): True at the last `keys` of
        past + n, all of them without a `window`, else window - 1 + n. None where plain attention,
        causal or not, says the same.
        """
        keys = past + n if window is None else min(past + n, window - 1 + n)
        alone = self.beside is None
        if alone and not self.causal:
            return None
        if alone and (past == 0 or n == 1) and (window is None or past + n <= window):
            return None
        if self.beside is None:
            own, offset = None, torch.arange(n, device=device)
        else:
            own, offset = self.beside.own, self.beside.offset
        place = torch.cat((torch.arange(-past, 0, device=device), offset))[-keys:]
        seen = torch.ones(n, keys, dtype=torch.bool, device=device)
        if own is not None:
            seen[:, -n:] = own[:, None] == own
        if self.causal:
            seen &= place <= offset[:, None]
            if window is not None:
                seen &= place > offset[:, None] - window
        return seen


def side_by_side(sizes: Sequence[int], device: torch.device | str) -> Beside:
    """Sequences of `sizes`, n in all."""
    rows = torch.tensor(sizes, device=device)
    own = torch.arange(len(sizes), device=device).repeat_interleave(rows)
    offset = torch.cat([torch.arange(size, device=device) for size in sizes])
    return Beside(own.int(), offset.int())
