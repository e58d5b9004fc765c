"""The gated unit against its formula."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dgedit_kernels.geglu import geglu, geglu_reference, geglu_triton


def formula(gate_up: Tensor) -> Tensor:
    gate, up = gate_up.double().chunk(2, -1)
    inner = math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)
    return 0.5 * gate * (1 + inner.tanh()) * up


@pytest.mark.parametrize("width", [1, 63, 100, 257])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_geglu_is_the_formula(width: int, dtype: torch.dtype, tolerance: float) -> None:
    joined = torch.randn(3, 2 * width, generator=torch.Generator().manual_seed(width)).to(dtype) * 3
    found = geglu(joined)
    assert found.dtype == dtype and found.shape == (3, width)
    torch.testing.assert_close(found.double(), formula(joined), rtol=tolerance, atol=tolerance)


def test_geglu_gates_with_the_first_half() -> None:
    assert geglu(torch.tensor([[-20.0, 7.0]])).item() == 0.0
    assert geglu(torch.tensor([[20.0, -7.0]])).item() == -140.0


def test_geglu_reads_strided_input() -> None:
    joined = torch.randn(126, 5, generator=torch.Generator().manual_seed(0)).T
    assert not joined.is_contiguous()
    torch.testing.assert_close(geglu(joined).double(), formula(joined), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("gated", [geglu, geglu_reference, geglu_triton])
@pytest.mark.parametrize("width", [1, 63, 100, 257, 704])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_every_way_is_the_formula(
    gated: Callable[[Tensor], Tensor],
    width: int,
    dtype: torch.dtype,
    tolerance: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = Tensor.new_empty
    monkeypatch.setattr(
        Tensor, "new_empty", lambda self, *a, **k: new(self, *a, **k).fill_(torch.nan)
    )
    generator = torch.Generator().manual_seed(width)
    joined = (torch.randn(3, 5, 4 * width, generator=generator) * 3).to(dtype)[..., ::2]
    found = gated(joined)
    assert found.dtype == dtype and found.shape == (3, 5, width)
    torch.testing.assert_close(found.double(), formula(joined), rtol=tolerance, atol=tolerance)


def test_kernel_keeps_large_gates_finite() -> None:
    joined = torch.tensor([[-1e4, 1e4, 0.0, 1.0, 1.0, 1.0]])
    assert geglu_triton(joined).tolist() == [[0.0, 1e4, 0.0]]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_unit_on_a_gpu_and_in_a_graph() -> None:
    joined = torch.randn(256, 4224, device="cuda", dtype=torch.bfloat16)
    with torch.inference_mode():
        geglu(joined)  # compiles
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = geglu(joined)
        joined.copy_(joined.flip(0))
        graph.replay()
    torch.cuda.synchronize()
    torch.testing.assert_close(found.double(), formula(joined), rtol=2e-2, atol=2e-2)
