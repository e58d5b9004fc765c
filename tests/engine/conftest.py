"""A tiny model of our own with tiny's vocabulary, as a folder and open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.model.config import save_config
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.nano.names import TINY
from dgedit_engine.train.__main__ import SAMPLING, size
from dgedit_engine.weights import checkpoint


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """These models are so small that a second thread only waits for the first."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `open_engine` takes, with random weights."""
    folder = tmp_path_factory.mktemp("tiny")
    model = Model(size("tiny", 4096))
    init_weights(model, seed=0)
    checkpoint.save(model, folder / "model.safetensors")
    save_config(model.config, SAMPLING, folder)
    shutil.copy(TINY / "tokenizer.json", folder)
    return folder


@pytest.fixture
def tiny(tiny_folder: Path) -> Engine:
    """An engine of a test's own, cold."""
    return open_engine(str(tiny_folder), "cpu")


@pytest.fixture
def exact(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The same, its matrices without codes beside them."""
    monkeypatch.setattr("dgedit_engine.weights.cpu_int8.available", lambda: False)
    return open_engine(str(tiny_folder), "cpu")
