"""Runs of a tiny model: they repeat, go on after a stop, learn, and leave a folder to open."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from argparse import Namespace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dgedit_engine.engine import open_engine
from dgedit_engine.model.config import load_config, load_sampling, save_config
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.train import __main__ as program
from dgedit_engine.train import feed
from dgedit_engine.train.examples import Batch
from dgedit_engine.train.loop import TrainingRun, compile_parts
from dgedit_engine.train.loss import counted_causally
from dgedit_engine.train.objective import losses
from dgedit_engine.train.recipe import Recipe, StepPlan, from_options
from dgedit_engine.train.schedule import Means
from dgedit_engine.types import Hole, InfillRequest, Passage, collect
from dgedit_engine.weights import checkpoint

STEPS = 6


def arguments(data: Path, out: Path, *more: str, steps: int = STEPS) -> list[str]:
    given = f"--steps {steps} --size tiny --fp32 --tokens 128 --shape 64x16 32x32 --seed 3"
    paths = ["--corpus", str(data), "--tokenizer", str(data / "tokenizer.json"), "--out", str(out)]
    return [*paths, *given.split(), *more]


def options(data: Path, out: Path, *more: str, steps: int = STEPS) -> Namespace:
    return program._parser().parse_args(arguments(data, out, *more, steps=steps))


def batches(data: Path, count: int) -> list[Batch]:
    given = options(data, data)
    return list(islice(feed.batches(program._feed(given, from_options(given))), count))


def started(*, seed: int = 0, **recipe: Any) -> TrainingRun:
    model = Model(program.size("tiny", 400))
    init_weights(model, seed=seed)
    return TrainingRun(model, Recipe(**({"minutes": 1, "steps": STEPS} | recipe)))


def assert_equal(one: TrainingRun, other: TrainingRun) -> None:
    assert (one.step, one.tokens, one.progress) == (other.step, other.tokens, other.progress)
    weights, others = one.model.state_dict(), other.model.state_dict()
    for name, tensor in weights.items():
        assert torch.equal(tensor, others[name]), name
    for name, tensor in one.average.items():
        assert torch.equal(tensor, other.average[name]), name


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


EVERYTHING = {
    **{"full": 0.5, "conditioned": 1.0, "on_policy": 1.0, "scattered": 0.5, "shifted": 0.5},
    **{"last_phase": 0.9, "clean": 0.3, "ends": 0.5},
}


@pytest.mark.parametrize("recipe", [{}, EVERYTHING, {"noise": "masked"}])
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
        assert entries[-1][key] < 0.9 * entries[0][key], key
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == [20, 40, 60, 80]
    assert all(np.isfinite(list(line.values())).all() for line in lines)


def test_broken_gradient_is_skipped(data: Path) -> None:
    run = started(steps=None)
    run.model.embedding.data[5] = torch.nan
    before = {name: p.detach().clone() for name, p in run.model.named_parameters()}
    values = run.update(batches(data, 1)[0])
    assert not values["norm"].isfinite()
    for name, parameter in run.model.named_parameters():
        assert torch.equal(parameter.nan_to_num(7), before[name].nan_to_num(7)), name


def test_warm_up_changes_nothing_of_the_run(data: Path, tmp_path: Path) -> None:
    given, log = batches(data, 4), tmp_path / "log.jsonl"
    cold, warm = started(**EVERYTHING), started(**EVERYTHING)
    warm.warm_up(given[:2])
    assert_equal(cold, warm)
    assert all(parameter.grad is None for parameter in warm.model.parameters())
    for run in (cold, warm):
        list(run.train(iter(given), log=log))
    assert_equal(cold, warm)


@pytest.mark.slow
def test_compiled_parts_give_the_same_losses_and_gradients(data: Path) -> None:
    found = []
    for compiled in (False, True):
        model = started().model
        if compiled:
            compile_parts(model)
        batch, generator = batches(data, 1)[0], torch.Generator().manual_seed(0)
        values, loss = losses(model, batch, Recipe(), StepPlan(bound=1.0), generator, "cpu")
        loss.backward()
        found.append((values, {n: p.grad for n, p in model.named_parameters()}))
    (values, gradients), (others, their_gradients) = found
    for name, value in values.items():
        torch.testing.assert_close(others[name], value, rtol=1e-4, atol=1e-4)
    for name, gradient in gradients.items():
        torch.testing.assert_close(their_gradients[name], gradient, rtol=1e-3, atol=1e-4)


def test_weights_are_written_as_the_option_says(data: Path, tmp_path: Path) -> None:
    for weights, index in (("file", False), ("shards", True), ("int8", True)):
        out = tmp_path / weights
        assert program.main(arguments(data, out, "--weights", weights, steps=1)) == 0
        assert (out / "model.safetensors.index.json").exists() == index
        checkpoint.load(load_config(out), out)


def test_run_is_the_same_with_workers(data: Path, tmp_path: Path) -> None:
    files = []
    for workers in ("0", "2"):
        out = tmp_path / workers
        assert program.main(arguments(data, out, "--workers", workers, steps=3)) == 0
        files.append((out / "model.safetensors").read_bytes())
    assert files[0] == files[1]


def test_several_experts_cost_what_one_does(data: Path, tmp_path: Path) -> None:
    one, many = program.size("tiny", 400), program.size("tiny", 400, experts=8, active=2)
    assert (many.experts, many.active, 2 * many.expert_width) == (8, 2, one.expert_width)
    out = tmp_path / "out"
    assert program.main(arguments(data, out, "--experts", "8", "--active", "2", steps=2)) == 0
    assert load_config(out).experts == 8
    more = ("--from", str(out), "--experts", "2")
    assert program.main(arguments(data, tmp_path / "no", *more)) == 2


def test_size_for_a_gpu_is_near_its_documented_size() -> None:
    config = program.size("gpu", 8192)
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in Model(config).parameters())
    assert count == 43_049_484
    assert (config.dim, len(config.layers), config.canvas) == (512, 12, 128)
    assert config.window == 1024 + config.canvas  # no mask over the longest prompt and canvas


def test_batch_that_does_not_fit_has_its_own_exit_code(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB. And more.")

    monkeypatch.setattr(TrainingRun, "update", full)
    assert program.main(arguments(data, tmp_path / "out")) == program.NO_ROOM
    assert capsys.readouterr().err == (
        "train: a batch of 128 tokens does not fit: CUDA out of memory\n"
    )


def test_means_leave_out_what_is_not_finite() -> None:
    means = Means()
    for one, other in ((1.0, torch.nan), (3.0, 5.0), (torch.inf, torch.nan)):
        means.add({"a": torch.tensor(one), "b": torch.tensor(other)})
    assert means.take() == {"a": 2.0, "b": 5.0}
    means.add({"a": torch.tensor(torch.nan)})
    assert means.take() == means.take() == {}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_steps_never_wait_for_the_device(data: Path) -> None:
    run = TrainingRun(started().model, Recipe(**EVERYTHING), device="cuda")
    run.progress = 0.5
    given, means = batches(data, 4), Means()
    run.update(given[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in given[1:]:
            means.add(run.update(batch))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(value > 0 for value in means.take().values())


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
    for name, tensor in program._model(given, Recipe()).state_dict().items():
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


BARE = """
import sys
for name in ("tree_sitter", "textual", "rich", "typer", "watchfiles", "matplotlib", "pyarrow"):
    sys.modules[name] = None
from dgedit_engine.train import __main__, ablate, corpus, export, held_out, pack, vocabulary
sys.exit(__main__.main(sys.argv[1:]))
"""


def test_training_needs_nothing_of_the_editor(data: Path, tmp_path: Path) -> None:
    """A machine for training has torch, numpy, tokenizers and safetensors, and no more."""
    command = [sys.executable, "-c", BARE, *arguments(data, tmp_path / "out", steps=1)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("weight", [0.0, 1.0, 8.0])
def test_infill_weight_decides_what_the_holes_tokens_count(data: Path, weight: float) -> None:
    """The causal loss is the weighted mean of the prompt's and the holes' cross-entropies."""
    (batch,) = batches(data, 1)
    run = started(infill=weight)
    generator = torch.Generator().manual_seed(0)
    values, total = losses(run.model, batch, run.recipe, StepPlan(), generator, "cpu")
    prompt, canvas = (torch.from_numpy(part) for part in (batch.prompt, batch.canvas))
    counted = counted_causally(prompt, canvas, end=1)[:, 1:]
    holes = int(counted[:, prompt.shape[1] - 1 :].sum())
    rest = int(counted.sum()) - holes
    infill = float(values["infill"])
    alone = (float(values["causal"]) * (holes + rest) - infill * holes) / rest  # the prompt's
    expected = (alone * rest + infill * holes * weight) / (rest + holes * weight)
    assert float((total - values["canvas"]).detach()) == pytest.approx(expected, rel=1e-4)
    assert holes < rest and infill != pytest.approx(alone)
