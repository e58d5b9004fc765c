"""Attention masks: which tokens of the prompt, and which of each other, new tokens attend to.

Knows places and windows, no keys and no weights. A canvas is read bidirectionally, a text causally;
several of either may stand side by side in one row, each as if it were alone after the prompt, so
that they share one pass and the prompt's keys are not copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Beside:
    """Sequences side by side, n tokens together, that do not attend to each other."""

    own: Tensor
    """(n,) int32: the sequence of each token."""
    offset: Tensor
    """(n,) int32: its place there, counted from the prompt's end."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the n new tokens of one forward pass are read."""

    causal: bool
    """True: each attends to itself and what is before it, in a sliding layer to `window` tokens of
    that. False: all attend to each other and the prompt, in a sliding layer to its last window - 1
    tokens.
    """
    beside: Beside | None = None
    """The sequences they belong to; None: one."""
    singly: bool = False
    """Whether attention takes one token at a time, so that on a CPU all is rounded as in a pass for
    each.
    """

    saved: int = 0
    """How many of the first tokens of a whole text, read bidirectionally, leave their keys and
    values behind.
    """

    @property
    def kept(self) -> bool:
        """Whether the tokens may become a part of the prompt."""
        return self.causal and self.beside is None

    def mask(
        self, n: int, past: int, device: torch.device | str, *, window: int | None
    ) -> Tensor | None:
        """Return which keys each of n tokens after `past` others attends to, (n, keys) bool; the
        keys are the last of past + n, all of them without a `window`, else window - 1 + n. Return
        None where plain attention, causal or not, does the same.
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
    """Lay sequences of `sizes` side by side, n tokens in all."""
    rows = torch.tensor(sizes, device=device)
    own = torch.arange(len(sizes), device=device).repeat_interleave(rows, output_size=sum(sizes))
    offset = torch.cat([torch.arange(size, device=device) for size in sizes])
    return Beside(own.int(), offset.int())
