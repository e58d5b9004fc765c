"""nano made ready: joined, held to its hash, whole or not there, by one process or by several."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import every_format
from dgedit_engine.decode.certainty import load_certainty
from dgedit_engine.decode.decoding import load_decoding
from dgedit_engine.engine import open_engine
from dgedit_engine.nano import parts, prepared
from dgedit_engine.types import Ability, ModelError
from fakebase import FakeBase, fake_base, without_base


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeBase:
    return fake_base(monkeypatch, tmp_path / "site")


def left() -> list[str]:
    """What is in the cache, but for locks."""
    names = (path.name for path in prepared.cache().iterdir())
    return sorted(name for name in names if not name.endswith(".lock"))


def test_folder_holds_the_base_and_our_settings(fake: FakeBase) -> None:
    assert prepared.found() is None
    place = prepared.folder()
    assert place == prepared.where() == prepared.found()
    assert place.parent == prepared.cache()
    assert place.name.startswith("nano-")
    assert (place / parts.FILE).read_bytes() == fake.content
    for name in ("decoding.json", "ability.json", "certainty.json"):
        ours = Path(prepared.__file__).with_name(name)
        assert (place / name).read_bytes() == ours.read_bytes()
    assert left() == [place.name]


def test_folder_that_is_ready_needs_no_base_and_is_not_read_again(fake: FakeBase) -> None:
    place = prepared.folder()
    fake.hide()
    changed = bytes(len(fake.content))
    (place / parts.FILE).write_bytes(changed)
    assert prepared.folder() == place
    assert (place / parts.FILE).read_bytes() == changed
    prepared.check()


def test_file_cut_short_is_made_anew(fake: FakeBase) -> None:
    place = prepared.folder()
    (place / parts.FILE).write_bytes(b"half")
    assert prepared.found() is None
    assert (prepared.folder() / parts.FILE).read_bytes() == fake.content


def test_other_settings_are_another_folder(
    fake: FakeBase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = prepared.where()
    monkeypatch.setattr(prepared, "FORM", prepared.FORM + 1)
    assert prepared.where() != before
    monkeypatch.undo()
    ours = Path(shutil.copytree(Path(prepared.__file__).parent, tmp_path / "ours"))
    monkeypatch.setattr(prepared, "_OURS", ours)
    between = prepared.where()
    (ours / "denoise").mkdir()
    (ours / "denoise" / "adapter_model.safetensors").write_bytes(b"weights")
    assert prepared.where() != between


def test_what_is_not_the_base_is_told_and_leaves_nothing(fake: FakeBase) -> None:
    part = fake.part(2)
    part.write_bytes(bytes(part.stat().st_size))
    with pytest.raises(ModelError, match=r"is not the published one: 10040 bytes of sha256 ") as no:
        prepared.folder()
    assert str(fake.site) in str(no.value) and parts.SHA256 in str(no.value)
    assert "\n" not in str(no.value)
    assert left() == []


def test_fetched_file_is_held_to_the_hash_too(fake: FakeBase) -> None:
    place = fake.fetch()
    place.write_bytes(bytes(len(fake.content)))
    with pytest.raises(ModelError, match=rf"base in {place} is not the published one"):
        prepared.folder()
    place.write_bytes(fake.content)
    fake.hide()
    assert prepared.folder() == prepared.where()


def test_missing_base_is_a_line_and_no_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    without_base(monkeypatch)
    for model in (None, "nano"):
        with pytest.raises(ModelError) as caught:
            open_engine(model, "cpu")
        assert str(caught.value) == parts.MISSING
    with pytest.raises(ModelError, match="not installed"):
        prepared.check()
    assert not prepared.cache().exists()


def test_nano_opens_from_the_folder_under_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    every_format.made("q8_0", tmp_path / "made")
    content = next((tmp_path / "made").glob("*.gguf")).read_bytes()
    fake_base(monkeypatch, tmp_path / "site", content)
    engine = open_engine(None, "cpu")
    assert engine.name == "nano"
    ours = Path(prepared.__file__).parent
    assert engine.decoding == load_decoding(ours)
    assert engine.certainty is not None and engine.certainty == load_certainty(ours)
    assert engine.ability == Ability(None, False, engine.model.config.context, engine.model.canvas)
    assert open_engine("nano", "cpu").name == "nano"


def test_disk_that_is_too_small_is_told_before(
    fake: FakeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 5}))
    with pytest.raises(
        ModelError, match=r"cannot be prepared in .*: it needs [0-9]+ MB, the disk has"
    ):
        prepared.folder()
    assert left() == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_disk_that_fills_up_leaves_nothing(fake: FakeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Path.open

    def full(path: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
        return given(Path("/dev/full") if mode == "wb" else path, mode, *more, **named)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(ModelError, match=r"cannot be prepared in .*: No space left on device$"):
        prepared.folder()
    assert left() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_cache_that_cannot_be_written_is_named(fake: FakeBase) -> None:
    prepared.cache().parent.mkdir(parents=True, exist_ok=True)
    prepared.cache().parent.chmod(0o500)
    with pytest.raises(ModelError, match="Permission denied"):
        prepared.folder()


def test_cache_that_is_a_file_is_named(fake: FakeBase) -> None:
    prepared.cache().parent.mkdir(parents=True, exist_ok=True)
    prepared.cache().touch()
    with pytest.raises(ModelError, match=r"nano cannot be prepared in .*: File exists"):
        prepared.folder()


def test_interrupt_leaves_nothing(fake: FakeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prepared, "_convert", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepared.folder()
    assert left() == []


def test_what_a_killed_process_left_is_removed(fake: FakeBase) -> None:
    half = prepared.cache() / f".{prepared.where().name}.abc"
    half.mkdir(parents=True)
    (half / parts.FILE).write_bytes(b"half")
    prepared.folder()
    assert left() == [prepared.where().name]


def test_processes_at_once_make_one_folder(fake: FakeBase) -> None:
    code = f"""{fake.code}
import time
from dgedit_engine.nano import prepared
convert = prepared._convert
def slow(base, out):
    print("made", flush=True)
    time.sleep(0.3)
    convert(base, out)
prepared._convert = slow
place = prepared.folder()
assert (place / parts.FILE).stat().st_size == parts.SIZE
"""
    command = [sys.executable, "-c", code]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    said = b"".join(process.communicate(timeout=90)[0] for process in running)
    assert [process.returncode for process in running] == [0, 0, 0]
    assert said == b"made\n"
    assert left() == [prepared.where().name]


def test_folders_that_nobody_needs_are_removed(fake: FakeBase) -> None:
    old, recent = prepared.cache() / "nano-old", prepared.cache() / "nano-recent"
    for place in (old, recent):
        place.mkdir(parents=True)
    long_ago = time.time() - 8 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    place = prepared.folder()
    assert left() == sorted([place.name, recent.name])


def test_use_keeps_a_folder(fake: FakeBase) -> None:
    place = prepared.folder()
    os.utime(place, (1, 1))
    prepared.folder()
    assert time.time() - place.stat().st_mtime < 60


def test_canvas_adapter_is_kept_beside_the_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Path | None] = []

    def convert(base: Path, tokens: bytes, out: Path, *, adapter: Path | None) -> None:
        asked.append(adapter)

    convert_as_it_is = prepared._convert
    fake_base(monkeypatch, tmp_path / "site")
    monkeypatch.setattr(prepared, "_convert", convert_as_it_is)
    monkeypatch.setattr("dgedit_engine.nano.convert.convert", convert)
    ours = Path(shutil.copytree(Path(prepared.__file__).parent, tmp_path / "ours"))
    monkeypatch.setattr(prepared, "_OURS", ours)
    for reading in ("encode", "denoise"):
        shutil.rmtree(ours / reading, ignore_errors=True)
        (ours / reading).mkdir()
        (ours / reading / "adapter_model.safetensors").write_bytes(reading.encode())
    place = prepared.folder()
    assert asked == [ours / "encode"]
    kept = place / "denoise" / "adapter_model.safetensors"
    assert kept.read_bytes() == b"denoise" and not (place / "encode").exists()
    kept.write_bytes(b"")  # cut short
    assert prepared.found() is None
    shutil.rmtree(ours / "encode")
    assert not (prepared.folder() / "encode").exists() and asked[1:] == [None]
    # the same files in the other's folder are another model
    before = prepared.where()
    (ours / "denoise").rename(ours / "encode")
    assert prepared.where() != before
