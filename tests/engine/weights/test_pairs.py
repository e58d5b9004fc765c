"""Adapters of both readings of a DiffusionGemma: held to PEFT in transformers' class, both ways."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dgedit_engine.model.adapted import Adapted
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import load_config
from dgedit_engine.model.model import Model
from dgedit_engine.train.adapter import PROJECTIONS, AdapterSettings, TrainedAdapter, modules_of
from dgedit_engine.types import ModelError
from dgedit_engine.weights import adapters, checkpoint, readings
from dgedit_engine.weights.pairs import (
    DECODER,
    ENCODER,
    AdapterPair,
    merge_equal,
    put_beside,
)
from dgedit_kernels.quantised import quantise
from oracle import random_model

TRL = (
    r"model\.(encoder\.language_model|decoder)\.layers\.\d+\."
    r"(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"
)
PROMPT = torch.tensor([[2, *range(20, 33)]])
SLOTS = torch.tensor([[40, 7, 99, 100, 3, 21, 77, 1]])


@pytest.fixture(autouse=True)
def no_gradients() -> Any:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("base")
    random_model(folder, sharp=2.0)
    return folder


@pytest.fixture(scope="module")
def equal(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of ours for both readings, in which every part counts."""
    adapter = TrainedAdapter(opened(base), AdapterSettings(3, 5.0, PROJECTIONS, 0), causal=None)
    generator = torch.Generator().manual_seed(1)
    for part in adapter.parameters():
        part.data = torch.randn(part.shape, generator=generator) * 0.1
    folder = tmp_path_factory.mktemp("equal")
    adapter.save(folder, base=str(base))
    return folder


@pytest.fixture(scope="module")
def apart(equal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with other changes for the causal reading, as two adapters have them."""
    folder = tmp_path_factory.mktemp("apart")
    tensors = load_file(equal / adapters.WEIGHTS)
    generator = torch.Generator().manual_seed(2)
    for name, one in tensors.items():
        if name.startswith(ENCODER):
            one.add_(torch.randn(one.shape, generator=generator) * 0.1)
    save_file(tensors, folder / adapters.WEIGHTS)
    (folder / adapters.CONFIG).write_text((equal / adapters.CONFIG).read_text())
    return folder


def opened(folder: Path) -> Model:
    return checkpoint.load(load_config(folder), folder, dtype=torch.float32)


def pair(folder: Path) -> AdapterPair:
    found = readings.load(folder)
    assert found.pair is not None and found.encode is None and found.denoise is None
    return found.pair


def put(model: Model, folder: Path) -> Model:
    if not merge_equal(model, pair(folder)):
        put_beside(model, pair(folder))
    return model


def both(model: Model) -> tuple[Tensor, Tensor]:
    """The logits of the causal reading of a prompt, and of a canvas behind it."""
    cache = KVCache(model.config, dtype=torch.float32)
    causal = model.logits(model.encode(PROMPT, cache))
    return causal, model.logits(model.denoise(SLOTS, cache))


def theirs(base: Path, folder: Path | None = None) -> tuple[Tensor, Tensor]:
    """The same of transformers, with an adapter as PEFT reads it."""
    transformers = pytest.importorskip("transformers")
    kind = transformers.DiffusionGemmaForBlockDiffusion
    model = kind.from_pretrained(base, dtype=torch.float32, attn_implementation="eager").eval()
    if folder is not None:
        peft = pytest.importorskip("peft")
        model = peft.PeftModel.from_pretrained(model, folder).eval().base_model.model
    return said(model)


def said(model: Any) -> tuple[Tensor, Tensor]:
    encoded = model.model.encoder(input_ids=PROMPT, use_cache=True)
    hidden = model.model.decoder(
        decoder_input_ids=SLOTS, past_key_values=encoded.past_key_values
    ).last_hidden_state
    cap = model.final_logit_softcapping
    raw = (model.lm_head(one).float() for one in (encoded.last_hidden_state, hidden))
    causal, canvas = (torch.tanh(one / cap) * cap for one in raw)
    return causal, canvas


def close(mine: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> None:
    torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-3)


def far(mine: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> None:
    assert all(float((x - y).abs().max()) > 0.1 for x, y in zip(mine, other, strict=True))


def test_file_has_both_names_and_trls_modules(equal: Path) -> None:
    assert modules_of(PROJECTIONS) == TRL
    config = json.loads((equal / adapters.CONFIG).read_text())
    assert config["target_modules"] == TRL and config["task_type"] is None
    tensors = load_file(equal / adapters.WEIGHTS)
    assert len(tensors) == 2 * 2 * (7 + 7 + 6)  # the full layer's keys are its values
    for name, one in tensors.items():
        assert name.startswith((DECODER, ENCODER)), name
        if name.startswith(DECODER):
            assert torch.equal(one, tensors[ENCODER + name.removeprefix(DECODER)])


@pytest.mark.oracle
@pytest.mark.parametrize("which", ["equal", "apart"])
def test_both_readings_are_as_peft_has_them(
    base: Path, which: str, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(which)
    expected, before = theirs(base, folder), theirs(base)
    far(expected, before)
    close(both(opened(base)), before)
    close(both(put(opened(base), folder)), expected)


@pytest.mark.oracle
def test_what_peft_writes_is_read(base: Path, tmp_path: Path) -> None:
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    kind = transformers.DiffusionGemmaForBlockDiffusion
    model = kind.from_pretrained(base, dtype=torch.float32, attn_implementation="eager").eval()
    torch.manual_seed(3)
    model = peft.get_peft_model(model, peft.LoraConfig(r=2, lora_alpha=7, target_modules=TRL))
    for name, part in model.named_parameters():
        if "lora_B" in name:  # drawn for each module, so that the two readings' differ
            part.copy_(torch.randn(part.shape) * 0.2)
    model.save_pretrained(tmp_path)
    expected = said(model.eval().base_model.model)
    assert not pair(tmp_path).equal
    close(both(put(opened(base), tmp_path)), expected)
    far(expected, both(opened(base)))


def test_equal_changes_are_merged_and_others_stand_apart(
    base: Path, equal: Path, apart: Path
) -> None:
    model = put(opened(base), equal)
    assert isinstance(model.layers[0].qkv, Tensor) and pair(equal).equal
    model, plain = put(opened(base), apart), opened(base)
    outer = model.layers[0].qkv
    assert isinstance(outer, Adapted) and isinstance(outer.weight, Adapted)
    assert (outer.causal, outer.weight.causal) == (False, True)
    assert isinstance(matrix := outer.weight.weight, Tensor)
    assert torch.equal(matrix, plain.layers[0].qkv), "the shared matrix is as it was"


def test_equal_changes_of_codes_stand_beside_for_both(base: Path, equal: Path) -> None:
    plain, coded = opened(base), opened(base)
    for layer, other in zip(plain.stack(), coded.stack(), strict=True):
        weight = quantise(layer.down, "int8")
        layer.down.data = weight.dequantised()
        del other.down
        other.down = weight  # type: ignore[assignment]
    assert merge_equal(plain, pair(equal))
    assert not merge_equal(coded, pair(equal))
    put_beside(coded, pair(equal))
    down = coded.layers[0].down
    assert isinstance(down, Adapted) and down.causal is None and not isinstance(down.weight, Tensor)
    close(both(coded), both(plain))


def test_one_readings_changes_leave_the_other_as_it_was(base: Path, apart: Path) -> None:
    given, model, plain = pair(apart), opened(base), both(opened(base))
    put_beside(model, replace(given, causal=replace(given.causal, tensors={})))
    causal, canvas = both(model)
    assert torch.equal(causal, plain[0]) and float((canvas - plain[1]).abs().max()) > 0.1


def test_what_fits_nothing_is_named(base: Path, equal: Path, tmp_path: Path) -> None:
    tensors = load_file(equal / adapters.WEIGHTS)
    (tmp_path / adapters.CONFIG).write_text((equal / adapters.CONFIG).read_text())
    a, b = torch.zeros(2, 32), torch.ones(4, 2)
    for odd, words in (
        ("model.encoder.vision_tower.x", "vision_tower.* belongs to nothing in this model"),
        ("model.decoder.layers.0.router.proj", "router.proj.* is not changed for one reading"),
    ):
        stem = f"base_model.model.{odd}.lora"
        extra = {f"{stem}_A.weight": a, f"{stem}_B.weight": b}
        save_file(tensors | extra, tmp_path / adapters.WEIGHTS)
        with pytest.raises(ModelError, match=words):
            put(opened(base), tmp_path)


def test_training_goes_on_from_one_change_for_both(base: Path, equal: Path, apart: Path) -> None:
    settings = AdapterSettings(3, 5.0, PROJECTIONS, 0)
    adapter = TrainedAdapter(opened(base), settings, causal=None)
    adapter.load(equal)
    tensors = load_file(equal / adapters.WEIGHTS)
    assert all(torch.equal(one, tensors[name]) for name, one in adapter.tensors().items())
    with pytest.raises(ValueError, match=r"encoder.* is not as .*decoder.*, but one for both"):
        adapter.load(apart)
