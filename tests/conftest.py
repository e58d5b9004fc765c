"""What all tests may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before torch is loaded: threads that spin for each other starve on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

# Before a kernel file is: without a GPU, tests run kernels in Triton's interpreter.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from hypothesis import settings

from scripted import Scripted

# A busy machine makes any example slow now and then.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def nobody(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No models, settings and warm engines but those that a test makes, and tiny for a default."""
    home = tmp_path_factory.mktemp("home", numbered=True)
    for name in [name for name in os.environ if name.startswith("DGEDIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DGEDIT_ENGINE", "local")  # no test leaves a process
    monkeypatch.setenv("DGEDIT_MODEL", "tiny")
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home / name))
    (home / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """A scripted backend, and the one that the editor gets when it opens an engine."""
    backend = Scripted()
    monkeypatch.setattr("dgedit.engines.connect.connect", lambda *which, **more: backend)
    return backend


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the one we are in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
