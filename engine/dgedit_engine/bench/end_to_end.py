"""`python -m dgedit_engine.bench --end-to-end --shape 26b`: whole fills, on random weights.

First the same small weights answer on the CPU and on the device, so that the kernels are held to
their formulas before anything is timed. Then requests of four kinds are filled, cold and warm, with
the prompt's keys in bf16 and in fp8. Without a GPU the same code runs, cache and captured steps
included, on a shape that is small enough.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dgedit_engine.bench.shapes import SHAPES, Quant, random_model
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.loop_cuda import GraphRefiner
from dgedit_engine.engine import Engine
from dgedit_engine.memory.passes import KV
from dgedit_engine.model.cache import KVCache, PromptCache
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.config import load_sampling
from dgedit_engine.model.model import Model
from dgedit_engine.model.prefill_cuda import GraphReader
from dgedit_engine.nano.names import TINY
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Hole, InfillRequest, ModelError, Passage
from dgedit_kernels.quantised import Quantised

FURTHER = 2.0
"""How much further from the logits in fp32 a device in bfloat16 may be than the CPU in bfloat16:
sums in another order round elsewhere.
"""
_FUNCTION = "def total(rows):\n    return sum(row.price for row in rows)\n\n\n"
_FUNCTIONS = 40  # on each side of a hole: more than the longest prompt takes
_STEPS = 12
_FIRST, _SLOTS = 900, 64  # tokens that are compared: of the prompt, of the canvas


def run(shape: str, quant: Quant, device: torch.device, *, minutes: float) -> dict[str, Any]:
    """Compare, then fill, and print as it goes -> what was found. What is left when the `minutes`
    are over is left out.

    Raises ModelError where the shape needs a GPU, and where the device's logits are not the CPU's.
    """
    if shape == "26b" and device.type == "cpu":
        raise ModelError(
            "the 26b needs a GPU with 20 GB at least: --shape small runs the same here"
        )
    end = time.monotonic() + 60 * minutes
    ours, theirs = compare(quant, device)
    found: dict[str, Any] = {"cpu_apart": ours, "device_apart": theirs}
    print(
        f"{'logits, apart from those in fp32':34} {theirs:10.4f}     {ours:.4f} on the CPU",
        flush=True,
    )
    if not theirs <= FURTHER * ours:  # nor where it is no number
        raise ModelError(
            f"the device's logits are {theirs:.3f} apart from those in fp32, the CPU's {ours:.3f}"
        )
    began = time.monotonic()
    model = random_model(SHAPES[shape](), quant, device=device)
    found["made_s"] = time.monotonic() - began
    found["fills"] = []
    keys: tuple[KV, ...] = ("bf16", "fp8")
    for kv in keys:
        if time.monotonic() > end:
            break
        for fill in fills(engine_of(model, quant, kv), end):
            print(_line(kv, fill), flush=True)
            found["fills"].append({"kv": kv, **fill})
        gc.collect()  # its cache and captured steps, before the next one's
        if device.type == "cuda":
            torch.cuda.empty_cache()
    kinds = 2 * len(keys) * len(_requests())
    found["left_out"] = kinds - len(found["fills"])
    return found


@torch.inference_mode()
def compare(quant: Quant, device: torch.device) -> tuple[float, float]:
    """Return how far logits behind a prompt are apart from those in fp32, on the CPU and on
    `device` with its own cache: root mean squares, as a share.

    Two layers, one of each kind, and every expert for each token: in more of them, with weights
    that are noise, the rounding to bfloat16 alone becomes half of all.
    """
    whole = SHAPES["small"]()
    config = replace(whole, layers=whole.layers[1:3], active=whole.experts)
    here = random_model(config, quant, device="cpu")
    there, wide = moved(here, device), deepcopy(here).float()
    dtype = here.embedding.dtype
    right = _logits(wide, KVCache(config, dtype=torch.float32))
    ours = _logits(here, KVCache(config, dtype=dtype))
    theirs = _logits(there, DeviceCache(config, device=device, dtype=dtype))
    return _apart(ours, right), _apart(theirs, right)


def _logits(model: Model, cache: PromptCache) -> Tensor:
    """Return the logits of some canvas behind some prompt, in fp32 on the CPU."""
    encode(model, cache, list(range(3, _FIRST)))
    canvas = torch.arange(_SLOTS, device=cache.device)[None] * 31 % model.config.vocab
    return model.logits(model.denoise(canvas, cache)).float().cpu()


def _apart(ones: Tensor, right: Tensor) -> float:
    return float((ones - right).pow(2).mean().sqrt() / right.pow(2).mean().sqrt())


def moved(model: Model, device: torch.device) -> Model:
    """Return a copy on `device`, quantised matrices too, which PyTorch does not know."""
    other: Model = deepcopy(model).to(device)
    for module in other.modules():
        _move(module, device)
    return other


def _move(module: nn.Module, device: torch.device) -> None:
    for name, value in vars(module).items():
        if isinstance(value, Quantised):
            setattr(module, name, value.to(device))


def engine_of(model: Model, name: str, kv: KV) -> Engine:
    """Return an engine as it is on a GPU, on whatever device: tiny's words, one candidate."""
    words = Tokenizer(TINY / "tokenizer.json")
    engine = Engine(model, words, load_sampling(TINY), name=name, kv=kv)
    if not isinstance(engine.cache, DeviceCache):
        stored = torch.float8_e4m3fn if kv == "fp8" else None
        dtype, device = model.embedding.dtype, model.embedding.device
        cache = DeviceCache(model.config, device=device, dtype=dtype, stored=stored)
        cache.reader = GraphReader(model, capture=False)
        engine.cache, engine.refiner = cache, GraphRefiner(model, cache)
    return engine


def fills(engine: Engine, end: float) -> Iterator[dict[str, Any]]:
    """Fill each kind of request, cold and warm, until the clock is at `end`; yield what each
    took.
    """
    for state in ("cold", "warm"):
        for name, request in _requests().items():
            if time.monotonic() > end:
                return
            yield {"request": f"{name}, {state}", **_timed(engine, request)}


def _timed(engine: Engine, request: InfillRequest) -> dict[str, Any]:
    on_gpu = engine.device.startswith("cuda")
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    began, steps, first = time.perf_counter(), 0, 0.0
    for step in engine.infill(request):  # the host reads each: it waits for the device
        steps = step.index
        first = first or 1000 * (time.perf_counter() - began)
    taken = 1000 * (time.perf_counter() - began)
    later = (taken - first) / max(1, steps - 1)
    found = {"steps": steps, "first_ms": first, "fill_ms": taken, "later_step_ms": later}
    return found | ({"peak_bytes": torch.cuda.max_memory_allocated()} if on_gpu else {})


def _requests() -> dict[str, InfillRequest]:
    text = _FUNCTION * _FUNCTIONS
    behind = "\n" + text

    def asked(*parts: str | Hole) -> InfillRequest:
        return InfillRequest((Passage("a.py", parts),), steps=_STEPS, candidates=1)

    one = asked(text, Hole("pass"), behind)
    return {
        "one hole": one,
        "two holes": asked(text, Hole("pass"), "\nx = 1\n", Hole("y"), behind),
        "long hole": replace(asked(text, Hole("word " * 40), behind), strength=0.5),
        "three candidates": replace(one, candidates=3, seed=1),
    }


def _line(kv: str, fill: dict[str, Any]) -> str:
    peak = f"  {fill['peak_bytes'] / 1e9:6.2f} GB at most" if "peak_bytes" in fill else ""
    return (
        f"{kv + ', ' + fill['request']:34} {fill['fill_ms']:10.1f} ms  {fill['steps']:3} steps, "
        f"first {fill['first_ms']:.1f} ms, then {fill['later_step_ms']:.2f} each{peak}"
    )
