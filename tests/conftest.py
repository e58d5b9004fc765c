"""What all tests may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripted import Scripted


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """A scripted backend, and the one that the editor gets when it opens an engine."""
    backend = Scripted()
    monkeypatch.setattr("dgedit.backend.connect", lambda model, device: backend)
    return backend


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the one we are in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
