"""What llama.cpp calls the parts of a DiffusionGemma's file, for the tests that write some."""

from __future__ import annotations

from typing import Any

from gguf import GGUFWriter

from dgedit_engine.formats.gguf import _LAYER, _WHOLE
from dgedit_engine.model.config import Config


def tensor_name(name: str) -> str:
    """The name of a tensor that Hugging Face calls so."""
    whole = {theirs: f"{ours}.weight" for ours, theirs in _WHOLE.items()}
    if name in whole:
        return whole[name]
    layer, part = name.split(".layers.")[1].split(".", 1)
    if name.startswith("model.encoder."):
        return f"blk.{layer}.enc_layer_output_scale.weight"
    parts = {theirs: ours for ours, theirs in _LAYER.items()}
    return f"blk.{layer}.{parts[part]}"


def shape_fields(config: Config, kind: str = "diffusion-gemma") -> dict[str, Any]:
    """The fields of a header that tell a model's shape: whole numbers, floats, and lists of an
    entry for each layer.
    """
    full = config.layers[-1]
    sliding = next((layer for layer in config.layers if layer.sliding), full)
    own = {
        "block_count": len(config.layers),
        "context_length": config.context,
        "embedding_length": config.dim,
        "feed_forward_length": config.mlp,
        "attention.head_count": config.heads,
        "expert_count": config.experts,
        "expert_used_count": config.active,
        "attention.key_length": full.head_dim,
        "attention.value_length": full.head_dim,
        "attention.sliding_window": config.window,
        "attention.shared_kv_layers": 0,
        "attention.key_length_swa": sliding.head_dim,
        "expert_feed_forward_length": config.expert_width,
        "rope.dimension_count": full.head_dim,
        "rope.freq_base": full.rope_theta,
        "rope.freq_base_swa": sliding.rope_theta,
        "attention.layer_norm_rms_epsilon": config.eps,
        "final_logit_softcapping": config.softcap,
        "attention.head_count_kv": [layer.kv_heads for layer in config.layers],
        "attention.sliding_window_pattern": [layer.sliding for layer in config.layers],
    }
    return {f"{kind}.{key}": value for key, value in own.items() if value is not None}


def write_shape(writer: GGUFWriter, config: Config, kind: str = "diffusion-gemma") -> None:
    """Write these fields, in the types that the released file has them in."""
    for key, value in shape_fields(config, kind).items():
        if isinstance(value, list):
            writer.add_array(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        else:
            writer.add_uint32(key, value)
