"""Which matrices are multiplied in 8 bits on both sides, and what that does to answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from as_on_a_card import through_kernels
from dgedit_engine.bench import __main__ as bench
from dgedit_engine.bench.shapes import random_model, small
from dgedit_engine.decode.decoding import FILE, Decoding, load_decoding
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.memory import passes
from dgedit_engine.memory.plan import check
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.config import load_config
from dgedit_engine.model.masks import Reading
from dgedit_engine.model.model import Model
from dgedit_engine.nano.names import located
from dgedit_engine.types import ModelError
from dgedit_engine.warming import dry
from dgedit_engine.warming.dry import launches
from dgedit_engine.weights import checkpoint
from dgedit_engine.weights.slots import slots
from dgedit_engine.weights.w8a8 import multiplies_e4m3, round_activations
from dgedit_kernels import w8a8
from dgedit_kernels.dispatch import CardLimits
from dgedit_kernels.quantised import Quantised, quantise
from every_format import fp8


def asking(model: Model) -> set[str]:
    """Names of the matrices whose products round the other side."""
    every = ((slot.attribute, slot.weight) for slot in slots(model))
    return {name for name, one in every if isinstance(one, Quantised) and one.w8a8}


def test_matrices_of_e4m3_ask_and_no_others() -> None:
    coded = random_model(small(), "e4m3", device="cpu")
    matrices = {"qkv", "out", "gate_up", "down", "experts_gate_up", "experts_down"}
    assert not asking(coded)
    assert round_activations(coded) == 6 * len(small().layers) + 2  # and self-conditioning's
    assert asking(coded) == matrices
    for quant in ("bf16", "e2m1", "int4"):
        assert round_activations(random_model(small(), quant, device="cpu")) == 0


def test_cards_before_ada_and_others_than_nvidias_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    card, cpu = torch.device("cuda"), torch.device("cpu")
    found = []
    for capability in ((8, 0), (8, 6), (8, 9), (9, 0), (12, 0)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, is_=capability: is_)
        found.append(multiplies_e4m3(card))
    assert found == [False, False, True, True, True]
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert not multiplies_e4m3(card) and not multiplies_e4m3(cpu)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A published model in FP8 that asks for it."""
    fp8(tmp_path)
    (tmp_path / FILE).write_text(json.dumps({"w8a8": True}))
    return tmp_path


def test_what_is_compiled_ahead_is_what_such_a_card_launches(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr(dry, "lengths", lambda most: [7, 260])
    monkeypatch.setattr(dry, "sizes", lambda config: [16])
    fit = check(folder, 1 << 40, device="cuda")
    assert fit.setting.decoding.w8a8
    found = {
        capability: {
            (one.kernel, dict(one.constants).get("KIND"))
            for one in launches(folder, fit, CardLimits(132, 227), capability=capability)
        }
        for capability in (80, 90)
    }
    assert not any(kernel == "_round_kernel" for kernel, _ in found[80])
    assert ("_round_kernel", None) in found[90] and ("_qmatmul_kernel", "plain") in found[90]
    assert ("_qmatmul_kernel", "e4m3") in found[80] & found[90], "where rows are few"


def test_a_setting_that_is_no_yes_or_no_is_named(folder: Path) -> None:
    (folder / FILE).write_text('{"w8a8": 1}')
    with pytest.raises(ModelError, match=r"w8a8 must be true or false, not 1"):
        load_decoding(folder)


def test_rounded_activations_are_planned() -> None:
    plain = passes.Setting(small(), Decoding(), True, torch.bfloat16, torch.bfloat16)
    asked = replace(plain, decoding=Decoding(w8a8=True))
    assert passes.worked(asked, 1000) > passes.worked(plain, 1000)


@pytest.fixture(scope="module")
def tiny() -> Engine:
    return open_engine("tiny", "cpu")


@torch.inference_mode()
def test_answers_of_a_trained_model_change_less_than_by_its_own_rounding(tiny: Engine) -> None:
    """tiny, its matrices in e4m3: logits of a text and of a canvas with noise in it."""
    ids = tiny.tokenizer.encode(Path(passes.__file__).read_text())[:512]
    models = {kind: read_again(kind) for kind in ("wide", "e4m3", "w8a8")}
    found = {kind: logits(model, ids) for kind, model in models.items()}
    wide = found["wide"]
    off = {kind: float((one - wide).norm() / wide.norm()) for kind, one in found.items()}
    assert 0 < off["e4m3"] < off["w8a8"] < 1.6 * off["e4m3"] < 0.06
    agreed = (found["w8a8"].argmax(-1) == wide.argmax(-1)).float().mean()
    assert agreed > 0.93


def read_again(kind: str) -> Model:
    """tiny in fp32, or its matrices in e4m3, with activations rounded too or not."""
    path = located("tiny")
    model = checkpoint.load(load_config(path), path, dtype=torch.float32)
    for slot in slots(model):
        weight = slot.weight
        if kind != "wide" and slot.coded and isinstance(weight, Tensor):
            slot.fill(quantise(weight, "e4m3"))
    assert kind != "w8a8" or round_activations(model)
    return model.requires_grad_(False)


def logits(model: Model, ids: list[int]) -> Tensor:
    cache = KVCache(model.config, dtype=torch.float32)
    text = model.logits(model.encode(torch.tensor([ids[:256]]), cache))[0]
    generator = torch.Generator().manual_seed(0)
    canvas = torch.tensor([ids[256:]])
    noise = torch.rand(canvas.shape, generator=generator) < 0.5
    drawn = torch.randint(model.config.vocab, canvas.shape, generator=generator)
    read = model.denoise(torch.where(noise, drawn, canvas), cache)
    return torch.cat((text, model.logits(read)[0]))


def test_a_model_through_every_kernel_rounds_where_the_reference_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In Triton's interpreter: norms and units leave columns as codes lie, all factors are met."""
    pytest.importorskip("triton")
    monkeypatch.setattr(w8a8, "MANY", 16)
    shape = replace(small(), layers=small().layers[1:3], dim=64, mlp=48, experts=4, active=2)
    config = replace(shape, heads=2, vocab=128, expert_width=32, window=16)
    coded = random_model(config, "e4m3", device="cpu")
    for slot in slots(coded):
        weight = slot.weight
        if isinstance(weight, Quantised):  # rows of different worth
            assert weight.row is not None
            slot.fill(
                replace(weight, row=weight.row * torch.linspace(0.5, 2, weight.row.shape[-1]))
            )
    coded.float()
    ids = torch.arange(24)[None] * 5 % 128

    def read() -> Tensor:
        cache = DeviceCache(config, device="cpu", dtype=torch.float32)
        with torch.inference_mode():
            return coded.run(coded.embed(ids), cache, Reading(True)).double()

    exact = read()
    assert round_activations(coded)
    reference = read()
    through_kernels(monkeypatch)
    found = read()
    assert (found - reference).norm() < 0.01 * (reference - exact).norm()
    assert (reference - exact).norm() < 0.3 * exact.norm()


def test_bench_rounds_what_is_e4m3_and_says_where_nothing_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Model] = []

    def noted(model: Model, **_: Any) -> dict[str, Any]:
        seen.append(model)
        return {"stages": [], "step_ms": 1.0, "floor_ms": None}

    monkeypatch.setattr(bench, "measure", noted)
    words = ["--shape", "small", "--device", "cpu", "--w8a8"]
    assert bench.main([*words, "--quant", "e4m3"]) == 0
    assert len(asking(seen[0])) == 6
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["w8a8"] == 38
    assert bench.main([*words, "--quant", "int4"]) == 5 and len(seen) == 1
    assert "there are none in int4" in capsys.readouterr().err
