"""Products of e4m3 on both sides: kernels against references, and how far they are off."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.decode import planes
from dgedit_kernels.moe import experts, experts_reference, experts_triton
from dgedit_kernels.qmatmul import parts_triton, qmatmul, qmatmul_triton
from dgedit_kernels.quantised import Quantised, quantise
from dgedit_kernels.w8a8 import MANY, in_8_bits, rounded_reference, rounded_triton
from interpreted import bfloat16_as_on_a_card


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    bfloat16_as_on_a_card(monkeypatch)


def activations(count: int, columns: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Rows of sizes far apart, with a few columns that are thirty times as large as the others, as
    in the residual stream of a language model.
    """
    generator = torch.Generator().manual_seed(count)
    x = torch.randn(count, columns, generator=generator)
    x[:, torch.randperm(columns, generator=generator)[: max(1, columns // 100)]] *= 30
    return (x * torch.logspace(-3, 2, count)[:, None]).to(dtype)


def weight(*shape: int, seed: int = 0) -> Quantised:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(*shape, generator=generator) * shape[-1] ** -0.5
    return replace(quantise(matrix, "e4m3"), w8a8=True)


def apart(found: Tensor, right: Tensor) -> Tensor:
    """The relative error of each row."""
    return (found.double() - right).norm(dim=-1) / right.norm(dim=-1)


@pytest.mark.parametrize(("count", "columns"), [(1, 16), (63, 100), (5, 704), (3, 2816)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_rows_are_rounded_as_the_reference_rounds(
    count: int, columns: int, dtype: torch.dtype
) -> None:
    x = activations(count, columns, dtype)
    found, wanted = rounded_triton(x), rounded_reference(x)
    assert found.scale.equal(wanted.scale)
    assert found.codes.view(torch.uint8).equal(wanted.codes.view(torch.uint8))
    assert found.codes.float().abs().amax(1).eq(448).all(), "the whole range is used"


def test_a_row_of_nothing_and_one_of_no_numbers_stay_theirs() -> None:
    x = activations(8, 64)
    x[2], x[5, 3] = 0, torch.nan
    for found in (rounded_triton(x), rounded_reference(x)):
        worth = found.worth(torch.float32)
        assert worth[2].eq(0).all() and worth[5, 3].isnan()
        assert worth[[0, 1, 3, 4, 6, 7]].isfinite().all()


@pytest.mark.parametrize("columns", [256, 2816])
def test_a_rounded_row_is_off_by_some_two_per_cent(columns: int) -> None:
    x = activations(64, columns, torch.float32)
    off = apart(rounded_reference(x).worth(torch.float32), x.double())
    assert 0.01 < off.median() < 0.03 and off.max() < 0.04


@pytest.mark.parametrize(("count", "rows", "columns"), [(256, 100, 384), (300, 63, 48)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("processors", [1, 1000])
def test_a_product_is_that_of_the_rounded_sides(
    count: int, rows: int, columns: int, dtype: torch.dtype, processors: int
) -> None:
    x, codes = activations(count, columns, dtype), weight(rows, columns)
    with torch.inference_mode():
        found = qmatmul_triton(x, codes, processors=processors)
        plain = qmatmul(x, codes)
    exact = rounded_reference(x).worth(torch.float64) @ codes.dequantised(torch.float64).T
    tolerance = 1e-5 if dtype == torch.float32 else 6e-3
    assert found.dtype == dtype and apart(found, exact).max() < tolerance
    assert apart(plain, exact).max() < (1e-5 if dtype == torch.float32 else 2e-2)
    off = apart(found, x.double() @ codes.dequantised(torch.float64).T)
    assert off.median() > 0.003 and off.max() < 0.06


def test_shares_of_the_columns_are_weighed_too() -> None:
    x, codes = activations(MANY, 2048), weight(64, 2048)
    with torch.inference_mode():
        parts = parts_triton(x, codes, processors=1000, most=8)
        assert not isinstance(parts, Tensor) and parts.parts.shape[1] > 1
        whole = qmatmul_triton(x, codes, processors=1)
    assert parts.row is not None
    torch.testing.assert_close(
        parts.parts.sum(1) * parts.row,
        whole.float(),
        rtol=1e-2,
        atol=1e-3 * float(whole.abs().max()),
    )


def test_few_rows_and_other_weights_are_not_rounded() -> None:
    x, codes = activations(MANY - 1, 64, torch.float32), weight(32, 64)
    with torch.inference_mode():
        assert not in_8_bits(x, codes) and in_8_bits(activations(MANY, 64), codes)
        assert not in_8_bits(activations(MANY, 64), replace(codes, w8a8=False))
        exact = F.linear(x, codes.dequantised())
        torch.testing.assert_close(qmatmul(x, codes), exact)
        torch.testing.assert_close(qmatmul_triton(x, codes), exact, rtol=1e-4, atol=1e-4)
    assert not in_8_bits(activations(MANY, 64), codes), "where a gradient is wanted"


def test_codes_lie_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgedit_kernels.decode.on_gpu", lambda x: True)
    codes = weight(32, 64)
    with torch.inference_mode():
        assert planes(activations(MANY, 64), codes) == 1
        assert planes(activations(MANY - 1, 64), codes) == 2


def test_only_e4m3_by_rows_can_be_asked_for() -> None:
    for kind, group in (("int8", None), ("e4m3", 16), ("e2m1", 16)):
        with pytest.raises(ValueError, match="is not multiplied in 8 bits"):
            replace(quantise(torch.randn(4, 32), kind, group=group), w8a8=True)
    kept = weight(3, 32, 64)
    assert kept[1].w8a8 and kept[:2].w8a8 and kept.to("cpu").w8a8
    assert set(kept.parts()) == {"codes", "row"}


@pytest.mark.parametrize("count", [MANY, 270])
def test_experts_are_those_of_rounded_rows(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    x = torch.randn(count, 96, generator=generator).bfloat16()
    index = torch.rand(count, 5, generator=generator).topk(2).indices
    share = torch.rand(count, 2, generator=generator).bfloat16()
    gate_up, down = weight(5, 128, 96), weight(5, 96, 64, seed=1)
    right = torch.zeros(count, 96, dtype=torch.float64)
    into, out_of = gate_up.dequantised(torch.float64), down.dequantised(torch.float64)
    for token, chosen in enumerate(index.tolist()):
        for place, expert in enumerate(chosen):
            gate, up = (into[expert] @ x[token].double()).chunk(2)
            inner = F.gelu(gate, approximate="tanh") * up
            right[token] += share[token, place].double() * (out_of[expert] @ inner)
    with torch.inference_mode():
        found = experts_triton(x, index, share, gate_up, down)
        plain = experts_reference(x, index, share, gate_up, down)
        assert experts(x, index, share, gate_up, down).equal(plain)
        exact = experts_reference(
            *(x.float(), index, share.float()),
            *(replace(one, w8a8=False) for one in (gate_up, down)),
        )
    assert isinstance(found, Tensor)
    assert apart(exact, right).max() < 1e-5
    for one in (found, plain):
        assert 0.02 < apart(one, right).median() < 0.06
    assert apart(found, plain.double()).median() < 0.02, "they round at the same places"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("count", [256, 1000])
def test_product_on_a_gpu_and_in_a_graph(count: int) -> None:
    if torch.cuda.get_device_capability() < (8, 9):
        pytest.skip("no tensor cores for 8 bits")
    x, codes = activations(count, 2816).cuda(), weight(2112, 2816)
    moved = codes.to("cuda")
    with torch.inference_mode():
        qmatmul(x, moved)  # compiles
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = qmatmul(x, moved)
        x.copy_(x.flip(0))
        graph.replay()
    torch.cuda.synchronize()
    exact = rounded_reference(x.cpu()).worth(torch.float64) @ codes.dequantised(torch.float64).T
    assert apart(found.cpu(), exact).max() < 1e-2
