"""Which texts share a run of ten words, and which of a corpus do."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from dgedit_engine.eval.contamination import main
from dgedit_engine.eval.grams import LENGTH, known, shares, texts

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


def write_split(folder: Path, split: str, *documents: str) -> None:
    data = [text.encode() for text in documents]
    (folder / f"{split}.txt").write_bytes(b"".join(data))
    np.save(folder / f"{split}.idx.npy", np.cumsum([0, *map(len, data)]))
    paths = (f"pkg/{split}{index}.py\n" for index in range(len(data)))
    (folder / f"{split}.paths").write_text("".join(paths))


def test_contamination_counts_and_names_documents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_split(tmp_path, "train", "x = 1\n" * 9, f"# copied\n{WORDS}\n", "y = 2\n" * 9)
    write_split(tmp_path, "heldout", "z = 3\n" * 9)
    bench = tmp_path / "bench.jsonl"
    bench.write_text(json.dumps({"prompt": WORDS}) + "\n")
    assert main(["--corpus", str(tmp_path), str(bench)]) == 0
    *named, last = capsys.readouterr().out.splitlines()
    report = json.loads(last)
    assert named == ["train  pkg/train1.py"]
    assert report["train"] == {"files": 3, "shared": 1}
    assert report["heldout"] == {"files": 1, "shared": 0} and report["grams"] > 5


def test_contamination_says_in_one_line_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "a.txt"
    text.write_text(WORDS)
    for said, arguments in (("nowhere", [str(text)]), ("absent.jsonl", ["absent.jsonl"])):
        assert main(["--corpus", str(tmp_path / "nowhere"), *arguments]) == 3
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("contamination: ") and said in line
