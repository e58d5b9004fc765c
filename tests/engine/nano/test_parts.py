"""nano's base is found in its packages, whose code never runs, or in a fetched file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dgedit_engine.nano import parts
from dgedit_engine.types import ModelError
from fakebase import PACKAGES, FakeBase, fake_base, without_base


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeBase:
    return fake_base(monkeypatch, tmp_path / "site")


def test_parts_are_found_in_order_and_no_code_of_theirs_runs(fake: FakeBase) -> None:
    assert parts.find() == tuple(fake.part(number) for number in (1, 2, 3, 4))
    assert b"".join(path.read_bytes() for path in parts.find()) == fake.content
    assert not set(PACKAGES) & set(sys.modules)


def test_fetched_file_goes_first(fake: FakeBase) -> None:
    place = fake.fetch()
    assert parts.find() == (place,)
    place.write_bytes(b"half")
    assert len(parts.find()) == 4


def test_nothing_installed_names_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    without_base(monkeypatch)
    with pytest.raises(ModelError) as caught:
        parts.find()
    words = 'nano\'s base is not installed: pip install "dgedit[nano]" or dgedit model pull nano'
    assert str(caught.value) == words


def test_part_that_is_missing_is_named(fake: FakeBase) -> None:
    fake.part(3).parents[1].rename(fake.site / "elsewhere")
    with pytest.raises(ModelError, match=r"not whole: fakebase_part3 is not installed \(dgedit"):
        parts.find()


def test_part_of_another_size_is_named(fake: FakeBase) -> None:
    fake.part(2).write_bytes(b"short")
    with pytest.raises(ModelError, match=r"part01 has 5 bytes, not the base's 2511 "):
        parts.find()
    fake.part(2).unlink()
    with pytest.raises(ModelError, match="part01 has -1 bytes"):
        parts.find()


def test_published_sizes_add_up() -> None:
    assert sum(part.size for part in parts.PARTS) == parts.SIZE
    assert len(parts.REQUIREMENTS) == 5
    assert all(one.endswith("==1.0.0") for one in parts.REQUIREMENTS)


def test_no_tensor_library_is_loaded() -> None:
    code = """
import sys
from dgedit_engine.nano import parts, prepared
prepared.found()
try:
    parts.find()
except Exception:
    pass
print(sorted({"torch", "numpy", "safetensors"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"[]\n"
