"""Other people's text that is soon read."""

from __future__ import annotations

import inspect
import json
import lzma
import shlex
from pathlib import Path

import pytest

from dgedit_engine.train import pretrained


@pytest.fixture(scope="session")
def excerpts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of one excerpt."""
    one = {"path": "shlex.py", "package": "x", "licence": "PSF", "text": inspect.getsource(shlex)}
    file = tmp_path_factory.mktemp("excerpts") / "one.jsonl.xz"
    file.write_bytes(lzma.compress(json.dumps(one).encode()))
    return file


@pytest.fixture(autouse=True)
def few_excerpts(excerpts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "EXCERPTS", excerpts)
