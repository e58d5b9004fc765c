"""Read and write the `config.json` of Llama's shape: Llama, Qwen2, Qwen3 and StarCoder2.

Its keys stand here and in `config.py`, which tells the kinds of files apart. Values that a file
leaves out are the classes' own (transformers 5.23, configuration_llama.py, _qwen2.py, _qwen3.py).
"""

from __future__ import annotations

import math
from typing import Any

from dgedit_engine.formats.source import refuse_many
from dgedit_engine.model import config_llada
from dgedit_engine.model.config_llada import LLADA
from dgedit_engine.model.config_masks import DREAM
from dgedit_engine.model.shape import Config, LayerConfig, MaskTokens
from dgedit_engine.types import ModelError

CLASSES = {
    **{"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"},
    "starcoder2": "Starcoder2ForCausalLM",
}
"""Architectures, by `model_type`."""

CANVAS = 128
"""Slots of a canvas of a model that was trained without any."""

WINDOW = 2048
"""Tokens that a masked diffusion model reads, at most: what Dream and its kin were trained on,
whatever their files say; each step reads all of them.
"""

_WIDEST = 8192  # columns of a head; the widest has 512
_ROPE_TYPES = ("default", "linear", "llama3", "divided")


def kind_of(raw: dict[str, Any]) -> str | None:
    """Return the `model_type` of a config.json of this shape; None for another."""
    said = raw.get("architectures")
    names = set(map(str, said)) if isinstance(said, list) else set()
    if raw.get("model_type") == DREAM:
        return "qwen2"
    if config_llada.is_llada(raw):
        return LLADA
    found = next((kind for kind, name in CLASSES.items() if name in names), None)
    return found or next((kind for kind in CLASSES if kind == raw.get("model_type")), None)


def configured(raw: dict[str, Any], kind: str) -> Config:
    """Return the architecture of a config.json of a kind. Raises ValueError, naming the value, for
    one that this engine does not know.
    """
    if kind == LLADA:
        raw = config_llada.translated(raw)
    for name in ("attention_bias", "mlp_bias"):
        if raw.get(name):
            raise ValueError(f"{name} {raw[name]!r}, which this engine does not know")
    biased = kind == "starcoder2"
    right = "gelu_pytorch_tanh" if biased else "silu"
    if (activation := raw.get("hidden_act", right)) != right:
        raise ValueError(f"hidden_act {activation}")
    if biased and not raw.get("use_bias", True):
        raise ValueError(f"use_bias {raw['use_bias']!r}, which this engine does not know")
    masks = _masks(raw, kind)
    heads, count = raw["num_attention_heads"], raw["num_hidden_layers"]
    refuse_many(count)
    head_dim = raw.get("head_dim") or (128 if kind == "qwen3" else raw["hidden_size"] // heads)
    if head_dim > _WIDEST:
        raise ValueError(f"head_dim {head_dim}")
    slides = _slides(raw, count, kind)
    stretch, theta = _rope(raw, head_dim)
    layer = LayerConfig(
        sliding=False,
        kv_heads=heads if raw.get("num_key_value_heads") is None else raw["num_key_value_heads"],
        head_dim=head_dim,
        rope_theta=theta,
        rotated=head_dim // 2,
        stretch=stretch,
    )
    context = raw["max_position_embeddings"]
    window = raw["sliding_window"] if any(slides) else context
    known = {"bos_token_id": 1, "eos_token_id": 2} if kind == "llama" else {}
    known |= {key: raw[key] for key in ("bos_token_id", "eos_token_id") if key in raw}
    eos = known["eos_token_id"]
    ends = tuple(eos) if isinstance(eos, list) else (eos,)
    return Config(
        vocab=raw["vocab_size"],
        dim=raw["hidden_size"],
        heads=heads,
        layers=tuple(_slid(layer) if one else layer for one in slides),
        window=window,
        mlp=raw["intermediate_size"],
        experts=0,
        active=0,
        expert_width=0,
        canvas=raw.get("canvas_length", CANVAS),
        context=min(context, context if masks is None else WINDOW),
        eps=raw.get("norm_epsilon", 1e-5) if biased else raw.get("rms_norm_eps", 1e-6),
        softcap=None,
        bos=known.get("bos_token_id"),
        eos=ends,
        pad=ends[0] if raw.get("pad_token_id") is None else raw["pad_token_id"],
        family="starcoder2" if biased else "llama",
        query_scale=head_dim**-0.5,
        qk_norm=kind == "qwen3",
        qkv_bias=kind == "qwen2" or biased,
        tied=bool(raw.get("tie_word_embeddings", biased)),
        conditioned=bool(raw.get("self_conditioning", False)),
        marks=raw.get("canvas_marks", 0),
        masks=masks,
    )


def written(config: Config) -> dict[str, Any]:
    """Return the config.json of a model of this shape: transformers' keys and, beside them, what
    makes it one of ours. Raises ModelError for a rope that transformers has no words for.
    """
    layer = config.layers[0]
    if isinstance(layer.stretch, tuple):
        raise ModelError("a rope whose pairs are stretched one by one has no words in config.json")
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": layer.rope_theta}
    if layer.stretch != 1:
        rope |= {"rope_type": "linear", "factor": layer.stretch}
    kind = "qwen3" if config.qk_norm else "qwen2" if config.qkv_bias else "llama"
    kind = config.family if (biased := config.family == "starcoder2") else kind
    own = config_llada.CLASS if config.masks and config.masks.aligned else CLASSES[kind]
    slides = [one.sliding for one in config.layers]
    return {
        "architectures": [own],
        "model_type": kind if own == CLASSES[kind] else LLADA,
        "canvas_length": config.canvas,
        **({"self_conditioning": True} if config.conditioned else {}),
        **({"canvas_marks": config.marks} if config.marks else {}),
        **({"mask_token_id": config.masks.mask} if config.masks else {}),
        **({"expand_token_id": config.masks.expand} if config.masks else {}),
        "dtype": "bfloat16",
        "vocab_size": config.vocab,
        "hidden_size": config.dim,
        "intermediate_size": config.mlp,
        "num_hidden_layers": len(config.layers),
        "num_attention_heads": config.heads,
        "num_key_value_heads": layer.kv_heads,
        "head_dim": layer.head_dim,
        "hidden_act": "gelu_pytorch_tanh" if biased else "silu",
        "max_position_embeddings": config.context,
        "norm_epsilon" if biased else "rms_norm_eps": config.eps,
        "rope_parameters": rope,
        "use_sliding_window": any(slides),
        "sliding_window": config.window if any(slides) else None,
        "layer_types": ["sliding_attention" if one else "full_attention" for one in slides],
        "tie_word_embeddings": config.tied,
        "bos_token_id": config.bos,
        "eos_token_id": list(config.eos) if len(config.eos) > 1 else config.eos[0],
        "pad_token_id": config.pad,
    }


def llama3(
    head_dim: int, theta: float, *, factor: float, low: float, high: float, original: float
) -> tuple[float, ...]:
    """Return what each pair's frequency is divided by, as Llama 3 has it: `factor` for waves longer
    than `original / low` positions, 1 for those shorter than `original / high`, and in between what
    joins the two.
    """
    divisors = []
    for pair in range(head_dim // 2):
        waves = original / (math.tau * theta ** (2 * pair / head_dim))
        share = min(1.0, max(0.0, (waves - low) / (high - low)))
        divisors.append(1 / ((1 - share) / factor + share))
    return tuple(divisors)


def _masks(raw: dict[str, Any], kind: str) -> MaskTokens | None:
    """Return the tokens of a masked diffusion model; None for one that reads from left to right."""
    mask = raw.get("mask_token_id")
    if mask is None:
        if (name := raw.get("model_type")) in (DREAM, LLADA):
            raise ValueError(f"a {name} without mask_token_id")
        return None
    if kind not in ("qwen2", LLADA):
        raise ValueError(f"mask_token_id {mask} in a {kind}: one that reads block by block")
    return MaskTokens(mask, raw.get("expand_token_id"), aligned=kind == LLADA)


def _slides(raw: dict[str, Any], count: int, kind: str) -> list[bool]:
    """Return which layers have a window: those from `max_window_layers` on, where it is used; of a
    StarCoder2 all or none.
    """
    if kind == "starcoder2":
        return [raw.get("sliding_window") is not None] * count
    kinds = raw.get("layer_types")
    if not raw.get("use_sliding_window") or raw.get("sliding_window") is None:
        kinds = ["full_attention"] * count
    elif kinds is None:
        first = raw.get("max_window_layers", 28)
        kinds = ["full_attention" if at < first else "sliding_attention" for at in range(count)]
    if len(kinds) != count:
        raise ValueError(f"{count} layers, but {len(kinds)} layer_types")
    return [{"sliding_attention": True, "full_attention": False}[kind] for kind in kinds]


def _slid(layer: LayerConfig) -> LayerConfig:
    return LayerConfig(
        True, layer.kv_heads, layer.head_dim, layer.rope_theta, layer.rotated, layer.stretch
    )


def _rope(raw: dict[str, Any], head_dim: int) -> tuple[float | tuple[float, ...], float]:
    """Return by what positions are divided, and the base; older files have them apart."""
    rope = raw.get("rope_parameters") or {
        "rope_theta": raw.get("rope_theta", 10_000.0),
        **(raw.get("rope_scaling") or {}),
    }
    theta = float(rope.get("rope_theta") or raw.get("rope_theta", 10_000.0))
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind not in _ROPE_TYPES or rope.get("partial_rotary_factor", 1) != 1:
        raise ValueError(f"rope {rope}")
    if kind == "default":
        return 1.0, theta
    if kind == "divided":  # as a GGUF file says it
        return tuple(float(one) for one in rope["divisors"]), theta
    factor = float(rope["factor"])
    if not 1 <= factor < math.inf:
        raise ValueError(f"rope {rope}")
    if kind == "linear":
        return factor, theta
    low, high = float(rope["low_freq_factor"]), float(rope["high_freq_factor"])
    original = float(rope["original_max_position_embeddings"])
    if not 0 < low < high < math.inf or not 0 < original < math.inf:
        raise ValueError(f"rope {rope}")
    return llama3(head_dim, theta, factor=factor, low=low, high=high, original=original), theta
