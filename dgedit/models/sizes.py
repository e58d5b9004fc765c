"""Count a model's parameters from its configuration alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from dgedit_engine.model.config import Config

Bits = Literal["int8", "int4"]
"""What a model's matrices become, roughly: experts, and a head, have kinds of their own."""

_BITS = {"e2m1": 4.5, "int4": 4.5, "e4m3": 8.0, "int8": 8.0}
"""Bits of a weight with its share of the scales: 8 bits for 16 e2m1 weights, 16 for 32 int4."""


def quantised_bytes(config: Config, *, experts: str, rest: str | None) -> int:
    """Estimate a model's size on disk with matrices of these kinds, about 2% too much. A head of
    its own has 8 bits at least.
    """
    bits = 16.0 if rest is None else _BITS[rest]
    head = 0 if config.tied else embedding_count(config)
    numbers = (other_count(config) - head) * bits + head * max(bits, 8)
    numbers += embedding_count(config) * 16 + expert_count(config) * _BITS[experts]
    return int(numbers / 8 * 1.02) + (1 << 20)


def in_words(number: int) -> str:
    """Format a number of parameters: "25.2B"."""
    for unit, length in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if number >= length:
            return f"{number / length:.1f}{unit}"
    return str(number)


def embedding_count(config: Config) -> int:
    """Count the embedding's parameters."""
    return config.vocab * config.dim


def expert_count(config: Config) -> int:
    """Count the experts' parameters."""
    return len(config.layers) * config.experts * 3 * config.dim * config.expert_width


def other_count(config: Config) -> int:
    """Count all parameters but embedding and experts; vectors, which hardly count, are included."""
    biased = config.family == "starcoder2"  # a LayerNorm's too, and no gate
    dim, dense, experts = config.dim, (2 if biased else 3) * config.dim * config.mlp, config.experts
    total = dim * (1 + biased) + (dim + dense if config.conditioned else 0)
    total += config.marks * dim + (0 if config.tied else config.vocab * dim)
    norms = 4 if config.closed or biased else 2
    for layer in config.layers:
        shared = config.family == "gemma4" and not layer.sliding  # the keys serve as values
        rows = 2 * config.heads + (1 if shared else 2) * layer.kv_heads  # 2: queries and output
        total += rows * layer.head_dim * dim + dense + norms * dim
        total += 2 * layer.head_dim if config.qk_norm else 0
        total += (config.heads + 2 * layer.kv_heads) * layer.head_dim if config.qkv_bias else 0
        total += 2 * dim + config.mlp if biased else 0
        total += 4 * dim + experts * dim + experts if experts else 0  # norms and router
    return total
