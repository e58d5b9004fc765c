"""Reaching an engine: which one it is; whatever is missing is one line and exit code 5."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from dgedit.engines.connect import connect
from dgedit.engines.warm.client import Daemon
from dgedit.engines.warm.sockets import Unavailable
from dgedit.errors import EngineError, UsageError
from dgedit_engine.types import ModelError
from scripted import Scripted


def engine(monkeypatch: pytest.MonkeyPatch, open_engine: object) -> None:
    module = ModuleType("dgedit_engine.engine")
    module.open_engine = open_engine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dgedit_engine.engine", module)


def test_connect_passes_model_and_device_on(monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, lambda model, device: Scripted(name=model, device=device))
    backend = connect("tiny", "cpu")
    assert (backend.name, backend.device) == ("tiny", "cpu")


@pytest.mark.parametrize("error", [ModelError("no weights"), OSError("no weights")])
def test_model_that_cannot_be_opened_is_an_engine_error(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(model: str | None, device: str | None) -> None:
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


def test_address_is_a_remote_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = ModuleType("dgedit.engines.remote.backend")
    remote.connect = lambda url, model: (url, model)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dgedit.engines.remote.backend", remote)
    assert connect("m", None, "https://h:1/v1") == ("https://h:1/v1", "m")  # type: ignore[comparison-overlap]


def test_warm_engine_is_preferred_and_auto_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(model: str, device: str | None) -> None:
        raise Unavailable("no folder")

    engine(monkeypatch, lambda model, device: Scripted(name="here"))
    monkeypatch.setattr(Daemon, "open", lambda model, device: Scripted(name="warm"))
    assert [connect(None, None, one).name for one in ("local", "warm", "auto")] == [
        "here",
        "warm",
        "warm",
    ]
    monkeypatch.setattr(Daemon, "open", nowhere)
    assert connect(None, None, "auto").name == "here"
    with pytest.raises(EngineError, match=r"^no folder$"):
        connect(None, None, "warm")
