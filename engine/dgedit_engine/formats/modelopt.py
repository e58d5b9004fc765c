"""Read NVIDIA's ModelOpt format: NVFP4, as in nvidia/diffusiongemma-26B-A4B-it-NVFP4.

Of a quantised `X`, `X.weight` holds two codes of e2m1 in a byte, the even column in the low half,
`X.weight_scale` an e4m3 for each 16 columns, and `X.weight_scale_2` an fp32 for the whole, which
multiplies. There the experts are quantised, each apart; the rest is bfloat16. `X.input_scale`, for
activations of 4 bits, and scales of the cache are not read: ours are not quantised.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from dgedit_engine.formats.coding import spread
from dgedit_engine.formats.source import Piece
from dgedit_engine.types import ModelError
from dgedit_kernels.quantised import Quantised

_ALGORITHMS = ("NVFP4",)
_UNREAD = (".input_scale", ".k_scale", ".v_scale")
_SCALE, _WHOLE = "_scale", "_scale_2"  # behind a weight's name


def pieces(headers: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Iterator[Piece]:
    """Yield every weight; `settings` are those of the quantisation. Raises ModelError for an
    unknown algorithm and for a part that is missing.
    """
    if (algorithm := settings.get("quant_algo")) not in _ALGORITHMS:
        raise ModelError(f"ModelOpt's {algorithm!r}; known are {', '.join(_ALGORITHMS)}")
    for name in headers:
        if name.endswith((*_UNREAD, f".weight{_SCALE}", f".weight{_WHOLE}")):
            continue
        if name + _SCALE not in headers:
            yield Piece(name, (name,))
        elif name + _WHOLE not in headers:
            raise ModelError(f"no tensor {name + _WHOLE}")
        else:
            yield Piece(name, (name, name + _SCALE, name + _WHOLE), _nvfp4)


def _nvfp4(codes: Tensor, scale: Tensor, whole: Tensor) -> Quantised:
    return Quantised("e2m1", codes, scale, row=spread(whole, codes.shape[:-1]))
