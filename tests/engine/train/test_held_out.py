"""Losses on held-out files: repeatable, comparable, and one line for what cannot be measured."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from dgedit_engine.model.config import save_config
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.train.__main__ import SAMPLING, size
from dgedit_engine.train.held_out import main
from dgedit_engine.weights import checkpoint


@pytest.fixture
def folder(data: Path, tmp_path: Path) -> Path:
    model = Model(size("tiny", 400))
    init_weights(model, seed=0)
    checkpoint.save(model, tmp_path / "model.safetensors")
    save_config(model.config, SAMPLING, tmp_path)
    shutil.copy(data / "tokenizer.json", tmp_path)
    return tmp_path


def test_losses_repeat_and_start_near_an_even_guess(
    data: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--corpus", str(data), "--model", str(folder), "--batches", "2"]
    lines = []
    for _ in range(2):
        assert main(command) == 0
        lines.append(capsys.readouterr().out)
    assert lines[0] == lines[1]
    found = json.loads(lines[0])
    assert set(found) == {"causal", "infill", "canvas", "text", "from_noise"}
    assert all(abs(value - math.log(400)) < 3 for value in found.values())


def test_missing_corpus_and_model_are_one_line(
    data: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--corpus", str(tmp_path / "none"), "--model", str(folder)]) == 3
    assert main(["--corpus", str(data), "--model", str(tmp_path / "none")]) == 5
    assert capsys.readouterr().err.count("\n") == 2
