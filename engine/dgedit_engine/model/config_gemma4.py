"""Read and write the `config.json` of DiffusionGemma's shape: DiffusionGemma and Gemma 4.

Its keys stand here and in `config.py`, which tells the kinds of files apart. A Gemma 4 is a
DiffusionGemma without canvases: the same layers, read from left to right alone, with or without
experts. Values that a file leaves out are the classes' own (transformers 5.23,
configuration_gemma4.py).
"""

from __future__ import annotations

from typing import Any

from dgedit_engine.formats.source import refuse_many
from dgedit_engine.model.config_llama import CANVAS
from dgedit_engine.model.shape import Config, LayerConfig
from dgedit_engine.types import ModelError

ARCHITECTURE = "DiffusionGemmaForBlockDiffusion"
GEMMA4 = tuple(
    f"{name}For{what}"
    for name in ("Gemma4", "Gemma4Unified")
    for what in ("CausalLM", "ConditionalGeneration")
)
"""Architectures whose text part is Gemma 4's; the second of each looks at images too."""
FAMILIES = ("gemma4", "gemma4_text", "gemma4_unified", "gemma4_unified_text")
"""Their model types."""

_ELSEWHERE = {
    "hidden_size_per_layer_input": "embeddings for each layer",
    "num_kv_shared_layers": "layers that share others' keys and values",
    "use_double_wide_mlp": "layers of two widths",
}
"""What E2B and E4B have beside these layers, by the key that says so."""
_LEFT_OUT: dict[str, Any] = {
    **{"vocab_size": 262_144, "max_position_embeddings": 131_072, "sliding_window": 512},
    **{"global_head_dim": 512, "final_logit_softcapping": None},
}
_ROPES = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    "full_attention": {
        **{"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.25}
    },
}


def is_gemma4(raw: dict[str, Any]) -> bool:
    """Say whether a config.json is a Gemma 4's, alone or inside a model that looks at images."""
    said = raw.get("architectures")
    names = set(map(str, said)) if isinstance(said, list) else set()
    return bool(names & set(GEMMA4)) or raw.get("model_type") in FAMILIES


def configured(raw: dict[str, Any]) -> Config:
    """Return the architecture of a config.json. Raises ValueError, naming the value, for one that
    this engine does not know.
    """
    if not is_gemma4(raw):
        return _configured(raw["text_config"], raw, conditioned=True)
    inner = raw.get("text_config")
    text = _LEFT_OUT | (raw if inner is None else inner)
    if text.get("rope_parameters") is None:
        text["rope_parameters"] = _ROPES
    for name, what in _ELSEWHERE.items():
        if text.get(name):
            raise ModelError(f"{name} {text[name]!r:.50}: {what}, which this engine does not know")
    if not text.get("tie_word_embeddings", raw.get("tie_word_embeddings", True)):
        raise ValueError("tie_word_embeddings False: a head of its own")
    if text.get("layer_types") is None:
        refuse_many(count := text["num_hidden_layers"])
        text["layer_types"] = [
            "full_attention" if (index + 1) % 6 == 0 else "sliding_attention"
            for index in range(count)
        ]
    if (found := len(text["layer_types"])) != text["num_hidden_layers"]:
        raise ValueError(f"{text['num_hidden_layers']!r:.50} layers, but {found} layer_types")
    if not text.get("enable_moe_block"):
        text |= {"num_experts": 0, "top_k_experts": 0, "moe_intermediate_size": 0}
    if not text.get("attention_k_eq_v"):
        text["num_global_key_value_heads"] = None
    return _configured(text, raw, conditioned=False)


def _configured(text: dict[str, Any], raw: dict[str, Any], *, conditioned: bool) -> Config:
    kinds = list(text["layer_types"])
    refuse_many(len(kinds), text["num_experts"])
    kinds[-1] = "full_attention"  # as the reference forces it
    if (activation := text.get("hidden_activation", "gelu_pytorch_tanh")) != "gelu_pytorch_tanh":
        raise ValueError(f"hidden_activation {activation}")
    if text.get("attention_bias") or text.get("use_bidirectional_attention") == "all":
        raise ValueError("attention_bias or fully bidirectional encoders")
    eos = text.get("eos_token_id", 1)
    eos = raw["eos_token_id"] if raw.get("eos_token_id") is not None else eos
    return Config(
        vocab=text["vocab_size"],
        dim=text["hidden_size"],
        heads=text["num_attention_heads"],
        layers=tuple(_layer(text, index, kind) for index, kind in enumerate(kinds)),
        window=text["sliding_window"],
        mlp=text["intermediate_size"],
        experts=text["num_experts"],
        active=text["top_k_experts"],
        expert_width=text["moe_intermediate_size"],
        canvas=raw["canvas_length"] if conditioned else CANVAS,
        context=text["max_position_embeddings"],
        eps=text.get("rms_norm_eps", 1e-6),
        softcap=text.get("final_logit_softcapping", 30.0),
        shared_values=conditioned or bool(text["attention_k_eq_v"]),
        conditioned=conditioned,
        bos=text.get("bos_token_id", 2),
        eos=tuple(eos) if isinstance(eos, list) else (eos,),
        pad=text.get("pad_token_id", 0),
    )


def _layer(text: dict[str, Any], index: int, kind: str) -> LayerConfig:
    """A layer's shape; full layers have theirs in `per_layer_config` or, in older files, in
    `global_…` keys.
    """
    sliding = {"sliding_attention": True, "full_attention": False}[kind]
    shape = {"head_dim": text["head_dim"], "num_key_value_heads": text["num_key_value_heads"]}
    if not sliding:
        shape["head_dim"] = text.get("global_head_dim") or shape["head_dim"]
        shape["num_key_value_heads"] = (
            text.get("num_global_key_value_heads") or shape["num_key_value_heads"]
        )
    # by number: transformers 5 writes "05" from ten layers on
    own = {int(key): value for key, value in (text.get("per_layer_config") or {}).items()}
    shape |= own.get(index, {})
    rope = text["rope_parameters"][kind]
    share = rope.get("partial_rotary_factor", 1.0)
    if (
        rope.get("rope_type", "default") not in ("default", "proportional")
        or rope.get("factor", 1) != 1
    ):
        raise ValueError(f"rope {rope}")
    if rope.get("rope_type", "default") == "default" and share != 1.0:
        raise ValueError(f"rope {rope}")
    return LayerConfig(
        sliding=sliding,
        kv_heads=shape["num_key_value_heads"],
        head_dim=shape["head_dim"],
        rope_theta=float(rope["rope_theta"]),
        rotated=int(share * shape["head_dim"] // 2),
    )


def written(config: Config, text: dict[str, Any]) -> dict[str, Any]:
    """Return the config.json of a model of this shape; `text` is what all families' files say of
    the text part.
    """
    sliding = next((layer for layer in config.layers if layer.sliding), config.layers[-1])
    full = config.layers[-1]
    ropes = {
        "sliding_attention": {"rope_type": "default", "rope_theta": sliding.rope_theta},
        "full_attention": {
            "rope_type": "proportional",
            "rope_theta": full.rope_theta,
            "partial_rotary_factor": 2 * full.rotated / full.head_dim,
        },
    }
    text |= {
        **{"num_key_value_heads": sliding.kv_heads, "head_dim": sliding.head_dim},
        "rope_parameters": ropes,
        "per_layer_config": {
            str(index): {"head_dim": layer.head_dim, "num_key_value_heads": layer.kv_heads}
            for index, layer in enumerate(config.layers)
            if not layer.sliding
        },
        "num_experts": config.experts,
        "top_k_experts": config.active,
        "moe_intermediate_size": config.expert_width,
    }
    if not config.diffusion:
        own: dict[str, Any] = {"attention_k_eq_v": config.shared_values}
        own |= {"enable_moe_block": config.experts > 0, "hidden_size_per_layer_input": 0}
        if not config.experts:
            own |= dict.fromkeys(("num_experts", "top_k_experts", "moe_intermediate_size"))
        head = {"architectures": [GEMMA4[0]], "model_type": FAMILIES[1], "dtype": "bfloat16"}
        return {**head, **text, **own}
    # transformers builds a vision tower for every model of this class; this is the smallest it
    # takes.
    one = ("num_hidden_layers", "num_attention_heads", "num_key_value_heads")
    vision = {"model_type": "gemma4_vision", **dict.fromkeys(one, 1)}
    vision |= dict.fromkeys(("hidden_size", "intermediate_size", "head_dim"), 16)
    return {
        "architectures": [ARCHITECTURE],
        "model_type": "diffusion_gemma",
        "canvas_length": config.canvas,
        "dtype": "bfloat16",
        "tie_word_embeddings": True,
        "text_config": text | {"model_type": "diffusion_gemma_text"},
        "vision_config": vision,
    }
