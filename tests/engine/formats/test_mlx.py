"""MLX's packing: against what mlx makes of drawn numbers, and whole models against the formula."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dgedit_engine.formats import describe, mlx
from dgedit_engine.formats.source import TensorSource
from dgedit_engine.model.config import load_config
from dgedit_engine.model.model import Model
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from dgedit_engine.weights.slots import slots
from dgedit_kernels.quantised import E2M1, Quantised
from gemma4 import random_gemma4
from published import CONFIG, is_matrix, numbers, publish, weights, write

RECORDED = json.loads(Path(__file__).with_name("mlx.json").read_text())
"""32 numbers of a row as mlx 0.32.4 quantised them (bytes in hexadecimal), and made them back."""
KINDS = {
    **{("affine", 2): "int4", ("affine", 3): "int4", ("affine", 4): "int4", ("affine", 5): "int8"},
    **{("affine", 6): "int8", ("affine", 8): "int8", ("mxfp4", 4): "e2m1", ("nvfp4", 4): "e2m1"},
    ("mxfp8", 8): "e4m3",
}


def words(codes: Tensor, bits: int) -> Tensor:
    """A row's codes as one stream of bits, the lowest first, in words of 32."""
    *rows, columns = codes.shape
    stream = codes[..., None] >> torch.arange(bits) & 1
    stream = stream.reshape(*rows, columns * bits // 32, 32)
    return (stream << torch.arange(32)).sum(-1).to(torch.uint32)


def packed(
    shape: tuple[int, ...], generator: torch.Generator, *, mode: str = "affine", bits: int = 4
) -> Any:
    """A matrix's parts, and what mlx's formula makes of them."""
    *rows, columns = shape
    group = 16 if mode == "nvfp4" else 32
    codes = torch.randint(1 << bits, shape, generator=generator)
    size = (*rows, columns // group)
    if mode == "affine":
        scale = (torch.rand(size, generator=generator) / 2**bits + 0.01).bfloat16()
        bias = (torch.randn(size, generator=generator) - 0.5).bfloat16()
        wide, low = (one.float().repeat_interleave(group, -1) for one in (scale, bias))
        parts = {"weight": words(codes, bits), "scales": scale, "biases": bias}
        return parts, codes * wide + low
    if mode == "mxfp8":
        codes = torch.where(codes % 128 == 127, 0, codes)  # no NaN
        value = codes.to(torch.uint8).view(torch.float8_e4m3fn).float()
    else:
        value = torch.tensor((*E2M1, *(-one for one in E2M1)))[codes]
    scale = torch.randint(115, 127, size, generator=generator).to(torch.uint8)
    worth = 2.0 ** (scale.float() - 127)
    if mode == "nvfp4":
        scale = torch.randint(20, 60, size, generator=generator).to(torch.uint8)
        worth = scale.view(torch.float8_e4m3fn).float()
    return {"weight": words(codes, bits), "scales": scale}, value * worth.repeat_interleave(
        group, -1
    )


def settings(mode: str, bits: int, **more: Any) -> dict[str, Any]:
    return {"group_size": 16 if mode == "nvfp4" else 32, "bits": bits, "mode": mode, **more}


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case['mode']}-{case['bits']}")
@pytest.mark.parametrize("step", [1 << 20, 1])
def test_codes_are_worth_what_mlx_makes_of_them(
    monkeypatch: pytest.MonkeyPatch, case: Any, step: int
) -> None:
    monkeypatch.setattr(mlx, "_STEP", step)  # all rows at once, or row by row
    word = torch.frombuffer(bytearray.fromhex(case["weight"]), dtype=torch.int32)
    scale = torch.tensor([case["scales"]], dtype=None if case["biases"] else torch.uint8)
    stored = {"x.weight": word[None], "x.scales": scale}
    if case["biases"]:
        stored |= {"x.scales": scale.bfloat16(), "x.biases": torch.tensor([case["biases"]])}
    stored = {name: one.repeat(2, 1) for name, one in stored.items()}
    headers = {name: one.to("meta") for name, one in stored.items()}
    pieces = tuple(mlx.pieces(headers, settings(case["mode"], case["bits"])))
    source = TensorSource(headers, stored.__getitem__, pieces, torch.bfloat16)
    found = [source.value(piece) for piece in pieces]
    assert len(found) == (2 if step == 1 else 1)
    assert all(isinstance(one, Quantised) for one in found)
    assert found[0].kind == KINDS[case["mode"], case["bits"]]  # type: ignore[union-attr]
    both = torch.cat([one.dequantised() for one in found if isinstance(one, Quantised)])
    assert both.equal(torch.tensor([case["worth"]] * 2))


@pytest.mark.parametrize(("mode", "bits"), KINDS)
@pytest.mark.parametrize("fused", [True, False])
def test_weights_are_worth_what_the_formula_says(
    tmp_path: Path, mode: str, bits: int, fused: bool
) -> None:
    def coded(shape: tuple[int, ...], generator: torch.Generator) -> Any:
        return packed(shape, generator, mode=mode, bits=bits)

    right = publish(tmp_path, coded, is_matrix, settings(mode, bits), fused=fused)
    model = checkpoint.load(load_config(tmp_path), tmp_path)
    found = weights(model)
    for name, value in right.items():
        room = 0.0 if is_matrix(name) and "router" not in name else 2**-8  # widened to bfloat16
        room = max(room, 2**-11 if bits == 8 and mode == "affine" else 0)  # a bias in fp16
        torch.testing.assert_close(found[name], value, rtol=room, atol=room, msg=name)
    experts = next(model.stack()).experts_down
    assert isinstance(experts, Quantised) and experts.kind == KINDS[mode, bits]
    name = f"INT{bits}" if mode == "affine" else mode.upper()
    assert describe(tmp_path) == f"{name} (MLX)"


def mixed(folder: Path) -> dict[str, Tensor]:
    """A DiffusionGemma as mlx-vlm writes it: experts and conditioning of 4 bits, and of 8 the rest,
    embedding and router too; of the first layer's projections the values alone.
    """
    generator, stored, own = torch.Generator().manual_seed(2), {}, {}
    worth = numbers(CONFIG)
    for name, matrix in worth.items():
        module = name.removesuffix(".weight")
        if matrix.dim() == 1:
            stored[name] = matrix.bfloat16()
            continue
        narrow = "experts" in name or "self_conditioning" in name
        narrow |= "layers.0.self_attn" in name and "v_proj" not in name
        bits = 4 if narrow else 8
        parts, value = packed(tuple(matrix.shape), generator, bits=bits)
        stored |= {f"{module}.{end}": one for end, one in parts.items()}
        if bits == 8:
            own[module] = {"group_size": 32, "bits": 8}
        matrix.copy_(value)
    own["model.encoder.vision_tower.patch"] = False
    write(folder, stored, None)
    raw = json.loads((folder / "config.json").read_text())
    raw["quantization"] = raw["quantization_config"] = {"group_size": 32, "bits": 4, **own}
    (folder / "config.json").write_text(json.dumps(raw))
    return worth


def test_modules_may_have_other_bits(tmp_path: Path) -> None:
    right = mixed(tmp_path)
    model = checkpoint.load(load_config(tmp_path), tmp_path)
    for name, value in weights(model).items():
        torch.testing.assert_close(value, right[name], rtol=2**-8, atol=2**-8, msg=name)
    first, second, _ = model.stack()
    assert isinstance(first.qkv, Quantised) and isinstance(second.qkv, Quantised)
    assert (first.qkv.kind, first.qkv.group, second.qkv.kind) == ("int8", 32, "int8")
    assert describe(tmp_path) == "INT4 + INT8 (MLX)"
    # joined with values of 8 bits, queries and keys of 4 keep theirs to the bit
    rows = right["model.decoder.layers.0.self_attn.q_proj.weight"]
    assert first.qkv.dequantised()[: len(rows)].equal(rows)


def test_mlx_lm_has_experts_of_gemma_4_in_three_stacks(tmp_path: Path) -> None:
    shape = {"num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 32}
    random_gemma4(tmp_path, enable_moe_block=True, **shape)
    stored, generator = {}, torch.Generator().manual_seed(0)
    right: dict[str, Tensor] = {}
    for name, one in load_file(tmp_path / "model.safetensors").items():
        theirs = name.replace("model.", "language_model.model.", 1)
        if ".experts." not in name:
            stored[theirs] = one
            continue
        parts = ("gate_proj", "up_proj") if name.endswith("gate_up_proj") else ("down_proj",)
        made = [packed((4, one.shape[1] // len(parts), one.shape[2]), generator) for _ in parts]
        right[name] = torch.cat([worth for _, worth in made], 1)
        for part, (own, _) in zip(parts, made, strict=True):
            module = theirs.rpartition(".")[0] + f".switch_glu.{part}"
            stored |= {f"{module}.{end}": value for end, value in own.items()}
    save_file(stored, tmp_path / "model.safetensors")
    raw = json.loads((tmp_path / "config.json").read_text())
    raw["quantization"] = {"group_size": 32, "bits": 4}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    found = weights(checkpoint.load(load_config(tmp_path), tmp_path))
    assert right
    for name, value in right.items():
        assert found[name].equal(value), name


def test_memory_is_known_before_a_weight_is_read(tmp_path: Path) -> None:
    mixed(tmp_path)
    config = load_config(tmp_path)
    with torch.device("meta"):
        model = Model(config)
    moves = checkpoint.planned(slots(model), checkpoint.opened(tmp_path))
    checkpoint.make_room(moves, "meta", torch.bfloat16, None)
    loaded = checkpoint.load(config, tmp_path)
    sizes = [sum(slot.weight.nbytes for slot in slots(one)) for one in (model, loaded)]
    assert sizes[0] == sizes[1]


def refused(folder: Path, said: dict[str, Any]) -> str:
    publish(folder, packed, is_matrix, said)
    with pytest.raises(ModelError) as caught:
        checkpoint.load(CONFIG, folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (settings("affine", 7), "MLX's affine of 7 bits"),
        (settings("mxfp4", 8), "MLX's mxfp4 of 8 bits"),
        (settings("affine", [4]), "MLX's affine of [4] bits"),
        (settings("int", 4), "MLX's mode 'int'; known are affine, mxfp4, mxfp8, nvfp4"),
        (settings("affine", 8), "[64, 1] scales of 16 columns, not groups of 32"),
        (settings("affine", 4) | {"group_size": 64}, "not groups of 64"),
        (settings("affine", 4) | {"group_size": None}, "not groups of None"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, said: dict[str, Any], words: str) -> None:
    assert words in refused(tmp_path, said)


@pytest.mark.parametrize("part", ["biases", "weight"])
def test_a_missing_part_is_named(tmp_path: Path, part: str) -> None:
    publish(tmp_path, packed, is_matrix, settings("affine", 4))
    stored = load_file(tmp_path / "model.safetensors")
    name = next(name for name in stored if name.endswith(f"o_proj.{part}"))
    del stored[name]
    save_file(stored, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"no tensor .*o_proj"):
        checkpoint.load(CONFIG, tmp_path)
