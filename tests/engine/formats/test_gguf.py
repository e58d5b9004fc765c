"""GGUF: its header, its blocks against the gguf package, and whole files of several types."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, quants
from torch import Tensor

from dgedit_engine.formats import gguf
from dgedit_engine.formats.blocks import decoder, row_bytes
from dgedit_engine.model.config import (
    Config,
    LayerConfig,
    Sampling,
    load_config,
    load_sampling,
    save_config,
)
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from dgedit_kernels.quantised import Quantised
from llamacpp import tensor_name, write_shape
from published import CONFIG, numbers, weights

F32, F16, BF16, Q8_0, Q5_0, Q4_K, Q6_K, Q5_K, Q4_0, Q4_1, Q5_1 = (
    GGMLQuantizationType[name]
    for name in (
        "F32",
        "F16",
        "BF16",
        "Q8_0",
        "Q5_0",
        "Q4_K",
        "Q6_K",
        "Q5_K",
        "Q4_0",
        "Q4_1",
        "Q5_1",
    )
)
WIDE = replace(
    CONFIG,
    dim=256,
    layers=(LayerConfig(True, 2, 64, 1e4, 32),) * 2 + (LayerConfig(False, 1, 128, 1e6, 16),),
    eos=(1, 7),
)
"""Blocks of 256 divide its width, but neither the MLP's nor the experts', as in the released."""


def blocks(shape: tuple[int, ...], kind: GGMLQuantizationType, seed: int = 0) -> np.ndarray:
    """A matrix's rows in random blocks with scales of a usual size."""
    generator = np.random.default_rng(seed)
    if kind in (F32, F16, BF16):
        values = generator.standard_normal(shape, dtype=np.float32)
        return quants.quantize(values, kind).view(np.uint8)
    size, length = GGML_QUANT_SIZES[kind]
    raw = generator.integers(0, 256, (*shape[:-1], shape[-1] // size, length), dtype=np.uint8)
    both = dict.fromkeys((Q4_K, Q5_K, Q4_1, Q5_1), (0, 2))
    places = {Q6_K: (208,), **both}.get(kind, (0,))
    for place in places:
        scale = generator.uniform(1e-3, 2e-2, raw.shape[:-1]).astype(np.float16)
        raw[..., place : place + 2] = scale[..., None].view(np.uint8)
    return raw.reshape(*shape[:-1], -1)


def worth(raw: np.ndarray, kind: GGMLQuantizationType) -> Tensor:
    return torch.from_numpy(quants.dequantize(raw, kind))


@pytest.mark.parametrize("shape", [(3, 256), (2, 5, 768)])
@pytest.mark.parametrize("kind", [F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q8_0, Q4_K, Q6_K, Q5_K, Q5_1])
def test_blocks_are_worth_what_the_package_says(
    kind: GGMLQuantizationType, shape: tuple[int, ...]
) -> None:
    raw = blocks(shape, kind)
    assert raw.shape[-1] == row_bytes(kind, shape[-1])
    value, right = decoder(kind)(torch.from_numpy(raw)), worth(raw, kind)
    assert value.shape == right.shape
    if isinstance(value, Tensor):
        assert torch.equal(value.float(), right)
        return
    if kind in (Q4_0, Q4_1, Q5_0, Q8_0):
        torch.testing.assert_close(value.dequantised(), right, rtol=1e-6, atol=1e-9)
    else:  # scales rounded to fp16, or codes to int8: a share of the group's largest number
        group = 16 if kind == Q6_K else 32
        largest = right.unflatten(-1, (-1, group)).abs().amax(-1).repeat_interleave(group, -1)
        share = 1 / 900 if kind in (Q4_K, Q6_K) else 1 / 240
        assert ((value.dequantised() - right).abs() <= share * largest).all()
        assert (value.kind, value.group) == (("int4", 32) if kind == Q4_K else ("int8", group))


def test_block_types_nobody_knows_are_refused() -> None:
    with pytest.raises(ModelError, match="unknown type 99"):
        row_bytes(99, 256)
    with pytest.raises(ModelError, match="blocks of 256 do not divide 32 columns"):
        row_bytes(Q4_K, 32)


def kinds(recipe: str, name: str, columns: int) -> GGMLQuantizationType:
    """The type that llama-quantize gives a tensor, as seen in the released files."""
    if not name.endswith(("_proj", "_proj.weight", "embed_tokens.weight")):
        return F32
    if recipe != "Q4_K_M":
        return GGMLQuantizationType[recipe]
    finer = "embed" in name or "v_proj" in name or "down" in name
    if columns % 256:
        return Q8_0 if "layers.0." in name else Q5_0
    return Q6_K if finer else Q4_K


def metadata(writer: GGUFWriter, config: Config) -> None:
    """The keys of the released file, in the types that it has them in."""
    write_shape(writer, config)
    writer.add_bool("diffusion-gemma.attention.causal", False)
    writer.add_uint32("diffusion.canvas_length", config.canvas)
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "a", "é", "<turn|>"]
    writer.add_array("tokenizer.ggml.tokens", tokens)
    writer.add_array("tokenizer.ggml.scores", [0.5] * len(tokens))
    writer.add_uint32("tokenizer.ggml.bos_token_id", 2)
    writer.add_uint32("tokenizer.ggml.eos_token_id", 1)
    writer.add_uint32("tokenizer.ggml.padding_token_id", 0)


def publish(
    file: Path, recipe: str, *, arch: str = "diffusion-gemma", config: Config = WIDE, **more: Any
) -> dict[str, Tensor]:
    """Write a file of types after llama-quantize's recipe; returns what its weights are worth."""
    writer = GGUFWriter(file, arch)
    metadata(writer, config)
    for key, value in more.items():
        writer.add_tensor(key.replace("__", "."), value)
    found: dict[str, Tensor] = {}
    for seed, (name, matrix) in enumerate(numbers(config).items()):
        kind = kinds(recipe, name, matrix.shape[-1])
        raw = blocks(tuple(matrix.shape), kind, seed)
        found[name] = worth(raw, kind)
        if kind in (F32, F16):
            writer.add_tensor(
                tensor_name(name), raw.view(np.float32 if kind == F32 else np.float16)
            )
        else:
            writer.add_tensor(tensor_name(name), raw, raw_dtype=kind)
    pairs = config.layers[-1].head_dim // 2
    turning = config.layers[-1].rotated
    if "rope_freqs__weight" not in more:
        divisors = np.array([1.0] * turning + [1e30] * (pairs - turning), np.float32)
        writer.add_tensor("rope_freqs.weight", divisors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (file.parent / "tokenizer.json").write_text("{}")
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    publish(tmp_path / "model.gguf", "Q8_0")
    return tmp_path / "model.gguf"


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        checkpoint.load(load_config(path), path)
    words = str(caught.value)
    assert "\n" not in words and str(path) in words
    return words


def test_config_is_the_headers(file: Path) -> None:
    assert load_config(file) == load_config(file.parent) == WIDE
    assert load_sampling(file) == load_sampling(file.parent) == Sampling()


def test_config_json_beside_it_is_preferred(file: Path) -> None:
    save_config(replace(WIDE, canvas=8), replace(Sampling(), steps=3), file.parent)
    assert load_config(file).canvas == load_config(file.parent).canvas == 8
    assert load_sampling(file).steps == 3


@pytest.mark.parametrize("chunk", [8 << 20, 3000])
@pytest.mark.parametrize("recipe", ["F32", "F16", "BF16", "Q8_0", "Q4_K_M"])
def test_weights_are_worth_what_the_package_says(
    tmp_path: Path, recipe: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf, "_CHUNK_BYTES", chunk)
    right = publish(tmp_path / "one.gguf", recipe)
    model = checkpoint.load(WIDE, tmp_path)
    found = weights(model)
    assert found.keys() == right.keys()
    for name, value in right.items():
        largest = float(value.abs().max())
        if (
            recipe in ("F32", "Q8_0")
            and "embed" not in name
            and value.dim() > 1
            and "router" not in name
        ):
            torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-9, msg=name)
        else:  # bfloat16; scales in fp16; codes of 4 bits beside such of 6
            torch.testing.assert_close(found[name], value, rtol=2**-8, atol=largest / 200, msg=name)
    width = torch.float32 if recipe == "F32" else torch.bfloat16
    assert {model.embedding.dtype, model.norm.dtype} == {width}
    layer = next(model.stack())
    if recipe == "Q8_0":
        assert all(
            isinstance(one, Quantised) and (one.kind, one.group) == ("int8", 32)
            for one in (layer.qkv, layer.out, layer.gate_up, layer.down, layer.experts_gate_up)
        )
    if recipe == "Q4_K_M":
        assert (layer.experts_gate_up.kind, layer.experts_gate_up.group) == ("int4", 32)
        assert layer.experts_gate_up.bias is not None
        assert (layer.experts_down.kind, layer.out.kind, layer.gate_up.kind) == (
            "int8",
            "int4",
            "int4",
        )
        assert (layer.qkv.kind, layer.qkv.group) == ("int8", 16)  # values are finer
        assert list(model.stack())[2].qkv.kind == "int4"  # no values there


def test_folder_of_several_asks_which(file: Path) -> None:
    shutil.copy(file, file.with_name("other.gguf"))
    assert "2 GGUF files; give the path of one" in refused(file.parent)
    assert load_config(file) == WIDE


def test_folder_of_none_asks_for_the_usual_files(tmp_path: Path) -> None:
    save_config(WIDE, Sampling(), tmp_path)
    assert "model.safetensors does not exist" in refused(tmp_path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none.gguf")


def test_another_architecture_is_named(tmp_path: Path) -> None:
    publish(tmp_path / "one.gguf", "Q8_0", arch="gemma5")
    assert "architecture 'gemma5', not diffusion-gemma" in refused(tmp_path / "one.gguf")


def test_unexpected_tensor_is_named(tmp_path: Path) -> None:
    publish(tmp_path / "one.gguf", "Q8_0", blk__0__odd=np.zeros(32, np.float32))
    assert "unexpected tensor blk.0.odd" in refused(tmp_path / "one.gguf")


def test_tied_head_is_skipped(tmp_path: Path) -> None:
    publish(tmp_path / "one.gguf", "Q8_0", output__weight=np.zeros((2, 32), np.float32))
    checkpoint.load(WIDE, tmp_path)


@pytest.mark.parametrize("divisors", [[1.0, 2.0, 1e30], [1e30, 1.0], [8.0] * 64])
def test_scaled_positions_are_refused(tmp_path: Path, divisors: list[float]) -> None:
    publish(tmp_path / "one.gguf", "Q8_0", rope_freqs__weight=np.array(divisors, np.float32))
    assert "rope_freqs.weight" in refused(tmp_path / "one.gguf")


def test_missing_value_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = GGUFWriter.add_uint32

    def some(self: GGUFWriter, key: str, value: int) -> None:
        if key != "diffusion-gemma.expert_count":
            add(self, key, value)

    monkeypatch.setattr(GGUFWriter, "add_uint32", some)
    publish(tmp_path / "one.gguf", "Q8_0")
    assert "expert_count" in refused(tmp_path / "one.gguf")


@pytest.mark.parametrize("kept", [0, 3, 20, 700, 3000, -40_000, -1])
def test_truncated_file_is_named(file: Path, kept: int) -> None:
    file.write_bytes(file.read_bytes()[:kept])
    refused(file)


@pytest.mark.parametrize("place", [0, 4, 8, 16, 24])
def test_garbage_in_the_header_is_named(file: Path, place: int) -> None:
    data = bytearray(file.read_bytes())
    data[place : place + 8] = b"\xff" * 8
    file.write_bytes(data)
    assert "no readable GGUF header" in refused(file)


def test_header_of_a_large_vocabulary_is_read_fast(tmp_path: Path) -> None:
    """The package takes 20 s for the released file's; this one has a sixteenth of it."""
    import time

    writer = GGUFWriter(tmp_path / "one.gguf", "diffusion-gemma")
    writer.add_array("tokenizer.ggml.tokens", [f"token {i}" for i in range(16_000)])
    writer.add_array("tokenizer.ggml.scores", [float(i) for i in range(16_000)])
    writer.add_array("tokenizer.ggml.merges", [f"a{i} b{i}" for i in range(32_000)])
    writer.add_tensor("x", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    start = time.process_time()
    fields, entries = gguf.header(tmp_path / "one.gguf")
    assert time.process_time() - start < 0.6
    assert fields["tokenizer.ggml.merges"][-1] == "a31999 b31999"
    assert entries["x"].shape == (4, 32)
