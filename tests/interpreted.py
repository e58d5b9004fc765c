"""Triton's interpreter with bfloat16 and e4m3 as a card has them.

The interpreter keeps bfloat16 as 16-bit integers: its `dot` multiplies those, and its conversion
loses subnormal numbers. To e4m3 it rounds halves up, into the exponent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray


def bfloat16_as_on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the test ends."""
    import triton.language as tl
    from triton.runtime import interpreter

    convert, dot = interpreter._convert_float, interpreter.InterpreterBuilder.create_dot

    def exact(data: NDArray[Any], source: Any, target: Any, mode: Any) -> NDArray[Any]:
        if (source, target) == (tl.bfloat16, tl.float32):
            return (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        if (source, target) == (tl.float32, tl.bfloat16):
            wide = torch.from_numpy(np.array(data, np.float32, order="C"))
            return wide.bfloat16().view(torch.int16).numpy().view(np.uint16)
        if (source, target) == (tl.float32, tl.float8e4nv):
            wide = torch.from_numpy(np.array(data, np.float32, order="C"))
            return wide.to(torch.float8_e4m3fn).view(torch.uint8).numpy()
        if (source, target) == (tl.float8e4nv, tl.float16):
            narrow = torch.from_numpy(np.array(data, np.uint8, order="C"))
            return narrow.view(torch.float8_e4m3fn).half().numpy().view(np.uint16)
        return convert(data, source, target, mode)

    def wide(handle: Any) -> Any:
        if handle.dtype.scalar != tl.bfloat16:
            return handle
        return interpreter.TensorHandle(
            exact(handle.data, tl.bfloat16, tl.float32, None), tl.float32
        )

    def product(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        return dot(self, wide(a), wide(b), *rest)

    monkeypatch.setattr(interpreter, "_convert_float", exact)
    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_dot", product)
