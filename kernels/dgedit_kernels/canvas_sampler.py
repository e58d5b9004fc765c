"""What a step reads off the vocabulary: a draw, the best token, the entropy and the probabilities
of every slot.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class SlotReading(NamedTuple):
    """For every slot of a canvas."""

    sample: Tensor
    """(…, C): a token drawn from the distribution."""
    best: Tensor
    """(…, C): its most probable token."""
    entropy: Tensor
    """(…, C): its entropy in nats."""
    probs: Tensor
    """(…, C, V): the distribution, fp32."""


def read_slots(logits: Tensor, generator: torch.Generator | None = None) -> SlotReading:
    """Read tempered logits (…, C, V). -inf excludes a token; a slot with one finite logit is
    certain. Raises FloatingPointError for slots without a distribution: NaN, inf or -inf alone.
    """
    probs = logits.softmax(-1, dtype=torch.float32)
    if bool(probs[..., 0].isnan().any()):  # a NaN is in the whole row; a draw would fail the device
        raise FloatingPointError("logits are not finite")
    flat = torch.multinomial(probs.flatten(0, -2), 1, generator=generator)
    entropy = torch.special.entr(probs).sum(-1)
    return SlotReading(flat.view(probs.shape[:-1]), logits.argmax(-1), entropy, probs)
