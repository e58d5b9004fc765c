"""Which tokens a head needs to know: those that a corpus has, and all that spell the rest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dgedit_engine.model.head import shortlist
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.shortlist import SPECIAL, chose, counted, main
from small_base import tokenizer

TEXTS = ("def f(a):\n    return total\n", "return items\n", "", "日本 = total\n")


def write(folder: Path, split: str, texts: tuple[str, ...]) -> None:
    encoded = [text.encode() for text in texts]
    (folder / f"{split}.txt").write_bytes(b"".join(encoded))
    np.save(folder / f"{split}.idx.npy", np.cumsum([0, *map(len, encoded)], dtype=np.int64))
    (folder / f"{split}.paths").write_text("".join(f"p/{at}.py\n" for at in range(len(texts))))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write(tmp_path, "train", TEXTS)
    write(tmp_path, "heldout", ("return total\n", "日本\n"))
    tokenizer()._inner.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_tokens_are_counted(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = tokenizer()
    found = counted(Corpus(corpus, "train"), words)
    ids = [token for text in TEXTS for token in words.encode(text)]
    assert found.tolist() == np.bincount(ids, minlength=len(words)).tolist()
    monkeypatch.setattr("dgedit_engine.train.shortlist._TOGETHER", 3)
    assert counted(Corpus(corpus, "train"), words).tolist() == found.tolist()


def test_what_occurs_twice_and_what_spells_the_rest_is_kept() -> None:
    words = tokenizer()
    counts = np.zeros(len(words), np.int64)
    twice, once = words.encode(" return")[0], words.encode("items")[0]
    counts[twice], counts[once] = 2, 1
    kept = chose(counts, words)
    assert kept == sorted(set(kept))
    assert twice in kept and once not in kept
    assert {*range(SPECIAL), *words.byte_tokens()} <= set(kept)
    short = ["a", "~", "\n", "\t", "\t\t", "re", " a", "  "]
    assert {token for text in short for token in words.encode(text)} <= set(kept)
    assert not set(words.encode("日本")) & set(kept)


def test_bitmap_is_written_and_the_share_is_told(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--corpus", str(corpus), "--tokenizer", str(corpus / "tokenizer.json")]
    assert main([*arguments, "--out", str(corpus / "shortlist.bin")]) == 0
    ids = shortlist((corpus / "shortlist.bin").read_bytes())
    said = json.loads(capsys.readouterr().out)
    held = tokenizer().encode("return total\n") + tokenizer().encode("日本\n")
    share = sum(token in ids for token in held) / len(held)
    assert said == {
        "tokens": len(ids),
        "vocabulary": len(tokenizer()),
        "heldout": round(share, 5),
    }
    assert 0 < share < 1  # 日本 occurs once


def test_folder_without_a_corpus_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer()._inner.save(str(tmp_path / "tokenizer.json"))
    arguments = ["--corpus", str(tmp_path), "--tokenizer", str(tmp_path / "tokenizer.json")]
    assert main([*arguments, "--out", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err.startswith("shortlist: ")
    arguments[-1] = str(tmp_path / "none.json")
    assert main([*arguments, "--out", str(tmp_path / "x")]) == 2
    assert "none.json does not exist" in capsys.readouterr().err
