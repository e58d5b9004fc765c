"""Self-conditioning: a canvas reads what the last step predicted. Knows no layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dgedit_engine.model.products import feed
from dgedit_engine.model.shape import Config
from dgedit_kernels.norm import rms_norm


class SelfConditioning(nn.Module):
    """Adds what the last step predicted to the canvas's embeddings (arXiv 2208.04202)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.eps = config.eps
        self.closed = config.family == "gemma4"
        """Whether a norm follows; without one, a base keeps the scale of its embeddings."""
        self.pre_norm = nn.Parameter(torch.empty(config.dim))
        self.gate_up = nn.Parameter(torch.empty(2 * config.mlp, config.dim))
        self.down = nn.Parameter(torch.empty(config.dim, config.mlp))

    def forward(self, x: Tensor, soft: Tensor | None) -> Tensor:
        """Add the signal: x, soft (B, C, D) -> (B, C, D). A closing norm has no weight and acts
        without a signal too.
        """
        signal = None
        if soft is not None:
            normed = rms_norm(soft, self.pre_norm, self.eps)
            signal = feed(normed, self.gate_up, self.down, causal=False)
        if self.closed:
            return rms_norm(x, None, self.eps, plus=signal)
        return x if signal is None else x + signal.to(x.dtype)
