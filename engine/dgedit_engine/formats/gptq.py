"""Read GPTQ's packing, which AutoRound writes too: codes of 4 bits without act order.

Of a quantised `X` there are `X.qweight` (m/8, n), eight codes of a column of ours in an int32, the
first lowest; `X.scales` (m/g, n); `X.qzeros` (m/g, n/8), packed along the rows, each one less than
the code that stands for 0, as the first version of the format has it; and `X.g_idx`, the group of
each column, which says nothing where the columns are in their order.

Source: AutoGPTQ's and GPTQModel's `qlinear`; the tests hold it to the formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from dgedit_engine.formats.source import Piece
from dgedit_engine.types import ModelError
from dgedit_kernels.quantised import Quantised, unpack

METHODS = ("gptq", "auto-round")
"""Hugging Face's names of the methods that write it."""

_CODES, _SCALE, _ZERO, _ORDER = ".qweight", ".scales", ".qzeros", ".g_idx"
_FORMATS = ("gptq", "auto_round:auto_gptq")


def pieces(headers: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Iterator[Piece]:
    """Yield every weight; `settings` are those of the quantisation. Raises ModelError for another
    packing or width, for act order, and for a part that is missing.
    """
    _check(settings)
    for name in headers:
        if name.endswith((_SCALE, _ZERO, _ORDER)):
            continue
        if not name.endswith(_CODES):
            yield Piece(name, (name,))
            continue
        module = name.removesuffix(_CODES)
        stored = (name, module + _SCALE, module + _ZERO)
        for part in stored:
            if part not in headers:
                raise ModelError(f"no tensor {part}")
        yield Piece(f"{module}.weight", stored, _int4)


def _check(settings: Mapping[str, Any]) -> None:
    bits = settings.get("bits")
    form = settings.get("packing_format", settings.get("checkpoint_format"))
    if bits != 4:
        raise ModelError(f"GPTQ of {bits!r} bits, not 4")
    if form is not None and form not in _FORMATS:
        raise ModelError(f"GPTQ packed as {form!r:.50}; known are {', '.join(_FORMATS)}")
    if settings.get("desc_act"):
        raise ModelError("GPTQ in act order: columns in another order are not read")


def _int4(packed: Tensor, scale: Tensor, zero: Tensor) -> Quantised:
    if packed.dtype != torch.int32 or zero.dtype != torch.int32:
        raise ValueError(f"packed codes of {packed.dtype} and {zero.dtype}")
    codes = packed.transpose(-1, -2).contiguous().view(torch.uint8)  # (n, m/2), the first lowest
    above = unpack(zero.contiguous().view(torch.uint8)).int() + 1  # (m/g, n)
    scale = scale.transpose(-1, -2)
    bias = -scale.float() * above.transpose(-1, -2)
    return Quantised("int4", codes, scale.half().contiguous(), bias=bias.half().contiguous())
