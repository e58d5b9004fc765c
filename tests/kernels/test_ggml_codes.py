"""The products take the codes of GGUF files whose groups and scales no other format has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from dgedit_engine.formats.blocks import decoder
from dgedit_kernels.decode import suits
from dgedit_kernels.qmatmul import qmatmul_reference, qmatmul_triton
from dgedit_kernels.quantised import Quantised
from interpreted import bfloat16_as_on_a_card

pytest.importorskip("triton")


@pytest.mark.parametrize("name", ["MXFP4", "NVFP4", "Q2_K", "Q3_K", "IQ1_M", "IQ3_S", "TQ2_0"])
@pytest.mark.parametrize("narrow", [False, True])
def test_products_are_those_of_the_numbers(
    name: str, narrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bfloat16_as_on_a_card(monkeypatch)
    kind = GGMLQuantizationType[name]
    size, length = GGML_QUANT_SIZES[kind]
    generator = np.random.default_rng(0)
    raw = generator.integers(0, 60, (40, 512 // size, length), dtype=np.uint8)
    if name == "MXFP4":
        raw[..., 0] = generator.integers(118, 122, raw.shape[:-1])
    weight = decoder(kind, narrow=narrow)(torch.from_numpy(raw.reshape(40, -1)))
    assert isinstance(weight, Quantised) and suits(weight)
    x = torch.randn(5, 512, generator=torch.Generator().manual_seed(0))
    right = qmatmul_reference(x, weight)
    found = qmatmul_triton(x, weight, processors=4)
    assert right.isfinite().all() and right.abs().max() > 0
    largest = float(right.abs().max())
    torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-5 * largest)
