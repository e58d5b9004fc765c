"""Safetensors files as they are mapped."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dgedit_engine.formats.shards import headers, reader
from dgedit_engine.types import ModelError


def memory() -> int:
    """Bytes of this machine's memory, its swap space included."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines}
    return sizes["MemTotal"] + sizes["SwapTotal"]


def test_tensors_of_every_dtype_are_read_as_they_were_saved(tmp_path: Path) -> None:
    dtypes = (torch.bfloat16, torch.float8_e4m3fn, torch.int64, torch.bool, torch.float64)
    saved = {str(one): torch.tensor([[0, 1, 2]]).to(one) for one in dtypes}
    saved |= {"empty": torch.empty(0, 4), "one": torch.tensor(3.0)}
    file = tmp_path / "model.safetensors"
    save_file(saved, file)
    known, places = headers([file])
    read = reader(places)
    for name, tensor in saved.items():
        assert known[name].shape == tensor.shape and known[name].dtype == tensor.dtype
        found = read(name)
        assert found.dtype == tensor.dtype and torch.equal(found.float(), tensor.float())


def test_a_file_larger_than_memory_is_read(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    large = (memory() + (1 << 30)) // 2
    header = {
        "small": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "large": {"dtype": "BF16", "shape": [large], "data_offsets": [8, 8 + 2 * large]},
    }
    said = json.dumps(header).encode()
    said += b" " * (-len(said) % 8)
    with file.open("wb") as out:
        out.write(struct.pack("<Q", len(said)) + said + struct.pack("<2f", 1.5, -2.0))
        out.truncate(8 + len(said) + 8 + 2 * large)  # a hole, which takes no room on a disk
    _, places = headers([file])
    read = reader(places)
    assert read("small").tolist() == [1.5, -2.0]
    assert read("large")[-2:].tolist() == [0.0, 0.0]


def test_a_file_that_shrank_is_an_error_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(1000)}, file)
    _, places = headers([file])
    file.write_bytes(file.read_bytes()[:900])
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        reader(places)("a")
