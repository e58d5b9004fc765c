"""Small random DiffusionGemma models made by transformers, saved as a user would find them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

TEXT: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "global_head_dim": 24,
    "num_global_key_value_heads": 1,
    "num_experts": 4,
    "top_k_experts": 2,
    "moe_intermediate_size": 20,
    "sliding_window": 8,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
}
VISION = {
    "model_type": "gemma4_vision",
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "head_dim": 16,
}


def random_model(
    folder: Path, *, canvas: int = 8, sharp: float = 4.0, shard: str | None = None, **text: Any
) -> Any:
    """A transformers model with weights large enough to matter, saved to `folder`; returned in fp32
    for comparison.
    """
    from transformers import DiffusionGemmaConfig, DiffusionGemmaForBlockDiffusion

    config = DiffusionGemmaConfig(
        text_config={**TEXT, **text}, vision_config=VISION, canvas_length=canvas
    )
    torch.manual_seed(0)
    model = DiffusionGemmaForBlockDiffusion(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "scale" in name:
                parameter.add_(torch.randn_like(parameter) * 0.3)
            elif parameter.dim() > 1:
                parameter.mul_(sharp)
        for index, layer in enumerate(model.model.decoder.layers):
            layer.layer_scalar.fill_(0.8 + 0.05 * index)
        for index, layer in enumerate(model.model.encoder.language_model.layers):
            layer.layer_scalar.fill_(0.9 - 0.05 * index)
    if shard is None:
        model.save_pretrained(folder)
    else:
        model.save_pretrained(folder, max_shard_size=shard)
    return model
