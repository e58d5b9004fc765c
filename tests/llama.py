"""Small random models of Llama's shape made by transformers, saved as a user would find them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

TEXT: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
}
"""Heads are wider together than the model."""
LLAMA3 = {
    **{"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0},
    **{"high_freq_factor": 4.0, "original_max_position_embeddings": 32},
}
KINDS = ("llama", "qwen2", "qwen3", "starcoder2")
BIASED = ("qwen2", "starcoder2")
"""Kinds whose queries, keys and values have biases."""


def random_llama(folder: Path | None = None, kind: str = "llama", **text: Any) -> Any:
    """A transformers model in fp32, saved to `folder`; no norm at rest, biases that matter."""
    import transformers

    name = kind.capitalize()
    config = getattr(transformers, f"{name}Config")(**(TEXT | text), attn_implementation="eager")
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for named, parameter in model.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            if "norm" in named and "bias" not in named:
                parameter.copy_(1 + 0.3 * drawn)
            else:
                parameter.copy_(drawn * (0.5 if "bias" in named else 0.12))
    if folder is not None:
        model.save_pretrained(folder)
    return model


def canvas_mask(prompt: int, canvas: int) -> Tensor:
    """What a prompt and a canvas behind it may see, (1, 1, n, n), added to scores."""
    n = prompt + canvas
    row, column = torch.arange(n)[:, None], torch.arange(n)
    seen = (column <= row) | ((row >= prompt) & (column >= prompt))
    return torch.where(seen, 0.0, torch.finfo(torch.float32).min)[None, None]


def stored(model: Any) -> dict[str, Tensor]:
    """What a file has of a model: a tied head is none of it."""
    return {
        name: one.detach().clone()
        for name, one in model.state_dict().items()
        if not (model.config.tie_word_embeddings and name.startswith("lm_head."))
    }
