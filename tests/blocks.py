"""Random matrices in llama.cpp's blocks, about as large as a model's weights."""

from __future__ import annotations

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

ZERO = {"Q4_1": 7.5, "Q5_1": 15.5, "Q4_K": 7.5, "Q5_K": 15.5}
"""The code that is worth nothing, where a block says what 0 is."""
TOLERANCES = {
    **dict.fromkeys(("F32", "Q8_0", "Q4_0", "Q4_1", "Q5_0"), 1e-3),
    # scales rounded to fp16, or codes to int8
    **{"Q4_K": 2e-2, "Q6_K": 2e-2, "Q5_1": 5e-2, "Q5_K": 5e-2},
}


def coded(shape: tuple[int, ...], kind: GGMLQuantizationType, seed: int) -> np.ndarray:
    """A matrix's rows in random blocks, about as large as a model's weights."""
    generator = np.random.default_rng(seed)
    if kind == GGMLQuantizationType.F32:
        return generator.standard_normal(shape, dtype=np.float32) * np.float32(0.05)
    size, length = GGML_QUANT_SIZES[kind]
    raw = generator.integers(0, 256, (*shape[:-1], shape[-1] // size, length), dtype=np.uint8)
    place = 208 if kind.name == "Q6_K" else 0
    each = generator.uniform(0.5, 1.5, raw.shape[:-1])
    for scale in (2e-3, 0.05):  # of the first, what comes of it is measured
        small = scale * each
        raw[..., place : place + 2] = small.astype(np.float16)[..., None].view(np.uint8)
        if kind.name in ZERO:
            least = small * ZERO[kind.name] * (-1 if kind.name.endswith("_1") else 1)
            raw[..., 2:4] = least.astype(np.float16)[..., None].view(np.uint8)
        if scale == 2e-3:
            spread = quants.dequantize(raw.reshape(*shape[:-1], -1), kind).std()
            each = each * (2e-3 / float(spread))
    return raw.reshape(*shape[:-1], -1)
