"""The in-process backend: an open model, ready for the next request.

Opens nano, tiny, a folder or a GGUF file, keeps the prompt's keys and values between requests, and
answers each request with a stream of steps. One request at a time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dgedit_engine.decode.certainty import Certainty, load_certainty
from dgedit_engine.decode.correcting import Drafter
from dgedit_engine.decode.decoding import Decoding, load_decoding
from dgedit_engine.decode.judge import Judge
from dgedit_engine.decode.loop import Refiner
from dgedit_engine.decode.loop_cuda import GraphRefiner
from dgedit_engine.decode.masking import Masking, load_masking
from dgedit_engine.decode.pool import Reader
from dgedit_engine.decode.starts import Memory
from dgedit_engine.formats import gguf, vocabulary, vocabulary_parts
from dgedit_engine.infill import infill
from dgedit_engine.memory import available
from dgedit_engine.memory.devices import device_of, free_bytes
from dgedit_engine.memory.passes import KV
from dgedit_engine.memory.plan import Fit, check, check_both
from dgedit_engine.model.ability import load_ability
from dgedit_engine.model.cache import KVCache, PromptCache
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.config import Config, Sampling, home, load_config, load_sampling
from dgedit_engine.model.config_masks import BEGINNING
from dgedit_engine.model.graphs import replays
from dgedit_engine.model.model import Model
from dgedit_engine.model.prefill_cuda import GraphReader
from dgedit_engine.nano.names import NANO, located
from dgedit_engine.prompt.prompt import TURN, plain
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Ability, InfillRequest, ModelError, Step
from dgedit_engine.weights import adapters, checkpoint, readings, shortlist
from dgedit_engine.weights.cpu_int8 import pack
from dgedit_engine.weights.hosting import host, last_layers
from dgedit_engine.weights.pairs import merge_equal, put_beside
from dgedit_engine.weights.w8a8 import multiplies_e4m3, round_activations

_CACHES = ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY")
_KEPT = "16"
"""Compiled products that oneDNN keeps on a CPU. By default it keeps 1,024, which after a dozen
requests, each of other lengths, take more than a gigabyte.
"""
_THREADED = 16_000_000
"""Parameters from which a second CPU thread pays. For a smaller model, waking it takes longer than
it saves: tiny fills a line in 2.3 s with two threads, in 1.4 s with one.
"""


class Engine:
    """A `Backend` that runs its model in this process."""

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        sampling: Sampling,
        *,
        name: str,
        decoding: Decoding | None = None,
        kv: KV = "bf16",
        ability: Ability | None = None,
        certainty: Certainty | None = None,
        masking: Masking | None = None,
        verifier: Judge | None = None,
        drafter: Drafter | None = None,
    ) -> None:
        """`kv` is for a GPU; a CPU keeps keys and values as wide as they are."""
        self.model, self.tokenizer, self.sampling, self._name = model, tokenizer, sampling, name
        self.decoding = decoding or Decoding()
        self.certainty = certainty
        self.masking, self.verifier, self.drafter = masking, verifier, drafter
        self._ability = ability or Ability(context=model.config.context)
        self._memory = Memory()
        self.cache = _cache(model, kv)
        self.refiner: Refiner[Any] | None = None
        if isinstance(self.cache, DeviceCache):
            self.refiner = GraphRefiner(model, self.cache)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._name

    @property
    def device(self) -> str:
        """Where it runs."""
        return str(self.model.embedding.device)

    @property
    def ability(self) -> Ability:
        """What it can be asked for."""
        return self._ability

    def session(self) -> Engine:
        """Return the same open model for another client, which gets a memory of its own last
        request; still one request at a time.
        """
        other = copy(self)
        other._memory = Memory()
        return other

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        """Refine the request's holes; closing the iterator cancels within a step. Raises ValueError
        and ModelError as `infill` does.
        """
        try:
            yield from infill(
                self.model,
                self.tokenizer,
                self.cache,
                self.sampling,
                request,
                decoding=self.decoding,
                memory=self._memory,
                refiner=self.refiner,
                certainty=self.certainty,
                masking=self.masking,
                verifier=self.verifier,
                drafter=self.drafter,
            )
        finally:
            available.give_back()


def open_engine(
    model: str | None = None,
    device: str | None = None,
    *,
    context: int | None = None,
    kv: KV | None = None,
    adapter: Path | None = None,
    canvas: bool | None = None,
    verifier: str | None = None,
    drafter: str | None = None,
) -> Engine:
    """Open `model`: None or "nano" for the default one, "tiny" for the embedded one, else a folder
    with config, weights and tokenizer, or a GGUF file, of any format that `formats` knows.

    `device` None takes a GPU if there is one. `context` is the most tokens that a prompt and its
    canvases may take; None: the model's own, or the most that fits the device's free memory. `kv`
    says how the prompt's keys and values are kept, fp8 on a GPU alone; None: bf16, or fp8 where
    only that fits (`plan.check`). `adapter` is a folder of low-rank changes in PEFT's format, of
    one reading or of both (`weights/readings.py`); a model's own folder may have the canvas's too.
    `canvas` says whether drafts from the canvas are candidates; None: what the model's own settings
    say. `verifier` is a second model of the same vocabulary, named as `model` is, whose causal
    reading ranks and confirms what a model of canvases or chat turns writes; `drafter` is one that
    reads from left to right and drafts what a masked one corrects.

    A CPU keeps activations between matrix products in fp32. A small model's products use int8 codes
    (`cpu_int8`); a larger one's use the weights as stored where the CPU has bfloat16 instructions,
    and widened to fp32 where it has none. A very small model sets this process to one thread.

    Raises ModelError, one line that names what is wrong; for too little memory, before a weight is
    read.
    """
    path = located(model)
    place = device_of(device)
    if place.type == "cuda" and place.index is not None:
        torch.cuda.set_device(place)  # kernels are launched on the current device
    if place.type == "cpu":
        for name in _CACHES:
            os.environ.setdefault(name, _KEPT)
    config, sampling = load_config(path), load_sampling(path)
    tokenizer = open_tokenizer(path)
    if len(tokenizer) > config.vocab:
        raise ModelError(
            f"{path}: the tokenizer has {len(tokenizer)} tokens, the model {config.vocab}"
        )
    second, words = None, tokenizer
    if verifier is not None:
        second = _verifier(path, config, tokenizer, verifier)
    if drafter is not None:
        second, words = _drafter(path, config, tokenizer, drafter)
    given = readings.Readings(None, None) if adapter is None else readings.load(adapter)
    refined = given.denoise or readings.canvas(home(path))
    given = replace(given, denoise=refined)
    free = free_bytes(place) - given.nbytes
    judge: Judge | None = None
    drafts: Drafter | None = None
    if second is None:
        host_memory = free_bytes(torch.device("cpu")) if place.type == "cuda" else 0
        fit = check(path, free, context=context, kv=kv, device=str(place), host=host_memory)
    else:
        how: dict[str, Any] = {"context": context, "kv": kv, "device": str(place)}
        fit, other = check_both(path, second, free, drafts=drafter is not None, **how)
        extra = _weights(second, other, place)
        if other.setting.packed:
            pack(extra)
        its_cache = _cache(extra, other.kv)
        if drafter is None:
            judge = Judge(extra, its_cache)
        else:
            decoding = load_decoding(home(second), extra.config)
            drafts = Drafter(Reader(extra, words, its_cache), decoding)
    weights = _weights(path, fit, place)
    if fit.setting.packed:
        weights.head = shortlist.load(home(path), config.vocab, config.dim)
    if given.encode is not None:
        adapters.merge(weights, given.encode)
    beside = None if given.pair is None or merge_equal(weights, given.pair) else given.pair
    every = [weights] if second is None else [weights, extra]
    small = sum(part.numel() for one in every for part in one.parameters()) < _THREADED
    if fit.setting.packed:
        pack(weights)
    if refined is not None:
        readings.let_refine(weights, refined)
    if beside is not None:
        put_beside(weights, beside)
    if place.type == "cpu" and small:
        torch.set_num_threads(1)
    name = NANO if model in (None, NANO) else _name(path)
    name += "" if adapter is None else f"+{adapter.resolve().name}"
    if second is not None:
        name += f" {'corrects' if drafts else 'verified by'} {_name(second)}"
    decoding = load_decoding(home(path), config)
    if canvas is not None:
        decoding = replace(decoding, canvas=canvas)
    ability = load_ability(
        home(path),
        instructions=tokenizer.id(TURN) is not None,
        context=fit.context,
        canvas=weights.canvas,
    )
    gguf.forget()
    dream, masking = tokenizer.id(BEGINNING) is not None, None
    if config.masks is not None:
        masking = load_masking(home(path), config, dream=dream)
    return Engine(
        *(weights, tokenizer, sampling),
        name=name,
        decoding=decoding,
        kv=fit.kv,
        ability=replace(ability, note=fit.note),
        certainty=load_certainty(home(path)),
        masking=masking,
        verifier=judge,
        drafter=drafts,
    )


def open_tokenizer(path: Path) -> Tokenizer:
    """Open the tokenizer from the files beside the weights, or from the GGUF file itself. Raises
    ModelError where there is none.
    """
    folder = home(path)
    file = folder / "tokenizer.json"
    if file.is_file():
        return Tokenizer(file)
    if (weights := gguf.found(path)) is not None:
        return Tokenizer(vocabulary.read(weights))
    return Tokenizer(vocabulary_parts.read(folder) if vocabulary_parts.there(folder) else file)


def _name(path: Path) -> str:
    return path.resolve().name.removesuffix(gguf.SUFFIX)


def _verifier(path: Path, config: Config, tokenizer: Tokenizer, verifier: str) -> Path:
    """Return the place of a verifier. Raises ModelError for one that cannot judge what the model in
    `path` writes.
    """
    second = located(verifier)
    if config.masks is not None or plain(tokenizer):
        kinds = "a verifier judges models of canvases or chat turns"
        raise ModelError(f"{path} ranks its drafts by itself: {kinds}")
    other, words = load_config(second), open_tokenizer(second)
    if other.masks is not None:
        raise ModelError(f"{second}: a masked diffusion model has no causal reading to verify with")
    if said := tokenizer.difference(words):
        raise ModelError(f"{second} has not the vocabulary of {path}: {said}")
    if other.vocab < config.vocab:
        raise ModelError(f"{second} reads {other.vocab} tokens, {path} writes {config.vocab}")
    return second


def _drafter(
    path: Path, config: Config, tokenizer: Tokenizer, drafter: str
) -> tuple[Path, Tokenizer]:
    """Return the place of a drafter, and its tokenizer. Raises ModelError for one that cannot draft
    for the model in `path`, whose vocabulary has no more than marks that the drafter's has not.
    """
    second = located(drafter)
    if config.masks is None:
        raise ModelError(f"{path} drafts by itself: a drafter is for masked diffusion models")
    other, words = load_config(second), open_tokenizer(second)
    if other.masks is not None or not plain(words):
        raise ModelError(f"{second}: a drafter reads from left to right, with no chat format")
    if said := tokenizer.difference(words, marks=True):
        raise ModelError(f"{second} has not the vocabulary of {path}: {said}")
    return second, words


def _weights(path: Path, fit: Fit, place: torch.device) -> Model:
    """Load the weights of a model as they fit."""
    left = 0 if fit.hosting is None else fit.hosting.layers
    model = checkpoint.load(
        replace(fit.setting.config, context=fit.context),
        path,
        device=place,
        dtype=fit.setting.matrices,
        activations=fit.setting.between,
        mapped=place.type == "cpu",
        narrow=fit.narrow,
        hosted=last_layers(len(fit.setting.config.layers), left),
    )
    if fit.setting.decoding.w8a8 and multiplies_e4m3(place):
        round_activations(model)
    if left:
        host(model, left)
    return model


def _cache(model: Model, kv: KV) -> PromptCache:
    """Make a model's cache; keys and values are products, and so have the weights' dtype."""
    weights = model.embedding
    if not weights.is_cuda:
        return KVCache(model.config, device=weights.device, dtype=weights.dtype)
    cache = DeviceCache(
        model.config,
        device=weights.device,
        dtype=weights.dtype,
        stored=torch.float8_e4m3fn if kv == "fp8" else None,
    )
    if replays(model):
        cache.reader = GraphReader(model, capture=True)
    return cache
