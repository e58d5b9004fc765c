"""The held-out texts that ship: whose they are, that they suffice, and how they are chosen."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgedit_engine.decode.syntax import parses
from dgedit_engine.eval import ship
from dgedit_engine.eval.tasks import SINGLE, draw
from dgedit_engine.eval.texts import SHIPPED, held_out
from dgedit_engine.train.excerpts import Excerpts

KEPT, PARTLY = "held-one", "held-two"
PACKAGES: dict[str, dict[str, Any]] = {
    KEPT: {"licence": "MIT", "held_out": True},
    PARTLY: {"licence": "BSD", "held_out": True},
    "trained": {"licence": "MIT", "held_out": False},
}


def test_shipped_texts_are_small_parse_and_name_their_packages() -> None:
    texts = Excerpts(SHIPPED)
    assert SHIPPED.stat().st_size < 900_000
    assert texts.nbytes == texts.sizes.sum() == sum(len(e.text.encode()) for e in texts.excerpts)
    assert all(ship.SMALLEST <= size <= ship.LARGEST for size in texts.sizes)
    assert all(parses(texts.text(index)) for index in range(len(texts)))
    assert len({one.path for one in texts.excerpts}) == len(texts)
    packages = Counter(one.package for one in texts.excerpts)
    assert len(packages) >= 5 and max(packages.values()) < len(texts) / 3
    said = SHIPPED.with_name("HELDOUT.md").read_text()
    for one in texts.excerpts:
        assert f"/{one.package}/" in said and one.licence in said


def test_shipped_texts_give_250_spans_of_each_kind() -> None:
    tasks = draw(held_out(None), limit=250, seed=0)
    assert Counter(task.kind for task in tasks) == dict.fromkeys(SINGLE, 250)
    assert len({task.file for task in tasks}) >= 250


def source(name: str, lines: int = 60) -> str:
    return "".join(f"{name}_{n} = {name}({n}) + len({name!r})\n" for n in range(lines))


def write_corpus(folder: Path) -> Path:
    splits: dict[str, dict[str, str]] = {
        "heldout": {
            **{f"held_one/{n}.py": source(f"one{n}") for n in range(4)},
            **{f"held_two/{n}.py": source(f"two{n}") for n in range(2)},
            **{"held_two/known.py": source("known"), "held_two/short.py": source("s", 2)},
            **{"held_two/long.py": source("long", 999), "trained/a.py": source("a")},
        },
        "train": {"trained/b.py": source("b"), "trained/c.py": source("c") + source("known", 30)},
    }
    for split, documents in splits.items():
        data = [text.encode() for text in documents.values()]
        (folder / f"{split}.txt").write_bytes(b"".join(data))
        np.save(folder / f"{split}.idx.npy", np.cumsum([0, *map(len, data)]))
        (folder / f"{split}.paths").write_text("".join(f"{path}\n" for path in documents))
    (folder / "manifest.json").write_text(json.dumps({"packages": PACKAGES}))
    return folder


def test_ship_takes_packages_that_are_held_out_whole_in_turn(tmp_path: Path) -> None:
    corpus, out = write_corpus(tmp_path), tmp_path / "out.jsonl.xz"
    assert ship.main(["--corpus", str(corpus), "--out", str(out), "--files", "4"]) == 0
    texts = Excerpts(out)
    assert Counter(one.package for one in texts.excerpts) == {KEPT: 2, PARTLY: 2}
    rest = Counter(one.package for one in texts.excerpts if "known" in one.path)
    assert not rest  # training knows half of it
    assert [one.licence for one in texts.excerpts] == ["MIT", "MIT", "BSD", "BSD"]
    assert texts.path(0).startswith("held_one/") and texts.text(0).startswith("one")
    assert "| MIT | 2 |" in (tmp_path / "HELDOUT.md").read_text()
    first = out.read_bytes()
    assert ship.main(["--corpus", str(corpus), "--out", str(out), "--files", "4"]) == 0
    assert out.read_bytes() == first


def test_ship_takes_all_there_are(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl.xz"
    assert ship.main(["--corpus", str(write_corpus(tmp_path)), "--out", str(out)]) == 0
    lines = lzma.decompress(out.read_bytes()).splitlines()
    assert len(lines) == 6 and set(json.loads(lines[0])) == {"path", "package", "licence", "text"}


def test_ship_says_in_one_line_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ship.main(["--corpus", str(tmp_path)]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ship: ") and str(tmp_path) in line


def test_held_out_reads_a_built_corpus_or_names_what_is_none(tmp_path: Path) -> None:
    texts = held_out(write_corpus(tmp_path))
    assert len(texts) == 10 and texts.path(0) == "held_one/0.py"
    with pytest.raises(OSError, match="nowhere"):
        held_out(tmp_path / "nowhere")
    (tmp_path / "heldout.txt").write_bytes(b"")
    with pytest.raises(OSError, match=str(tmp_path)):
        held_out(tmp_path)
