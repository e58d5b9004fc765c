"""Which format a folder has, ModelOpt's, and how codes of several codings become one matrix."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dgedit_engine.formats import opened
from dgedit_engine.formats.coding import Coding, allocated, coding, common, recoded, spread
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from dgedit_kernels.quantised import E2M1, Quantised, quantise
from published import CONFIG, is_expert, is_matrix, numbers, publish, weights, write

MODELOPT = {"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}
GATE = "model.decoder.layers.1.experts.2.gate_proj.weight"


def nvfp4(shape: tuple[int, ...], generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    """Random codes and scales as ModelOpt stores them."""
    *rows, columns = shape
    codes = torch.randint(256, (*rows, columns // 2), generator=generator).byte()
    scale = (torch.rand((*rows, columns // 16), generator=generator) + 0.1).to(torch.float8_e4m3fn)
    whole = torch.rand((), generator=generator) + 0.01
    table = torch.tensor((*E2M1, *(-one for one in E2M1)))
    pairs = torch.stack((table[codes.int() % 16], table[codes.int() // 16]), -1).flatten(-2)
    worth = pairs * scale.float().repeat_interleave(16, -1) * whole
    parts = {"weight": codes, "weight_scale": scale, "weight_scale_2": whole}
    return parts | {"input_scale": torch.ones(())}, worth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    publish(tmp_path, nvfp4, is_expert, MODELOPT)
    return tmp_path


def changed(folder: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        checkpoint.load(CONFIG, folder)
    words = str(caught.value)
    assert "\n" not in words and words.count(str(folder)) == 1
    return words


@pytest.mark.parametrize("which", [is_expert, is_matrix])
def test_modelopt_is_worth_what_its_codes_are(tmp_path: Path, which: Callable[[str], bool]) -> None:
    worth = publish(tmp_path, nvfp4, which, MODELOPT)
    model = checkpoint.load(CONFIG, tmp_path)
    found = weights(model)
    assert found.keys() == worth.keys()
    for name, value in worth.items():
        assert torch.equal(found[name], value), name
    layer = next(model.stack())
    stack = layer.experts_gate_up
    assert isinstance(stack, Quantised) and stack.kind == "e2m1" and stack.group == 16
    assert stack.codes.shape == (4, 64, 32) and stack.scale is not None and stack.row is not None
    assert stack.scale.dtype == torch.float8_e4m3fn and stack.row.shape == (4, 64)
    assert isinstance(layer.qkv, Quantised) == (which is is_matrix)
    assert layer.router.dtype == model.embedding.dtype == torch.bfloat16


def test_rest_is_widened_and_codes_stay(folder: Path) -> None:
    model = checkpoint.load(CONFIG, folder, dtype=torch.float32)
    layer = next(model.stack())
    assert layer.qkv.dtype == torch.float32 and isinstance(layer.experts_down, Quantised)
    mixed = checkpoint.load(CONFIG, folder, activations=torch.float32)
    assert mixed.norm.dtype == torch.float32 and mixed.embedding.dtype == torch.bfloat16


def test_modelopt_may_say_so_in_a_file_of_its_own(folder: Path) -> None:
    write(folder, load_file(folder / "model.safetensors"), None)
    assert "unexpected tensor" in refused(folder)
    (folder / "hf_quant_config.json").write_text(
        json.dumps({"producer": {}, "quantization": {"quant_algo": "NVFP4"}})
    )
    checkpoint.load(CONFIG, folder)


def test_parts_may_lie_in_several_files(folder: Path) -> None:
    worth = weights(checkpoint.load(CONFIG, folder))
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {name: f"model-{place % 3}.safetensors" for place, name in enumerate(tensors)}
    for file in set(places.values()):
        part = {name: one for name, one in tensors.items() if places[name] == file}
        save_file(part, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    for name, value in weights(checkpoint.load(CONFIG, folder)).items():
        assert torch.equal(value, worth[name]), name


def test_unknown_algorithm_lists_the_known(folder: Path) -> None:
    write(folder, load_file(folder / "model.safetensors"), MODELOPT | {"quant_algo": "W4A8_AWQ"})
    assert "'W4A8_AWQ'; known are NVFP4" in refused(folder)


@pytest.mark.parametrize("method", ["awq", "bitsandbytes", 3])
def test_unknown_method_lists_the_known(tmp_path: Path, method: object) -> None:
    write(tmp_path, numbers(), {"quant_method": method})
    words = refused(tmp_path)
    known = "known are none, modelopt, compressed-tensors, gptq, auto-round, mlx, dgedit"
    assert repr(method) in words and known in words


@pytest.mark.parametrize("settings", ["nvfp4", [1]])
def test_settings_that_are_none_are_refused(tmp_path: Path, settings: Any) -> None:
    write(tmp_path, numbers(), settings)
    assert "quantization_config" in refused(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.pop(f"{GATE}_scale_2"), f"no tensor {GATE}_scale_2"),
        (lambda one: one.pop(GATE), f"no tensor {GATE} (1 missing)"),
        (lambda one: one.update({GATE: one[GATE][:-1].clone()}), f"{GATE}: scale [32, 4]"),
        (lambda one: one.update({GATE: one[GATE].short()}), f"{GATE}: codes of e2m1 are uint8"),
        (
            lambda one: one.update({f"{GATE}_scale": one[f"{GATE}_scale"][:, :3].clone()}),
            f"{GATE}: 3 groups do not divide 64",
        ),
        (lambda one: one.update({f"{GATE}_scale_2": torch.ones(3)}), f"{GATE}: "),
        (lambda one: one.update({"model.decoder.odd": torch.ones(3)}), "unexpected tensor"),
    ],
)
def test_damage_is_named(
    folder: Path, change: Callable[[dict[str, Tensor]], Any], words: str
) -> None:
    changed(folder, change)
    assert words in refused(folder)


def test_another_config_is_named(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"down_proj.weight is \[64, 32\], not \[64, 16\]"):
        checkpoint.load(replace(CONFIG, expert_width=16), folder)


def test_memory_is_known_before_a_weight_is_read(folder: Path) -> None:
    source = opened(folder)
    for piece in source.pieces:
        form, value = source.form(piece), source.value(piece)
        assert form.device.type == "meta" and form.shape == value.shape, piece.name
        if isinstance(value, Quantised):
            assert coding(form) == coding(value)


def matrix(kind: str, group: int | None = None, rows: int = 6) -> Quantised:
    torch.manual_seed(rows)
    return quantise(torch.randn(rows, 64), kind, group=group)


def test_one_coding_is_kept() -> None:
    for kind in ("int4", "e2m1", "int8", "e4m3"):
        forms = [matrix(kind), matrix(kind, rows=3)]
        assert common(forms) == coding(forms[0])
        assert recoded(forms[1], coding(forms[0])) is forms[1]
        room = allocated(coding(forms[0]), (2, 5, 64), "cpu")
        assert coding(room) == coding(forms[0]) and room.shape == (2, 5, 64)


def test_whole_numbers_of_two_kinds_become_int8_of_the_finest_groups() -> None:
    narrow, fine = matrix("int4"), matrix("int8", 16, rows=3)
    one = common([narrow, fine])
    assert one == Coding("int8", 16, torch.float16, None, False)
    assert torch.equal(recoded(fine, one).dequantised(), fine.dequantised())
    before, after = narrow.dequantised(), recoded(narrow, one).dequantised()
    largest = before.unflatten(-1, (-1, 16)).abs().amax(-1).repeat_interleave(16, -1)
    assert ((after - before).abs() <= largest / 200).all()
    by_rows, by_groups = matrix("int8"), matrix("int8", 32)
    one = common([by_rows, by_groups])
    assert one == Coding("int8", 32, torch.float16, None, False)
    torch.testing.assert_close(
        recoded(by_rows, one).dequantised(), by_rows.dequantised(), rtol=1e-3, atol=0
    )


def test_other_mixtures_become_numbers() -> None:
    assert common([matrix("int4"), matrix("e2m1")]) is None
    assert common([matrix("int4"), torch.zeros(3, 64)]) is None
    assert common([torch.zeros(3, 64)]) is None
    assert common([matrix("int8"), matrix("int4", 64)]) is None


def test_joined_weights_of_two_codings_load(tmp_path: Path) -> None:
    """Queries in other codes than keys, or codes beside numbers."""
    worth = publish(tmp_path, nvfp4, lambda name: "q_proj" in name, MODELOPT)
    model = checkpoint.load(CONFIG, tmp_path, dtype=torch.float32)
    found = weights(model)
    assert isinstance(next(model.stack()).qkv, Tensor)
    assert all(torch.equal(found[name], value) for name, value in worth.items())


def test_scales_spread_over_rows() -> None:
    one = torch.tensor(3.0)
    assert torch.equal(spread(one, (2, 3)), torch.full((2, 3), 3.0))
    assert torch.equal(spread(one[None], (3,)), torch.full((3,), 3.0))
    each = torch.tensor([1.0, 2.0])
    for shape in ((2,), (2, 1), (2, 1, 1)):
        assert torch.equal(spread(each.view(shape), (2, 3)), each[:, None].expand(2, 3))
    rows = torch.rand(2, 3)
    assert torch.equal(spread(rows, (2, 3)), rows)
    assert torch.equal(spread(rows[..., None], (2, 3)), rows)
    with pytest.raises(RuntimeError):
        spread(torch.ones(5), (2, 3))
