"""Say what the `config.json` of a LLaDA says, in the words of a Llama's.

LLaDA is a masked diffusion model of Llama's layers with keys of its own (configuration_llada.py in
the repositories of GSAI-ML, read for these facts). It predicts a token at its own place, where
Dream and its kin predict it at the one before. What those layers do not have is refused by its key.
"""

from __future__ import annotations

from typing import Any

LLADA = "llada"
"""Its `model_type`."""
CLASS = "LLaDAModelLM"
"""Its architecture."""

_KEYS = {
    "d_model": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "mlp_hidden_size": "intermediate_size",
    "max_sequence_length": "max_position_embeddings",
    "weight_tying": "tie_word_embeddings",
    "activation_type": "hidden_act",
}
_WANTED: dict[str, Any] = {
    **{"block_type": "llama", "layer_norm_type": "rms", "block_group_size": 1, "rope": True},
    **{"alibi": False, "include_bias": False, "include_qkv_bias": False, "scale_logits": False},
    **{"input_emb_norm": False, "attention_layer_norm": False, "multi_query_attention": False},
}


def is_llada(raw: dict[str, Any]) -> bool:
    """Say whether a config.json is a LLaDA's, in its own words or in ours."""
    said = raw.get("architectures")
    return raw.get("model_type") == LLADA or (isinstance(said, list) and CLASS in said)


def translated(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a LLaDA's config.json in the keys of a Llama's; one that has them is as it was. Raises
    ValueError, naming the value, for layers that are not a Llama's.
    """
    found = dict(raw) | {"model_type": LLADA}
    if "d_model" not in raw:
        return found
    for key, wanted in _WANTED.items():
        if (value := raw.get(key)) not in (None, wanted):
            raise ValueError(f"{key} {value!r:.50}, where {wanted!r} is known")
    found |= {ours: raw[key] for key, ours in _KEYS.items() if raw.get(key) is not None}
    if raw.get("mlp_hidden_size") is None:
        found["intermediate_size"] = raw["mlp_ratio"] * raw["d_model"]
    found["vocab_size"] = raw.get("embedding_size") or raw["vocab_size"]
    return found
