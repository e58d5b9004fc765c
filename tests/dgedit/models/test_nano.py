"""nano beside the other models: installed, fetched, ready or missing, each in a line."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dgedit.doctor import checks
from dgedit.engines.connect import connect
from dgedit.engines.warm.client import Daemon
from dgedit.engines.warm.sockets import EngineKey
from dgedit.errors import EngineError
from dgedit.models import nano
from dgedit.models import store as models
from dgedit.models.names import OURS
from dgedit.tui.app import DgeditApp
from dgedit_engine.nano import parts, prepared
from dgedit_engine.types import ModelError
from fakebase import FakeBase, fake_base, without_base


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeBase:
    monkeypatch.delenv("DGEDIT_MODEL")
    return fake_base(monkeypatch, tmp_path / "site")


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DGEDIT_MODEL")
    without_base(monkeypatch)


def first() -> models.Entry:
    return next(iter(models.entries()))


def test_missing_base_is_told_before_an_engine_is_started(
    absent: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Daemon, "open", lambda *given: pytest.fail("an engine was started"))
    for engine in ("local", "warm", "auto"):
        for model in (None, "nano"):
            with pytest.raises(nano.NoBase) as caught:
                connect(model, None, engine)
            assert str(caught.value) == parts.MISSING


def test_missing_base_hinders_no_other_model(
    absent: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[object] = []
    monkeypatch.setattr(
        "dgedit_engine.engine.open_engine", lambda *given, **more: opened.append(given)
    )
    connect("tiny", "cpu")
    connect(str(tmp_path), "cpu")
    assert opened == [("tiny", "cpu"), (str(tmp_path), "cpu")]


def test_list_has_nano_in_each_state(fake: FakeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    assert first().name == "nano" and first().default
    assert first().error == "installed; made ready when it is first opened"
    assert prepared.found() is None  # to list makes nothing
    monkeypatch.setattr(models, "facts", lambda path: None)
    monkeypatch.setattr(models, "missing", lambda path: None)
    place = models.path_of("nano")
    assert (first().path, first().error) == (place, None)
    assert first().bytes > len(fake.content)
    nano.remove()
    fake.hide()
    assert first().error == parts.MISSING


def test_folder_of_a_fetched_base_is_no_model_of_its_own(fake: FakeBase) -> None:
    part = fake.fetch().parent.with_name(".nano.part")
    part.mkdir()
    assert [entry.name for entry in models.entries()] == list(OURS)
    prepared.folder()
    assert set(nano.kept()) == {nano.fetched(), part, prepared.where()}
    nano.remove()
    assert nano.kept() == []


def test_engine_of_nano_has_its_name_for_a_place(fake: FakeBase) -> None:
    before = EngineKey.of("nano", None)
    assert (before.model, EngineKey.of("tiny", "cpu").model) == ("nano", "tiny")
    stamp = before.stamp
    prepared.folder()
    assert before.stamp == stamp  # or the first client's engine would be replaced by the second's


def test_base_that_is_broken_is_an_engine_error(fake: FakeBase) -> None:
    fake.part(1).write_bytes(b"x")
    for take in (nano.check, nano.folder, lambda: connect(None, None)):
        with pytest.raises(EngineError, match="part00 has 1 bytes, not the base's"):
            take()


def test_what_the_engine_says_of_making_it_is_an_engine_error(
    fake: FakeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Path:
        raise ModelError("no room")

    monkeypatch.setattr(prepared, "folder", fail)
    with pytest.raises(EngineError, match=r"^no room$"):
        models.path_of("nano")


def test_doctor_tells_of_the_base(fake: FakeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    found = checks.base()
    assert (found.state, found.what) == (
        "ok",
        "nano's is here; it is made ready when it is first opened",
    )
    place = prepared.folder()
    assert (checks.base().state, checks.base().what) == ("ok", f"nano is ready in {place}")
    nano.remove()
    fake.hide()
    found = checks.base()
    assert (found.state, found.what) == ("fail", "nano's base is not installed")
    assert found.advice == 'pip install "dgedit[nano]" or dgedit model pull nano'
    monkeypatch.setenv("DGEDIT_MODEL", "tiny")
    assert checks.base().what == "nano's base is not installed, and nano is not asked"


async def test_editor_says_it_in_its_status(absent: None, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    app = DgeditApp([tmp_path / "a.py"], connect=lambda: connect(None, None), watch=False)
    async with app.run_test(size=(160, 30)) as pilot, asyncio.timeout(20):
        while parts.MISSING not in app.workspace.status.notice:
            await pilot.pause()
