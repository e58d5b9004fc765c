"""A step taken apart, end to end on a small shape."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from dgedit_engine.bench import __main__ as bench
from dgedit_engine.bench import reference
from dgedit_engine.bench.floors import Card, card_of, entries, size
from dgedit_engine.bench.shapes import random_model, small
from dgedit_engine.bench.stages import STEPS, TokenStep, measure, stages, table
from dgedit_engine.decode.causal import encode
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_kernels.quantised import quantise

NAMES = [
    *("self-conditioning", "projections", "attention", "dense MLP", "router and experts"),
    *("head", "sampler", "soft embedding"),
]


def test_bench_of_a_shape_prints_a_table_and_json_last(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--shape", "small", "--quant", "int4", "--kv", "fp8", "--prompt", "70"]
    assert bench.main([*words, "--minutes", "0.01", "--device", "cpu"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert [stage["stage"] for stage in found["stages"]] == NAMES
    for name in ("prompt_eager_ms", "prompt_ms", "new_eager_ms", "new_ms"):
        assert found[name] > 0
    assert found["step_ms"] > 0 and found["floor_ms"] is None and found["prompt"] == 70
    for count in STEPS:
        ours = found[f"tokens_per_second_{count}_steps"]
        assert ours == pytest.approx(
            1000 * 64 / (count * found["step_ms"] + found["commit_ms"]), rel=1e-6
        )
        one_by_one = found["tokens_per_second_one_by_one"]
        assert found[f"speedup_{count}_steps"] == pytest.approx(ours / one_by_one)
    assert [line[:34].strip() for line in lines[:9]] == [*NAMES, "whole step"]


def test_a_device_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--shape", "small", "--device", "moon"]) == 5
    assert capsys.readouterr().err.count("\n") == 1


def test_training_step_is_measured_beside_its_plan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = replace(small(), layers=small().layers[1:3], vocab=512, canvas=16)
    monkeypatch.setitem(bench.SHAPES, "small", lambda: shape)
    words = ["--training", "--minutes", "0.001", "--device", "cpu"]
    assert bench.main([*words, "--shape", "small", "--quant", "int4", "--prompt", "20"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["tokens"] == 20 + 2 * 16
    for name in ("kept", "again"):
        rate = 1000 * found["tokens"] / found[f"{name}_step_ms"]
        assert found[f"{name}_tokens_per_second"] == pytest.approx(rate)
    assert found["again_planned_bytes"] < found["kept_planned_bytes"]
    assert bench.main(words) == 0  # the 26b, without a GPU
    assert "needs a GPU" in json.loads(capsys.readouterr().out.splitlines()[-1])["skipped"]


def test_stages_read_what_a_step_reads() -> None:
    """Bytes and operations add up to the model's: every weight once, active experts' products."""
    model = random_model(small(), "bf16", device="cpu")
    cache = DeviceCache(model.config, device="cpu", dtype=torch.bfloat16)
    with torch.inference_mode():
        encode(model, cache, list(range(100)))
        found = {stage.name: stage for stage in stages(model, cache)}
    config = model.config
    vectors = sum(one.nbytes for one in model.parameters() if one.dim() == 1)
    routers = sum(layer.router.nbytes for layer in model.stack())
    weights = sum(one.nbytes for one in model.parameters()) - vectors - routers
    matrices = ("self-conditioning", "projections", "dense MLP", "router and experts", "head")
    assert sum(found[name].bytes_read for name in matrices) == weights
    expert = 3 * config.dim * config.expert_width
    taken = 2 * config.canvas * config.active * expert * len(config.layers)
    assert found["router and experts"].operations == taken
    keys = sum(2 * 100 * layer.kv_heads * layer.head_dim * 2 for layer in config.layers)
    assert found["attention"].bytes_read == keys


def test_floor_is_the_larger_of_memory_and_arithmetic() -> None:
    card = Card(bandwidth=1e12, operations=1e14)
    assert card.floor(2e9, 1e10) == pytest.approx(2.0)
    assert card.floor(1e6, 5e11) == pytest.approx(5.0)
    assert card_of("cpu") is None


def test_shares_of_the_floor_are_shown() -> None:
    rows = [{"stage": "head", "ms": 2.0, "floor_ms": 0.5}]
    shown = list(table({"stages": rows, "step_ms": 4.0, "floor_ms": 1.0, "peak_bytes": 12345}))
    assert "0.50 at best,  25% of it reached" in shown[0] and shown[2].endswith("12,345")


def test_weights_are_counted_with_all_their_parts() -> None:
    coded = quantise(torch.randn(4, 32, 64), "e2m1")
    assert entries(coded) == 4 * 32 * 64
    assert size(coded) == 4 * 32 * (32 + 4 + 4)


@torch.inference_mode()
def test_token_step_reads_as_the_causal_pass_does() -> None:
    model = random_model(small(), "bf16", device="cpu")
    cache = DeviceCache(model.config, device="cpu", dtype=torch.bfloat16)
    encode(model, cache, list(range(100, 150)))
    step, written = TokenStep(model, cache), [model.config.eos[0]]
    for _ in range(5):
        step.run()
        written.append(int(step.ids))
    plain = DeviceCache(model.config, device="cpu", dtype=torch.bfloat16)
    encode(model, plain, list(range(100, 150)))
    hidden = model.encode(torch.tensor([written[:-1]]), plain)
    best = model.logits(hidden).argmax(-1)[0].tolist()
    assert sum(one == two for one, two in zip(best, written[1:], strict=True)) >= 4
    assert len(cache) == 55 == cache.end.item()


@pytest.mark.oracle
def test_transformers_is_timed_on_the_same_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setattr(reference, "_ROUNDS", 1)
    monkeypatch.setattr(torch, "compile", lambda module: module)
    found = reference.reference_times(small(), torch.device("cpu"), 64)
    assert set(found) == {"transformers_eager_ms", "transformers_compiled_ms"}
    assert all(value > 0 for value in found.values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("quant", ["bf16", "e4m3", "e2m1", "int4"])
def test_a_shape_is_measured_on_a_gpu(quant: Any) -> None:
    model = random_model(small(), quant, device="cuda")
    found = measure(model, prompt=600, minutes=0.05, stored=torch.float8_e4m3fn)
    assert found["step_ms"] < found["step_eager_ms"] and found["peak_bytes"] > 0
