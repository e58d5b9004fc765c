"""Whole fills on random weights: all that runs on a GPU, here on a small shape."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import get_args

import pytest
import torch

from dgedit_engine.bench import __main__ as bench
from dgedit_engine.bench import end_to_end
from dgedit_engine.bench.shapes import SHAPES, Quant, random_model, small
from dgedit_engine.decode.loop_cuda import GraphRefiner
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.model import Model

HERE = ["--end-to-end", "--shape", "small", "--device", "cpu"]


def test_every_kind_of_request_is_filled_cold_and_warm(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = small()
    few = replace(whole, layers=whole.layers[1:3], vocab=4096, experts=4, active=2, canvas=16)
    monkeypatch.setitem(SHAPES, "small", lambda: few)
    monkeypatch.setattr(end_to_end, "_FUNCTIONS", 2)
    monkeypatch.setattr(end_to_end, "_FIRST", 40)
    monkeypatch.setattr(end_to_end, "_STEPS", 2)
    assert bench.main([*HERE, "--quant", "e2m1"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert found["left_out"] == 0 and 0 < found["device_apart"] < 0.2
    kinds = [(one["kv"], one["request"]) for one in found["fills"]]
    names = ("one hole", "two holes", "long hole", "three candidates")
    each = [f"{name}, {state}" for state in ("cold", "warm") for name in names]
    assert kinds == [(kv, name) for kv in ("bf16", "fp8") for name in each]
    assert all(0 < one["first_ms"] <= one["fill_ms"] for one in found["fills"])
    assert len(lines) == 1 + len(kinds)


def test_time_that_is_over_leaves_the_rest_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(end_to_end, "_FIRST", 40)
    assert bench.main([*HERE, "--minutes", "0"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["fills"] == [] and found["left_out"] == 16


def test_engine_is_a_cards_whatever_the_device() -> None:
    model = random_model(small(), "bf16", device="cpu")
    engine = end_to_end.engine_of(model, "any", "fp8")
    assert isinstance(engine.refiner, GraphRefiner) and isinstance(engine.cache, DeviceCache)
    assert engine.refiner.cache is engine.cache and engine.cache.stored == torch.float8_e4m3fn


def test_logits_that_are_not_the_cpus_are_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(model: Model, device: torch.device) -> Model:
        other = deepcopy(model)
        other.embedding[500:] *= 1.5
        return other

    monkeypatch.setattr(end_to_end, "_FIRST", 40)
    monkeypatch.setattr(end_to_end, "moved", wrong)
    assert bench.main(HERE) == 5
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "apart from those in fp32" in told


def test_26b_needs_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--end-to-end", "--device", "cpu"]) == 5
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "needs a GPU" in told and "--shape small" in told


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_answers_as_the_cpu_does() -> None:
    for quant in get_args(Quant):
        ours, theirs = end_to_end.compare(quant, torch.device("cuda"))
        assert theirs <= end_to_end.FURTHER * ours, quant
