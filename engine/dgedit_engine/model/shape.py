"""A model's shape and its sampler's settings, in our words. Knows no files and no key names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from dgedit_engine.types import MOST_STEPS, ModelError

Family = Literal["gemma4", "gemma3", "llama", "starcoder2"]

_COUNTS = ("vocab", "dim", "heads", "window", "mlp", "canvas", "context")
_EXPERTS = ("experts", "active", "expert_width")


@dataclass(frozen=True, slots=True)
class LayerConfig:
    """The shape of one layer's attention."""

    sliding: bool
    """Sees `window` tokens back; a full layer sees all."""
    kv_heads: int
    """Key and value heads, K."""
    head_dim: int
    """Width of a head, E."""
    rope_theta: float
    """Base of the rotary embedding's wavelengths."""
    rotated: int
    """Pairs that rotate; the others of head_dim / 2 keep still (partial RoPE)."""
    stretch: float | tuple[float, ...] = 1.0
    """Positions are divided by it before they rotate (linear scaling, arXiv 2306.15595); for each
    rotated pair its own, where there are several (Llama 3).
    """


@dataclass(frozen=True, slots=True)
class MaskTokens:
    """The tokens by which a masked diffusion model says what is missing."""

    mask: int
    """Stands where a token is missing."""
    expand: int | None = None
    """Predicted where two are missing, in a model that chooses lengths; a predicted end is then a
    slot too many.
    """
    aligned: bool = False
    """Whether a token is predicted at its own place, as LLaDA does, not at the one before it."""


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
    """Experts in each layer, N; 0: the dense MLP alone."""
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
    softcap: float | None = 30.0
    """Logits are bounded to plus and minus this; None: they are not."""
    family: Family = "gemma4"
    """gemma4 (DiffusionGemma, Gemma 4): values are normed, full layers may take their keys for
    values, each layer ends with a scalar. gemma3: none of the three, and files have norms less 1.
    llama (Llama, Qwen2, Qwen3): no norm behind attention and MLP, SiLU in the MLP, embeddings as
    they are. starcoder2: the same with LayerNorms, an MLP without a gate and a bias of every
    product.
    """
    query_scale: float = 1.0
    """What queries, normed if they are, are multiplied by."""
    qk_norm: bool = True
    """Whether queries and keys are normed; Llama's and Qwen2's are not."""
    qkv_bias: bool = False
    """Whether a bias is added to queries, keys and values (Qwen2, StarCoder2)."""
    tied: bool = True
    """Whether the embedding is the head too."""
    shared_values: bool = True
    """Whether a full layer of a gemma4 has its keys for values too."""
    conditioned: bool = True
    """Whether canvases read what the last step predicted (`SelfConditioning`)."""
    marks: int = 0
    """Marks that a slot of a canvas may bear, M: its row, say, or that it is given; the first one
    stands for none. 0: no slot bears any, and only the order of the slots tells where they are.
    """
    bos: int | None = 2
    """First token of a prompt."""
    eos: tuple[int, ...] = (1,)
    """Tokens that end a text."""
    pad: int = 0
    """Filler that carries no text."""
    masks: MaskTokens | None = None
    """Of a masked diffusion model: it reads a whole window of text bidirectionally, masks in the
    holes, and predicts each token at the one before it. None: of any other.
    """

    def __post_init__(self) -> None:
        for name in _COUNTS:
            _check_number(name, getattr(self, name), whole=True)
        for name in _EXPERTS:
            _check_number(name, getattr(self, name), whole=True, zero=not self.experts)
        _check_number("marks", self.marks, whole=True, zero=True)
        for name in ("eps", "query_scale"):
            _check_number(name, getattr(self, name))
        if self.softcap is not None or self.diffusion:
            _check_number("softcap", self.softcap)
        for end in self.eos:
            _check_number("end token", end, whole=True, zero=True)
        if self.masks is not None:
            expand = 0 if self.masks.expand is None else self.masks.expand
            for token in (self.masks.mask, expand):
                _check_number("mask token", token, whole=True, zero=True)
                if token >= self.vocab:
                    raise ModelError(f"mask token {token} of a vocabulary of {self.vocab}")
        if not self.eos or self.eos[0] >= self.vocab:
            raise ModelError(f"end tokens {list(self.eos)} of a vocabulary of {self.vocab}")
        if not self.layers or (self.layers[-1].sliding and self.family == "gemma4"):
            raise ModelError(
                f"the last of {len(self.layers)} layers must be a full-attention layer"
            )
        for layer in self.layers:
            _check_layer(layer)
            if self.heads % layer.kv_heads:
                raise ModelError(
                    f"{self.heads} heads cannot be shared by {layer.kv_heads} kv heads"
                )
        if self.closed and not (self.qk_norm and self.tied and not self.qkv_bias):
            raise ModelError(f"a {self.family} without the norms and the head of its kind")
        if self.family == "starcoder2" and (self.qk_norm or not self.qkv_bias or self.experts):
            raise ModelError("a starcoder2 without the biases of its kind, or with more")
        if not min(1, self.experts) <= self.active <= self.experts:
            raise ModelError(f"{self.active} active experts of {self.experts}")

    @property
    def closed(self) -> bool:
        """Whether a norm is behind attention and MLP too: Gemma's shape, not Llama's."""
        return self.family in ("gemma4", "gemma3")

    @property
    def embed_scale(self) -> float:
        """What embeddings are multiplied by: the square root of the width, or 1 in a Llama."""
        return float(self.dim**0.5) if self.closed else 1.0

    @property
    def diffusion(self) -> bool:
        """Whether it is a DiffusionGemma, and no Gemma 4, which has all but its canvases."""
        return self.family == "gemma4" and self.conditioned

    @property
    def left_to_right(self) -> bool:
        """Whether its kind was published as a base that reads from left to right alone."""
        return self.family != "gemma4" and self.masks is None


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
        if self.steps > MOST_STEPS:
            raise ModelError(f"steps must be at most {MOST_STEPS}, not {self.steps}")
        _check_number("stability", self.stability, whole=True, zero=True)
        for name in ("entropy_bound", "t_min", "confidence"):
            _check_number(name, getattr(self, name), zero=True)
        _check_number("t_max", self.t_max)
        if self.t_max < self.t_min:
            raise ModelError(f"t_max {self.t_max} is below t_min {self.t_min}")


def _check_layer(layer: LayerConfig) -> None:
    _check_number("kv_heads", layer.kv_heads, whole=True)
    _check_number("head_dim", layer.head_dim, whole=True)
    _check_number("rope_theta", layer.rope_theta)
    each = layer.stretch if isinstance(layer.stretch, tuple) else (layer.stretch,)
    for stretch in each:
        _check_number("stretch", stretch)
    if len(each) not in (1, layer.head_dim // 2):
        raise ModelError(f"{len(each)} divisors of {layer.head_dim // 2} pairs")
    if layer.head_dim % 2 or not 0 <= layer.rotated <= layer.head_dim // 2:
        raise ModelError(f"{layer.rotated} rotated pairs in a head of {layer.head_dim}")


def _check_number(name: str, value: Any, *, whole: bool = False, zero: bool = False) -> None:
    """Raise ModelError, naming the value, for one that is not positive and finite (or 0)."""
    kind = int if whole else (int, float)
    good = isinstance(value, kind) and not isinstance(value, bool)
    if not good or not (0 < value < math.inf or (zero and value == 0)):
        least = "at least 0" if zero else "positive"
        raise ModelError(f"{name} must be {least}{' and whole' if whole else ''}, not {value!r}")
