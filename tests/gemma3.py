"""Small random Gemma 3 models made by transformers, saved as a user would find them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dgedit_engine.model.config import Config, LayerConfig

SLIDING, FULL = LayerConfig(True, 1, 16, 1e4, 8), LayerConfig(False, 1, 16, 1e6, 8, stretch=8.0)
SHAPE = Config(
    vocab=320,
    dim=64,
    heads=4,
    layers=(SLIDING,) * 5 + (FULL, SLIDING),
    window=8,
    mlp=96,
    experts=0,
    active=0,
    expert_width=0,
    canvas=16,
    context=4096,
    softcap=None,
    family="gemma3",
    query_scale=0.25,
    conditioned=False,
)
"""One of our own, made without transformers."""
TEXT: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 7,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "query_pre_attn_scalar": 23,
    "sliding_window": 6,
    "max_position_embeddings": 256,
    "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
    },
}
"""Six layers and one: the sixth is full, the last one slides."""


def filled(model: Any, *, sharp: float = 4.0) -> Any:
    """The same model with weights large enough to matter, no norm at rest."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = 0.3 if "norm" in name else 0.02 * sharp
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    return model


def random_model(folder: Path | None = None, **text: Any) -> Any:
    """A transformers model in fp32, saved to `folder`."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    config = Gemma3TextConfig(**{**TEXT, **text}, attn_implementation="eager")
    model = filled(Gemma3ForCausalLM(config).eval())
    if folder is not None:
        model.save_pretrained(folder)
    return model


def canvas_mask(model: Any, prompt: int, canvas: int) -> dict[str, Tensor]:
    """What a prompt and a canvas behind it may see, by kind of layer, (1, 1, n, n), added to
    scores: the prompt causally, in sliding layers a window of itself; the canvas all of itself
    and, there, the prompt's last window - 1 tokens.
    """
    n, window = prompt + canvas, model.config.sliding_window
    row, column = torch.arange(n)[:, None], torch.arange(n)
    behind = (row >= prompt) & (column >= prompt)
    full = (column <= row) | behind
    near = ((row < prompt) & (column > row - window)) | (column > prompt - window)
    seen = {"full_attention": full, "sliding_attention": full & near}
    return {
        kind: torch.where(one, 0.0, torch.finfo(torch.float32).min)[None, None]
        for kind, one in seen.items()
    }


def stored(model: Any) -> dict[str, Tensor]:
    """What a file has of a model: the tied head is none of it."""
    return {
        name: one.detach().clone()
        for name, one in model.state_dict().items()
        if not name.startswith("lm_head.")
    }
