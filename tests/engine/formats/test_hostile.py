"""Files of strangers: numbers that size a loop, names that lead elsewhere, what is no file."""

from __future__ import annotations

import ast
import json
import os
import resource
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import every_format
from dgedit_engine.decode.decoding import load_decoding
from dgedit_engine.engine import open_engine
from dgedit_engine.formats import describe, gguf, opened, shards, vocabulary
from dgedit_engine.model.config import load_config, load_sampling
from dgedit_engine.types import ModelError
from fuzzed import ended_after

ROOT = Path(__file__).parents[3]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4000000000\n"


@contextmanager
def at_once() -> Iterator[None]:
    """Refused without the loop that was asked for: in a time and a room that it could not have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + (300 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        with ended_after(10):
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model as released."""
    every_format.made("plain", tmp_path / "model")
    return tmp_path / "model"


def settings(model: Path, **changes: Any) -> None:
    file = model / "config.json"
    raw = json.loads(file.read_text())
    raw["text_config"] |= changes
    file.write_text(json.dumps(raw))


@pytest.mark.parametrize(
    "changes",
    [
        {"num_experts": 10**7},
        {"num_experts": 4000, "layer_types": ["full_attention"] * 500},
        {"layer_types": ["full_attention"] * 200_000},
    ],
    ids=["experts", "stacks", "layers"],
)
def test_fault_14_numbers_that_no_model_has_are_refused(
    model: Path, changes: dict[str, Any]
) -> None:
    settings(model, **changes)
    with at_once(), pytest.raises(ModelError, match=r"config\.json: .* more than any model has"):
        load_config(model)


def test_fault_14_layers_that_are_only_counted_are_refused(tmp_path: Path) -> None:
    raw = {"model_type": "gemma3_text", "num_hidden_layers": 10**6, "vocab_size": 8}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with at_once(), pytest.raises(ModelError, match="1000000 layers"):
        load_config(tmp_path)


def test_fault_14_header_of_half_a_million_tensors_is_refused(model: Path) -> None:
    one = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"model.t{i}": one for i in range(500_000)}).encode()
    (model / shards.SINGLE).write_bytes(struct.pack("<Q", len(header)) + header)
    with at_once(), pytest.raises(ModelError, match="a header of"):
        opened(model)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def field(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def written(path: Path, *fields: bytes, tensors: int = 0, count: int | None = None) -> Path:
    """A GGUF file of these fields."""
    number = len(fields) if count is None else count
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, tensors, number) + b"".join(fields))
    return path


INNER = struct.pack("<IQ", 9, 1)
HEADERS: dict[str, Callable[[Path], Path]] = {
    "nested": lambda path: written(
        path, field("a", 9, struct.pack("<IQ", 9, 5_000_000) + struct.pack("<IQ", 0, 0) * 5_000_000)
    ),
    "deep": lambda path: written(path, field("a", 9, INNER * 1_000_000)),
    "strings": lambda path: written(
        path, field("a", 9, struct.pack("<IQ", 8, 8_000_000) + bytes(64_000_000))
    ),
    "numbers": lambda path: written(
        path, field("a", 9, struct.pack("<IQ", 0, 64_000_000) + bytes(64_000_000))
    ),
    "fields": lambda path: written(path, bytes(64_000_000), count=5_000_000),
    "tensors": lambda path: written(path, tensors=10**9),
}


@pytest.mark.parametrize("name", HEADERS)
def test_fault_14_header_of_gguf_that_is_large_is_refused(tmp_path: Path, name: str) -> None:
    file = HEADERS[name](tmp_path / "m.gguf")
    with at_once(), pytest.raises(ModelError, match=r"m\.gguf: no readable GGUF header"):
        gguf.header(file)


def test_fault_14_tokens_that_are_cut_at_every_place_are_few() -> None:
    fields = {"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": ["a" * 9_000_000]}
    with at_once(), pytest.raises(ModelError, match="no vocabulary"):
        vocabulary.made(fields)


@pytest.mark.parametrize(
    "raw", [{"candidates": 10**9}, {"cuts": 10**9}, {"repairs": 10**9}, {"canvases": [10**9]}]
)
def test_fault_14_way_of_decoding_that_takes_the_machine_is_refused(
    tmp_path: Path, raw: dict[str, Any]
) -> None:
    (tmp_path / "decoding.json").write_text(json.dumps(raw))
    with pytest.raises(ModelError, match=rf"decoding\.json: {next(iter(raw))} must"):
        load_decoding(tmp_path)


def test_fault_14_sampler_that_takes_a_billion_steps_is_refused(tmp_path: Path) -> None:
    settings_ = {"max_denoising_steps": 10**9}
    (tmp_path / "generation_config.json").write_text(json.dumps(settings_))
    with pytest.raises(ModelError, match=r"generation_config\.json: steps must be at most 10000"):
        load_sampling(tmp_path)


@pytest.mark.parametrize("shape", [[2**63, 0], [0, 2**64 - 1], [2**62, 0]])
def test_fault_16_shape_that_no_tensor_has_is_an_error_in_a_line(
    model: Path, shape: list[int]
) -> None:
    one = {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
    header = json.dumps({"model.x": one}).encode()
    (model / shards.SINGLE).write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(ModelError, match=r"model\.safetensors: ") as caught:
        opened(model)
    assert "\n" not in str(caught.value)


TABLES = ("config.json", "generation_config.json", "decoding.json", "hf_quant_config.json")


@pytest.mark.parametrize("name", [*TABLES, shards.INDEX])
@pytest.mark.parametrize("bad", ["deep", "large", "device", "pipe", "latin"])
def test_fault_16_table_that_is_none_is_an_error_in_a_line(
    model: Path, name: str, bad: str
) -> None:
    if name == shards.INDEX:
        (model / shards.SINGLE).unlink()
    file = model / name
    file.unlink(missing_ok=True)
    match bad:
        case "deep":
            file.write_text("[" * 1_000_000)
        case "large":
            os.truncate(os.open(file, os.O_WRONLY | os.O_CREAT), 1 << 42)
        case "device":
            file.symlink_to("/dev/zero")
        case "pipe":
            os.mkfifo(file)
        case "latin":
            file.write_bytes(b'{"a": "\xe9"}')
    with at_once(), pytest.raises(ModelError, match=name.replace(".", "[.]")) as caught:
        open_engine(str(model), "cpu")
    assert "\n" not in str(caught.value)


def test_fault_22_settings_of_a_model_with_a_mark_are_read(model: Path) -> None:
    before = load_config(model)
    file = model / "config.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_config(model) == before


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "a/b.safetensors", "..", ""]
)
def test_fault_17_index_leads_to_no_other_folder(model: Path, name: str) -> None:
    (model / shards.SINGLE).unlink()
    (model / shards.INDEX).write_text(json.dumps({"weight_map": {"model.norm.weight": name}}))
    with pytest.raises(ModelError, match="is not a file of this folder"):
        opened(model)


@pytest.mark.parametrize("weights", [[], {"a": 3}, {"a": ["b"]}, None])
def test_index_that_names_no_files_is_refused(model: Path, weights: object) -> None:
    (model / shards.SINGLE).unlink()
    (model / shards.INDEX).write_text(json.dumps({"weight_map": weights}))
    with pytest.raises(ModelError, match="no weight_map of files"):
        opened(model)


@pytest.mark.parametrize("name", [shards.SINGLE, "tokenizer.json", "config.json"])
def test_fault_18_file_that_git_lfs_left_out_is_told(model: Path, name: str) -> None:
    (model / name).write_text(POINTER)
    with pytest.raises(ModelError, match=rf"{name}.* is a git-lfs pointer, .*: git lfs pull"):
        open_engine(str(model), "cpu")


def test_fault_18_gguf_that_git_lfs_left_out_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_text(POINTER)
    for read in (load_config, opened, describe):
        with pytest.raises(ModelError, match=r"m\.gguf is a git-lfs pointer"):
            read(tmp_path / "m.gguf")


@pytest.mark.parametrize("align", [0, 1 << 31])
def test_fault_18_alignment_that_is_none_is_refused(tmp_path: Path, align: int) -> None:
    number = struct.pack("<I", align)
    file = written(tmp_path / "m.gguf", field("general.alignment", 4, number))
    with pytest.raises(ModelError, match=f"general.alignment {align}"):
        gguf.header(file)


def test_fault_19_split_model_is_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "split").mkdir()
    every_format.q8_0(tmp_path / "whole")
    every_format.q8_0(tmp_path / "split", each=20)
    whole = opened(tmp_path / "whole" / "model.gguf")
    files = sorted((tmp_path / "split").iterdir())
    assert len(files) > 2 and files[0].name.startswith("model-00001-of-")
    for path in (tmp_path / "split", *files):
        split = opened(path)
        assert {piece.name for piece in split.pieces} == {piece.name for piece in whole.pieces}
        for name in whole.headers:
            assert torch.equal(split.read(name), whole.read(name)), name
        assert load_config(path) == load_config(tmp_path / "whole")
        assert describe(path) == "GGUF Q8_0"
    files[-1].unlink()
    with pytest.raises(ModelError, match=rf"{files[-1].name} does not exist"):
        opened(tmp_path / "split")


def test_fault_19_parts_of_two_models_are_not_one(tmp_path: Path) -> None:
    every_format.q8_0(tmp_path, each=20)
    files = sorted(tmp_path.iterdir())
    files[0].rename(tmp_path / "model.gguf")
    with pytest.raises(ModelError, match=f"it is one of {len(files)} files, and not called so"):
        opened(tmp_path / "model.gguf")
    (tmp_path / "model.gguf").rename(files[0])
    files[2].write_bytes(files[1].read_bytes())
    with pytest.raises(ModelError, match=rf"{files[2].name} is not part 3 of {files[0].name}"):
        opened(tmp_path)


MAY = {
    "dgedit_engine/files/small.py": "the one",
    "dgedit_engine/formats/blocks_iq.py": "the package's own grids",
    "dgedit_engine/formats/gguf.py": "a header is mapped, not read",
    "dgedit_engine/formats/shards.py": "eight bytes of what was looked at",
    "dgedit_engine/memory/available.py": "the kernel's word on memory",
    "dgedit_engine/nano/prepared.py": "parts of the base, by their hash; the package's own",
}
"""Who may read a file without `small`, and why. Training, evaluation and benchmarks are given
their files by who runs them.
"""


def is_reading(call: ast.Call) -> bool:
    """Whether a call opens or reads a file."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    first = call.args[0] if call.args else None
    mode = first.value if isinstance(first, ast.Constant) else None
    opens = called == "open" and isinstance(mode, str) and set(mode) <= set("rwaxbt+")
    plain = ast.unparse(call.func) in ("open", "io.open", "json.load")
    return called in ("read_text", "read_bytes") or opens or plain


def test_fault_10_a_models_files_are_read_in_one_way() -> None:
    found = set()
    for file in sorted((ROOT / "engine").rglob("*.py")):
        name = file.relative_to(ROOT / "engine").as_posix()
        if name.split("/")[1] in ("train", "eval", "bench", "domains"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and is_reading(node):
                found.add(name)
    assert found == set(MAY)
