"""Say what the header of a GGUF file says of a model, in the words of Hugging Face's config.json.

Keys are those of the released files, after public dumps of their headers; absent values are those
of llama.cpp's reader (llama-model.cpp). Knows fields and shapes; neither files nor weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dgedit_engine.formats.source import refuse_many
from dgedit_engine.types import ModelError

ARCHITECTURE, GEMMA4, GEMMA3 = "diffusion-gemma", "gemma4", "gemma3"
DREAM, LLADA, STARCODER2 = "dream", "llada", "starcoder2"
SHAPED = ("llama", "qwen2", "qwen3", STARCODER2, DREAM, LLADA)
"""Architectures of Llama's shape, which are also Hugging Face's names of them; Dream is a Qwen2
and LLaDA a Llama that names a mask.
"""

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of a file's tensors, by their names."""

_ELSEWHERE = {
    "embedding_length_per_layer_input": "embeddings for each layer",
    "attention.shared_kv_layers": "layers that share others' keys and values",
}
"""What Gemma 4's E2B and E4B have beside the layers known here, by the key that says so."""
_WINDOW = 4096
"""Of every StarCoder2 that is published; no header says it, and llama.cpp reads without."""
_TURN_END = "<turn|>"  # ends a text too; the file names only <eos>
_EXPAND = "<|expand|>"  # DreamOn's, for two tokens
_MASK = "<|mdm_mask|>"  # LLaDA's, which its converter names by no key
_TEXT_END = "<|endoftext|>"  # between two texts, where the file names what ends an answer


def configuration(
    fields: Mapping[str, Any], shapes: Shapes, divisors: Sequence[float] | None
) -> dict[str, Any]:
    """Return what a config.json would say; `divisors` are what the frequencies of rope's pairs are
    divided by. Raises ModelError for numbers that do not fit, LookupError for an absent value.
    """
    kind = fields["general.architecture"]
    if kind == GEMMA3:
        return _gemma3(fields, shapes)
    if kind in SHAPED:
        return _shaped(fields, shapes, kind, divisors)
    own = {key.removeprefix(f"{kind}."): value for key, value in fields.items()}
    experts = own["expert_count"] if kind == ARCHITECTURE else own.get("expert_count", 0)
    refuse_many(own["block_count"], experts)
    for key, what in _ELSEWHERE.items() if kind == GEMMA4 else ():
        if own.get(key):
            raise ModelError(f"{key} {own[key]}: {what}, which this engine does not know")
    sliding = [bool(one) for one in own["attention.sliding_window_pattern"]]
    heads = own["attention.head_count_kv"]
    heads = list(heads) if isinstance(heads, (list, np.ndarray)) else [heads] * len(sliding)
    if len(sliding) != own["block_count"] or len(heads) != len(sliding):
        raise ModelError(f"{own['block_count']} layers, but {len(sliding)} and {len(heads)} shapes")
    wide, narrow = own["attention.key_length"], own["attention.key_length_swa"]
    layers = {
        str(index): {
            "head_dim": narrow if slides else wide,
            "num_key_value_heads": int(heads[index]),
        }
        for index, slides in enumerate(sliding)
    }
    text = {
        "vocab_size": shapes["token_embd.weight"][0],
        "hidden_size": own["embedding_length"],
        "intermediate_size": own["feed_forward_length"],
        "num_attention_heads": own["attention.head_count"],
        "num_key_value_heads": int(heads[0]),
        "head_dim": narrow,
        "per_layer_config": layers,
        "max_position_embeddings": own["context_length"],
        "rms_norm_eps": _plain(own["attention.layer_norm_rms_epsilon"]),
        "sliding_window": own["attention.sliding_window"],
        "layer_types": ["sliding_attention" if slides else "full_attention" for slides in sliding],
        "rope_parameters": {
            "sliding_attention": {"rope_theta": own["rope.freq_base_swa"]},
            "full_attention": {
                "rope_type": "proportional",
                "rope_theta": own["rope.freq_base"],
                "partial_rotary_factor": 2 * _rotated(divisors, wide // 2) / wide,
            },
        },
        "final_logit_softcapping": own.get("final_logit_softcapping"),
        "num_experts": experts,
        "top_k_experts": own["expert_used_count"] if experts else 0,
        "moe_intermediate_size": own["expert_feed_forward_length"] if experts else 0,
        "bos_token_id": fields.get("tokenizer.ggml.bos_token_id", 2),
        "pad_token_id": fields.get("tokenizer.ggml.padding_token_id", 0),
    }
    if kind == GEMMA4:
        full = [f"blk.{at}.attn_v.weight" for at, slides in enumerate(sliding) if not slides]
        text |= {"num_hidden_layers": len(sliding), "enable_moe_block": bool(experts)}
        text["attention_k_eq_v"] = not any(name in shapes for name in full)
        return {"model_type": GEMMA4, "text_config": text, "eos_token_id": _ends(fields)}
    canvas = own.get("diffusion.canvas_length") or own["canvas_length"]
    return {"text_config": text, "canvas_length": canvas, "eos_token_id": _ends(fields)}


def _gemma3(fields: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    """Return the same for a Gemma 3.

    Absent values are those of llama.cpp's reader (llama-model.cpp): without a window all layers are
    full, with one each sixth; RoPE's base in sliding layers is 10,000; queries are scaled by their
    width or, in the largest model (62 layers), by the model's width over its heads.
    """
    own = {key.removeprefix(f"{GEMMA3}."): value for key, value in fields.items()}
    refuse_many(own["block_count"])
    layers, heads, width = own["block_count"], own["attention.head_count"], own["embedding_length"]
    head_dim = own["attention.key_length"]
    full: dict[str, Any] = {"rope_theta": own["rope.freq_base"]}
    if (scaling := own.get("rope.scaling.type", "none")) != "none":
        full |= {"rope_type": scaling, "factor": own["rope.scaling.factor"]}
    return {
        "model_type": "gemma3_text",
        "vocab_size": shapes["token_embd.weight"][0],
        "hidden_size": width,
        "intermediate_size": own["feed_forward_length"],
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": own["attention.head_count_kv"],
        "head_dim": head_dim,
        "query_pre_attn_scalar": width // heads if layers == 62 else head_dim,
        "max_position_embeddings": own["context_length"],
        "rms_norm_eps": _plain(own["attention.layer_norm_rms_epsilon"]),
        "sliding_window": own.get("attention.sliding_window") or own["context_length"],
        "layer_types": _kinds(own, layers),
        "rope_parameters": {
            "sliding_attention": {"rope_theta": own.get("rope.freq_base_swa", 10_000.0)},
            "full_attention": full,
        },
        "final_logit_softcapping": own.get("final_logit_softcapping") or None,
        "bos_token_id": fields.get("tokenizer.ggml.bos_token_id", 2),
        "pad_token_id": fields.get("tokenizer.ggml.padding_token_id", 0),
        "eos_token_id": _ends(fields),
    }


def _kinds(own: Mapping[str, Any], layers: int) -> list[str]:
    """Return each layer's kind; the pattern is a period, or a list of all layers."""
    every = own.get("attention.sliding_window_pattern", 6)
    if not own.get("attention.sliding_window"):
        every = 1
    slides = [(at + 1) % every != 0 for at in range(layers)] if isinstance(every, int) else every
    return ["sliding_attention" if one else "full_attention" for one in slides]


def _ends(fields: Mapping[str, Any]) -> list[int]:
    """The tokens that end a text, as the released config.json lists them; the first is also what
    stands between two texts.
    """
    ends = [fields["tokenizer.ggml.eos_token_id"], fields.get("tokenizer.ggml.eot_token_id")]
    tokens = fields.get("tokenizer.ggml.tokens", [])
    ends.append(tokens.index(_TURN_END) if _TURN_END in tokens else None)
    ends.insert(0, tokens.index(_TEXT_END) if _TEXT_END in tokens else None)
    return [end for end in dict.fromkeys(ends) if end is not None]


def _rotated(divisors: Sequence[float] | None, pairs: int) -> int:
    """Count the pairs of a full layer that rotate: the others' frequencies are divided by 1e30."""
    if divisors is None:
        return pairs
    if len(divisors) != pairs:
        raise ModelError(f"rope_freqs.weight has {len(divisors)} numbers for {pairs} pairs")
    turning = sum(one == 1 for one in divisors)
    still = divisors[turning:]
    if any(one != 1 for one in divisors[:turning]) or not all(one >= 1e20 for one in still):
        raise ModelError("rope_freqs.weight scales the positions")
    return turning


def _plain(number: float) -> float:
    """The decimal number that was rounded to this fp32: 1e-6, not 9.99999997e-7."""
    return float(f"{number:.7g}")


def turned_heads(fields: Mapping[str, Any]) -> dict[str, int]:
    """Return the heads of the tensors whose rows are turned, by the ends of their names: queries
    and keys of `llama` and `llada`, whose pairs llama.cpp has side by side.
    """
    kind = fields["general.architecture"]
    if kind not in ("llama", LLADA):
        return {}
    heads = fields.get(f"{kind}.attention.head_count")
    counts = {"q": heads, "k": fields.get(f"{kind}.attention.head_count_kv", heads)}
    if not all(isinstance(count, int) and count > 0 for count in counts.values()):
        raise ModelError(f"{counts['q']!r} heads and {counts['k']!r} of keys")
    return {f"attn_{one}.weight": count for one, count in counts.items()}


def _shaped(
    fields: Mapping[str, Any], shapes: Shapes, kind: str, divisors: Sequence[float] | None
) -> dict[str, Any]:
    """Return the same for a model of Llama's shape."""
    own = {key.removeprefix(f"{kind}."): value for key, value in fields.items()}
    heads = own["attention.head_count"]
    if own.get("expert_count"):
        raise ModelError(f"{own['expert_count']} experts in a {kind}, which is not known here")
    head_dim = own.get("attention.key_length") or own["embedding_length"] // heads
    if (turning := own.get("rope.dimension_count", head_dim)) != head_dim:
        raise ModelError(f"{turning} of {head_dim} columns rotate")
    rope: dict[str, Any] = {"rope_theta": own.get("rope.freq_base", 10_000.0)}
    if divisors is not None:
        rope |= {"rope_type": "divided", "divisors": divisors}
    elif (scaling := own.get("rope.scaling.type", "none")) != "none":
        rope |= {"rope_type": scaling, "factor": own["rope.scaling.factor"]}
    mask = fields.get("tokenizer.ggml.mask_token_id")
    tokens = fields.get("tokenizer.ggml.tokens", ())
    if mask is None and kind == LLADA and _MASK in tokens:
        mask = tokens.index(_MASK)
    expand = tokens.index(_EXPAND) if mask is not None and _EXPAND in tokens else None
    starts = fields.get("tokenizer.ggml.add_bos_token", fields["tokenizer.ggml.model"] == "llama")
    ends = _ends(fields)
    norm = {"rms_norm_eps": "attention.layer_norm_rms_epsilon"}
    if kind == STARCODER2:
        norm = {"norm_epsilon": "attention.layer_norm_epsilon"}
    return {
        "model_type": "Dream" if kind == DREAM else kind,
        "mask_token_id": mask,
        "expand_token_id": expand,
        "vocab_size": shapes["token_embd.weight"][0],
        "hidden_size": own["embedding_length"],
        "intermediate_size": own["feed_forward_length"],
        "num_hidden_layers": own["block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": own.get("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "max_position_embeddings": own["context_length"],
        **{name: _plain(own[key]) for name, key in norm.items()},
        "sliding_window": own.get("attention.sliding_window", _WINDOW),  # a StarCoder2's alone
        "rope_parameters": rope,
        "tie_word_embeddings": "output.weight" not in shapes,
        "bos_token_id": fields.get("tokenizer.ggml.bos_token_id") if starts else None,
        "pad_token_id": fields.get("tokenizer.ggml.padding_token_id", ends[0]),
        "eos_token_id": ends,
    }
