"""Small random Gemma 4 models made by transformers, saved as a user would find them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFWriter

from dgedit_engine.model.config import Config
from llamacpp import tensor_name, write_shape
from oracle import TEXT as DIFFUSION
from oracle import VISION, random_model

DENSE: dict[str, Any] = {
    **{key: DIFFUSION[key] for key in DIFFUSION if "expert" not in key and key[:3] != "moe"},
    **{"hidden_size_per_layer_input": 0, "final_logit_softcapping": 30.0},
    **{"max_position_embeddings": 4096, "attention_k_eq_v": True},
}
"""The 31B's shape: keys for values in full layers, no experts."""
EXPERTS: dict[str, Any] = {
    **{key: DIFFUSION[key] for key in ("num_experts", "top_k_experts", "moe_intermediate_size")},
    "enable_moe_block": True,
}
"""What the 26B-A4B has beside it."""
PUBLISHED: dict[str, Any] = {
    **{"model_type": "gemma4_text", "attention_k_eq_v": True, "hidden_size_per_layer_input": None},
    **{"head_dim": 256, "global_head_dim": 512, "sliding_window": 1024, "vocab_size": 262144},
    "max_position_embeddings": 262144,
    "rope_parameters": {
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        "full_attention": {
            **{"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.25}
        },
    },
}
"""What the released files of the large ones have in common."""
A4B: dict[str, Any] = {
    **{"hidden_size": 2816, "num_hidden_layers": 30, "intermediate_size": 2112},
    **{"num_attention_heads": 16, "num_key_value_heads": 8, "num_global_key_value_heads": 2},
    **{"num_experts": 128, "top_k_experts": 8, "moe_intermediate_size": 704},
    "enable_moe_block": True,
}
"""What the 26B-A4B's has."""


def random_gemma4(
    folder: Path | None = None, *, sharp: float = 4.0, images: bool = False, **text: Any
) -> Any:
    """A transformers model in fp32, saved to `folder`; no norm at rest, scalars that matter."""
    from transformers import (
        Gemma4Config,
        Gemma4ForCausalLM,
        Gemma4ForConditionalGeneration,
        Gemma4TextConfig,
    )

    config = Gemma4TextConfig(**{**DENSE, **text}, attn_implementation="eager")
    torch.manual_seed(0)
    if images:
        model: Any = Gemma4ForConditionalGeneration(
            Gemma4Config(text_config=config, vision_config=VISION)
        ).eval()
    else:
        model = Gemma4ForCausalLM(config).eval()
    filled(model, sharp=sharp)
    if folder is not None:
        model.save_pretrained(folder)
    return model


def write_gguf(file: Path, theirs: Any, config: Config, **fields: int) -> None:
    """Write a model's weights in fp32 as llama.cpp's converter does, `fields` beside its shape's;
    what a model has no experts for is left out.
    """
    writer = GGUFWriter(file, "gemma4")
    write_shape(writer, config, "gemma4")
    for key, value in {"embedding_length_per_layer_input": 0, **fields}.items():
        writer.add_uint32(f"gemma4.{key}", value)
    writer.add_uint32("tokenizer.ggml.eos_token_id", 1)
    for name, one in theirs.state_dict().items():
        if not name.startswith("lm_head."):
            place = name.replace("model.", "model.decoder.", 1)
            writer.add_tensor(tensor_name(place), one.float().numpy().reshape(one.shape or (1,)))
    full = config.layers[-1]
    still = [1e30] * (full.head_dim // 2 - full.rotated)
    writer.add_tensor("rope_freqs.weight", np.array([1.0] * full.rotated + still, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def filled(model: Any, *, sharp: float = 4.0) -> Any:
    """The same model with weights large enough to matter."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "scale" in name:
                parameter.add_(torch.randn_like(parameter) * 0.3)
            elif parameter.dim() > 1:
                parameter.mul_(sharp)
        for name, buffer in model.named_buffers():
            if name.endswith("layer_scalar"):
                buffer.fill_(0.8 + 0.05 * int(name.split(".")[-2]))
    return model


def family(folder: Path, *, seed: int = 0) -> None:
    """Write a DiffusionGemma (`diffusion`), the Gemma 4 that is its causal reading (`causal`), and
    another Gemma 4 (`other`), with one vocabulary.
    """
    from every_format import TOKENS, tokenizer

    shape = {"vocab_size": 320, "max_position_embeddings": 4096}
    assert len(TOKENS) <= shape["vocab_size"]
    both = random_model(folder / "diffusion", **shape, canvas=16)
    causal = random_gemma4(**EXPERTS, **shape)
    causal.model.load_state_dict(both.model.encoder.language_model.state_dict())
    causal.save_pretrained(folder / "causal")
    other = random_gemma4(**shape)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed + 1)
        for parameter in other.parameters():
            if parameter.dim() > 1:
                spread = float(parameter.std())
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    other.save_pretrained(folder / "other")
    for name in ("diffusion", "causal", "other"):
        tokenizer(folder / name)
