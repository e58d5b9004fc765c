"""Runs that train a canvas: they learn in every variation, repeat, go on, and write what opens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dgedit_engine.model.config import load_config
from dgedit_engine.model.model import Model
from dgedit_engine.train import canvas, pretrained
from dgedit_engine.train.adapter import AdapterSettings, TrainedAdapter
from dgedit_engine.train.canvas_examples import CanvasDraw, Canvases
from dgedit_engine.train.canvas_recipe import CanvasRecipe
from dgedit_engine.train.canvas_run import CanvasRun
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.recipe import StepPlan
from dgedit_engine.weights import adapters, checkpoint, readings

SMALL: dict[str, Any] = {"rows": 4, "micro": 4, "limit": 96, "slots": "16", "copies": 2, "rank": 4}


def train(base: Path, data: Path, out: Path, *more: str) -> int:
    given = ["--base", str(base), "--corpus", str(data), "--out", str(out), "--fp32"]
    given += ["--steps", "6", "--rows", "2", "--micro", "1", "--limit", "64", "--held-out", "4"]
    given += ["--slots", "8,16", "--copies", "2", "--on-policy", "0.5"]
    return canvas.main([*given, "--lr", "1e-2", "--rank", "2", *more])


def opened(base: Path) -> Model:
    model = checkpoint.load(load_config(base), base, dtype=torch.float32)
    model.activations = torch.float32
    return model


def batch_of(base: Path, data: Path, number: int = 0) -> Sequence[Canvases]:
    tokenizer = pretrained.tokenizer_of(base)
    draw = CanvasDraw(Corpus(data), tokenizer, limit=96, turned=1.0, slots=(16,))
    return draw.batch(4, micro=4, seed=0, number=number)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    place = folder / "denoise"
    return load_file(place / adapters.WEIGHTS) | load_file(place / readings.CONDITIONING)


@pytest.fixture(scope="module")
def encode(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the causal reading that counts."""
    folder = tmp_path_factory.mktemp("encode")
    adapter = TrainedAdapter(opened(base), AdapterSettings(rank=2))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in adapter.parameters():
            part.copy_(torch.randn(part.shape, generator=generator) * 0.1)
    adapter.save(folder, base="x")
    return folder


def test_command_trains_measures_and_repeats(
    base: Path, data: Path, encode: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        assert train(base, data, tmp_path / name, "--encode", str(encode)) == 0
    one, two = (tensors(tmp_path / name) for name in ("one", "two"))
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
    assert float(one["down_proj.weight"].abs().max()) > 0
    lines = [json.loads(line) for line in (tmp_path / "one/log.jsonl").read_text().splitlines()]
    assert lines[0]["step"] == 0 and lines[-1]["step"] == 6
    for line in (lines[0], lines[-1]):
        assert line["held"].keys() == {"python", "corpus"}
        for forms in line["held"].values():
            assert forms.keys() == {"ahead", "turned"}
            levels = {"causal", "1", "0.5", "0.2"}
            assert forms["turned"].keys() == levels | {f"{one} right" for one in levels}
    causal = [line["held"]["corpus"]["turned"]["causal"] for line in (lines[0], lines[-1])]
    assert causal[0] == causal[1]


def test_folder_that_comes_of_it_opens(
    base: Path, data: Path, encode: Path, tmp_path: Path
) -> None:
    assert train(base, data, tmp_path, "--encode", str(encode), "--read", "before") == 0
    found = readings.load(tmp_path)
    assert found.encode is not None and found.denoise is not None and found.denoise.shifted
    model = opened(base)
    adapters.merge(model, found.encode)
    readings.let_refine(model, found.denoise)
    run = CanvasRun(opened_with(base, encode), CanvasRecipe(rank=2), range(16, 400))
    run.resume(tmp_path)
    ids = torch.arange(30, 62)[None]
    with torch.no_grad():
        cache, teacher = run.read(ids, ids[:, :8])
        mine = run.model.denoise(ids[:, :8], cache, teacher)
        theirs = model.denoise(ids[:, :8], cache, teacher)
    torch.testing.assert_close(mine, theirs, rtol=2e-2, atol=2e-2)  # the signal is in bfloat16


def opened_with(base: Path, encode: Path) -> Model:
    model = opened(base)
    adapters.merge(model, adapters.load(encode))
    return model


def test_run_goes_on_where_it_stopped(base: Path, data: Path, tmp_path: Path) -> None:
    assert train(base, data, tmp_path / "whole") == 0
    given = {"steps": 6, "rows": 2, "micro": 1, "limit": 64, "lr": 1e-2, "rank": 2}
    recipe = CanvasRecipe(slots="8,16", copies=2, on_policy=0.5, **given)  # type: ignore[arg-type]
    source = canvas.CanvasFeed(data, base, recipe).open()
    shortlist = pretrained.occurring(Corpus(data), pretrained.tokenizer_of(base))
    first = CanvasRun(opened(base), recipe, shortlist)
    for number in range(3):
        first.progress = first.step / 6
        first.update(source(number))
    first.save(tmp_path / "part", base="x")
    assert train(base, data, tmp_path / "part", "--resume") == 0
    one, two = tensors(tmp_path / "whole"), tensors(tmp_path / "part")
    for key in one:
        torch.testing.assert_close(one[key], two[key])


@pytest.mark.parametrize(
    "variation",
    [
        {"read": "before"},
        {"read": "at"},
        {"kl": 1.0},
        {"kl": 0.5, "noise": "mixed", "projections": "all"},
        {"noise": "causal", "full": 1.0},
    ],
)
def test_every_variation_learns(base: Path, data: Path, variation: dict[str, Any]) -> None:
    run = CanvasRun(
        sharp(opened(base)), CanvasRecipe(lr=2e-2, **SMALL, **variation), range(16, 400)
    )
    batch = batch_of(base, data)
    text = [torch.from_numpy(one) for one in (batch[0].prompt, batch[0].gold)]

    def loss() -> float:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            return sum(float(run.loss(part, StepPlan(), generator)[1]) for part in batch)

    frozen = {name: one.clone() for name, one in run.model.named_parameters()}
    before, (_, teacher) = loss(), run.read(*text)
    run.progress = 0.3
    for _ in range(15):
        run.update(batch)
    assert loss() < 0.95 * before
    assert torch.equal(teacher, run.read(*text)[1])
    for name, one in run.model.named_parameters():
        assert torch.equal(one, frozen[name]) != name.startswith("conditioning"), name


def sharp(model: Model) -> Model:
    """The model with weights so large that it says something."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(5)
        model.embedding.mul_(5)
    return model


def test_noise_is_of_the_shortlist_or_the_causal_readings(base: Path, data: Path) -> None:
    gold = torch.from_numpy(batch_of(base, data)[0].gold)
    some = range(16, 400, 2)
    drawn = {}
    for noise in ("uniform", "causal"):
        run = CanvasRun(opened(base), CanvasRecipe(full=1.0, **SMALL, noise=noise), some)
        known = set(run.known.ids.tolist())
        assert known == {*range(16), *some}
        # a teacher that is sure of one token of the shortlist
        sure = run.known.rows[100] / run.known.rows[100].norm() ** 2 * 100
        teacher = sure.expand(*gold.shape, -1)
        ids = run.noised(gold, teacher, torch.Generator().manual_seed(0)).ids
        assert ids.shape == (4, 2, 16) and set(ids.flatten().tolist()) <= known
        drawn[noise] = ids
    sure_of = int(run.known.ids[100])
    assert (drawn["causal"] == sure_of).float().mean() > 0.99
    assert (drawn["uniform"] == sure_of).float().mean() < 0.1


def test_measure_counts_noised_slots_and_repeats(base: Path, data: Path) -> None:
    run = CanvasRun(opened(base), CanvasRecipe(**SMALL), range(16, 400))
    found = run.measure(batch_of(base, data))
    assert found == run.measure(batch_of(base, data))
    shares = [value for name, value in found.items() if name.endswith("right")]
    assert len(shares) == 4 and all(0 <= share <= 1 for share in shares)
    assert all(value > 1 for name, value in found.items() if not name.endswith("right"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kl": 2.0}, "kl is a share from 0 to 1, not 2.0"),
        ({"slots": "16,x"}, "slots are numbers from 4 on, with commas, not 16,x"),
        ({"read": "behind"}, "read is one of before, at, not behind"),
        ({"noise": "pink"}, "noise is one of uniform, causal, mixed, not pink"),
        ({"copies": 0}, "copies must be positive, not 0"),
        ({"rank": 0}, "rank must be at least 1, not 0"),
    ],
)
def test_unusable_value_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CanvasRecipe(**change)


def test_mistakes_are_one_line(
    base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path, data, tmp_path / "out") == 2
    assert train(base, data, tmp_path / "out", "--encode", str(tmp_path)) == 2
    assert train(base, data, tmp_path / "out", "--slots", "2") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all(line.startswith("canvas: ") for line in lines)


def test_every_field_of_the_recipe_is_an_option() -> None:
    help_text = canvas._parser().format_help()
    for field in fields(CanvasRecipe):
        assert f"--{field.name.replace('_', '-')}" in help_text
