"""What is planned holds what is taken; and what is proposed where a model does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from as_on_a_card import through_kernels
from dgedit_engine.bench.shapes import random_model, released, small
from dgedit_engine.decode.canvas import seed_canvas
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.loop import EagerRefiner, Start, refine
from dgedit_engine.decode.loop_cuda import DenoiseStep
from dgedit_engine.formats.source import TensorSource
from dgedit_engine.memory import passes
from dgedit_engine.memory import plan as memory
from dgedit_engine.memory.plan import (
    _QUANTISATIONS,
    Need,
    Quantisation,
    check,
    fitting,
    least,
    need,
    usual,
)
from dgedit_engine.model import products
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.config import Config, Sampling, load_config
from dgedit_engine.model.model import Model
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from dgedit_engine.weights.quantize import quantize
from dgedit_engine.weights.slots import slots
from peak import Peak
from published import is_expert, numbers, publish, write

GB = 10**9
LONG = replace(small(), context=1 << 17, vocab=512)
"""A context that weighs more than the weights."""


@pytest.fixture(autouse=True)
def unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers alone: codes beside them are another test's."""
    monkeypatch.setattr("dgedit_engine.weights.cpu_int8.available", lambda: False)


def weights(model: Model) -> int:
    return sum(slot.weight.nbytes for slot in slots(model))


def plain(folder: Path) -> None:
    write(folder, {name: one.bfloat16() for name, one in numbers().items()}, None)


def wide(folder: Path) -> None:
    write(folder, numbers(), None)


def untied(folder: Path) -> None:
    """As files that have a layer's scalar once."""
    found = {name: one.bfloat16() for name, one in numbers().items() if "encoder" not in name}
    write(folder, found, None)


def modelopt(folder: Path) -> None:
    publish(folder, nvfp4, is_expert, {"quant_method": "modelopt", "quant_algo": "NVFP4"})


def nvfp4(shape: tuple[int, ...], _: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    *rows, columns = shape
    scale = torch.ones(*rows, columns // 16).to(torch.float8_e4m3fn)
    codes = torch.zeros(*rows, columns // 2, dtype=torch.uint8)
    return {
        "weight": codes,
        "weight_scale": scale,
        "weight_scale_2": torch.ones(()),
    }, torch.zeros(shape)


def ours(folder: Path) -> None:
    plain(folder / "wide")
    for _ in quantize(folder / "wide", folder / "narrow", experts="int4", rest="int8"):
        pass
    for file in (folder / "narrow").iterdir():
        file.rename(folder / file.name)


FORMATS: tuple[Callable[[Path], None], ...] = (plain, wide, untied, modelopt, ours)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("made", FORMATS)
def test_weights_are_counted_to_the_byte(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    made: Callable[[Path], None],
    native: bool,
) -> None:
    monkeypatch.setattr(products, "has_bfloat16", lambda: native)
    (folder := tmp_path / "model").mkdir()
    made(folder)
    fit = check(folder, 10 * GB)
    assert fit.need == need(folder, context=fit.context)
    dtype, between = fit.setting.matrices, fit.setting.between
    assert dtype == (torch.bfloat16 if native and made is not wide else torch.float32)
    assert between == torch.float32
    model = checkpoint.load(load_config(folder), folder, dtype=dtype, activations=between)
    assert fit.need.weights == weights(model)
    on_gpu = need(folder, context=128, device="cuda")
    assert on_gpu.weights == weights(checkpoint.load(load_config(folder), folder))
    assert on_gpu.total == on_gpu.weights + on_gpu.cache + on_gpu.work


def test_no_weight_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modelopt(tmp_path)

    def refused(*_: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr(TensorSource, "value", refused)
    assert need(tmp_path, context=128).weights > 0


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model here"):
        need(tmp_path, context=128)
    plain(tmp_path)
    with pytest.raises(ModelError, match="fp8 need a GPU"):
        need(tmp_path, context=128, kv="fp8")


def setting(config: Config, *, on_gpu: bool, candidates: int = 1) -> passes.Setting:
    between = torch.bfloat16 if on_gpu else torch.float32
    decoding = Decoding(candidates=candidates)
    return passes.Setting(config, decoding, on_gpu, torch.bfloat16, between)


@pytest.mark.parametrize("context", [100, 3000])
@pytest.mark.parametrize("kv", ["bf16", "fp8"])
def test_cache_of_a_gpu_is_counted_to_the_byte(context: int, kv: passes.KV) -> None:
    """But for the buffer that is there twice while it grows."""
    config = replace(small(), context=context)
    model = random_model(config, "bf16", device="cpu")
    stored = torch.float8_e4m3fn if kv == "fp8" else None
    cache = DeviceCache(config, device="cpu", dtype=torch.bfloat16, stored=stored)
    with torch.inference_mode():
        for _ in range(0, context - 100, 500):  # fills it as prompts do, without their cost
            cache.reserve(500)
            cache.ids += [5] * 500
            cache.tell()
        cache.truncate(min(len(cache), context - 50))
        encode(model, cache, [*cache.ids, *[5] * (context - len(cache.ids))])
    assert len(cache) == context
    found = passes.cached(setting(config, on_gpu=True), context, kv)
    assert found - cache.nbytes == max(one.nbytes for one in cache.keys)


@pytest.mark.parametrize("quant", ["bf16", "e2m1"])
@pytest.mark.parametrize(("context", "rows"), [(256, 3), (1500, 1)])
def test_plan_holds_what_a_cpu_takes(quant: Any, context: int, rows: int) -> None:
    config = small()
    model = random_model(config, quant, device="cpu")
    model.activations = torch.float32
    planned = setting(config, on_gpu=False, candidates=rows)
    cache = KVCache(config, dtype=torch.bfloat16)
    generator = torch.Generator().manual_seed(0)
    starts = [
        Start(
            seed_canvas(
                [[]],
                [[]],
                [128],
                end=1,
                vocab=config.vocab,
                strength=1.0,
                generator=generator,
            ),
            2,
        )
        for _ in range(rows)
    ]
    refiner = EagerRefiner(model, cache)
    with Peak() as peak:
        encode(model, cache, list(range(3, 3 + context)))
        sampling = Sampling(steps=2, confidence=0.0)
        for _ in refine(refiner, starts, sampling, generator, shrinking=False):
            pass
    plan = passes.cached(planned, context, "bf16") + passes.worked(planned, context)
    assert peak.most < plan < 6 * peak.most


def test_plan_holds_what_a_step_of_kernels_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(
        small(),
        layers=small().layers[2:3],
        canvas=8,
        vocab=4096,
        experts=2,
        active=1,
        dim=128,
        mlp=64,
    )
    model = random_model(config, "bf16", device="cpu")
    cache = DeviceCache(config, device="cpu", dtype=torch.bfloat16)
    for name in ("_GPU_BYTES", "_SPLIT_BYTES"):
        monkeypatch.setattr(passes, name, 0)
    with torch.inference_mode():
        encode(model, cache, list(range(3, 60)))
        through_kernels(monkeypatch)
        step = DenoiseStep(model, cache, rows=1, slots=16)
        step.heat.fill_(0.8)
        with Peak() as peak:
            step.run()
    planned = passes.worked(setting(config, on_gpu=True), 60)
    assert peak.most < planned / 2 < 4 * peak.most  # a step is planned twice


def totals(context: int, kv: passes.KV) -> dict[tuple[Any, Any], Need]:
    """Of the released shape, by what experts and rest are."""
    config = replace(released(), context=context)
    found = fitting(config, 1 << 60, kv=kv)
    assert all(one.fit.context == context and one.fit.kv == kv for one in found)
    return {(one.experts, one.rest): one.fit.need for one in found}


def test_released_shape_fits_18_gigabytes_with_experts_of_four_bits() -> None:
    """As its publisher says of quantised weights; without the rest in 8 bits it does not."""
    found = totals(8192, "bf16")
    assert len(found) == 10
    for experts in ("e2m1", "int4"):
        assert found[experts, "int8"].total < 18.0 * GB < found[experts, None].total
    plain = found[None, None]
    assert plain.weights == pytest.approx(50.5 * GB, rel=1e-3)
    assert plain.cache == pytest.approx(0.604 * GB, rel=1e-2)
    assert 0.5 * GB < plain.work < 1.0 * GB
    assert found["e4m3", "e4m3"].weights == pytest.approx(26.07 * GB, rel=1e-3)
    eight = totals(8192, "fp8")[None, None]
    assert 2 * eight.cache == plain.cache and eight.weights == plain.weights
    assert totals(262_144, "bf16")[None, None].cache == pytest.approx(6.3 * GB, rel=1e-2)


@pytest.mark.parametrize(("free", "best"), [(16, None), (18, "e2m1"), (32, "e4m3"), (80, None)])
def test_choices_fit_and_are_the_longest_and_the_best_come_first(
    free: int, best: str | None
) -> None:
    config = released()
    found = fitting(config, free * GB)
    assert bool(found) == (free > 16)
    for one in found:
        assert one.fit.need.total <= free * GB
        assert one.fit.context == config.context or one.fit.context % 1024 == 0
    enough = [one for one in found if one.fit.context >= usual(config)]
    order = [one for one in _QUANTISATIONS if one in {choice[:2] for choice in enough}]
    assert [one[:2] for one in found[: len(enough)]] == order
    if found:
        experts, rest, fit = found[0]
        assert experts == best
        longer = fitting(replace(config, context=fit.context + 1024), free * GB, kv=fit.kv)
        again = next(one.fit for one in longer if one[:2] == (experts, rest))
        assert again.context == fit.context + (1024 if fit.context == config.context else 0)


def test_keys_of_eight_bits_are_taken_only_where_they_are_needed() -> None:
    config = LONG
    whole = fitting(config, 1 << 60)[0].fit
    assert whole.kv == "bf16" and whole.context == config.context
    less = whole.need.total - whole.need.cache // 4

    def first(**options: Any) -> Quantisation:
        return fitting(config, less, **options)[0]

    assert first(wanted=config.context)[:2] == (None, None)
    assert first(wanted=config.context).fit.kv == "fp8"
    assert first(wanted=4096).fit.kv == first().fit.kv == "bf16"
    narrow = first(kv="bf16", wanted=config.context)  # the context decides
    assert narrow.experts is not None and narrow.fit.context < config.context


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model whose context weighs more than its weights."""
    config = replace(LONG, dim=64, layers=small().layers[:3])
    found = {name: one.bfloat16() for name, one in numbers(config).items()}
    write(tmp_path, found, None, config=config)
    return tmp_path


def refused(folder: Path, free: int, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        check(folder, free, device="cuda:0", **options)
    words = str(caught.value)
    assert "\n" not in words and str(folder) in words
    return words


def test_model_that_fits_is_opened_with_its_own_context(folder: Path) -> None:
    config = load_config(folder)
    fit = check(folder, 10 * GB, device="cuda:0")
    assert (fit.context, fit.kv) == (config.context, "bf16")
    assert fit.need == need(folder, context=config.context, device="cuda")
    assert check(folder, 10 * GB, device="cuda:0", context=9999).context == 9999
    assert check(folder, 10 * GB, device="cuda:0", kv="fp8").kv == "fp8"


def test_context_is_bounded_by_what_fits(folder: Path) -> None:
    whole = check(folder, 10 * GB, device="cuda:0").need
    fit = check(folder, whole.total - 1, device="cuda:0")
    assert fit.kv == "bf16" and fit.context % 1024 == 0
    assert fit.context > usual(load_config(folder))
    some = need(folder, context=usual(load_config(folder)), device="cuda").total
    assert check(folder, some - 1, device="cuda:0").kv == "fp8"
    asked = check(folder, whole.total - 1, device="cuda:0", context=1 << 17)
    assert (asked.context, asked.kv) == (1 << 17, "fp8")


def test_smaller_context_is_proposed_first(folder: Path) -> None:
    free = need(folder, context=60_000, device="cuda").total
    words = refused(folder, free, context=1 << 17, kv="bf16")
    assert re.search(
        r"needs [\d.]+ GB \(weights 0\.\d, 131,072 tokens [\d.]+, work [\d.]+\), cuda:0 has [\d.]+ "
        r"GB free; a context of 59,392 needs",
        words,
    )


def test_fewer_bits_are_proposed_for_the_context_that_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a card of 24 GB, whose shape is the released one's."""
    monkeypatch.setattr(memory, "load_config", lambda path: released())
    bf16 = memory.Counted(setting(released(), on_gpu=True), 50_501_973_624)
    monkeypatch.setattr(memory.Counted, "of", lambda path, device: bf16)
    words = refused(folder, 22_500_000_000, context=32_768)
    assert words == (
        f"model {folder} needs 52.6 GB (weights 50.6, 32,768 tokens 1.2, work 0.9), cuda:0 has "
        "22.5 GB free; a context of 32,768 with e2m1 experts needs 19.8 GB: dgedit model quantize "
        f"{folder} NAME --experts e2m1"
    )
    assert refused(folder, 16 * GB).endswith("16.0 GB free; nothing fits")


def test_fewer_bits_are_proposed_where_no_context_fits(folder: Path) -> None:
    config = load_config(folder)
    own = need(folder, context=least(config), kv="fp8", device="cuda").total
    words = refused(folder, own - 1)
    assert f"dgedit model quantize {folder} NAME --experts e" in words
    assert "a context of" in words.split("free; ")[1]
    assert refused(folder, GB // 100).endswith("nothing fits")


@pytest.mark.parametrize("context", [0, 10, 1 << 18])
def test_context_that_is_none_is_refused(folder: Path, context: int) -> None:
    assert f"a context of {context:,}, where 1,536 to 131,072" in refused(
        folder, GB, context=context
    )
