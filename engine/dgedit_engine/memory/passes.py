"""Estimate, from shapes, the device memory that a prompt's cache and forward passes over it take.

The cache is counted on tensors without data, made by the code that makes the real one. What a pass
writes is an upper estimate, in the terms of `model.py`, `loop_cuda.py` and `loop.py`, and the tests
hold it to real passes: a change of those needs a change here. Knows no weights and no files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from dgedit_engine.decode.canvas import SIZES
from dgedit_engine.decode.canvas_drafts import ROWS, SLOTS
from dgedit_engine.decode.causal import LONGEST
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.joint import LOGITS, TOGETHER
from dgedit_engine.decode.pool import LONGEST as LONGEST_DRAFT
from dgedit_engine.model import products
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.cache_cuda import CHUNK, GROWTH, DeviceCache
from dgedit_engine.model.config import Config
from dgedit_engine.prompt.plain import TOKENS as PLAIN
from dgedit_engine.types import ModelError

KV = Literal["bf16", "fp8"]
"""How a prompt's keys and values are kept: as wide as the embedding, or in 8 bits."""

_MASKS, _SAMPLED = 64, 40  # masks of a window, and bytes for each of their tokens in a draw
_GPU_BYTES = 384 << 20
"""Taken of a GPU whatever the shape: 0.5 to 1 MB lost to the allocator behind each of some 200
large tensors, 32 MiB of cuBLAS's for each of three streams, the kernels' code and the graphs'
nodes.
"""
_SPLIT_BYTES = 24 << 20
"""Partial sums of kernels that share out a tile: 128 rows of 256 columns in fp32 for each of up to
190 processors.
"""
_TOP_BYTES = 4096 * 24
"""Bytes for each slot while its most probable tokens are found: 64 groups of 64 logits and their
places, twice.
"""
_WIDENED = 4 << 20
"""Entries of a matrix of codes that are widened at a time where no kernel reads them."""
_WRITTEN = 20
"""Bytes for each logit where the whole distribution is written: five numbers in fp32."""


@dataclass(frozen=True, slots=True)
class Setting:
    """All that decides how much memory a pass takes, beside the context."""

    config: Config
    """The shape."""
    decoding: Decoding
    """How many candidates there are."""
    on_gpu: bool
    """Whether kernels and captured steps run, or PyTorch alone."""
    matrices: torch.dtype
    """Dtype of the embedding, and so of keys and values."""
    between: torch.dtype
    """Dtype of the activations that go from layer to layer."""
    packed: bool = False
    """Whether matrices have codes beside their numbers (`cpu_int8`)."""
    head: int | None = None
    """Tokens of the head, where it has a shortlist."""

    @property
    def rows(self) -> int:
        """Candidates side by side: the model's own number, twice as many at effort 1."""
        return self.decoding.candidates * (2 if self.decoding.candidates > 1 else 1)

    @property
    def slots(self) -> int:
        """Slots of the largest canvas."""
        return max(self.config.canvas, min(SIZES[-1], 2 * self.config.canvas))


def widths(device: torch.device, stored: torch.dtype) -> tuple[torch.dtype, torch.dtype]:
    """Return the dtypes of plain weights, which are `stored` so, and of the activations between
    them.

    On a CPU activations are fp32. Weights are too where it has no bfloat16 instructions, which is
    faster.
    """
    if device.type != "cpu":
        return stored, stored
    return stored if products.has_bfloat16() else torch.float32, torch.float32


def cached(setting: Setting, context: int, kv: KV) -> int:
    """Return the bytes of the keys and values of `context` tokens. On a CPU, buffers are there
    twice as they grow, the new ones with room for the canvases too; on a GPU one layer's at a time.
    Raises ModelError for fp8 on a CPU.
    """
    config, dtype = setting.config, setting.matrices
    if not setting.on_gpu:
        if kv == "fp8":
            raise ModelError("keys and values in fp8 need a GPU")
        empty = KVCache(config, device="meta", dtype=dtype)
        each = sum(one.nbytes for one in empty.keys + empty.values) // empty.capacity
        return each * (2 * context + setting.rows * setting.slots + 2 * empty.capacity)
    stored = torch.float8_e4m3fn if kv == "fp8" else None
    room = max(context, GROWTH)
    cache = DeviceCache(config, device="meta", dtype=dtype, stored=stored, capacity=room)
    return cache.nbytes + max(one.nbytes for one in cache.keys)


def worked(setting: Setting, context: int) -> int:
    """Return the bytes that the largest of these takes: reading a part of the prompt, a step,
    ranking candidates.
    """
    config, rows, slots = setting.config, setting.rows, setting.slots
    if config.masks is not None:
        beside = _GPU_BYTES if setting.on_gpu else 0
        return beside + _pass(setting, context, context) + _SAMPLED * _MASKS * config.vocab
    if config.left_to_right:
        return _left_to_right(setting, context)
    part = min(context, CHUNK if setting.on_gpu else KVCache.chunk)
    reading = _pass(setting, part, context)
    step = _pass(setting, rows * slots, context + rows * slots)
    ranked, tokens = 0, rows * LONGEST
    if rows > 1:
        ranked = _pass(setting, tokens, context + tokens) + 12 * tokens * config.vocab
    if not setting.on_gpu:
        return max(reading, step + _WRITTEN * rows * slots * config.vocab, ranked)
    if rows > 1:  # drafts have the prompt's keys for themselves
        room = context + GROWTH
        fork = DeviceCache(config, device="meta", batch=rows, dtype=setting.matrices, capacity=room)
        ranked += fork.nbytes
    # logits of a row at a time, and the most probable tokens' places
    step += slots * (config.vocab * setting.matrices.itemsize * 33 // 32 + _TOP_BYTES)
    # graphs keep what the largest of them takes; beside it is what runs uncaptured
    return _GPU_BYTES + max(reading, step) + max(reading, step, ranked)


def _left_to_right(setting: Setting, context: int) -> int:
    """Return the same where drafts are written and judged from left to right (`search.py`)."""
    config, on_gpu = setting.config, setting.on_gpu
    part = min(context, CHUNK if on_gpu else KVCache.chunk)
    one = KVCache(config, device="meta", dtype=setting.matrices)
    each = sum(buffer.nbytes for buffer in one.keys + one.values) // one.capacity
    prompt = min(context, PLAIN)
    # a GPU's drafts have the prompt's keys for themselves; all grow, or drop rows, by copying
    slots = 2 * (prompt + LONGEST_DRAFT if on_gpu else LONGEST_DRAFT)
    scores = 16 * config.heads * (prompt + LONGEST_DRAFT)
    drafts = setting.rows * (each * slots + scores)
    logits = 4 * 4 * max(LOGITS, setting.rows) * (setting.head or config.vocab)
    judged = _pass(setting, TOGETHER, context + TOGETHER)
    canvases = 0
    if setting.decoding.canvas:
        slots = ROWS * (SLOTS + 1)
        canvases = _pass(setting, slots, context + slots)
        canvases += _WRITTEN * slots * (setting.head or config.vocab)
    reading = _pass(setting, part, context)
    beside = _GPU_BYTES + reading if on_gpu else 0  # which a graph keeps
    return beside + max(reading, drafts + max(logits + judged, canvases))


def _pass(setting: Setting, tokens: int, keys: int) -> int:
    """Return the bytes of what goes from layer to layer, and of the most that a layer writes in
    between: around attention, the dense MLP or the experts.
    """
    config, size, narrow = setting.config, setting.between.itemsize, setting.matrices.itemsize
    joined = max((config.heads + 2 * one.kv_heads) * one.head_dim for one in config.layers)
    attention = 4 * joined * size
    dense = 4 * config.mlp * size
    chosen = config.active * size
    experts = chosen * (config.expert_width + config.dim) + 12 * config.experts
    if setting.decoding.w8a8:  # rounded, beside what they are rounded from
        attention += joined
        dense += config.mlp
        experts += config.active * config.expert_width
    beside = _SPLIT_BYTES
    if not setting.on_gpu:
        attention += 3 * keys * (config.heads * narrow + 2)  # all scores, and masks
        experts += 3 * chosen * config.dim
        largest = max(config.mlp, config.expert_width, joined) * 2 * config.dim
        beside = 24 * min(_WIDENED, largest)
    return tokens * (8 * config.dim * size + max(attention, dense, experts)) + beside
