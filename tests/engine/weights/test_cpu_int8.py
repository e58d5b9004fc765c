"""A small model on a CPU with codes beside its numbers."""

from __future__ import annotations

import pytest
import torch

from dgedit_engine.engine import open_engine
from dgedit_engine.memory.plan import need
from dgedit_engine.model import products
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import load_config
from dgedit_engine.model.masks import side_by_side
from dgedit_engine.model.model import Model
from dgedit_engine.nano.names import TINY
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from dgedit_engine.weights.cpu_int8 import pack, packs
from dgedit_kernels.packed import Packed, available

pytestmark = pytest.mark.skipif(not available(), reason="this CPU has no such products")


@pytest.fixture(params=[True, False])
def native(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the CPU multiplies bfloat16."""
    monkeypatch.setattr(products, "has_bfloat16", lambda: request.param)
    return bool(request.param)


def loaded() -> Model:
    return checkpoint.load(load_config(TINY), TINY, dtype=torch.float32)


def of(model: Model) -> list[Packed]:
    found = [value for one in model.modules() for value in vars(one).values()]
    found += [] if model.head is None else [model.head.weight]
    return [one for one in found if isinstance(one, Packed)]


@torch.inference_mode()
def test_packed_model_says_nearly_the_same(native: bool) -> None:
    plain, small = loaded(), loaded()
    pack(small)
    assert len(of(small)) == 6 * len(small.config.layers) + 3  # conditioning's two, and the head
    ids = torch.arange(40, 52)[None]
    said = []
    for model in (plain, small):
        cache = KVCache(model.config, dtype=torch.float32)
        model.encode(torch.arange(10, 34)[None], cache)
        probs = model.logits(model.denoise(ids, cache)).softmax(-1)
        hidden = model.denoise(ids, cache, model.soft_embed(probs))
        said.append(model.logits(hidden).log_softmax(-1))
    gap = torch.nn.functional.kl_div(said[1], said[0], log_target=True, reduction="batchmean")
    assert 0 < gap / ids.numel() < 0.02  # nats a slot


@torch.inference_mode()
def test_what_the_prompt_keeps_depends_on_no_chunk(native: bool) -> None:
    model = loaded()
    pack(model)
    ids = torch.arange(30, 94)[None]
    whole, parts = (KVCache(model.config, dtype=torch.float32) for _ in range(2))
    model.encode(ids, whole)
    for part in ids.split(5, 1):
        model.encode(part, parts)
    tolerance = 2e-2 if native else 1e-4  # of bfloat16 and fp32, not of codes
    for one, other in zip(whole.keys + whole.values, parts.keys + parts.values, strict=True):
        torch.testing.assert_close(
            one[:, :, :64], other[:, :, :64], rtol=tolerance, atol=tolerance * 5
        )


@torch.inference_mode()
def test_drafts_take_the_codes_and_the_prompt_does_not(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded()
    pack(model)
    told: list[bool] = []
    from dgedit_engine.model import products as file

    real = file.packed_product

    def noted(x: torch.Tensor, weight: Packed, *, exact: bool = False) -> torch.Tensor:
        told.append(exact)
        return real(x, weight, exact=exact)

    monkeypatch.setattr(file, "packed_product", noted)
    cache = KVCache(model.config, dtype=torch.float32)
    ids = torch.arange(30, 38)[None]
    model.encode(ids, cache)
    assert told and all(told)
    told.clear()
    model.encode(ids[:, :1].expand(2, 1), cache.fork(2, 8))
    model.encode(ids, cache, beside=side_by_side([4, 4], "cpu"))
    model.denoise(ids, cache)
    assert told and not any(told)


def test_memory_is_counted_to_the_byte(native: bool) -> None:
    engine = open_engine("tiny", "cpu")
    model = engine.model
    assert model.embedding.dtype == torch.float32 == engine.cache.dtype
    codes = sum(one.weight.numel() for one in of(model))
    numbers = sum(one.weight.nbytes for one in of(model) if native or one is not of(model)[-1])
    assert all((one.weight.dtype == torch.bfloat16) == native for one in of(model))
    rest = {id(one): one.nbytes for one in [*model.parameters(), *model.buffers()]}
    assert need(TINY, context=3072).weights == codes + numbers + sum(rest.values())


def test_only_small_models_on_a_cpu_are_packed() -> None:
    assert packs(torch.device("cpu"), 6_000_000)
    assert not packs(torch.device("cpu"), 10**9) and not packs(torch.device("cuda"), 6_000_000)


def test_the_same_seed_gives_the_same_infill() -> None:
    from dgedit_engine.types import Hole, InfillRequest, Passage, collect

    request = InfillRequest((Passage("a.py", ("x = [", Hole(), "]\n")),), seed=3)
    first, second = (collect(open_engine("tiny", "cpu").infill(request)) for _ in range(2))
    assert first.texts == second.texts and first.score == second.score


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_weight_that_is_not_finite_is_named(value: float) -> None:
    model = loaded()
    model.layers[2].down[3, 5] = value  # type: ignore[operator, index, union-attr]
    with pytest.raises(ModelError, match=r"layers\.2\.mlp\.down_proj\.weight: not all numbers"):
        pack(model)
