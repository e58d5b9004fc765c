"""Runs of a tiny model: they repeat, go on after a stop, learn, and leave a folder to open."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from dgedit_engine import checkpoint
from dgedit_engine.config import load_config, load_sampling, save_config
from dgedit_engine.engine import open_engine
from dgedit_engine.model import Model, init_weights
from dgedit_engine.train import __main__ as program
from dgedit_engine.train.examples import Batch
from dgedit_engine.train.loop import Recipe, Run
from dgedit_engine.types import Hole, InfillRequest, Passage, collect

STEPS = 6


def arguments(data: Path, out: Path, *more: str, steps: int = STEPS) -> list[str]:
    given = f"--steps {steps} --size tiny --fp32 --tokens 128 --shape 64x16 32x32 --seed 3"
    paths = ["--corpus", str(data), "--tokenizer", str(data / "tokenizer.json"), "--out", str(out)]
    return [*paths, *given.split(), *more]


def options(data: Path, out: Path, *more: str, steps: int = STEPS) -> Namespace:
    return program._parser().parse_args(arguments(data, out, *more, steps=steps))


def batches(data: Path, count: int, *, done: int = 0) -> list[Batch]:
    tokenizer = Tokenizer.from_file(str(data / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return list(islice(program._mixed(options(data, data), tokenizer, done), count))


def started(*, seed: int = 0, **recipe: Any) -> Run:
    model = Model(program.size("tiny", 400))
    init_weights(model, seed=seed)
    return Run(model, Recipe(**({"minutes": 1, "steps": STEPS} | recipe)))


def assert_equal(one: Run, other: Run) -> None:
    assert (one.step, one.tokens, one.progress) == (other.step, other.tokens, other.progress)
    weights, others = one.model.state_dict(), other.model.state_dict()
    for name, tensor in weights.items():
        assert torch.equal(tensor, others[name]), name
    for name, tensor in one.average.items():
        assert torch.equal(tensor, other.average[name]), name


def test_batches_go_on_where_a_run_stopped(data: Path) -> None:
    whole = batches(data, 7)
    assert {batch.prompt.shape[1] for batch in whole} == {64, 32}
    for done in range(7):
        for mine, expected in zip(batches(data, 7 - done, done=done), whole[done:], strict=True):
            assert np.array_equal(mine.prompt, expected.prompt)
            assert np.array_equal(mine.canvas, expected.canvas)


def test_run_repeats_bit_for_bit(data: Path, tmp_path: Path) -> None:
    """The whole program twice, from the same seed, and once from another."""
    files = []
    for out, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert program.main(arguments(data, tmp_path / out, "--seed", seed)) == 0
        files.append((tmp_path / out / "model.safetensors").read_bytes())
    assert files[0] == files[1] != files[2]
    one, other = (torch.load(tmp_path / out / "state.pt") for out in ("a", "b"))
    assert one["counters"][0] == STEPS
    for kind in ("live", "average"):
        for name, tensor in one[kind].items():
            assert torch.equal(tensor, other[kind][name]), name


@pytest.mark.parametrize("recipe", [{}, {"full": 0.5, "conditioned": 1.0, "on_policy": 1.0}])
def test_run_that_was_interrupted_goes_on_to_the_last_bit(
    data: Path, tmp_path: Path, recipe: dict[str, Any]
) -> None:
    given = batches(data, STEPS + 1)
    whole, first = started(**recipe), started(**recipe)
    log = tmp_path / "log.jsonl"
    list(whole.train(iter(given), log=log))
    list(first.train(iter(given[:3]), log=log))
    first.save(tmp_path, sampling=program.SAMPLING)
    second = started(seed=9, **recipe)
    second.resume(tmp_path)
    assert_equal(second, first)
    list(second.train(iter(given[3:]), log=log))
    assert whole.step == STEPS
    assert_equal(second, whole)


def test_saving_does_not_disturb_the_run(data: Path, tmp_path: Path) -> None:
    run, log = started(), tmp_path / "log.jsonl"
    list(run.train(iter(batches(data, 3)), log=log))
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    run.save(tmp_path, sampling=program.SAMPLING)
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_saved_weights_are_the_averages(data: Path, tmp_path: Path) -> None:
    run = started()
    list(run.train(iter(batches(data, 3)), log=tmp_path / "log.jsonl"))
    run.save(tmp_path, sampling=program.SAMPLING)
    loaded = checkpoint.load(load_config(tmp_path), tmp_path)
    for name, parameter in loaded.named_parameters():
        assert torch.equal(parameter, run.average[name].bfloat16()), name
    assert not torch.equal(run.average["embedding"], run.model.embedding)


def test_rate_falls_to_the_end_of_the_schedule(data: Path, tmp_path: Path) -> None:
    run = started()
    list(run.train(iter(batches(data, STEPS + 3)), log=tmp_path / "log.jsonl"))
    assert (run.step, run.progress) == (STEPS, 1.0)
    for optimiser in run.optimisers:
        for group in optimiser.param_groups:
            assert group["lr"] == pytest.approx(group["peak"] / 3)  # of the last step, at 5/6


def test_loss_falls_and_is_logged(data: Path, tmp_path: Path) -> None:
    run = started(steps=80, lr=0.03)
    log = tmp_path / "log.jsonl"
    entries = list(run.train(iter(batches(data, 81)), log=log))
    assert [entry["step"] for entry in entries] == [20, 40, 60, 80]
    for key in ("causal", "canvas"):
        assert entries[-1][key] < 0.85 * entries[0][key], key
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == [20, 40, 60, 80]
    assert all(np.isfinite(list(line.values())).all() for line in lines)


def test_broken_gradient_is_skipped(data: Path) -> None:
    run = started(steps=None)
    run.model.embedding.data[5] = torch.nan
    before = {name: p.detach().clone() for name, p in run.model.named_parameters()}
    values = run._update(batches(data, 1)[0])
    assert not np.isfinite(values["norm"])
    for name, parameter in run.model.named_parameters():
        assert torch.equal(parameter.nan_to_num(7), before[name].nan_to_num(7)), name


def test_saved_folder_opens(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert program.main(arguments(data, out, steps=2)) == 0
    assert load_sampling(out) == program.SAMPLING
    engine = open_engine(str(out), "cpu")
    passage = Passage("a.py", ("def f(x):\n", Hole(), "\n", Hole(), "\nf(1)\n"))
    result = collect(engine.infill(InfillRequest((passage,), steps=2)))
    assert result.steps == 2 and len(result.texts) == 2


def test_training_goes_on_from_saved_weights(data: Path, tmp_path: Path) -> None:
    out, model = tmp_path / "out", Model(program.size("tiny", 400))
    out.mkdir()
    init_weights(model, seed=8)
    checkpoint.save(model, out / "model.safetensors")
    shutil.copy(data / "tokenizer.json", out)
    save_config(model.config, program.SAMPLING, out)
    given = options(data, out, "--from", str(out))
    for name, tensor in program._model(given, 400).state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name].bfloat16().float()), name


def test_run_goes_on_with_the_tokenizer_in_its_own_folder(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert program.main(arguments(data, out, steps=1)) == 0
    own = ["--resume", "--tokenizer", str(out / "tokenizer.json")]
    assert program.main(arguments(data, out, *own, steps=2)) == 0


def test_program_says_in_a_line_what_it_cannot_use(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(arguments(tmp_path / "none", tmp_path / "out")) == 2
    assert program.main(arguments(data, tmp_path / "out", "--from", str(tmp_path / "no"))) == 2
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("train: ") for line in lines) == len(lines) == 2
