"""Plan the memory of a training run before a weight is read, and refuse what does not fit.

Weights are counted from the files' headers, as they will be kept: as numbers or as codes. What a
pass keeps for the backward one is an upper estimate, in the terms of `model.py` under gradients
(the norms, products and attention of PyTorch, `both_run.py`'s logits in parts); the tests hold it
to real steps. Knows no device: how much is free is an argument.

Letters: T prompt tokens, C slots, K canvases, D width, J width of joined projections, A experts of
a token, F their width, V vocabulary, s bytes of a number between layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from dgedit_engine.formats import opened
from dgedit_engine.formats.source import named
from dgedit_engine.memory.plan import TooLarge
from dgedit_engine.memory.words import rounded_down, rounded_up
from dgedit_engine.model.config import load_config
from dgedit_engine.model.model import Model
from dgedit_engine.model.shape import Config, LayerConfig
from dgedit_engine.train.adapter import count
from dgedit_engine.train.both_recipe import BothRecipe
from dgedit_engine.train.both_run import LOGITS, check_base
from dgedit_engine.weights.checkpoint import make_room, planned
from dgedit_engine.weights.slots import slots

_GPU_BYTES = 1 << 30
"""Taken of a GPU whatever the shape: what the allocator loses, cuBLAS's room, kernels' code."""
_TRAINED = 16 + 12 + 8
"""Bytes for each number of the adapter: it, its gradient and two moments in fp32; what both passes
make of it in other dtypes; and what AdamW has in between.
"""
_LOGIT = 16
"""Bytes for each logit: three numbers in fp32, two in bfloat16."""
_WIDENED = 24 * (4 << 20)
"""Codes that are numbers for a moment, some rows or one expert at a time: 4 Mi of them."""


@dataclass(frozen=True, slots=True)
class TrainingNeed:
    """Memory that a training step takes at most, in bytes."""

    weights: int
    """The base, as it is kept."""
    adapter: int
    """The adapter with gradients and the optimiser's moments."""
    activations: int
    """What passes keep for the backward one, and what that takes."""
    logits: int
    """Logits that are there at a time."""
    again: bool
    """Whether layers are run again in the backward pass."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.adapter + self.activations + self.logits


def check(
    path: Path,
    recipe: BothRecipe,
    free: int,
    *,
    device: str,
    dtype: torch.dtype | None = None,
    again: bool = False,
) -> TrainingNeed:
    """Return what training the model in `path` takes of `device` with `free` bytes: with layers'
    activations kept if that fits and layers are not to be run `again`, else so. `dtype` is that of
    plain weights.

    Raises TooLarge, in one line that says what is needed and what there is, where neither fits;
    ModelError for a base that cannot be trained.
    """
    config = load_config(path)
    check_base(config)
    size = 4 if device.startswith("cpu") else 2
    activations = torch.float32 if device.startswith("cpu") else None
    weights = weights_of(path, config, dtype, activations)
    for one in (again, True):
        found = need_of(config, weights, recipe, again=one, size=size, device=device)
        if found.total <= free:
            return found
    raise TooLarge(f"{path}: {said(found)}, {device} has {rounded_down(free)} GB free")


def said(need: TrainingNeed) -> str:
    """Say a need in words."""
    parts = {"weights": need.weights, "adapter": need.adapter}
    parts |= {"activations": need.activations, "logits": need.logits}
    words = ", ".join(f"{name} {rounded_up(size)}" for name, size in parts.items())
    how = "layers run again" if need.again else "all layers kept"
    return f"training needs {rounded_up(need.total)} GB ({words}; {how})"


def weights_of(
    path: Path, config: Config, dtype: torch.dtype | None, activations: torch.dtype | None
) -> int:
    """Count the bytes of the weights in a folder or file as `checkpoint.load` keeps them, from
    headers alone. Raises ModelError for a model that cannot be opened.
    """
    source = opened(path)
    with torch.device("meta"):
        model = Model(config)
    with named(path):
        moves = planned(slots(model), source)
        make_room(moves, "meta", dtype or source.dtype, activations)
    return sum(slot.weight.nbytes for slot in {move.slot for move in moves})


def need_of(
    config: Config, weights: int, recipe: BothRecipe, *, again: bool, size: int, device: str
) -> TrainingNeed:
    """Return what a step of a recipe takes of a model of this shape whose weights take so many
    bytes; `size` is s.
    """
    on_gpu = not device.startswith("cpu")
    slots_ = max(recipe.sizes(config.canvas))
    canvases = recipe.copies * slots_
    passes = ((recipe.limit + slots_, 0), (canvases, recipe.limit))  # tokens, and keys behind
    worked = 3 * max(
        _kept(config, layer, tokens, past, size, on_gpu)
        for layer in config.layers
        for tokens, past in passes
    )
    tokens = sum(some for some, _ in passes)
    if again:
        held = sum(
            size * tokens * (2 * config.dim + 2 * layer.kv_heads * layer.head_dim)
            for layer in config.layers
        )
    else:
        held = sum(
            _kept(config, layer, some, past, size, on_gpu)
            for layer in config.layers
            for some, past in passes
        )
    counted = slots_ + (recipe.limit if recipe.text else 0)
    rows = min(LOGITS, config.vocab * max(counted, canvases))
    return TrainingNeed(
        weights=weights,
        adapter=_TRAINED * trained(config, recipe),
        activations=held + worked // 2 + _WIDENED + (_GPU_BYTES if on_gpu else 0),
        logits=_LOGIT * max(rows, config.vocab),
        again=again,
    )


def trained(config: Config, recipe: BothRecipe) -> int:
    """Count the numbers of an adapter."""
    with torch.device("meta"):
        model = Model(config)
    return count(model, recipe.settings())


def _kept(
    config: Config, layer: LayerConfig, tokens: int, past: int, size: int, on_gpu: bool
) -> int:
    """Bytes that one layer keeps of a pass over so many tokens behind others, in terms of D, J, the
    MLP's width and A experts; and all scores, where no fast kernel takes the heads.
    """
    keys, heads = tokens + past, config.heads
    joined = (heads + 2 * layer.kv_heads) * layer.head_dim
    wide = (10 + 2 * config.active) * config.dim + 6 * joined
    inner = 4 * config.mlp + 3 * config.active * config.expert_width
    scores = 0
    if not on_gpu or layer.head_dim > 256:
        scores = (8 if on_gpu else size) * heads * keys
    # behind a mask, a GPU's kernel takes keys and values for every head
    behind = 2 * keys * layer.head_dim * (heads if on_gpu else layer.kv_heads)
    return tokens * (size * (wide + inner) + scores) + size * behind
