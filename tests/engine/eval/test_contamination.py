"""Which documents of a corpus share a run of ten words with a benchmark."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dgedit_engine.eval.contamination import main

WORDS = "def close(items, limit): return any(abs(one - two) < limit for one in items)"


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
