"""`attend` against a loop over tokens in fp64: in PyTorch, by its reference, and by its kernels."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_kernels.attention import attend, attend_reference, attention
from dgedit_kernels.attention_split import attend_triton
from dgedit_kernels.dispatch import triton

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's: log2(0), 0 / 0
INTERPRETED = hasattr(triton, "language") and not torch.cuda.is_available()
SPLIT = partial(attend_triton, processors=16)
NATIVE = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
PATHS = pytest.mark.parametrize(
    "path",
    [
        pytest.param(attend, id="pytorch"),
        pytest.param(attend_reference, id="reference"),
        pytest.param(SPLIT, id="triton", marks=pytest.mark.skipif(not INTERPRETED, reason="GPU")),
    ],
)
BOTH_WAYS = pytest.mark.parametrize("causal", [False, True], ids=["canvas", "text"])


def draw(
    *,
    n: int,
    past: int,
    batch: int = 1,
    heads: int = 4,
    shared: int = 2,
    width: int = 16,
    rows: int = 1,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
) -> list[Tensor]:
    """q, k, v, a prompt of `past` slots behind 3 of NaN and before 9 of it, and its extent."""
    generator = torch.Generator().manual_seed(n * 1000 + past)
    tokens = [(batch, h, n, width) for h in (heads, shared, shared)]
    prompts = [(rows, shared, past + 12, width)] * 2
    drawn = [torch.randn(shape, generator=generator) * 0.7 for shape in (*tokens, *prompts)]
    for prompt in drawn[3:]:
        prompt[:, :, :3] = torch.nan
        prompt[:, :, 3 + past :] = torch.nan
    extent = torch.tensor([3, 3 + past], dtype=torch.int32)
    return [*(each.to(device, dtype) for each in drawn), extent.to(device)]


def formula(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    prompt_k: Tensor,
    prompt_v: Tensor,
    extent: Tensor,
    *,
    causal: bool,
    window: int | None = None,
    own: Tensor | None = None,
    offset: Tensor | None = None,
) -> Tensor:
    """Token by token, over the keys that it may look at."""
    batch, heads, n, _ = q.shape
    first, end = extent.tolist()
    sequence = [0] * n if own is None else own.tolist()
    place = list(range(n)) if offset is None else offset.tolist()
    reach = 10**9 if window is None else window
    outputs = []
    for token in range(n):
        here = place[token] if causal else 0
        slots = [slot for slot in range(first, end) if slot > end + here - reach]
        others = [other for other in range(n) if sequence[other] == sequence[token]]
        if causal:
            others = [other for other in others if here - reach < place[other] <= here]
        keys, values = (
            torch.cat((prompt[:, :, slots].expand(batch, -1, -1, -1).double(), new), 2)
            .repeat_interleave(heads // k.shape[1], 1)
            .double()
            for prompt, new in ((prompt_k, k[:, :, others]), (prompt_v, v[:, :, others]))
        )
        weights = (keys @ q[:, :, token, :, None].double()).softmax(2)
        outputs.append((values * weights).sum(2))
    return torch.stack(outputs, 1)  # (B, n, H, E)


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(
        found.double().cpu(), expected.double().cpu(), rtol=tolerance, atol=tolerance
    )


def side_by_side(*sizes: int) -> dict[str, Tensor]:
    own = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    offset = torch.cat([torch.arange(size) for size in sizes])
    return {"own": own.int(), "offset": offset.int()}


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh tensors hold NaN."""
    new_empty = torch.Tensor.new_empty

    def filled(*args: Any, **named: Any) -> Tensor:
        found = new_empty(*args, **named)
        return found.fill_(torch.nan) if found.is_floating_point() else found

    monkeypatch.setattr(torch.Tensor, "new_empty", filled)


@PATHS
@BOTH_WAYS
@pytest.mark.parametrize("window", [None, 1, 20, 50])
@pytest.mark.usefixtures("poisoned")
def test_attend_is_the_formula(path: Any, causal: bool, window: int | None) -> None:
    inputs = draw(n=33, past=40)
    found = path(*inputs, causal=causal, window=window)
    assert found.shape == (1, 33, 4, 16) and found.is_contiguous()
    assert_close(found, formula(*inputs, causal=causal, window=window))


@PATHS
@pytest.mark.parametrize(
    ("n", "past", "causal"),
    [(1, 0, True), (1, 257, True), (63, 1, False), (100, 63, True), (5, 1000, False)],
)
@pytest.mark.usefixtures("poisoned")
def test_attend_holds_for_odd_sizes(path: Any, n: int, past: int, causal: bool) -> None:
    inputs = draw(n=n, past=past, heads=2, shared=1)
    assert_close(path(*inputs, causal=causal), formula(*inputs, causal=causal))


@PATHS
@BOTH_WAYS
def test_attend_needs_no_prompt(path: Any, causal: bool) -> None:
    inputs = draw(n=20, past=0)
    assert_close(path(*inputs, causal=causal), formula(*inputs, causal=causal))


@PATHS
@pytest.mark.parametrize(("heads", "shared"), [(1, 1), (4, 4), (6, 2), (8, 1)])
def test_attend_shares_keys_among_heads(path: Any, heads: int, shared: int) -> None:
    inputs = draw(n=9, past=20, heads=heads, shared=shared)
    assert_close(path(*inputs, causal=True, window=5), formula(*inputs, causal=True, window=5))


@PATHS
@pytest.mark.parametrize("rows", [1, 3])
def test_attend_reads_a_prompt_that_rows_share_or_their_own(path: Any, rows: int) -> None:
    inputs = draw(n=10, past=30, batch=3, rows=rows)
    assert_close(path(*inputs, causal=False), formula(*inputs, causal=False))


@PATHS
def test_attend_reads_strided_input(path: Any) -> None:
    q, k, v, *prompt, extent = draw(n=10, past=30, batch=2, rows=2)
    joined = torch.cat([each.transpose(1, 2) for each in (q, k, v)], 2)  # (B, n, H + 2K, E)
    q, k, v = (each.transpose(1, 2) for each in joined.split((4, 2, 2), 2))
    prompt = [torch.cat((each, each), 3)[..., :16] for each in prompt]
    inputs = [q, k, v, *prompt, extent]
    assert not any(each.is_contiguous() for each in inputs[:5])
    assert_close(path(*inputs, causal=True), formula(*inputs, causal=True))


@PATHS
@BOTH_WAYS
@pytest.mark.parametrize("window", [None, 6])
def test_sequences_side_by_side_are_each_as_if_alone(
    path: Any, causal: bool, window: int | None
) -> None:
    sizes = (7, 1, 12)
    q, k, v, *prompt = draw(n=sum(sizes), past=30)
    found = path(q, k, v, *prompt, causal=causal, window=window, **side_by_side(*sizes))
    parts = zip(*(each.split(sizes, 2) for each in (q, k, v)), strict=True)
    alone = [path(*part, *prompt, causal=causal, window=window) for part in parts]
    assert_close(found, torch.cat(alone, 1))


@PATHS
@BOTH_WAYS
def test_tokens_may_stand_in_any_order(path: Any, causal: bool) -> None:
    q, k, v, *prompt = draw(n=40, past=30)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    where = {name: each[order] for name, each in side_by_side(11, 13, 16).items()}
    found = path(q, k, v, *prompt, causal=causal, window=9, **where)
    assert_close(found, formula(q, k, v, *prompt, causal=causal, window=9, **where))


@PATHS
def test_tokens_may_begin_behind_a_gap(path: Any) -> None:
    inputs = draw(n=10, past=30)
    where = {"offset": torch.arange(25, 35, dtype=torch.int32)}
    for window in (None, 8, 30):
        found = path(*inputs, causal=True, window=window, **where)
        assert_close(found, formula(*inputs, causal=True, window=window, **where))


@PATHS
@BOTH_WAYS
def test_attend_reads_a_prompt_of_8_bits(path: Any, causal: bool) -> None:
    q, k, v, *prompt, extent = draw(n=10, past=30, batch=2)
    prompt = [each.to(torch.float8_e4m3fn) for each in prompt]
    expected = formula(q, k, v, *(each.float() for each in prompt), extent, causal=causal)
    assert_close(path(q, k, v, *prompt, extent, causal=causal), expected)


@PATHS
def test_every_code_of_8_bits_is_worth_what_it_says(path: Any) -> None:
    codes = torch.arange(256, dtype=torch.uint8)
    codes[(codes & 0x7F) == 0x7F] = 0  # NaN
    prompt = codes.view(torch.float8_e4m3fn).view(1, 1, 1, 256)
    zeros, extent = torch.zeros(1, 1, 1, 256), torch.tensor([0, 1], dtype=torch.int32)
    found = path(zeros, zeros, zeros, prompt, prompt, extent, causal=False)
    assert torch.equal(found.flatten() * 2, prompt.float().flatten())  # two keys weigh the same


@PATHS
@pytest.mark.parametrize("causal", [False, True])
def test_attend_is_attention_over_keys_in_one_piece(path: Any, causal: bool) -> None:
    q, k, v, prompt_k, prompt_v, extent = draw(n=24, past=0 if causal else 30)
    keys, values = (
        torch.cat((prompt[:, :, extent[0] : extent[1]], new), 2)
        for prompt, new in ((prompt_k, k), (prompt_v, v))
    )
    expected = attention(q, keys, values, None, causal=causal).transpose(1, 2)
    assert_close(path(q, k, v, prompt_k, prompt_v, extent, causal=causal), expected)


def test_attend_in_bf16_is_near() -> None:
    inputs = draw(n=33, past=40, dtype=torch.bfloat16)
    for causal in (False, True):
        found = attend(*inputs, causal=causal)
        assert found.dtype == torch.bfloat16
        assert_close(found, formula(*inputs, causal=causal), tolerance=2e-2)


@pytest.mark.skipif(not INTERPRETED, reason="the interpreter's")
@pytest.mark.parametrize("processors", [1, 5, 1000])
@pytest.mark.parametrize(("n", "past"), [(1, 1), (9, 3), (9, 200)])
@pytest.mark.usefixtures("poisoned")
def test_keys_are_shared_out_among_any_number_of_programs(
    n: int, past: int, processors: int
) -> None:
    """The buffer has room for more keys than there are: most programs get none."""
    q, k, v, prompt_k, prompt_v, extent = draw(n=n, past=past, heads=1, shared=1)
    room = torch.full((1, 1, 2000, 16), torch.nan)
    prompt = [torch.cat((each, room), 2) for each in (prompt_k, prompt_v)]
    for causal in (False, True):
        found = attend_triton(q, k, v, *prompt, extent, causal=causal, processors=processors)
        expected = formula(q, k, v, *prompt, extent, causal=causal)
        assert_close(found, expected)


@pytest.mark.skipif(not INTERPRETED, reason="the interpreter's")
@BOTH_WAYS
@pytest.mark.parametrize("shared", [99, 227])
@pytest.mark.parametrize("width", [32, 256, 512])
@pytest.mark.usefixtures("poisoned")
def test_tiles_of_16_bits_are_the_formula(width: int, shared: int, causal: bool) -> None:
    """Tiles of all cards; the interpreter multiplies no bfloat16."""
    inputs = draw(n=9, past=70, heads=8, shared=1, width=width, dtype=torch.float16)
    found = SPLIT(*inputs, causal=causal, window=40, shared=shared)
    assert found.dtype == torch.float16
    assert_close(found, formula(*inputs, causal=causal, window=40), tolerance=5e-3)


@NATIVE
@pytest.mark.gpu
@BOTH_WAYS
@pytest.mark.parametrize(
    ("width", "shared", "window"), [(256, 8, 1024), (512, 2, None), (64, 2, 9)]
)
@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float8_e4m3fn])
def test_attend_on_a_gpu_serves_every_prompt_from_one_graph(
    width: int, shared: int, window: int | None, causal: bool, stored: torch.dtype
) -> None:
    """`attend_reference` stands for the formula: the loop is slow on a GPU."""
    for n, batch in ((256, 1), (33, 3), (1, 1)):
        shape = {"heads": 16, "shared": shared, "width": width, "batch": batch}
        *inputs, extent = draw(n=n, past=3000, dtype=torch.bfloat16, device="cuda", **shape)
        inputs = [each * width**-0.25 for each in inputs]
        inputs[3:] = [each.to(stored) for each in inputs[3:]]
        run = partial(attend, *inputs, extent, causal=causal, window=window)
        with torch.inference_mode():
            run()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                captured = run()
            for first, end in ((3, 3003), (3, 3), (500, 511), (1500, 2777)):
                extent.copy_(torch.tensor([first, end]))
                captured.fill_(torch.nan)
                graph.replay()
                expected = attend_reference(*inputs, extent, causal=causal, window=window)
                assert_close(captured, expected, tolerance=2e-2)
                assert torch.equal(run(), captured)
