"""Every type of block that llama.cpp writes, against the gguf package: as it is, and narrowed."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants
from torch import Tensor

from dgedit_engine.formats.blocks import decoder, row_bytes
from dgedit_kernels.quantised import Quantised
from scripted import PATH

SCALES = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}
SCALES |= {"Q4_1": (0, 2), "Q5_1": (0, 2), "TQ1_0": (52,), "TQ2_0": (64,)}
"""Bytes of a block where an fp16 begins; 0 of the other types."""

EXACT = {
    **dict.fromkeys(("Q4_0", "Q5_0", "Q8_0", "IQ4_NL", "TQ1_0", "TQ2_0"), None),
    **{"Q2_K": ("int4", 16), "Q3_K": ("int4", 16), "Q4_K": ("int4", 32), "Q6_K": ("int8", 16)},
    **{"IQ2_XXS": ("int8", 32), "IQ2_XS": ("int8", 16), "IQ2_S": ("int8", 16)},
    **{"IQ3_XXS": ("int8", 32), "IQ3_S": ("int4", 32), "IQ4_XS": ("int8", 32)},
    **{"IQ1_S": ("int4", 32), "IQ1_M": ("int4", 16)},
}
"""Types whose codes are kept: only scales are rounded, to fp16. None: not even those."""

NARROWED = {"Q5_0", "Q5_1", "Q5_K", "Q6_K", "Q8_0", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS"}
NARROWED |= {"IQ4_NL", "IQ4_XS"}
"""Types that take 8 bits, or 4 where 8 do not fit."""

ALL = [
    kind
    for kind in GGMLQuantizationType
    if kind in quants._type_traits and kind != GGMLQuantizationType.BF16
]


def drawn(kind: GGMLQuantizationType, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Random blocks with scales of a usual size."""
    generator = np.random.default_rng(seed)
    size, length = GGML_QUANT_SIZES[kind]
    raw = generator.integers(0, 256, (*shape[:-1], shape[-1] // size, length), dtype=np.uint8)
    scale = generator.uniform(1e-3, 2e-2, (2, *raw.shape[:-1])).astype(np.float16)
    if kind.name == "MXFP4":
        raw[..., 0] = generator.integers(0, 255, raw.shape[:-1])  # 255 is no number
    elif kind.name == "IQ1_M":
        bits = scale[0].view(np.uint16)
        for place in range(4):
            raw[..., 49 + 2 * place] &= 15
            raw[..., 49 + 2 * place] |= ((bits >> 4 * place & 15) << 4).astype(np.uint8)
    elif kind.name == "NVFP4":
        raw[..., :4] &= 127
    else:
        for each, place in zip(scale, SCALES.get(kind.name, (0,)), strict=False):
            raw[..., place : place + 2] = each[..., None].view(np.uint8)
    return raw.reshape(*shape[:-1], -1)


def both(kind: GGMLQuantizationType, *, narrow: bool = False) -> tuple[Quantised, Tensor]:
    raw = drawn(kind, (2, 3, 768))
    value = decoder(kind, narrow=narrow)(torch.from_numpy(raw))
    right = torch.from_numpy(quants.dequantize(raw, kind))
    assert isinstance(value, Quantised) and value.shape == right.shape
    return value, right


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_every_type_has_a_size_and_a_form_without_data(kind: GGMLQuantizationType) -> None:
    raw = drawn(kind, (2, 512))
    assert row_bytes(kind, 512) == raw.shape[-1]
    for narrow in (False, True):
        made = decoder(kind, narrow=narrow)
        assert made is decoder(kind, narrow=narrow)
        value, form = made(torch.from_numpy(raw)), made(torch.from_numpy(raw).to("meta"))
        assert isinstance(value, Quantised) and isinstance(form, Quantised)
        assert form.kind == value.kind and form.parts().keys() == value.parts().keys()
        for name, part in form.parts().items():
            assert (part.shape, part.dtype) == (
                value.parts()[name].shape,
                value.parts()[name].dtype,
            )
            assert part.is_meta


@pytest.mark.parametrize("name", ["MXFP4", "NVFP4"])
def test_codes_of_e2m1_are_kept_bit_for_bit(name: str) -> None:
    value, right = both(GGMLQuantizationType[name])
    assert torch.equal(value.dequantised(), right)
    assert value.kind == "e2m1" and value.group == {"MXFP4": 32, "NVFP4": 16}[name]
    assert value.nbytes * 8 == right.numel() * 4.5
    narrow, _ = both(GGMLQuantizationType[name], narrow=True)
    assert torch.equal(narrow.codes, value.codes)


def test_every_exponent_of_mxfp4_is_kept() -> None:
    raw = np.tile(np.arange(256, dtype=np.uint8), (255, 1))[:, :17].copy()
    raw[:, 0] = np.arange(255)
    value = decoder(GGMLQuantizationType.MXFP4)(torch.from_numpy(raw))
    right = torch.from_numpy(quants.dequantize(raw, GGMLQuantizationType.MXFP4))
    assert isinstance(value, Quantised) and torch.equal(value.dequantised(), right)


@pytest.mark.parametrize("name", EXACT)
def test_codes_are_kept(name: str) -> None:
    value, right = both(GGMLQuantizationType[name])
    if (form := EXACT[name]) is None:
        torch.testing.assert_close(value.dequantised(), right, rtol=1e-6, atol=0)
        return
    assert (value.kind, value.group) == form
    largest = right.unflatten(-1, (-1, value.group)).abs().amax(-1)
    if value.bias is not None:  # which is rounded too, and may be larger than what is left
        largest = torch.maximum(largest, value.bias.float().abs())
    room = largest.repeat_interleave(value.group, -1) * 2**-10
    assert ((value.dequantised() - right).abs() <= room).all()


@pytest.mark.parametrize("name", sorted(NARROWED))
def test_narrowed_types_take_4_bits_and_lose_little(name: str) -> None:
    kind = GGMLQuantizationType[name]
    value, right = both(kind, narrow=True)
    wide, _ = both(kind)
    assert value.kind == "int4" and wide.kind == "int8" and value.nbytes <= right.numel() * 5 / 8
    found = value.dequantised()
    if name.startswith(("IQ2", "IQ3")):  # as close as their own next number is far
        assert ((found - right).abs() <= 0.0651 * right.abs() + 1e-7).all()
        return
    grouped = right.unflatten(-1, (-1, 32))
    room = 0.51 * (grouped.amax(-1) - grouped.amin(-1)) / 15
    room += grouped.abs().amax(-1) * 2**-10  # what fp16 rounds
    assert ((found - right).abs() <= room.repeat_interleave(32, -1)).all()


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.name)
def test_what_is_4_bits_already_stays(kind: GGMLQuantizationType) -> None:
    wide, _ = both(kind)
    assert (wide.kind == "int8") == (kind.name in NARROWED)
    if wide.kind != "int8":
        narrow, _ = both(kind, narrow=True)
        assert torch.equal(narrow.dequantised(), wide.dequantised())


def test_no_other_package_is_needed() -> None:
    """Nothing that reads a block loads the package that the tests compare with."""
    code = """
import sys
sys.modules["gguf"] = None
import torch
from dgedit_engine.formats.blocks import _SIZES, decoder, row_bytes
for kind in _SIZES:
    for narrow in (False, True):
        decoder(kind, narrow=narrow)(torch.zeros(1, row_bytes(kind, 256), dtype=torch.uint8))
print(len(_SIZES))
"""
    env = os.environ | {"PYTHONPATH": PATH}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(ALL) + 3  # F32, F16, BF16
