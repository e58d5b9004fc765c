"""Weights to a file and back, and what is said of files that will not do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dgedit_engine.model.cache import GradientCache
from dgedit_engine.model.config import Config, LayerConfig, Sampling, save_config
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from published import LARGE

SLIDING, FULL = LayerConfig(True, 2, 8, 1e4, 4), LayerConfig(False, 1, 12, 1e5, 3)
CONFIG = Config(
    vocab=64,
    dim=16,
    heads=4,
    layers=(SLIDING, SLIDING, FULL),
    window=8,
    mlp=24,
    experts=3,
    active=2,
    expert_width=10,
    canvas=16,
    context=128,
)
LARGE_ENOUGH = replace(CONFIG, dim=128, mlp=256, experts=1, active=1, expert_width=128)
NORM = "model.decoder.norm.weight"


@pytest.fixture
def model() -> Model:
    """Every weight at random, so that no two could be taken for each other."""
    model = Model(CONFIG)
    init_weights(model, seed=0)
    generator = torch.Generator().manual_seed(1)
    for tensor in model.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return model


@pytest.fixture
def folder(model: Model, tmp_path: Path) -> Path:
    checkpoint.save(model, tmp_path / "model.safetensors")
    return tmp_path


@contextmanager
def rewritten(folder: Path) -> Iterator[dict[str, Tensor]]:
    """The file's tensors, to be changed; written back at the end."""
    tensors = load_file(folder / "model.safetensors")
    yield tensors
    save_file(tensors, folder / "model.safetensors")


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        checkpoint.load(CONFIG, folder)
    words = str(caught.value)
    assert "\n" not in words and str(folder) in words
    return words


def sharded(folder: Path, *, shards: int) -> None:
    """Deal the file's tensors out to several, with an index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {name: f"model-{place % shards}.safetensors" for place, name in enumerate(tensors)}
    for file in set(places.values()):
        part = {name: tensors[name] for name, where in places.items() if where == file}
        save_file(part, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


@pytest.mark.parametrize("shards", [0, 3])
def test_load_gives_back_what_was_saved_to_the_bit(folder: Path, model: Model, shards: int) -> None:
    if shards:
        sharded(folder, shards=shards)
    loaded = checkpoint.load(CONFIG, folder)
    saved = model.state_dict()
    assert loaded.state_dict().keys() == saved.keys()
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == torch.bfloat16
        assert torch.equal(tensor, saved[name].bfloat16()), name
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())


def test_save_keeps_fp32_when_asked(folder: Path, model: Model) -> None:
    checkpoint.save(model, folder / "model.safetensors", dtype=torch.float32)
    for name, tensor in checkpoint.load(CONFIG, folder).state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name


def test_bf16_file_is_widened_when_asked(folder: Path, model: Model) -> None:
    for name, tensor in checkpoint.load(CONFIG, folder, dtype=torch.float32).state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, model.state_dict()[name].bfloat16().float()), name


@pytest.mark.parametrize(
    ("stored", "computed"),
    [(torch.float16, torch.bfloat16), (torch.float64, torch.float32)],
)
def test_file_of_another_dtype_takes_the_nearest_that_we_compute_in(
    folder: Path, model: Model, stored: torch.dtype, computed: torch.dtype
) -> None:
    checkpoint.save(model, folder / "model.safetensors", dtype=stored)
    loaded = checkpoint.load(CONFIG, folder)
    assert {tensor.dtype for tensor in loaded.state_dict().values()} == {computed}
    assert torch.equal(loaded.norm, model.norm.to(stored).to(computed))


def test_model_too_large_for_the_memory_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError) as caught:
        checkpoint.load(replace(CONFIG, vocab=10**15), folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_vision_and_head_are_skipped(folder: Path, model: Model) -> None:
    with rewritten(folder) as tensors:
        tensors["model.encoder.vision_tower.encoder.layers.0.mlp.weight"] = torch.zeros(3, 3)
        tensors["model.encoder.embed_vision.embedding_projection.weight"] = torch.zeros(3, 3)
        tensors["lm_head.weight"] = torch.zeros(64, 16)
        tensors["model.encoder.language_model.norm.weight"] = torch.zeros(16)
    assert torch.equal(checkpoint.load(CONFIG, folder).norm, model.norm.bfloat16())


def test_encoder_scalars_are_the_decoders_where_absent(folder: Path, model: Model) -> None:
    with rewritten(folder) as tensors:
        for name in [name for name in tensors if name.startswith("model.encoder.language_model.")]:
            del tensors[name]
    loaded = checkpoint.load(CONFIG, folder)
    for mine, theirs in zip(loaded.layers, model.layers, strict=True):
        assert torch.equal(mine.encode_scalar, theirs.denoise_scalar.bfloat16())


def test_missing_weights_are_named(tmp_path: Path) -> None:
    assert "model.safetensors" in refused(tmp_path)


def test_missing_tensor_is_named(folder: Path) -> None:
    with rewritten(folder) as tensors:
        del tensors[NORM]
    assert NORM in refused(folder)


def test_wrong_shape_is_named(folder: Path) -> None:
    with rewritten(folder) as tensors:
        tensors[NORM] = torch.zeros(17)
    words = refused(folder)
    assert NORM in words and "[17]" in words and "[16]" in words


def test_unexpected_tensor_is_named(folder: Path) -> None:
    with rewritten(folder) as tensors:
        tensors["model.decoder.layers.3.layer_scalar"] = torch.zeros(1)
    assert "model.decoder.layers.3.layer_scalar" in refused(folder)


@pytest.mark.parametrize("kept", [0, 5, 200, -1, -4000])
def test_truncated_file_is_named(folder: Path, kept: int) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    assert str(file) in refused(folder)


@pytest.mark.parametrize(
    "start", [b"\xff" * 8, b"\x10" + b"\x00" * 7 + b"not json at all!", b"\x00" * 8]
)
def test_garbage_header_is_named(folder: Path, start: bytes) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(start + file.read_bytes()[len(start) :])
    assert str(file) in refused(folder)


def test_index_with_a_missing_shard_names_it(folder: Path) -> None:
    sharded(folder, shards=3)
    (folder / "model-1.safetensors").unlink()
    assert "model-1.safetensors" in refused(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}'])
def test_unusable_index_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    assert "model.safetensors.index.json" in refused(tmp_path)


PEAK = """
import re, sys
from pathlib import Path
import torch
from dgedit_engine.weights import checkpoint
from dgedit_engine.model.cache import GradientCache
from dgedit_engine.model.config import load_config

def status(key):
    return int(re.search(key + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

warm, folder = Path(sys.argv[1]), Path(sys.argv[2])
checkpoint.load(load_config(warm), warm)
config, before = load_config(folder), status("VmRSS")
model = checkpoint.load(config, folder)
held = {tensor.data_ptr(): tensor.nbytes for tensor in model.state_dict().values()}
print(sum(held.values()), status("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's account")
def test_load_peaks_near_the_weights_size(folder: Path, tmp_path: Path) -> None:
    """One file, then four: the process never grows by more than the weights and a fifth."""
    save_config(CONFIG, Sampling(), folder)
    large = tmp_path / "large"
    large.mkdir()
    save_config(LARGE, Sampling(), large)
    with torch.device("meta"):
        model = Model(LARGE)
    model = model.bfloat16().to_empty(device="cpu")
    for tensor in model.state_dict().values():
        tensor.fill_(1.0)
    checkpoint.save(model, large / "model.safetensors")
    del model
    for shards in (0, 4):
        if shards:
            sharded(large, shards=shards)
        command = [sys.executable, "-c", PEAK, str(folder), str(large)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert re.fullmatch(r"\d+ \d+\n", done.stdout), done.stderr
        weights, growth = map(int, done.stdout.split())
        assert weights > 250e6
        assert growth < 1.2 * weights, f"{growth / weights:.2f} of the weights, {shards} shards"


def matrices(model: Model) -> dict[str, Tensor]:
    return {name: part for name, part in checkpoint._places(model) if part.dim() > 1}


def int8_folder(folder: Path, model: Model, *, shards: bool = False) -> Path:
    """The model stored as int8 in a folder of its own."""
    out = folder / ("shards" if shards else "whole")
    out.mkdir()
    checkpoint.save(model, out if shards else out / "model.safetensors", int8=True)
    return out


@pytest.mark.parametrize("shards", [False, True])
def test_int8_is_off_by_half_a_scale_at_most(
    model: Model, tmp_path: Path, shards: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_SHARD_BYTES", 3000)
    out = int8_folder(tmp_path, model, shards=shards)
    assert (len(list(out.glob("*.safetensors"))) > 3) == shards
    loaded = checkpoint.load(CONFIG, out, dtype=torch.float32)
    found = dict(checkpoint._places(loaded))
    for name, matrix in matrices(model).items():
        scale = matrix.abs().amax(-1, keepdim=True) / 127
        assert ((found[name] - matrix).abs() <= 0.5001 * scale).all(), name
    assert torch.equal(loaded.norm, model.norm.bfloat16().float())
    assert checkpoint.load(CONFIG, out).norm.dtype == torch.bfloat16


def test_int8_keeps_a_row_of_nothing_and_its_largest_number(model: Model, tmp_path: Path) -> None:
    model.embedding.data[3] = 0
    loaded = checkpoint.load(CONFIG, int8_folder(tmp_path, model), dtype=torch.float32)
    assert not loaded.embedding[3].any()
    largest = model.embedding.abs().amax(-1)
    torch.testing.assert_close(loaded.embedding.abs().amax(-1), largest)


def test_int8_logits_are_close(tmp_path: Path) -> None:
    model = Model(LARGE_ENOUGH)
    init_weights(model, seed=0)
    loaded = checkpoint.load(LARGE_ENOUGH, int8_folder(tmp_path, model), dtype=torch.float32)
    ids = torch.randint(64, (2, 20), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        one, other = (m.logits(m.encode(ids, GradientCache(m.config))) for m in (model, loaded))
    assert (one - other).abs().max() < 0.03 * one.abs().max()
    assert (one.argmax(-1) == other.argmax(-1)).float().mean() > 0.9


def test_int8_file_is_half_of_bfloat16s(tmp_path: Path) -> None:
    model = Model(LARGE_ENOUGH)
    init_weights(model, seed=0)
    small = int8_folder(tmp_path, model) / "model.safetensors"
    checkpoint.save(model, tmp_path / "model.safetensors")
    ratio = small.stat().st_size / (tmp_path / "model.safetensors").stat().st_size
    assert 0.5 < ratio < 0.6


def test_int8_without_its_scale_is_refused(model: Model, tmp_path: Path) -> None:
    out, name = int8_folder(tmp_path, model), "model.decoder.embed_tokens.weight"
    with rewritten(out) as tensors:
        del tensors[name + ".scale"]
    assert f"{name} is int8 and has no {name}.scale" in refused(out)


def test_int8_scale_of_another_shape_is_refused(model: Model, tmp_path: Path) -> None:
    out, name = int8_folder(tmp_path, model), "model.decoder.embed_tokens.weight.scale"
    with rewritten(out) as tensors:
        tensors[name] = torch.ones(63)
    assert f"{name} is [63], not [64]" in refused(out)


def test_scale_of_no_int8_tensor_is_refused(folder: Path) -> None:
    name = "model.decoder.embed_tokens.weight.scale"
    with rewritten(folder) as tensors:
        tensors[name] = torch.ones(64)
    assert f"{name} belongs to no int8 tensor" in refused(folder)


def test_shards_fit_their_size_and_replace_what_was_there(
    folder: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size, dtype in ((2000, torch.bfloat16), (6000, torch.float32)):
        monkeypatch.setattr(checkpoint, "_SHARD_BYTES", size)
        checkpoint.save(model, folder, dtype=dtype)
        files = sorted(folder.glob("*.safetensors"))
        assert len(files) > 2 and all(f"of-{len(files):05}" in file.name for file in files)
        for file in files:
            tensors = load_file(file)
            assert len(tensors) == 1 or sum(one.nbytes for one in tensors.values()) <= size
    for name, tensor in checkpoint.load(CONFIG, folder).state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
