"""The rotary embedding against rotations written as complex numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from dgedit_kernels.rope import (
    Rope,
    qk_norm_rope,
    qk_norm_rope_reference,
    qk_norm_rope_triton,
    rope_at,
    rope_table,
    rotate,
)


def turned(x: Tensor, positions: Tensor, *, theta: float, rotated: int) -> Tensor:
    """x (n, h, E): pair (i, i + E/2) as a complex number times e^(i angle), 0 behind `rotated`."""
    width = x.shape[-1]
    low, high = x.double().chunk(2, -1)
    pairs = torch.arange(width // 2, dtype=torch.float64)
    frequency = torch.where(pairs < rotated, theta ** (-2 * pairs / width), 0.0)
    angle = positions.double()[:, None, None] * frequency
    product = torch.complex(low, high) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat((product.real, product.imag), -1)


@pytest.mark.parametrize("count", [1, 63, 100, 257])
@pytest.mark.parametrize(("width", "rotated"), [(2, 1), (18, 9), (64, 32), (64, 8), (24, 3)])
def test_rotate_turns_pairs_half_a_head_apart(count: int, width: int, rotated: int) -> None:
    x = torch.randn(count, 3, width, generator=torch.Generator().manual_seed(count))
    positions = torch.arange(7, 7 + count)
    cos, sin = rope_table(positions, head_dim=width, theta=1e4, rotated=rotated)
    assert cos.dtype == sin.dtype == torch.float32 and cos.shape == sin.shape == (count, width)
    expected = turned(x, positions, theta=1e4, rotated=rotated)
    torch.testing.assert_close(rotate(x, cos, sin).double(), expected, rtol=1e-4, atol=1e-4)


def test_rotate_keeps_the_pairs_that_do_not_turn() -> None:
    x = torch.randn(5, 2, 16, generator=torch.Generator().manual_seed(0))
    found = rotate(x, *rope_table(torch.arange(1, 6), head_dim=16, theta=1e6, rotated=2))
    still = [*range(2, 8), *range(10, 16)]
    assert torch.equal(found[..., still], x[..., still])
    assert not torch.isclose(found[..., [0, 8]], x[..., [0, 8]]).all()


def test_rotate_makes_products_depend_on_distance_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 32, generator=generator)

    def product(here: int, there: int) -> float:
        cos, sin = rope_table(torch.tensor([here, there]), head_dim=32, theta=1e4, rotated=16)
        return float((rotate(q, cos[:1], sin[:1]) * rotate(k, cos[1:], sin[1:])).sum())

    assert product(9, 4) == pytest.approx(product(905, 900), abs=1e-3)
    assert product(9, 4) != pytest.approx(product(9, 7), abs=1e-2)


def test_rotate_reads_strided_and_batched_input() -> None:
    x = torch.randn(2, 3, 5, 16, generator=torch.Generator().manual_seed(0)).transpose(1, 2)
    assert not x.is_contiguous()  # (2, 5, 3, 16)
    cos, sin = rope_table(torch.arange(5), head_dim=16, theta=1e4, rotated=8)
    assert torch.equal(rotate(x, cos, sin), rotate(x.contiguous(), cos, sin))


def test_rotate_holds_in_bf16() -> None:
    x = torch.randn(63, 2, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    positions = torch.arange(63)
    cos, sin = rope_table(positions, head_dim=64, theta=1e4, rotated=32)
    found = rotate(x, cos.bfloat16(), sin.bfloat16())
    assert found.dtype == torch.bfloat16
    expected = turned(x, positions, theta=1e4, rotated=32)
    torch.testing.assert_close(found.double(), expected, rtol=4e-2, atol=4e-2)


EPS = 1e-6
WAYS = [qk_norm_rope, qk_norm_rope_reference, qk_norm_rope_triton]


def normed(x: Tensor) -> Tensor:
    wide = x.double()
    return wide / (wide.square().mean(-1, keepdim=True) + EPS).sqrt()


def expected(
    joined: Tensor, q_norm: Tensor, k_norm: Tensor, rope: Rope, *, heads: int, kv_heads: int,
    shared: bool, theta: float, rotated: int,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    parts = joined.split([heads, kv_heads] + ([] if shared else [kv_heads]), 2)
    q, k = (
        torch.stack(
            [turned(row, rope.positions, theta=theta, rotated=rotated) for row in normed(x) * w]
        ).transpose(1, 2)
        for x, w in zip(parts, (q_norm.double(), k_norm.double()), strict=False)
    )
    return q, k, normed(parts[-1]).transpose(1, 2)


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    new, empty = Tensor.new_empty, torch.empty

    def poison(one: Tensor) -> Tensor:
        return one.fill_(torch.nan) if one.is_floating_point() else one

    monkeypatch.setattr(Tensor, "new_empty", lambda self, *a, **k: poison(new(self, *a, **k)))
    monkeypatch.setattr(torch, "empty", lambda *a, **k: poison(empty(*a, **k)))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("width", "rotated", "heads", "kv_heads"),
    [(16, 8, 4, 2), (64, 16, 3, 1), (256, 128, 4, 2), (512, 64, 2, 1)],
)
def test_queries_keys_and_values_are_the_formula(
    way: Any, shared: bool, width: int, rotated: int, heads: int, kv_heads: int, poisoned: None
) -> None:
    rows = heads + kv_heads * (1 if shared else 2)
    generator = torch.Generator().manual_seed(width)
    joined = torch.randn(2, 2 * 13, rows, width, generator=generator)[:, ::2] * 3
    weights = torch.randn(2, width, generator=generator)
    positions = torch.arange(100, 113)
    rope = rope_at(positions, head_dim=width, theta=1e4, rotated=rotated, dtype=torch.float32)
    options = {"heads": heads, "kv_heads": kv_heads, "shared": shared}
    found = way(joined, *weights, rope, eps=EPS, **options)
    right = expected(joined, *weights, rope, theta=1e4, rotated=rotated, **options)
    for one, other in zip(found, right, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=1e-3)


def test_kernel_takes_bfloat16_and_positions_of_any_order() -> None:
    generator = torch.Generator().manual_seed(0)
    joined = torch.randn(1, 6, 5, 64, generator=generator).bfloat16()
    weights = torch.randn(2, 64, generator=generator).bfloat16()
    positions = torch.tensor([9, 9, 3, 500, 0, 70], dtype=torch.int32)
    rope = rope_at(positions, head_dim=64, theta=1e6, rotated=8, dtype=torch.float32)
    options = {"heads": 3, "kv_heads": 1, "shared": False}
    found = qk_norm_rope_triton(joined, *weights, rope, eps=EPS, **options)
    right = expected(joined, *weights, rope, theta=1e6, rotated=8, **options)
    for one, other in zip(found, right, strict=True):
        assert one.dtype == torch.bfloat16
        torch.testing.assert_close(one.double(), other, rtol=2e-2, atol=5e-2)


class _Narrow(TorchDispatchMode):
    """Refuses float64 anywhere but on the CPU, as some devices do."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and found.device.type != "cpu":
            assert found.dtype != torch.float64, func
        return found


def test_rope_needs_no_float64_on_the_device() -> None:
    with _Narrow():
        rope = rope_at(
            torch.arange(3, device="meta"), head_dim=8, theta=1e4, rotated=4, dtype=torch.float32
        )
    assert rope.turn.device.type == "meta" and rope.turn.dtype == torch.int32


def test_angles_are_right_at_the_last_position() -> None:
    """For fp32 frequencies, as they are released: the kernel's to 0.0003 radians, where the table's
    rounding of the angle itself is some 0.01 off.
    """
    position, width = 262_143, 256
    joined = torch.zeros(1, 1, 3, width)
    joined[..., : width // 2] = 1.0  # turned by an angle, (1, 0) is its cosine and sine
    rope = rope_at(
        torch.tensor([position]), head_dim=width, theta=1e4, rotated=128, dtype=torch.float32
    )
    options = {"heads": 1, "kv_heads": 1, "shared": False, "eps": 0.0}
    q, _, _ = qk_norm_rope_triton(joined, torch.ones(width), torch.ones(width), rope, **options)
    low, high = q[0, 0, 0].double().chunk(2)
    angle = position * (1 / 1e4 ** (2 * torch.arange(128.0) / width)).double()
    error = torch.hypot(low - 2**0.5 * angle.cos(), high - 2**0.5 * angle.sin())
    assert error.max() < 1e-3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_turn_on_a_gpu_follows_positions_in_a_graph() -> None:
    joined = torch.randn(1, 256, 32, 256, device="cuda")
    weights = torch.randn(2, 256, device="cuda")
    positions = torch.arange(256, device="cuda")
    options = {"heads": 16, "kv_heads": 8, "shared": False}
    with torch.inference_mode():
        rope = rope_at(positions, head_dim=256, theta=1e4, rotated=128, dtype=torch.float32)
        qk_norm_rope(joined, *weights, rope, eps=EPS, **options)  # compiles
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            found = qk_norm_rope(joined, *weights, rope, eps=EPS, **options)
        positions += 1000
        graph.replay()
    torch.cuda.synchronize()
    at = Rope(positions.cpu(), rope.turn.cpu())
    right = expected(joined.cpu(), *weights.cpu(), at, theta=1e4, rotated=128, **options)
    for one, other in zip(found, right, strict=True):
        torch.testing.assert_close(one.double().cpu(), other, rtol=1e-2, atol=1e-2)
