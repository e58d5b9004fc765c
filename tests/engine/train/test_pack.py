"""A corpus packed and unpacked: the same documents, as many as fit, and held-out ones apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dgedit_engine.train import pack as packing
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.pack import main, pack, unpack

Documents = dict[str, str]


def write(folder: Path, train: Documents, heldout: Documents) -> Path:
    folder.mkdir()
    for split, documents in (("train", train), ("heldout", heldout)):
        encoded = [text.encode() for text in documents.values()]
        (folder / f"{split}.txt").write_bytes(b"".join(encoded))
        np.save(folder / f"{split}.idx.npy", np.cumsum([0, *map(len, encoded)], dtype=np.int64))
        (folder / f"{split}.paths").write_text("".join(f"{path}\n" for path in documents))
    return folder


def read(folder: Path, split: str) -> Documents:
    corpus = Corpus(folder, split)
    return {corpus.path(index): corpus.text(index) for index in range(len(corpus))}


def documents(package: str, count: int) -> Documents:
    """Texts that do not compress to nothing."""
    rng = np.random.default_rng(len(package))
    return {
        f"{package}/m{n}.py": f"# ça {package} {n}\n"
        + "".join(map(chr, rng.integers(97, 122, 900)))
        for n in range(count)
    }


def test_packed_corpus_comes_back(tmp_path: Path) -> None:
    train, held = documents("one", 5) | documents("three", 4), documents("seven7", 2)
    whole = write(tmp_path / "whole", train, held)
    report = pack(whole, tmp_path / "packed", nbytes=10_000_000)
    assert report["train"]["files"] == 9
    unpack(tmp_path / "packed", tmp_path / "out")
    assert read(tmp_path / "out", "train") == train
    assert read(tmp_path / "out", "heldout") == held


def test_pack_takes_whole_packages_while_they_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "HELD_OUT", 0.7)  # of so small a pack
    packages = [documents("x" * n, 60) for n in (1, 2, 3, 4)]
    train = {path: text for package in packages for path, text in package.items()}
    whole = write(tmp_path / "whole", train, documents("held99", 1))
    limit = (1 << 17) + 90_000  # what the compressor holds back, and some
    found = pack(whole, tmp_path / "packed", nbytes=limit)["train"]
    size = sum(file.stat().st_size for file in (tmp_path / "packed").iterdir())
    assert size <= limit and 60 < found["files"] < 240
    unpack(tmp_path / "packed", tmp_path / "out")
    taken = read(tmp_path / "out", "train")
    assert taken.items() <= train.items()
    counts = sorted(len(package.keys() & taken.keys()) for package in packages)
    assert sum(count not in (0, 60) for count in counts) <= 1


def test_unpack_joins_corpora_and_keeps_what_is_held_out_apart(tmp_path: Path) -> None:
    first, second = documents("one", 3), documents("two22", 3)
    held = documents("seven7", 2)
    pack(write(tmp_path / "whole", first, held), tmp_path / "packed", nbytes=10_000_000)
    leaked = {"other/copy.py": held["seven7/m0.py"].replace("\n", "\n\n")}
    here = write(tmp_path / "here", first | second | leaked, documents("eight888", 1))
    report = unpack(tmp_path / "packed", tmp_path / "out", more=[here])
    assert read(tmp_path / "out", "train") == first | second
    assert read(tmp_path / "out", "heldout") == held | documents("eight888", 1)
    assert report["train"]["files"] == 6


def test_program_packs_and_unpacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = write(tmp_path / "whole", documents("one", 3), documents("two22", 1))
    packed, out = str(tmp_path / "packed"), str(tmp_path / "out")
    assert main(["--corpus", str(whole), "--out", packed, "--megabytes", "2"]) == 0
    assert main(["--unpack", packed, "--out", out, "--with", str(whole)]) == 0
    reports = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [report["train"]["files"] for report in reports] == [3, 3]


def test_program_says_in_a_line_what_it_cannot_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["--out", out]) == 2
    assert main(["--unpack", str(tmp_path / "none"), "--out", out]) == 2
    whole = write(tmp_path / "whole", documents("one", 3), documents("two22", 1))
    assert main(["--corpus", str(whole), "--out", out, "--megabytes", "0.1"]) == 2
    pack(whole, tmp_path / "packed", nbytes=10_000_000)
    file = tmp_path / "packed" / "train.txt.xz"
    file.write_bytes(file.read_bytes()[:-40])
    assert main(["--unpack", str(tmp_path / "packed"), "--out", out]) == 2
    assert capsys.readouterr().err.count("pack: ") == 4
