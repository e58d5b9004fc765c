"""Find out which kernels a model launches, and how, without a weight and without a card.

The model is made of tensors that have shapes and no data, one layer of each kind, and run as a
fill runs it: a prompt's parts, captured and as they stand, drafts side by
side, texts to be scored, and the canvas's step at each of its sizes. Launches are watched where
they are made, and not made, so there is no second list of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from dgedit_engine.decode.canvas import SIZES
from dgedit_engine.decode.loop_cuda import DenoiseStep
from dgedit_engine.formats import opened
from dgedit_engine.formats.coding import coding
from dgedit_engine.formats.source import named
from dgedit_engine.memory.plan import Fit
from dgedit_engine.model.cache_cuda import CHUNK, DeviceCache
from dgedit_engine.model.config import Config, load_config
from dgedit_engine.model.layer import Layer
from dgedit_engine.model.masks import Reading, side_by_side
from dgedit_engine.model.model import Model
from dgedit_engine.model.prefill_cuda import SIZES as PARTS
from dgedit_engine.model.prefill_cuda import PromptPart
from dgedit_engine.weights.checkpoint import make_room, planned
from dgedit_engine.weights.slots import slots
from dgedit_engine.weights.w8a8 import CAPABILITY, round_activations
from dgedit_kernels.dispatch import CardLimits, Launch, watching
from dgedit_kernels.quantised import Quantised

_NEAR = 40
"""Lengths up to which all are tried; longer ones by sixteens, and the next two behind them, since a
compiler asks of a number whether 16 divides it.
"""


def launches(
    path: Path, fit: Fit, card: CardLimits, *, capability: int = CAPABILITY
) -> list[Launch]:
    """Return every launch of a fill with the model in `path`, each once, opened as `fit` says on a
    card like this one, of that compute capability. Raises ModelError for a model that cannot be
    opened.
    """
    found: dict[Launch, None] = {}

    def noted(one: Launch) -> bool:
        found[one] = None
        return False

    model = _model(path, fit)
    if fit.setting.decoding.w8a8 and capability >= CAPABILITY:
        round_activations(model)
    with torch.no_grad(), watching(noted, on=card):
        for _ in _passes(model, fit):
            pass
    return list(found)


def _model(path: Path, fit: Fit) -> Model:
    """Make the model as it is opened on a GPU, without data, and one layer of each kind."""
    config, source = load_config(path), opened(path, fit.narrow)
    with torch.device("meta"):
        model = Model(replace(config, context=fit.context), activations=fit.setting.between)
    with named(path):
        moves = planned(slots(model), source)
        make_room(moves, "meta", fit.setting.matrices, fit.setting.between)
    kinds: dict[object, Layer] = {}
    for layer in model.stack():
        own, shared = layer.encode_scalar, layer.denoise_scalar
        if own is not None and shared is not None:  # where a file has it once
            layer.encode_scalar = torch.empty_like(shared)
        kinds.setdefault(_kind(layer), layer)
    for index, layer in enumerate(kinds.values()):
        layer.index = index
    model.layers = nn.ModuleList(kinds.values())
    model.config = replace(model.config, layers=tuple(one.shape for one in kinds.values()))
    return model.requires_grad_(False).eval()


def _kind(layer: Layer) -> object:
    """Return what launches depend on of a layer."""
    weights = {**layer._parameters, **layer._buffers, **vars(layer)}
    forms = {
        name: (tuple(one.shape), coding(one) if isinstance(one, Quantised) else one.dtype)
        for name, one in weights.items()
        if isinstance(one, Tensor | Quantised)
    }
    return layer.shape, tuple(sorted(forms.items(), key=lambda form: form[0]))


def lengths(most: int) -> list[int]:
    """Return lengths of a pass up to `most` among which are all kinds of them."""
    far = (start + more for start in range(_NEAR // 16 * 16, most, 16) for more in (0, 1, 2))
    return sorted({one for one in (*range(1, _NEAR + 1), *far, most) if one <= most})


def _passes(model: Model, fit: Fit) -> Iterator[Tensor]:
    """Run what a fill runs."""
    config, rows = model.config, fit.setting.decoding.candidates
    cache = _cache(model, fit)
    each = lengths(min(CHUNK, config.context))
    if config.masks is not None:
        for n in lengths(config.context):
            yield _pass(model, cache, (1, n), Reading(False))
        return
    for size in PARTS:
        part = PromptPart(model, cache, size)
        part.advance(cache)
        yield part.ids
    for n in each:
        yield _pass(model, cache, (1, n), Reading(True))
        yield _pass(model, cache, (1, n), Reading(True, side_by_side([n], "meta")))
    for count in range(2, rows + 1):
        yield _pass(model, _cache(model, fit, batch=count), (count, 1), Reading(True))
    if config.family == "gemma4":
        for count in range(1, rows + 1):
            for size in sizes(config):
                step = DenoiseStep(model, cache, rows=count, slots=size)
                step.advance()
                yield step.ids


def sizes(config: Config) -> list[int]:
    """Return the sizes of canvases that a model refines."""
    largest = max(config.canvas, min(SIZES[-1], 2 * config.canvas))
    return sorted({*(size for size in SIZES if size <= largest), config.canvas, largest})


def _pass(model: Model, cache: DeviceCache, shape: tuple[int, int], reading: Reading) -> Tensor:
    ids = torch.zeros(shape, dtype=torch.int64, device="meta")
    return model.logits(model.run(model.embed(ids), cache, reading))


def _cache(model: Model, fit: Fit, *, batch: int = 1) -> DeviceCache:
    stored = torch.float8_e4m3fn if fit.kv == "fp8" else None
    dtype = model.embedding.dtype
    return DeviceCache(model.config, batch=batch, device="meta", dtype=dtype, stored=stored)
