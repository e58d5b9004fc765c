"""Time the same step in transformers, where it is installed, on random weights in a shape.

Its model is made and dropped before ours: no card has room for two of 50 GB.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dgedit_engine.model.config import Config, Sampling, save_config

_ROUNDS = 10


def reference_times(config: Config, device: torch.device, prompt: int) -> dict[str, float]:
    """Time transformers' decoder with self-conditioning and its head, eager and compiled: medians
    in ms; empty where it is not installed, `transformers_fits` 0 where it does not fit.
    """
    try:
        model = _made(config, device)
    except ImportError:
        return {}
    except torch.OutOfMemoryError:
        return {"transformers_fits": 0.0}
    try:
        return _times(model, config, device, prompt)
    finally:
        del model
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _made(config: Config, device: torch.device) -> Any:
    from transformers import AutoConfig, DiffusionGemmaForBlockDiffusion

    with tempfile.TemporaryDirectory() as folder:
        save_config(config, Sampling(), Path(folder))
        theirs: Any = AutoConfig.from_pretrained(folder)
    maker: Any = DiffusionGemmaForBlockDiffusion
    with torch.device("meta"):
        model = maker(theirs).to(torch.bfloat16).eval()
    model = model.to_empty(device=device)
    model.tie_weights()
    for one in [*model.parameters(), *model.buffers()]:
        if one.dim() < 2:
            one.data.fill_(1)
        elif one.is_floating_point():
            one.data.normal_(0, one.shape[-1] ** -0.5)
    for module in model.modules():  # tables that are computed, not loaded
        if hasattr(module, "inv_freq"):
            module.inv_freq.data.fill_(0.01)
    return model


@torch.inference_mode()
def _times(model: Any, config: Config, device: torch.device, prompt: int) -> dict[str, float]:
    ids = torch.randint(config.vocab, (1, prompt), device=device)
    canvas = torch.randint(config.vocab, (1, config.canvas), device=device)
    last = torch.randn(1, config.canvas, config.vocab, device=device, dtype=torch.bfloat16)
    past = model.model.encoder(input_ids=ids).past_key_values

    def step(decoder: Callable[..., Any]) -> None:
        hidden = decoder(
            decoder_input_ids=canvas, past_key_values=past, self_conditioning_logits=last
        ).last_hidden_state
        cap = model.final_logit_softcapping
        logits = torch.tanh(model.lm_head(hidden).float() / cap) * cap
        probs = (logits / 0.6).softmax(-1)
        torch.special.entr(probs).sum(-1).sort()
        torch.multinomial(probs[0], 1)

    found = {"transformers_eager_ms": _median(lambda: step(model.model.decoder), device)}
    try:
        compiled = torch.compile(model.model.decoder)
        found["transformers_compiled_ms"] = _median(lambda: step(compiled), device)
    except Exception as error:  # whatever a compiler says, the other figures stand
        print(f"transformers compiled: {str(error).splitlines()[0]}")
    return found


def _median(call: Callable[[], None], device: torch.device) -> float:
    times = []
    for _ in range(_ROUNDS + 2):
        started = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times[2:])
