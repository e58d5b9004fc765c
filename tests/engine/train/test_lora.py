"""Runs that train an adapter: they learn, repeat, go on after a stop, and say what they measure."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dgedit_engine.model.config import load_config
from dgedit_engine.train import lora, pretrained
from dgedit_engine.train.adapter import WEIGHTS
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.infill_draw import InfillDraw
from dgedit_engine.train.lora_recipe import LoraRecipe
from dgedit_engine.train.lora_run import LoraRun
from dgedit_engine.weights import checkpoint


def train(base: Path, data: Path, out: Path, *more: str) -> int:
    given = ["--base", str(base), "--corpus", str(data), "--out", str(out), "--fp32"]
    given += ["--steps", "6", "--rows", "2", "--micro", "1", "--limit", "64", "--held-out", "4"]
    return lora.main([*given, "--lr", "1e-2", "--rank", "2", *more])


def run_of(base: Path, recipe: LoraRecipe) -> LoraRun:
    model = checkpoint.load(load_config(base), base, dtype=torch.float32)
    return LoraRun(model, recipe, range(16, 400))


def test_command_trains_measures_and_repeats(base: Path, data: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert train(base, data, tmp_path / name, "--kl", "0.5") == 0
    one, two = (load_file(tmp_path / name / WEIGHTS) for name in ("one", "two"))
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
    lines = [json.loads(line) for line in (tmp_path / "one/log.jsonl").read_text().splitlines()]
    assert lines[0]["base"].keys() == lines[-1]["held"].keys() == {"python", "corpus"}
    assert lines[0]["base"]["corpus"].keys() == {*("ahead", "ahead end", "turned", "turned end")}
    shortlist = np.load(tmp_path / "one" / pretrained.SHORTLIST)
    assert 16 < len(shortlist) < 400 and (np.diff(shortlist) > 0).all()


def test_run_goes_on_where_it_stopped(base: Path, data: Path, tmp_path: Path) -> None:
    assert train(base, data, tmp_path / "whole") == 0
    recipe = LoraRecipe(steps=6, rows=2, micro=1, limit=64, lr=1e-2, rank=2)
    shortlist = np.load(tmp_path / "whole" / pretrained.SHORTLIST).tolist()
    source = lora.InfillFeed(data, base, 64, 2, recipe.turned, recipe.weights(), recipe.seed).open()
    model = checkpoint.load(load_config(base), base, dtype=torch.float32)
    model.activations = torch.float32
    first = LoraRun(model, recipe, shortlist)
    for number in range(3):
        first.progress = first.step / 6
        first.update(source(number))
    first.save(tmp_path / "part", base="x")
    np.save(tmp_path / "part" / pretrained.SHORTLIST, np.array(shortlist))
    assert train(base, data, tmp_path / "part", "--resume") == 0
    one, two = (load_file(tmp_path / name / WEIGHTS) for name in ("whole", "part"))
    for key in one:
        torch.testing.assert_close(one[key], two[key])


def test_training_lowers_the_loss_of_what_it_sees(base: Path, data: Path) -> None:
    run = run_of(base, LoraRecipe(lr=5e-3, rank=4, projections="all", rows=4, micro=4, limit=96))
    batch = InfillDraw(Corpus(data), pretrained.tokenizer_of(base), limit=96, turned=1.0).batch(
        4, seed=0, number=0
    )
    before = run.measure([batch])
    assert before == run.measure([batch], base=True)
    run.progress = 0.3
    for _ in range(12):
        run.update(batch)
    after = run.measure([batch])
    assert after["turned"] < before["turned"] - 0.1
    assert after["turned end"] < before["turned end"] - 0.1
    assert run.measure([batch], base=True) == before


def test_divergence_is_from_the_text_alone(base: Path, data: Path) -> None:
    run = run_of(base, LoraRecipe(kl=1.0, kl_kept=1.0, limit=192))
    tokenizer, found = pretrained.tokenizer_of(base), {}
    for name, share in (("ahead", 0.0), ("turned", 1.0)):
        batch = InfillDraw(Corpus(data), tokenizer, limit=192, turned=share).batch(
            8, seed=0, number=0
        )
        ids = torch.from_numpy(batch.ids)
        generator = torch.Generator().manual_seed(0)
        found[name] = run.divergence(ids, run.read(ids), batch, generator).item()
    # left to right an untrained adapter reads as the base does; what follows the hole it does not
    assert abs(found["ahead"]) < 1e-4 < found["turned"]


def test_mistakes_are_one_line(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(base, tmp_path / "none", tmp_path / "out") == 2
    assert train(tmp_path, data, tmp_path / "out") == 2
    assert train(base, data, tmp_path / "out", "--rank", "0") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all(line.startswith("lora: ") for line in lines)


def test_every_field_of_the_recipe_is_an_option() -> None:
    help_text = lora._parser().format_help()
    for name in (field.name for field in fields(LoraRecipe)):
        assert f"--{name.replace('_', '-')}" in help_text
