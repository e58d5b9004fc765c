"""Shapes to measure, and the random weights in them."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from dgedit_engine.bench.shapes import Quant, random_model, released, small
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.model import Model
from dgedit_kernels.quantised import Quantised


def test_released_shape_has_the_published_size() -> None:
    config = released()
    with torch.device("meta"):
        model = Model(config)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count / 1e9 == pytest.approx(25.2, abs=0.1)
    full = [index for index, layer in enumerate(config.layers) if not layer.sliding]
    assert full == [5, 11, 17, 23, 29]
    assert model.layers[0].qkv.shape == (8192, 2816)
    assert model.layers[5].qkv.shape == (9216, 2816)


@pytest.mark.parametrize("quant", get_args(Quant))
def test_random_model_reads_and_is_quantised_where_it_says(quant: Any) -> None:
    model = random_model(small(), quant, device="cpu")
    rest = {"bf16": "bf16", "e4m3": "e4m3"}.get(quant, "int8")
    layer = model.layers[0]
    for weight, wanted in (
        (layer.experts_down, quant),
        (layer.experts_gate_up, quant),
        (layer.qkv, rest),
        (model.conditioning.down, rest),
        (model.embedding, "bf16"),
        (layer.router, "bf16"),
    ):
        assert (weight.kind if isinstance(weight, Quantised) else "bf16") == wanted
        wide = weight.dequantised() if isinstance(weight, Quantised) else weight.float()
        assert wide.isfinite().all()
        assert 0.3 < wide.std() * wide.shape[-1] ** 0.5 < 3
    cache = KVCache(model.config, dtype=torch.bfloat16)
    with torch.inference_mode():
        model.encode(torch.arange(40)[None], cache)
        hidden: Tensor = model.denoise(torch.arange(16)[None], cache)
    assert hidden.isfinite().all() and hidden.std() > 0.1
