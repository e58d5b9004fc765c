"""A run's weights in a folder of their own, which opens."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from dgedit_engine.decode.decoding import Decoding, load_decoding, save_decoding
from dgedit_engine.engine import open_engine
from dgedit_engine.model.config import load_config, load_sampling, save_config
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.train.__main__ import SAMPLING, size
from dgedit_engine.train.export import main
from dgedit_engine.types import Hole, InfillRequest, Passage, collect
from dgedit_engine.weights import checkpoint


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    model = Model(size("tiny", 400))
    init_weights(model, seed=0)
    checkpoint.save(model, folder, int8=True)
    save_config(model.config, SAMPLING, folder)
    shutil.copy(data / "tokenizer.json", folder)
    (folder / "state.pt").write_bytes(b"large")
    return folder


@pytest.mark.parametrize("more", [[], ["--int8"], ["--shards"], ["--int8", "--shards"]])
def test_exported_folder_opens_and_holds_the_same_weights(
    run: Path, tmp_path: Path, more: list[str]
) -> None:
    out = tmp_path / "out"
    assert main(["--run", str(run), "--out", str(out), *more]) == 0
    weights = {"model.safetensors"}
    if "--shards" in more:
        weights = {"model-00001-of-00001.safetensors", "model.safetensors.index.json"}
    rest = {"config.json", "generation_config.json", "decoding.json", "tokenizer.json"}
    assert {file.name for file in out.iterdir()} == rest | weights
    config = load_config(run)
    assert (load_config(out), load_sampling(out)) == (config, SAMPLING)
    one, other = (checkpoint.load(config, folder, dtype=torch.float32) for folder in (run, out))
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor, rtol=0.01, atol=0.01)
    passage = Passage("a.py", ("def f(x):\n", Hole(), "\nf(1)\n"))
    assert collect(open_engine(str(out), "cpu").infill(InfillRequest((passage,), steps=2)))


def test_export_leaves_how_candidates_come_about(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    save_decoding(settings := Decoding(candidates=3, cuts=2), out)
    assert main(["--run", str(run), "--out", str(out)]) == 0
    assert load_decoding(out) == settings


def test_folder_that_is_no_run_is_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--run", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert main(["--run", str(run), "--out", str(run)]) == 2
    (run / "config.json").unlink()
    assert main(["--run", str(run), "--out", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all(line.startswith("export: ") for line in lines)
