"""A shortlist's file: written, read, counted, and told where it does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from dgedit_engine.types import ModelError
from dgedit_engine.weights import shortlist

VOCAB, DIM = 50, 640


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    shortlist.save(torch.randn(VOCAB, DIM), [7, 3, 3, 49], tmp_path)
    return tmp_path


def test_file_holds_the_rows_in_ascending_order(saved: Path) -> None:
    torch.manual_seed(0)
    embedding = torch.randn(VOCAB, DIM).bfloat16()
    head = shortlist.load(saved, VOCAB, DIM)
    assert head is not None and head.ids is not None
    assert head.ids.tolist() == [3, 7, 49] and head.ids.dtype == torch.int64
    assert torch.equal(head.rows(), embedding[[3, 7, 49]])
    assert head.places(torch.tensor([49, 4])).tolist() == [2, -1]


def test_file_can_be_read_by_all(saved: Path) -> None:
    assert (saved / shortlist.FILE).stat().st_mode & 0o777 == 0o644


def test_numbers_are_counted_without_reading_them(saved: Path, tmp_path: Path) -> None:
    assert shortlist.size(saved) == 3 * DIM
    (tmp_path / "none").mkdir()
    assert shortlist.size(tmp_path / "none") is None
    torch.manual_seed(0)
    shortlist.save(torch.randn(40, 4), list(range(40)), tmp_path)
    assert shortlist.size(tmp_path) == 160  # where the header is as long as many rows


def test_folder_without_one_has_none(tmp_path: Path) -> None:
    assert shortlist.load(tmp_path, VOCAB, DIM) is None


@pytest.mark.parametrize(
    ("ids", "rows", "words"),
    [
        ([3, 3], 2, "no ascending tokens of 50"),
        ([4, 3], 2, "no ascending tokens of 50"),
        ([-1, 3], 2, "no ascending tokens of 50"),
        ([3, 50], 2, "no ascending tokens of 50"),
        ([], 0, "no ascending tokens of 50"),
        ([[3]], 1, "no ascending tokens of 50"),
        ([3, 4], 3, r"weight is \[3, 640\], not \[2, 640\]"),
        (None, 3, "ids"),
    ],
)
def test_file_that_does_not_fit_is_named(tmp_path: Path, ids: Any, rows: int, words: str) -> None:
    found = {"weight": torch.zeros(rows, DIM, dtype=torch.bfloat16)}
    if ids is not None:
        found["ids"] = torch.tensor(ids, dtype=torch.int32)
    save_file(found, tmp_path / shortlist.FILE)
    with pytest.raises(ModelError, match=words) as caught:
        shortlist.load(tmp_path, VOCAB, DIM)
    assert str(tmp_path / shortlist.FILE) in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\x08", b"\xff" * 100])
def test_damaged_file_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / shortlist.FILE).write_bytes(data)
    for called in (
        lambda: shortlist.load(tmp_path, VOCAB, DIM),
        lambda: shortlist.size(tmp_path),
    ):
        with pytest.raises(ModelError, match=shortlist.FILE) as caught:
            called()
        assert "\n" not in str(caught.value)


def test_rows_of_another_kind_are_named(tmp_path: Path) -> None:
    ids = torch.tensor([3], dtype=torch.int32)
    save_file({"ids": ids, "weight": torch.zeros(1, DIM, dtype=torch.int8)}, tmp_path / "x")
    (tmp_path / "x").rename(tmp_path / shortlist.FILE)
    with pytest.raises(ModelError, match="int8"):
        shortlist.load(tmp_path, VOCAB, DIM)
