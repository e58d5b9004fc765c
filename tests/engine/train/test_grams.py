"""Which texts share a run of ten words."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from dgedit_engine.train.grams import LENGTH, known, shares, texts

WORDS = "def close(items, limit): return any(abs(one - two) < limit for one in items)"


def test_shares_wants_ten_words_in_a_row() -> None:
    ten = "one two three four five six seven eight nine ten"
    grams = known([ten])
    assert len(grams) == 1 and LENGTH == 10
    assert shares(f"zero  {ten}\neleven", grams)
    assert shares(ten.replace(" ", "\n    "), grams)  # blanks do not count
    assert not shares(ten.replace("five", "fife"), grams)
    assert not shares(ten.replace("ten", "Ten"), grams)  # the case does
    assert not shares(ten.rpartition(" ")[0], grams)
    assert not shares(ten, known([])) and not shares("", grams)


def test_known_leaves_out_tables_and_rules() -> None:
    assert len(known(["0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0", "# -- # -- # -- # -- # -- # --"])) == 0
    assert len(known(["assert f([1, 2, 3, 4, 5, 6, 7, 8]) == 9"])) == 0
    assert len(known([WORDS])) > 5


def test_texts_reads_rows_and_plain_text(tmp_path: Path) -> None:
    row = {"a": "one", "b": [{"c": "two"}], "d": 3}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    (tmp_path / "a.txt").write_bytes(b"one\xff two")
    assert [*texts(tmp_path / "a.jsonl")] == [*texts(tmp_path / "a.jsonl.gz")] == ["one", "two"]
    assert [*texts(tmp_path / "a.txt")] == ["one� two"]


def test_texts_reads_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pytest.importorskip("pyarrow").table({"a": ["one", "two"]})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert [*texts(tmp_path / "a.parquet")] == ["one", "two"]
