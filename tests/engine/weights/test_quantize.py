"""A model in fewer bits: what it is worth, what is written, and what a stop leaves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import Sampling, load_config, load_sampling, save_config
from dgedit_engine.model.model import Model
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from dgedit_engine.weights import quantize as program
from dgedit_engine.weights.quantize import QuantizeProgress, quantize
from dgedit_engine.weights.slots import slots
from dgedit_kernels.quantised import Quantised, quantise
from published import CONFIG, LARGE, is_expert, is_matrix, numbers, publish, weights, write

OTHERS = {"generation_config.json": "{}", "tokenizer.json": "tokens", "decoding.json": "{} "}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """BF16, experts fused, with all that belongs to a model."""
    folder = tmp_path / "source"
    write(folder, {name: one.bfloat16() for name, one in numbers().items()}, None)
    for name, text in OTHERS.items():
        (folder / name).write_text(text)
    return folder


def run(source: Path, target: Path, **options: Any) -> list[QuantizeProgress]:
    return list(quantize(source, target, **options))


@pytest.mark.parametrize("rest", [None, "int8", "e4m3"])
@pytest.mark.parametrize("experts", ["e2m1", "int4", "e4m3"])
def test_weights_are_the_nearest_codes(
    source: Path, tmp_path: Path, experts: Any, rest: Any
) -> None:
    steps = run(source, tmp_path / "out", experts=experts, rest=rest)
    assert steps[-1].done == steps[-1].total > 0
    assert all(one.done < two.done for one, two in pairwise(steps))
    model = checkpoint.load(load_config(tmp_path / "out"), tmp_path / "out")
    right = numbers()
    for name, weight in checkpoint._places(model):
        kind = experts if is_expert(name) else rest if is_matrix(name) else None
        if kind is None:
            assert isinstance(weight, Tensor) and torch.equal(weight.float(), right[name]), name
        else:
            assert isinstance(weight, Quantised) and weight.kind == kind, name
            assert torch.equal(weight.dequantised(), quantise(right[name], kind).dequantised())
    assert model.embedding.dtype == torch.bfloat16


@pytest.mark.parametrize("experts", ["e2m1", "int4", "e4m3"])
def test_quantised_model_reads_as_its_dequantised_twin(
    source: Path, tmp_path: Path, experts: Any
) -> None:
    """The same prompt and canvas, through layers that dequantise as they go."""
    run(source, tmp_path / "out", experts=experts, rest="int8")
    run_model = checkpoint.load(CONFIG, tmp_path / "out", dtype=torch.float32)
    twin = checkpoint.load(CONFIG, tmp_path / "out", dtype=torch.float32)
    for slot in slots(twin):
        if isinstance(slot.weight, Quantised):
            slot.fill(slot.weight.dequantised())
    prompt, canvas = (
        torch.randint(CONFIG.vocab, (1, size), generator=torch.Generator().manual_seed(size))
        for size in (11, 8)
    )
    found = []
    for model in (run_model, twin):
        cache = KVCache(CONFIG, dtype=torch.float32)
        with torch.inference_mode():
            model.encode(prompt, cache)
            soft = model.soft_embed(torch.full((1, 8, CONFIG.vocab), 1 / CONFIG.vocab))
            found.append(model.logits(model.denoise(canvas, cache, soft)))
    assert isinstance(run_model.layers[0].experts_down, Quantised)
    assert isinstance(twin.layers[0].experts_down, Tensor)
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


def test_folder_is_complete_and_says_what_it_is(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    run(source, out, experts="e2m1", rest="int8")
    for name, text in OTHERS.items():
        assert (out / name).read_text() == text
    raw = json.loads((out / "config.json").read_text())
    wanted = {"quant_method": "dgedit", "version": 1, "experts": "e2m1", "rest": "int8"}
    assert raw["quantization_config"] == wanted
    assert load_config(out) == CONFIG and load_sampling(out) == Sampling()
    tensors = load_file(out / "model-00001.safetensors")
    stem = "model.decoder.layers.0.experts.gate_up_proj"
    assert {name for name in tensors if name.startswith(stem)} == {
        f"{stem}.{part}" for part in ("codes", "scale", "row")
    }
    assert tensors[f"{stem}.codes"].shape == (4, 64, 32)
    assert {file.name for file in out.iterdir()} == {
        *("model-00001.safetensors", "model.safetensors.index.json", "config.json"),
        *OTHERS,
    }
    assert (out.stat().st_mode & 0o777, (out / "config.json").stat().st_mode & 0o400) == (
        0o755,
        0o400,
    )


def fp8(shape: tuple[int, ...], generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    codes = torch.randn(shape, generator=generator).to(torch.float8_e4m3fn)
    scale = (torch.rand(*shape[:-1], 1, generator=generator) + 0.1).bfloat16()
    return {"weight": codes, "weight_scale": scale}, codes.float() * scale.float()


def test_source_may_be_fp8_with_experts_apart(tmp_path: Path) -> None:
    group = {"weights": {"num_bits": 8}}
    said = {"quant_method": "compressed-tensors", "format": "float-quantized"}
    worth = publish(tmp_path / "in", fp8, is_matrix, said | {"config_groups": {"group_0": group}})
    run(tmp_path / "in", tmp_path / "out", experts="int4")
    found = weights(checkpoint.load(CONFIG, tmp_path / "out"))
    for name, value in worth.items():
        right = quantise(value, "int4").dequantised() if is_expert(name) else value.bfloat16()
        assert torch.equal(found[name], right.float()), name


def test_source_may_be_int8(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    save_config(CONFIG, Sampling(), folder)
    model = Model(CONFIG)
    for name, place in checkpoint._places(model):
        place.copy_(numbers()[name])
    checkpoint.save(model, folder / "model.safetensors", int8=True)
    before = weights(checkpoint.load(CONFIG, folder, dtype=torch.float32))
    run(folder, tmp_path / "out", experts="e4m3", rest="int8")
    after = weights(checkpoint.load(CONFIG, tmp_path / "out"))
    for name, value in before.items():
        kind = "e4m3" if is_expert(name) else "int8"
        right = quantise(value, kind).dequantised() if is_matrix(name) else value.bfloat16()
        assert torch.equal(after[name], right.float()), name


def test_shards_hold_their_size(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "_SHARD_BYTES", 30_000)
    monkeypatch.setattr(program, "_STEP", 1000)
    run(source, tmp_path / "out", experts="e2m1", rest="e4m3")
    files = sorted((tmp_path / "out").glob("model-*.safetensors"))
    assert len(files) > 3
    for file in files:
        assert sum(one.nbytes for one in load_file(file).values()) <= 30_000
    found = weights(checkpoint.load(CONFIG, tmp_path / "out"))
    right = numbers()
    name = "model.decoder.layers.2.experts.gate_up_proj"
    assert torch.equal(found[name], quantise(right[name], "e2m1").dequantised())


@pytest.mark.parametrize("steps", [1, 5])
def test_stop_leaves_nothing(source: Path, tmp_path: Path, steps: int) -> None:
    running = quantize(source, tmp_path / "out", experts="e2m1")
    for _ in range(steps):
        next(running)
    assert len(list(tmp_path.iterdir())) == 2 and not (tmp_path / "out").exists()
    running.close()
    assert list(tmp_path.iterdir()) == [source]


def test_half_a_folder_does_not_load(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process leaves that is killed on the way."""
    monkeypatch.setattr(program, "_SHARD_BYTES", 1)
    running = quantize(source, tmp_path / "out", experts="e2m1")
    for _ in range(20):
        next(running)
    (half,) = (one for one in tmp_path.iterdir() if one != source)
    assert list(half.glob("*.safetensors"))
    with pytest.raises(ModelError, match="no weights"):
        checkpoint.load(CONFIG, half)
    running.close()


def test_failure_leaves_nothing(source: Path, tmp_path: Path) -> None:
    file = source / "model.safetensors"
    tensors = load_file(file)
    tensors["model.decoder.norm.weight"] = torch.ones(3)
    save_file(tensors, file)
    with pytest.raises(ModelError, match="norm"):
        run(source, tmp_path / "out", experts="e2m1")
    assert list(tmp_path.iterdir()) == [source]


def test_target_that_is_there_is_left(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="exists"):
        run(source, source, experts="e2m1")
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ModelError, match="exists"):
        run(source, tmp_path / "out", experts="e2m1")
    assert (tmp_path / "out").read_text() == "mine"


def test_unusable_requests_are_refused(source: Path, tmp_path: Path) -> None:
    for options in ({"experts": "int3"}, {"experts": "e2m1", "rest": "e2m1"}):
        with pytest.raises(ValueError, match="experts as"):
            run(source, tmp_path / "out", **options)
    with pytest.raises(ModelError, match=r"config\.json does not exist"):
        run(tmp_path, tmp_path / "out", experts="e2m1")
    odd = replace(CONFIG, expert_width=20)
    tensors = {name: one.bfloat16() for name, one in numbers(odd).items()}
    write(tmp_path / "odd", tensors, None, config=odd)
    with pytest.raises(ModelError, match="experts_down: groups of 16 do not divide 20"):
        run(tmp_path / "odd", tmp_path / "out", experts="e2m1")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"version": 2}, "version 2 of our format, not 1"),
        ({"experts": "int3"}, "codes of kind 'int3'; known are int4, e2m1, int8, e4m3"),
        ({"experts": "int8"}, "unexpected tensor"),
    ],
)
def test_another_version_or_kind_is_named(
    source: Path, tmp_path: Path, said: dict[str, Any], words: str
) -> None:
    out = tmp_path / "out"
    run(source, out, experts="e2m1")
    raw = json.loads((out / "config.json").read_text())
    raw["quantization_config"] |= said
    (out / "config.json").write_text(json.dumps(raw))
    with pytest.raises(ModelError) as caught:
        checkpoint.load(CONFIG, out)
    assert str(out) in str(caught.value)
    if said != {"experts": "int8"}:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.pop("model.decoder.layers.0.experts.down_proj.codes"), "unexpected"),
        (lambda one: one.pop("model.decoder.norm.weight"), "no tensor model.decoder.norm.weight"),
    ],
)
def test_damage_is_named(
    source: Path, tmp_path: Path, change: Callable[[dict[str, Tensor]], Any], words: str
) -> None:
    out = tmp_path / "out"
    run(source, out, experts="e2m1")
    tensors = load_file(out / "model-00001.safetensors")
    change(tensors)
    save_file(tensors, out / "model-00001.safetensors")
    with pytest.raises(ModelError, match=words):
        checkpoint.load(CONFIG, out)


PEAK = """
import re, sys
from pathlib import Path
import torch
from dgedit_engine.weights import quantize as program
from dgedit_engine.weights.slots import slots
from dgedit_engine.model.cache import KVCache

def status(key):
    return int(re.search(key + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

torch.set_num_threads(1)
warm, folder, out = map(Path, sys.argv[1:])
for _ in program.quantize(warm, out / "warm", experts="e2m1", rest="e4m3"):
    pass
program._SHARD_BYTES = 16 << 20
before = status("VmRSS")
for _ in program.quantize(folder, out / "large", experts="e2m1", rest="e4m3"):
    pass
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's account")
def test_peak_is_below_two_shards(source: Path, tmp_path: Path) -> None:
    large = tmp_path / "large"
    tensors: dict[str, Tensor] = {}
    with torch.device("meta"):
        places = list(checkpoint._places(Model(LARGE)))
    for name, place in places:
        tensors[name] = torch.ones(place.shape, dtype=torch.bfloat16)
    large.mkdir()
    save_config(LARGE, Sampling(), large)
    index, shard, size = {}, {}, 0
    for name, tensor in tensors.items():
        shard[name], size = tensor, size + tensor.nbytes
        if size > 80e6 or name == places[-1][0]:
            file = f"model-{len(set(index.values()))}.safetensors"
            save_file(shard, large / file)
            index |= dict.fromkeys(shard, file)
            shard, size = {}, 0
    (large / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    assert len(set(index.values())) == 4
    del tensors, shard
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-c", PEAK, str(source), str(large), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert re.fullmatch(r"-?\d+\n", done.stdout), done.stderr
    assert int(done.stdout) < 160e6, f"{int(done.stdout) / 1e6:.0f} MB"
    assert checkpoint.load(LARGE, tmp_path / "out" / "large").embedding.shape == (20_000, 1024)
