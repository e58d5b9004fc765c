"""Reaching an engine: which one it is; whatever is missing is one line and exit code 5."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from dgedit import cli
from dgedit.engines.connect import connect
from dgedit.engines.warm.client import Daemon
from dgedit.engines.warm.sockets import Unavailable
from dgedit.errors import EngineError, Exit, UsageError
from dgedit_engine.types import ModelError
from scripted import Scripted


def engine(monkeypatch: pytest.MonkeyPatch, open_engine: object) -> None:
    module = ModuleType("dgedit_engine.engine")
    module.open_engine = open_engine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dgedit_engine.engine", module)


def test_connect_passes_model_and_device_on(monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, lambda model, device, adapter, **also: Scripted(name=model, device=device))
    backend = connect("tiny", "cpu")
    assert (backend.name, backend.device) == ("tiny", "cpu")


@pytest.mark.parametrize("error", [ModelError("no weights"), OSError("no weights")])
def test_model_that_cannot_be_opened_is_an_engine_error(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*given: object, **more: object) -> None:
        raise error

    engine(monkeypatch, fail)
    with pytest.raises(EngineError, match=r"^no weights$"):
        connect(None, None)


def test_missing_library_is_an_engine_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dgedit_engine.engine", None)
    with pytest.raises(EngineError, match="the engine cannot be loaded"):
        connect(None, None)


@pytest.mark.parametrize("engine", ["", "cold", "ftp://host", "Local"])
def test_engine_of_no_kind_is_named(engine: str) -> None:
    with pytest.raises(UsageError, match=f"no engine '{engine}': auto, local, warm or"):
        connect(None, None, engine)


def test_adapter_reaches_the_engine_that_opens_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[object] = []
    engine(monkeypatch, lambda model, device, adapter, **also: opened.append(adapter))
    monkeypatch.setattr(
        Daemon, "open", lambda model, device, adapter, *also: opened.append(adapter)
    )
    connect("tiny", "cpu", adapter=tmp_path)
    connect("tiny", "cpu", "warm", tmp_path)
    connect("tiny", "cpu")
    assert opened == [tmp_path, str(tmp_path), None]
    with pytest.raises(EngineError, match=r"^no adapter: \S+nowhere is no folder$"):
        connect("tiny", "cpu", adapter=tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"--adapter changes a model here, not one of https://h"):
        connect(None, None, "https://h", tmp_path)


def test_adapter_of_the_settings_goes_with_their_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[object] = []
    engine(monkeypatch, lambda model, device, adapter, **also: opened.append((model, adapter)))
    monkeypatch.setenv("DGEDIT_MODEL", "tiny")
    monkeypatch.setenv("DGEDIT_ADAPTER", str(tmp_path))
    other = tmp_path / "other"
    other.mkdir()
    connect(None, "cpu")
    connect("tiny", "cpu")
    connect(None, "cpu", adapter=other)
    assert opened == [("tiny", tmp_path), ("tiny", None), ("tiny", other)]


def test_address_is_a_remote_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = ModuleType("dgedit.engines.remote.backend")
    remote.connect = lambda url, model: (url, model)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dgedit.engines.remote.backend", remote)
    assert connect("m", None, "https://h:1/v1") == ("https://h:1/v1", "m")  # type: ignore[comparison-overlap]


def test_warm_engine_is_preferred_and_auto_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*given: object) -> None:
        raise Unavailable("no folder")

    engine(monkeypatch, lambda model, device, adapter, **also: Scripted(name="here"))
    monkeypatch.setattr(Daemon, "open", lambda *given: Scripted(name="warm"))
    assert [connect(None, None, one).name for one in ("local", "warm", "auto")] == [
        "here",
        "warm",
        "warm",
    ]
    monkeypatch.setattr(Daemon, "open", nowhere)
    assert connect(None, None, "auto").name == "here"
    with pytest.raises(EngineError, match=r"^no folder$"):
        connect(None, None, "warm")


@pytest.mark.parametrize("command", [["fill", "a.py"], ["pipe"], ["eval"], ["engine", "start"]])
def test_adapter_that_is_none_is_a_line_and_an_engines_exit_code(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: list[str],
) -> None:
    (tmp_path / "a.py").write_text("<FILL>\n")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", (tmp_path / "a.py").open())
    given = [*command, "--model", "tiny", "--adapter"]
    assert cli.run([*given, "gone"]) == Exit.ENGINE
    assert capfd.readouterr().err == "dgedit: no adapter: gone is no folder\n"
    if command == ["eval"]:  # in this process
        assert cli.run([*given, "empty"]) == Exit.ENGINE
        words = "no adapter: empty has neither adapter_config.json nor a folder encode or denoise"
        assert capfd.readouterr().err == f"dgedit: {words}\n"
