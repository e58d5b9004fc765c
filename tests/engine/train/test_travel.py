"""A base that travels: the rows that are kept, the parts' size, and what a lost byte says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter

from dgedit_engine.formats import gguf
from dgedit_engine.model.head import bitmap
from dgedit_engine.train import travel
from dgedit_engine.train.adapter import SPECIALS

ROWS, WIDTH = 400, 64
KEPT = (17, 60, 399)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A file with an embedding in blocks of 8 bits and a tensor on either side of it."""
    file, draw = tmp_path / "base.gguf", np.random.default_rng(0)
    writer = GGUFWriter(file, "gemma3")
    for name, rows in (("before", 3), ("token_embd.weight", ROWS), ("behind", 5)):
        raw = draw.integers(1, 256, (rows, WIDTH // 32 * 34), dtype=np.uint8)
        writer.add_tensor(name, raw, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def tables(file: Path) -> dict[str, np.ndarray]:
    data = np.fromfile(file, dtype=np.uint8)
    return {
        name: data[one.start : one.start + np.prod(one.bytes)].reshape(one.bytes)
        for name, one in gguf.header(file)[1].items()
    }


def test_joined_base_has_the_kept_rows_and_all_else(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed, parts, out = tmp_path / "list", tmp_path / "parts", tmp_path / "joined.gguf"
    listed.write_bytes(bitmap(KEPT, ROWS))
    packing = ["--base", str(base), "--shortlist", str(listed), "--out", str(parts)]
    assert travel.main([*packing, "--megabytes", "0.002"]) == 0
    report = json.loads(capsys.readouterr().out)
    sizes = [part.stat().st_size for part in sorted(parts.glob("base.xz.*"))]
    assert len(sizes) == report["parts"] > 1 and max(sizes) == 2000
    assert sum(sizes) == report["packed"] < report["bytes"] / 2
    assert travel.main(["--join", str(parts), "--out", str(out)]) == 0
    old, new = tables(base), tables(out)
    rows = np.arange(ROWS)
    kept = (rows < SPECIALS) | np.isin(rows, KEPT)
    assert np.array_equal(new["token_embd.weight"][kept], old["token_embd.weight"][kept])
    assert not new["token_embd.weight"][~kept].any()
    for name in ("before", "behind"):
        assert np.array_equal(new[name], old[name])
    assert out.stat().st_size == base.stat().st_size


def test_lost_part_is_no_base(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts, out = tmp_path / "parts", tmp_path / "joined.gguf"
    travel.pack(base, KEPT, parts, nbytes=2000)
    (parts / "base.xz.01").unlink()
    assert travel.main(["--join", str(parts), "--out", str(out)]) == 2
    assert capsys.readouterr().err.startswith("travel: ") and not out.exists()
    changed = bytearray((parts / "base.xz.00").read_bytes())
    travel.pack(base, KEPT, parts, nbytes=1 << 20)
    (parts / "base.xz.00").write_bytes(changed)
    assert travel.main(["--join", str(parts), "--out", str(out)]) == 2
    assert list(tmp_path.glob("joined*")) == []


def test_file_without_an_embedding_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "none.gguf"
    file.write_bytes(b"version https://git-lfs")
    assert travel.main(["--base", str(file), "--out", str(tmp_path / "parts")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
