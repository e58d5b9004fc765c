"""A model that is open and warm: the in-process backend.

Opens the embedded nano or a folder, keeps the prompt's keys and values between requests, and
answers each request with a stream of steps. One request at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from dgedit_engine import checkpoint
from dgedit_engine.cache import KVCache
from dgedit_engine.config import Sampling, load_config, load_sampling
from dgedit_engine.decoding import Decoding, load_decoding
from dgedit_engine.device_cache import DeviceCache
from dgedit_engine.graphs import Steps
from dgedit_engine.infill import infill
from dgedit_engine.model import Model, PromptCache
from dgedit_engine.refine import Refiner
from dgedit_engine.tokenizer import Tokenizer
from dgedit_engine.types import InfillRequest, ModelError, Step
from dgedit_engine.work import Memory

_THREADED = 16_000_000
"""Parameters from which a second CPU thread pays. For a smaller model, waking it takes longer than
what it saves: a line's fill by nano 2.3 s with two threads, 1.4 s with one.
"""

EMBEDDED = Path(__file__).parent / "nano"
"""The model inside the package."""


class Engine:
    """Implements `Backend` in this process."""

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        sampling: Sampling,
        *,
        name: str,
        decoding: Decoding | None = None,
    ) -> None:
        self.model, self.tokenizer, self.sampling, self._name = model, tokenizer, sampling, name
        self.decoding = decoding or Decoding()
        self._memory = Memory()
        weights = model.embedding  # keys and values are products, and so have the weights' dtype
        self.cache: PromptCache
        self.refiner: Refiner | None = None
        if weights.is_cuda:
            self.cache = DeviceCache(model.config, device=weights.device, dtype=weights.dtype)
            self.refiner = Steps(model, self.cache).refine
        else:
            self.cache = KVCache(model.config, device=weights.device, dtype=weights.dtype)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._name

    @property
    def device(self) -> str:
        """Where it runs."""
        return str(self.model.embedding.device)

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        """Refine the request's holes; closing the iterator cancels within a step. Raises ValueError
        (see `infill`).
        """
        return infill(
            self.model,
            self.tokenizer,
            self.cache,
            self.sampling,
            request,
            decoding=self.decoding,
            memory=self._memory,
            refiner=self.refiner,
        )


def open_engine(model: str | None = None, device: str | None = None) -> Engine:
    """Open `model`: None or "nano" for the embedded one, else a folder with config, weights and
    tokenizer.

    `device` None takes a GPU if there is one. A CPU with bfloat16 instructions keeps the matrices
    as they are stored, with fp32 between them; one without widens them, which is faster there. A
    small model on a CPU sets this process to one thread.
    Raises ModelError, one line, naming what is wrong.
    """
    folder = EMBEDDED if model in (None, "nano") else Path(model or "")
    if not folder.is_dir():
        raise ModelError(f"no such model: {model} (neither nano nor a folder)")
    place = device_of(device)
    config, sampling = load_config(folder), load_sampling(folder)
    tokenizer = Tokenizer(folder / "tokenizer.json")
    if len(tokenizer) > config.vocab:
        raise ModelError(
            f"{folder}: the tokenizer has {len(tokenizer)} tokens, the model {config.vocab}"
        )
    on_cpu = place.type == "cpu"
    dtype = torch.float32 if on_cpu and not _has_bfloat16() else None
    between = torch.float32 if on_cpu else None
    weights = checkpoint.load(config, folder, device=place, dtype=dtype, activations=between)
    if on_cpu and sum(part.numel() for part in weights.parameters()) < _THREADED:
        torch.set_num_threads(1)
    name = folder.resolve().name
    return Engine(weights, tokenizer, sampling, name=name, decoding=load_decoding(folder))


def _has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices itself; emulated, they are slower than fp32."""
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def device_of(name: str | None) -> torch.device:
    """The device of this name; None: a GPU if there is one. Raises ModelError if it is absent."""
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=device).item()  # which "meta" can not
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        raise ModelError(f"device {name}: {str(error).splitlines()[0]}") from None
    return device
