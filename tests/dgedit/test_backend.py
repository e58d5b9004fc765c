"""Opening an engine: whatever is missing is one line and exit code 5."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from dgedit.backend import connect
from dgedit.errors import EngineError
from dgedit_engine.types import ModelError
from scripted import Scripted


def engine(monkeypatch: pytest.MonkeyPatch, open_engine: object) -> None:
    module = ModuleType("dgedit_engine.engine")
    module.open_engine = open_engine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dgedit_engine.engine", module)


def test_connect_passes_model_and_device_on(monkeypatch: pytest.MonkeyPatch) -> None:
    engine(monkeypatch, lambda model, device: Scripted(name=model, device=device))
    backend = connect("nano", "cpu")
    assert (backend.name, backend.device) == ("nano", "cpu")


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
