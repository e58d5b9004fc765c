"""What a checkpoint's `config.json` and `generation_config.json` say, in our words.

The one place, with `checkpoint.py` and `formats`, where Hugging Face's key names appear. Values
come from the files: the class defaults in transformers are placeholders, so a key that decides a
shape and is missing is an error. A GGUF file says the same in its header.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgedit_engine.formats import gguf
from dgedit_engine.formats.source import named
from dgedit_engine.types import ModelError

ARCHITECTURE = "DiffusionGemmaForBlockDiffusion"

_COUNTS = (
    *("vocab", "dim", "heads", "window", "mlp", "experts", "active", "expert_width", "canvas"),
    "context",
)


@dataclass(frozen=True, slots=True)
class LayerConfig:
    """The shape of one layer's attention."""

    sliding: bool
    """Sees `window` tokens back; a full layer sees all, and shares its keys as values."""
    kv_heads: int
    """Key and value heads, K."""
    head_dim: int
    """Width of a head, E."""
    rope_theta: float
    """Base wavelength of the rotary embedding."""
    rotated: int
    """Pairs that rotate; the others of head_dim / 2 keep still (partial RoPE)."""


@dataclass(frozen=True, slots=True)
class Config:
    """The architecture of one model."""

    vocab: int
    """Tokens, V."""
    dim: int
    """Model width, D."""
    heads: int
    """Query heads, H."""
    layers: tuple[LayerConfig, ...]
    """One for each layer, in order."""
    window: int
    """Tokens that a sliding layer sees, itself included."""
    mlp: int
    """Width of the dense MLP and of the self-conditioning block."""
    experts: int
    """Experts in each layer, N."""
    active: int
    """Experts for each token, A."""
    expert_width: int
    """Width of one expert, F."""
    canvas: int
    """Slots of the largest canvas, C."""
    context: int
    """Largest position plus one."""
    eps: float = 1e-6
    """Added to the mean square in every norm."""
    softcap: float = 30.0
    """Logits are bounded to plus and minus this."""
    bos: int | None = 2
    """First token of a prompt."""
    eos: tuple[int, ...] = (1,)
    """Tokens that end a text."""
    pad: int = 0
    """Filler that carries no text."""

    def __post_init__(self) -> None:
        for name in _COUNTS:
            _check_number(name, getattr(self, name), whole=True)
        for name in ("eps", "softcap"):
            _check_number(name, getattr(self, name))
        for end in self.eos:
            _check_number("end token", end, whole=True, zero=True)
        if not self.eos or self.eos[0] >= self.vocab:
            raise ModelError(f"end tokens {list(self.eos)} of a vocabulary of {self.vocab}")
        if not self.layers or self.layers[-1].sliding:
            raise ModelError(
                f"the last of {len(self.layers)} layers must be a full-attention layer"
            )
        for layer in self.layers:
            _check_layer(layer)
            if self.heads % layer.kv_heads:
                raise ModelError(
                    f"{self.heads} heads cannot be shared by {layer.kv_heads} kv heads"
                )
        if not 0 < self.active <= self.experts:
            raise ModelError(f"{self.active} active experts of {self.experts}")

    @property
    def embed_scale(self) -> float:
        """Embeddings are multiplied by the square root of the width."""
        return float(self.dim**0.5)


@dataclass(frozen=True, slots=True)
class Sampling:
    """The released sampler's settings (`generation_config.json`)."""

    steps: int = 48
    """Most steps for one canvas."""
    entropy_bound: float = 0.1
    """Nats of joint uncertainty accepted in one step (arXiv 2505.24857)."""
    t_min: float = 0.4
    """Temperature that the schedule runs towards."""
    t_max: float = 0.8
    """Temperature of the first step."""
    stability: int = 1
    """Steps for which the argmax must not have changed before a stop."""
    confidence: float = 0.005
    """Mean entropy of the free slots, in nats, below which a stable canvas stops."""

    def __post_init__(self) -> None:
        _check_number("steps", self.steps, whole=True)
        _check_number("stability", self.stability, whole=True, zero=True)
        for name in ("entropy_bound", "t_min", "confidence"):
            _check_number(name, getattr(self, name), zero=True)
        _check_number("t_max", self.t_max)
        if self.t_max < self.t_min:
            raise ModelError(f"t_max {self.t_max} is below t_min {self.t_min}")


def home(path: Path) -> Path:
    """The folder of the files that belong to a model: its own, or that of its GGUF file."""
    return path.parent if path.suffix == gguf.SUFFIX else path


def load_config(folder: Path) -> Config:
    """The architecture in `folder/config.json`, or in the header of the GGUF file that `folder` is
    or holds. Raises ModelError, naming the value, for anything else.
    """
    path = home(folder) / "config.json"
    file = None if path.exists() else gguf.found(folder)
    with named(file or path):
        try:
            return _config(_described(path) if file is None else gguf.configuration(file))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise ModelError(f"missing or unusable value: {error!r}") from error


def load_sampling(folder: Path) -> Sampling:
    """The sampler's settings in `folder/generation_config.json`; the released ones where a value is
    absent. Raises ModelError, naming the value, for one that no sampler can use.
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
    """Write both files so that transformers reads them too. Needs one shape for all layers of a
    kind.
    """
    sliding = next((layer for layer in config.layers if layer.sliding), config.layers[-1])
    full = config.layers[-1]
    text = {
        "model_type": "diffusion_gemma_text",
        "vocab_size": config.vocab,
        "hidden_size": config.dim,
        "intermediate_size": config.mlp,
        "num_hidden_layers": len(config.layers),
        "num_attention_heads": config.heads,
        "num_key_value_heads": sliding.kv_heads,
        "head_dim": sliding.head_dim,
        "hidden_activation": "gelu_pytorch_tanh",
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.eps,
        "sliding_window": config.window,
        "layer_types": [
            "sliding_attention" if layer.sliding else "full_attention" for layer in config.layers
        ],
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": sliding.rope_theta},
            "full_attention": {
                "rope_type": "proportional",
                "rope_theta": full.rope_theta,
                "partial_rotary_factor": 2 * full.rotated / full.head_dim,
            },
        },
        "per_layer_config": {
            str(index): {"head_dim": layer.head_dim, "num_key_value_heads": layer.kv_heads}
            for index, layer in enumerate(config.layers)
            if not layer.sliding
        },
        "final_logit_softcapping": config.softcap,
        "num_experts": config.experts,
        "top_k_experts": config.active,
        "moe_intermediate_size": config.expert_width,
        "tie_word_embeddings": True,
        "bos_token_id": config.bos,
        "eos_token_id": list(config.eos) if len(config.eos) > 1 else config.eos[0],
        "pad_token_id": config.pad,
    }
    # transformers builds a vision tower for every model of this class; this is the smallest it
    # takes.
    vision = {
        "model_type": "gemma4_vision",
        "hidden_size": 16,
        "intermediate_size": 16,
        "head_dim": 16,
    }
    vision |= {"num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1}
    model = {
        "architectures": [ARCHITECTURE],
        "model_type": "diffusion_gemma",
        "canvas_length": config.canvas,
        "dtype": "bfloat16",
        "tie_word_embeddings": True,
        "text_config": text,
        "vision_config": vision,
    }
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


def _described(path: Path) -> dict[str, Any]:
    """What a config.json says, if it is of this architecture."""
    raw = _read_json(path)
    names = raw.get("architectures")
    names = names if isinstance(names, list) and names else [raw.get("model_type")]
    if ARCHITECTURE not in names and raw.get("model_type") != "diffusion_gemma":
        raise ModelError(f"architecture {names[0]}, not {ARCHITECTURE}")
    return raw


def _config(raw: dict[str, Any]) -> Config:
    text = raw["text_config"]
    kinds = list(text["layer_types"])
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
        canvas=raw["canvas_length"],
        context=text["max_position_embeddings"],
        eps=text.get("rms_norm_eps", 1e-6),
        softcap=text.get("final_logit_softcapping", 30.0),
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
    shape |= (text.get("per_layer_config") or {}).get(str(index), {})
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


def _check_layer(layer: LayerConfig) -> None:
    _check_number("kv_heads", layer.kv_heads, whole=True)
    _check_number("head_dim", layer.head_dim, whole=True)
    _check_number("rope_theta", layer.rope_theta)
    if layer.head_dim % 2 or not 0 <= layer.rotated <= layer.head_dim // 2:
        raise ModelError(f"{layer.rotated} rotated pairs in a head of {layer.head_dim}")


def _check_number(name: str, value: Any, *, whole: bool = False, zero: bool = False) -> None:
    """Raise ModelError, naming the value, for one that is not positive and finite (or 0)."""
    kind = int if whole else (int, float)
    good = isinstance(value, kind) and not isinstance(value, bool)
    if not good or not (0 < value < math.inf or (zero and value == 0)):
        least = "at least 0" if zero else "positive"
        raise ModelError(f"{name} must be {least}{' and whole' if whole else ''}, not {value!r}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"no model here: {path} does not exist") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: {error}") from error
    if not isinstance(raw, dict):
        raise ModelError(f"{path}: not a JSON object")
    return raw
