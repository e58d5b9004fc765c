"""Read and write a checkpoint's `config.json` and `generation_config.json`.

The one place, with `checkpoint.py` and `formats`, where Hugging Face's key names appear. Values
come from the files: the class defaults in transformers are placeholders, so a key that decides a
shape and is missing is an error. A GGUF file has the same values in its header.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from dgedit_engine.files import small
from dgedit_engine.formats import gguf
from dgedit_engine.formats.source import named, refuse_many
from dgedit_engine.model import config_gemma4, config_llama, config_masks
from dgedit_engine.model.config_gemma4 import ARCHITECTURE
from dgedit_engine.model.config_llama import CANVAS
from dgedit_engine.model.shape import Config, LayerConfig, Sampling
from dgedit_engine.types import ModelError

__all__ = [
    "ARCHITECTURE",
    "GEMMA3",
    "Config",
    "LayerConfig",
    "Sampling",
    "home",
    "load_config",
    "load_sampling",
    "save_config",
]

GEMMA3 = ("Gemma3ForCausalLM", "Gemma3ForConditionalGeneration")
"""Architectures whose text part is Gemma 3's; the second looks at images too."""

_FAMILY = "gemma3"  # how its model types begin; Gemma 3n's is another architecture
_LEFT_OUT: dict[str, Any] = {
    **{"vocab_size": 262_208, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256},
    **{"max_position_embeddings": 131_072, "rope_theta": 1e6, "query_pre_attn_scalar": 256},
}
"""Values that the released files of Gemma 3 models that look at images leave out of their text
part, since they are the 4B model's (transformers 5.23, configuration_gemma3.py).
"""


def home(path: Path) -> Path:
    """Return the folder of the files that belong to a model: its own, or that of its GGUF file."""
    return path.parent if path.suffix == gguf.SUFFIX else path


def load_config(folder: Path) -> Config:
    """Load the architecture from `folder/config.json`, or from the header of the GGUF file that
    `folder` is or holds. Raises ModelError, naming the value, for anything else.
    """
    path = home(folder) / "config.json"
    file = None if path.exists() else gguf.found(folder)
    with named(file or path):
        try:
            return _config(_described(path) if file is None else gguf.configuration(file))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise ModelError(f"missing or unusable value: {error!r}") from error


def load_sampling(folder: Path) -> Sampling:
    """Load the sampler's settings from `folder/generation_config.json`; where a value is absent,
    the released one. Raises ModelError, naming the value, for one that no sampler can use.
    """
    path = home(folder) / "generation_config.json"
    raw = _read_json(path) if path.exists() else {}
    sampler = raw.get("sampler_config") or {}
    if not isinstance(sampler, dict):
        raise ModelError(f"{path}: sampler_config {sampler!r}")
    values = {
        "steps": raw.get("max_denoising_steps"),
        "entropy_bound": sampler.get("entropy_bound"),
        "t_min": raw.get("t_min"),
        "t_max": raw.get("t_max"),
        "stability": raw.get("stability_threshold"),
        "confidence": raw.get("confidence_threshold"),
    }
    try:
        return Sampling(**{key: value for key, value in values.items() if value is not None})
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def save_config(config: Config, sampling: Sampling, folder: Path) -> None:
    """Write both files into `folder` so that transformers reads them too. Needs one shape for all
    layers of a kind. Raises ModelError for a Llama 3's rope.
    """
    written = {"gemma4": _gemma4_json, "gemma3": _gemma3_json}
    model = written.get(config.family, config_llama.written)(config)
    generation = {
        "max_denoising_steps": sampling.steps,
        "sampler_config": {
            "_cls_name": "EntropyBoundSamplerConfig",
            "entropy_bound": sampling.entropy_bound,
        },
        "t_min": sampling.t_min,
        "t_max": sampling.t_max,
        "stability_threshold": sampling.stability,
        "confidence_threshold": sampling.confidence,
        "eos_token_id": list(config.eos),
        "pad_token_id": config.pad,
    }
    (folder / "config.json").write_text(json.dumps(model, indent=2) + "\n")
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")


def _gemma4_json(config: Config) -> dict[str, Any]:
    return config_gemma4.written(config, _text(config, config.layers[0]))


def _gemma3_json(config: Config) -> dict[str, Any]:
    """A Gemma 3's config.json: transformers' keys and, beside them, what makes it one of ours."""
    ropes = {
        _kind(layer): {"rope_type": "default", "rope_theta": layer.rope_theta}
        | ({} if layer.stretch == 1 else {"rope_type": "linear", "factor": layer.stretch})
        for layer in config.layers
    }
    scalar = config.query_scale**-2
    ours = {"self_conditioning": True} if config.conditioned else {}
    return {
        "architectures": [GEMMA3[0]],
        "model_type": "gemma3_text",
        "canvas_length": config.canvas,
        **ours,
        "dtype": "bfloat16",
        **_text(config, config.layers[0]),
        "query_pre_attn_scalar": round(scalar) if abs(scalar - round(scalar)) < 1e-6 else scalar,
        "rope_parameters": ropes,
    }


def _text(config: Config, layer: LayerConfig) -> dict[str, Any]:
    """Return what both families' files say of the text part, `layer` one of the sliding ones."""
    return {
        "vocab_size": config.vocab,
        "hidden_size": config.dim,
        "intermediate_size": config.mlp,
        "num_hidden_layers": len(config.layers),
        "num_attention_heads": config.heads,
        "num_key_value_heads": layer.kv_heads,
        "head_dim": layer.head_dim,
        "hidden_activation": "gelu_pytorch_tanh",
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.eps,
        "sliding_window": config.window,
        "layer_types": [_kind(layer) for layer in config.layers],
        "final_logit_softcapping": config.softcap,
        "tie_word_embeddings": True,
        "bos_token_id": config.bos,
        "eos_token_id": list(config.eos) if len(config.eos) > 1 else config.eos[0],
        "pad_token_id": config.pad,
    }


def _kind(layer: LayerConfig) -> str:
    return "sliding_attention" if layer.sliding else "full_attention"


def _described(path: Path) -> dict[str, Any]:
    """Return what a config.json says, if it is of a known architecture."""
    raw = _read_json(path)
    names = raw.get("architectures")
    names = names if isinstance(names, list) and names else [raw.get("model_type")]
    known = {ARCHITECTURE, *GEMMA3, "diffusion_gemma", _FAMILY, f"{_FAMILY}_text"}
    found = {str(raw.get("model_type")), *map(str, names)}
    shaped = config_gemma4.is_gemma4(raw) or config_llama.kind_of(raw) is not None
    if not known & found and not shaped:
        others = ", ".join((GEMMA3[0], config_gemma4.GEMMA4[0], *config_llama.CLASSES.values()))
        raise ModelError(f"architecture {names[0]}, not {ARCHITECTURE} or one of {others}")
    if config_llama.kind_of(raw) is not None:
        return config_masks.with_masks(raw, path.parent)
    return raw


def _config(raw: dict[str, Any]) -> Config:
    names = {str(raw.get("model_type")), *map(str, raw.get("architectures") or ())}
    if names & {*GEMMA3, _FAMILY, f"{_FAMILY}_text"}:
        return _gemma3(raw)
    if (kind := config_llama.kind_of(raw)) is not None:
        return config_llama.configured(raw, kind)
    return config_gemma4.configured(raw)


def _gemma3(raw: dict[str, Any]) -> Config:
    """Gemma 3's text part, alone or inside a model that looks at images too."""
    inner = raw.get("text_config")
    text = raw if inner is None else _LEFT_OUT | inner
    if (activation := text.get("hidden_activation", "gelu_pytorch_tanh")) != "gelu_pytorch_tanh":
        raise ValueError(f"hidden_activation {activation}")
    for name in ("attention_bias", "attn_logit_softcapping", "use_bidirectional_attention"):
        if text.get(name):
            raise ValueError(f"{name} {text[name]!r}, which this engine does not know")
    count = text["num_hidden_layers"]
    refuse_many(count)
    every = text.get("sliding_window_pattern") or text.get("_sliding_window_pattern") or 6
    kinds = text.get("layer_types") or [
        "full_attention" if (index + 1) % every == 0 else "sliding_attention"
        for index in range(count)
    ]
    if len(kinds) != count:
        raise ValueError(f"{count} layers, but {len(kinds)} layer_types")
    eos = raw.get("eos_token_id", text.get("eos_token_id", 1))
    return Config(
        vocab=text["vocab_size"],
        dim=text["hidden_size"],
        heads=text["num_attention_heads"],
        layers=tuple(_gemma3_layer(text, kind) for kind in kinds),
        window=text["sliding_window"],
        mlp=text["intermediate_size"],
        experts=0,
        active=0,
        expert_width=0,
        canvas=raw.get("canvas_length", CANVAS),
        context=text["max_position_embeddings"],
        eps=text.get("rms_norm_eps", 1e-6),
        softcap=text.get("final_logit_softcapping"),
        bos=text.get("bos_token_id", 2),
        eos=tuple(eos) if isinstance(eos, list) else (eos,),
        pad=text.get("pad_token_id", 0),
        family="gemma3",
        query_scale=float(text["query_pre_attn_scalar"]) ** -0.5,
        conditioned=bool(raw.get("self_conditioning", False)),
    )


def _gemma3_layer(text: dict[str, Any], kind: str) -> LayerConfig:
    """A layer's shape, whose rope older files describe in keys of their own."""
    sliding = {"sliding_attention": True, "full_attention": False}[kind]
    ropes = text.get("rope_parameters") or {
        "sliding_attention": {"rope_theta": text.get("rope_local_base_freq", 10_000.0)},
        "full_attention": {"rope_theta": text["rope_theta"], **(text.get("rope_scaling") or {})},
    }
    rope = ropes[kind]
    named = rope.get("rope_type") or rope.get("type") or "default"  # the second, in older files
    stretch = float(rope["factor"]) if named == "linear" else 1.0
    if named not in ("default", "linear") or not 1 <= stretch < math.inf:
        raise ValueError(f"rope {rope}")
    return LayerConfig(
        sliding=sliding,
        kv_heads=text["num_key_value_heads"],
        head_dim=text["head_dim"],
        rope_theta=float(rope["rope_theta"]),
        rotated=text["head_dim"] // 2,
        stretch=stretch,
    )


def _read_json(path: Path) -> dict[str, Any]:
    if (raw := small.table(path)) is None:
        raise ModelError(f"no model here: {path} does not exist")
    return raw
