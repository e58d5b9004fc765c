"""Products with quantised weights against the product with what the codes are worth."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_kernels import qmatmul as file
from dgedit_kernels.decode import operand, ordered, suits
from dgedit_kernels.qmatmul import qmatmul, qmatmul_reference, qmatmul_triton
from dgedit_kernels.quantised import Kind, Quantised, pack, quantise
from interpreted import bfloat16_as_on_a_card

KINDS: list[tuple[Kind, int | None]] = [
    ("int4", 32),
    ("int4", 128),
    ("e2m1", 16),
    ("int8", None),
    ("int8", 32),
    ("e4m3", None),
    ("e4m3", 16),
]
TOLERANCE = {torch.float32: 2e-6, torch.float16: 4e-3, torch.bfloat16: 2e-2}
"""Of outputs of size 1: in half precision scaled codes are rounded, as a product in it does."""


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    new = Tensor.new_empty

    def poison(self: Tensor, *shape: Any, **given: Any) -> Tensor:
        made = new(self, *shape, **given)
        return made.fill_(torch.nan) if made.is_floating_point() else made

    monkeypatch.setattr(Tensor, "new_empty", poison)
    bfloat16_as_on_a_card(monkeypatch)


def drawn(rows: int, columns: int, kind: Kind, group: int | None, *, seed: int = 0) -> Quantised:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(rows, columns, generator=generator) * columns**-0.5
    matrix[0] *= 20  # rows far apart, as in real weights
    return quantise(matrix, kind, group=group)


def tokens(count: int, columns: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, columns, generator=generator).to(dtype)


def assert_close(found: Tensor, x: Tensor, weight: Quantised) -> None:
    matrix = weight.dequantised(torch.float64)
    wanted, size = x.double() @ matrix.T, matrix.norm(dim=1)
    assert found.dtype == x.dtype and found.shape == wanted.shape
    tolerance = TOLERANCE[x.dtype]
    torch.testing.assert_close(found / size, wanted / size, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("kind", "group"), KINDS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("count", [1, 63])
def test_every_kind_is_its_dequantised_product(
    kind: Kind, group: int | None, dtype: torch.dtype, count: int
) -> None:
    weight = drawn(100, 384, kind, group)
    x = tokens(count, 384, dtype)
    assert_close(qmatmul_triton(x, weight), x, weight)
    assert_close(qmatmul(x, weight), x, weight)
    assert_close(qmatmul_reference(x, weight), x, weight)


@pytest.mark.parametrize(("count", "rows", "columns"), [(257, 63, 48), (3, 257, 16), (17, 1, 1040)])
@pytest.mark.parametrize(("kind", "group"), [("int4", 16), ("e2m1", 16), ("e4m3", None)])
def test_odd_sizes(count: int, rows: int, columns: int, kind: Kind, group: int | None) -> None:
    weight = drawn(rows, columns, kind, group)
    x = tokens(count, columns, torch.bfloat16)
    assert_close(qmatmul_triton(x, weight), x, weight)


@pytest.mark.parametrize("processors", [1, 8, 1000])
def test_programs_that_share_columns_give_the_same(processors: int) -> None:
    weight = drawn(64, 2048, "int4", 32)
    x = tokens(5, 2048, torch.float32)
    found = qmatmul_triton(x, weight, processors=processors)
    assert_close(found, x, weight)
    again = qmatmul_triton(x, weight, processors=processors)
    assert found.equal(again), "sums in a fixed order"


def test_columns_are_shared_where_rows_are_few() -> None:
    tile = file._tile(1, 2)
    assert file._splits(8, 64, tile, 132) == 16
    assert file._splits(1000, 64, tile, 132) == 1
    assert file._splits(8, 8, tile, 132) == 2, "no program without a few steps"


def test_int4_with_a_bias_counts_codes_from_nought() -> None:
    generator = torch.Generator().manual_seed(1)
    codes = pack(torch.randint(0, 16, (40, 96), generator=generator))
    scale = torch.rand(40, 3, generator=generator).half()
    weight = Quantised("int4", codes, scale, bias=-4 * scale, row=torch.rand(40) + 0.5)
    x = tokens(20, 96, torch.float32)
    assert_close(qmatmul_triton(x, weight), x, weight)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_int8_may_have_a_bias_too(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(-128, 128, (40, 192), generator=generator).to(torch.int8)
    scale = (torch.rand(40, 3, generator=generator) / 128).bfloat16()
    weight = Quantised("int8", codes, scale, bias=torch.randn(40, 3, generator=generator).half())
    x = tokens(20, 192, dtype)
    assert_close(qmatmul_triton(x, weight), x, weight)


def test_every_code_of_every_kind_is_exact() -> None:
    # a unit vector reads one column: fp32 must give the code's worth to the bit
    x = torch.eye(256)
    bytes_ = torch.arange(256, dtype=torch.uint8)[None]
    e4m3 = torch.where(bytes_ & 127 == 127, 0, bytes_).view(torch.float8_e4m3fn)  # no NaN
    for weight in (
        Quantised("int8", bytes_.view(torch.int8)),
        Quantised("e4m3", e4m3),
        Quantised("e2m1", bytes_.repeat(1, 2)[:, :128]),
        Quantised("int4", bytes_.flip(1).repeat(1, 2)[:, 100:228].contiguous()),
    ):
        assert qmatmul_triton(x, weight)[:, 0].equal(weight.dequantised()[0]), weight.kind


def test_leading_dimensions_and_slices_of_x_and_weight() -> None:
    weight = drawn(96, 64, "e2m1", 16)[16:80]
    x = tokens(24, 128, torch.float32).view(2, 12, 128)[..., ::2]
    assert_close(qmatmul_triton(x, weight).view(24, 64), x.reshape(24, 64), weight)


def test_no_row_leaks_into_another() -> None:
    weight = drawn(64, 64, "int8", None)
    x = tokens(20, 64, torch.float32)
    x[7] = torch.nan
    found = qmatmul_triton(x, weight)
    assert found[7].isnan().all() and not found[[*range(7), *range(8, 20)]].isnan().any()


def test_order_of_columns_is_that_of_codes_in_a_word() -> None:
    x = torch.arange(16.0)[None]
    assert ordered(x, 4)[0].tolist() == [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15]
    assert ordered(x, 2)[0].tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15]
    assert ordered(x, 1).equal(x)


def test_what_the_kernels_take() -> None:
    assert suits(drawn(4, 48, "e2m1", 16)) and suits(drawn(4, 48, "int8", None))
    assert not suits(drawn(4, 40, "int8", None)), "columns"
    assert not suits(drawn(4, 48, "int8", 24)), "groups"
    assert operand(drawn(4, 48, "e2m1", 16)).codes.dtype == torch.int32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize(("kind", "group"), KINDS)
@pytest.mark.parametrize("count", [1, 100, 256])
def test_product_on_a_gpu_and_in_a_graph(kind: Kind, group: int | None, count: int) -> None:
    weight = drawn(2112, 2816, kind, group)
    x = tokens(count, 2816, torch.bfloat16).cuda()
    moved = weight.to("cuda")
    with torch.inference_mode():
        qmatmul(x, moved)  # compiles
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = qmatmul(x, moved)
        x.copy_(x.flip(0))
        graph.replay()
    torch.cuda.synchronize()
    assert_close(found.cpu(), x.cpu(), weight)
