"""Runs that train both readings of a DiffusionGemma: they learn, repeat, go on, and are read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from byte_level import CHAT, byte_level
from dgedit_engine.decode.canvas import seed_canvas
from dgedit_engine.engine import open_engine
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import load_config, save_config
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.prompt.prompt import build
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.train import both, pretrained
from dgedit_engine.train.__main__ import SAMPLING, size
from dgedit_engine.train.adapter import PROJECTIONS, settings_of
from dgedit_engine.train.both_examples import AnswerDraw, AnsweredHole, lay_out
from dgedit_engine.train.both_recipe import BothRecipe
from dgedit_engine.train.both_run import BothRun
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.optimiser import cosine
from dgedit_engine.train.schedule import Diverged
from dgedit_engine.types import Hole, InfillRequest, ModelError, Passage
from dgedit_engine.weights import checkpoint, readings
from dgedit_engine.weights.adapters import WEIGHTS
from dgedit_engine.weights.quantize import quantize
from dgedit_kernels.quantised import Quantised

TEXT = "def mean(values):\n    total = sum(values)\n    return total / len(values)\n"
SPAN = (TEXT.index("total ="), TEXT.index("\n    return"))
PAD, TURN = 0, 4
SMALL = BothRecipe(rank=4, alpha=8.0, lr=2e-2, warm_up=2, rows=2, limit=64, slots="16")


@pytest.fixture(scope="module")
def twin(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with several experts, and tiny's vocabulary."""
    folder = tmp_path_factory.mktemp("twin")
    config = size("tiny", 4096, experts=4, active=2)
    model = Model(config)
    init_weights(model, seed=0)
    checkpoint.save(model, folder / "model.safetensors")
    save_config(config, SAMPLING, folder)
    (folder / "tokenizer.json").write_bytes((tiny_folder / "tokenizer.json").read_bytes())
    return folder


@pytest.fixture(scope="module")
def coded(twin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with experts in 4 bits, and all other matrices in 8."""
    folder = tmp_path_factory.mktemp("coded") / "model"
    for _ in quantize(twin, folder, experts="e2m1", rest="int8"):
        pass
    return folder


def opened(folder: Path) -> Model:
    return checkpoint.load(load_config(folder), folder, dtype=torch.float32)


def drawn(folder: Path, data: Path, number: int = 0) -> tuple[AnsweredHole, ...]:
    words = Tokenizer(pretrained.tokenizer_of(folder))
    draw = AnswerDraw(Corpus(data), words, limit=64, slots=(16,), end=1)
    return draw.batch(2, seed=0, number=number)


def weights(model: Model) -> dict[str, Tensor]:
    """All that a model has beside the adapter, codes too."""
    found = {name: one.clone() for name, one in model.state_dict().items()}
    for index, layer in enumerate(model.stack()):
        for name in ("qkv", "out", "gate_up", "down", "experts_gate_up", "experts_down"):
            matrix: Any = getattr(layer, name)
            matrix = getattr(matrix, "weight", matrix)
            parts = {"": matrix} if isinstance(matrix, Tensor) else matrix.parts()
            found |= {f"{index} {name} {part}": one.clone() for part, one in parts.items()}
    return found


@pytest.mark.parametrize("path", ["a.py", "a.md"])
def test_example_is_what_a_request_has(tmp_path: Path, path: str) -> None:
    words = byte_level(tmp_path, CHAT)
    found = lay_out(TEXT, SPAN, words, path=path, limit=800, slots=64, end=1)
    assert found is not None
    parts = (TEXT[: SPAN[0]], Hole(TEXT[slice(*SPAN)]), TEXT[SPAN[1] :])
    prompt = build(InfillRequest((Passage(path, parts),)), words, context=800)
    fence = "````" if path == "a.md" else "```"
    own = words.encode(f"total = sum(values)\n{fence}")
    assert found.prompt == prompt.ids and found.length == len(own) + 1
    assert found.canvas == [*own, TURN, *[PAD] * (63 - len(own))]
    generator = torch.Generator().manual_seed(0)
    given = {"end": 1, "vocab": 300, "strength": 0.0, "generator": generator}
    seed = seed_canvas(prompt.holes, prompt.markers, [64], tail=prompt.tail, **given)  # type: ignore[arg-type]
    assert seed.canvas.ids[0].tolist() == found.canvas
    assert lay_out(TEXT, SPAN, words, path=path, limit=800, slots=20, end=1) is None
    with pytest.raises(ValueError, match=r"leave .* tokens for the text around"):
        lay_out(TEXT, SPAN, words, path=path, limit=300, slots=64, end=1)


def test_drawn_examples_end_as_tinys_do(twin: Path, data: Path) -> None:
    for number in range(3):
        for one in drawn(twin, data, number):
            assert len(one.canvas) == 16 and 1 <= one.length <= 16 and len(one.prompt) <= 64
            assert (
                set(one.canvas[one.length - 1 :]) == {1} and 1 not in one.canvas[: one.length - 1]
            )
    assert drawn(twin, data) == drawn(twin, data) != drawn(twin, data, 1)


def test_run_learns_and_nothing_but_the_adapter_changes(coded: Path, data: Path) -> None:
    model, batch = opened(coded), drawn(coded, data)
    assert isinstance(model.layers[0].experts_down, Quantised)
    assert isinstance(model.layers[0].qkv, Quantised)
    run = BothRun(model, SMALL)
    before, base = run.measure(batch), weights(model)
    adapter = {name: one.detach().clone() for name, one in run.adapter.parts.items()}
    for _ in range(20):
        values = run.update(batch)
    after = run.measure(batch)
    assert before.keys() == {"causal", "noise", "half"}
    assert after["causal"] < before["causal"] - 2 and after["noise"] < before["noise"] - 0.5
    assert float(values["norm"]) > 0
    now = weights(model)
    assert all(torch.equal(one, now[name]) for name, one in base.items())
    assert not any(one.requires_grad for one in model.parameters())
    assert all(not torch.equal(one, adapter[name]) for name, one in run.adapter.parts.items())


def gradients(folder: Path, batch: Sequence[AnsweredHole], *, again: bool) -> dict[str, Tensor]:
    run = BothRun(opened(folder), replace(SMALL, conditioned=1.0, copies=2), again=again)
    generator = torch.Generator().manual_seed(0)
    for part in run.adapter.parts.values():
        part.data = torch.randn(part.shape, generator=generator) * 0.1
    run.loss(batch[0], generator)[1].backward()
    return {name: part.grad for name, part in run.adapter.parts.items() if part.grad is not None}


def test_layers_run_again_give_the_same_gradients(coded: Path, data: Path) -> None:
    batch = drawn(coded, data)
    kept, again = (gradients(coded, batch, again=one) for one in (False, True))
    assert kept.keys() == again.keys() and len(kept) == 2 * (7 + 7 + 6)
    for name, one in kept.items():
        torch.testing.assert_close(again[name], one, rtol=1e-4, atol=1e-6)


def test_loss_is_the_formula_at_a_small_step(twin: Path, data: Path) -> None:
    """Along a direction the loss changes as its gradient says: both readings, cap and chunks."""
    run = BothRun(opened(twin).double(), replace(SMALL, conditioned=0.0, text=0.5, padding=0.5))
    run.adapter.double()
    generator = torch.Generator().manual_seed(0)
    for part in run.adapter.parts.values():
        part.data = torch.randn(part.shape, generator=generator).double() * 0.1
    way = [
        torch.randn(part.shape, generator=generator).double() for part in run.adapter.parameters()
    ]
    (example, _) = drawn(twin, data)

    def loss(step: float) -> Tensor:
        for part, one in zip(run.adapter.parameters(), way, strict=True):
            part.data += step * one
        return run.loss(example, torch.Generator().manual_seed(1))[1]

    loss(0.0).backward()
    slope = sum(
        float((part.grad * one).sum())
        for part, one in zip(run.adapter.parameters(), way, strict=True)
        if part.grad is not None
    )
    with torch.no_grad():
        ahead, behind = float(loss(1e-4)), float(loss(-2e-4))
    assert slope == pytest.approx((ahead - behind) / 2e-4, rel=1e-2)


def test_base_without_both_readings_is_refused(base: Path) -> None:
    with pytest.raises(ModelError, match="a gemma3 without canvases has not both readings"):
        BothRun(opened(base), SMALL)


def test_loss_that_is_no_number_touches_no_weight(twin: Path, data: Path) -> None:
    run, batch = BothRun(opened(twin), SMALL), drawn(twin, data)
    run.update(batch)
    good = {name: one.detach().clone() for name, one in run.adapter.parts.items()}
    plain = run.loss

    def broken(*args: Any) -> Any:
        values, loss = plain(*args)
        return values, loss * torch.nan

    run.loss = broken  # type: ignore[method-assign]
    with pytest.raises(Diverged, match="no finite number at step 2"):
        run.update(batch)
    assert all(torch.equal(one, good[name]) for name, one in run.adapter.parts.items())
    run.loss = plain  # type: ignore[method-assign]
    run.update(batch)
    assert run.step == 2


def train(folder: Path, data: Path, out: Path, *more: str) -> int:
    given = ["--base", str(folder), "--corpus", str(data), "--out", str(out), "--device", "cpu"]
    given += ["--fp32", "--steps", "4", "--rows", "2", "--limit", "64", "--slots", "16,8"]
    return both.main([*given, "--held-out", "2", "--lr", "1e-2", "--rank", "2", *more])


def test_command_stops_goes_on_and_is_read(
    twin: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train(twin, data, tmp_path / "whole") == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("training needs ") and "GB free" in first
    update = BothRun.update

    def stopping(run: BothRun, batch: Any) -> Any:
        if run.step == 2:
            raise KeyboardInterrupt
        return update(run, batch)

    monkeypatch.setattr(BothRun, "update", stopping)
    assert train(twin, data, tmp_path / "parts") == 130
    assert capsys.readouterr().err == f"both: stopped; {tmp_path / 'parts'} has step 2\n"
    monkeypatch.undo()
    assert train(twin, data, tmp_path / "parts", "--resume") == 0
    one, two = (load_file(tmp_path / name / WEIGHTS) for name in ("whole", "parts"))
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    lines = [json.loads(x) for x in (tmp_path / "whole/log.jsonl").read_text().splitlines()]
    assert (lines[0]["step"], lines[-1]["step"]) == (0, 4)
    assert lines[0]["held"].keys() == {"python", "corpus"}
    assert train(twin, data, tmp_path / "parts", "--resume", "--alpha", "3") == 2
    assert "is not of this run: alpha was 32.0, not 3.0" in capsys.readouterr().err
    assert settings_of(tmp_path / "whole").projections == PROJECTIONS


def test_what_it_writes_is_what_the_engine_reads(twin: Path, data: Path, tmp_path: Path) -> None:
    run = BothRun(opened(twin), SMALL)
    for _ in range(3):
        run.update(drawn(twin, data))
    run.save(tmp_path, base="twin")
    again = BothRun(opened(twin), SMALL)
    again.resume(tmp_path)
    pair = readings.load(tmp_path).pair
    assert pair is not None and pair.equal
    engine, plain = open_engine(str(twin), "cpu", adapter=tmp_path), open_engine(str(twin), "cpu")
    ids = torch.tensor([drawn(twin, data)[0].prompt])
    with torch.no_grad():
        mine, other, base = (
            model.encode(ids, KVCache(model.config, dtype=model.embedding.dtype)).float()
            for model in (engine.model, again.model, plain.model)
        )
    assert float((mine - other).norm() / other.norm()) < 0.05  # the engine's are in bfloat16
    assert float((mine - base).norm() / base.norm()) > 0.2
    assert engine.name.endswith(f"+{tmp_path.name}")


def test_command_that_diverges_keeps_the_last_good_weights(
    twin: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = BothRun.loss

    def broken(run: BothRun, *args: Any) -> Any:
        values, loss = plain(run, *args)
        return values, loss * (torch.nan if run.step == 1 else 1)

    monkeypatch.setattr(BothRun, "loss", broken)
    assert train(twin, data, tmp_path) == 1
    words = f"both: the loss is no finite number at step 2; {tmp_path} has step 1\n"
    assert capsys.readouterr().err == words
    assert all(one.isfinite().all() for one in load_file(tmp_path / WEIGHTS).values())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--slots", "3"), "slots are numbers from 4 on, with commas, not 3"),
        (("--warm-up", "-1"), "warm_up must be at least 0, not -1"),
        (("--projections", "router"), "no such projection: router"),
        (("--base", "nowhere"), "no model here: nowhere/config.json does not"),
        (("--corpus", "nowhere"), "nowhere/"),
        (("--device", "moon"), "device moon"),
    ],
)
def test_unusable_settings_are_one_line(
    more: Sequence[str], words: str, twin: Path, data: Path, tmp_path: Path, capsys: Any
) -> None:
    assert train(twin, data, tmp_path / "out", *more) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_what_does_not_fit_is_refused_before_a_weight_is_read(
    twin: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(both, "free_bytes", lambda device: 10**8)
    monkeypatch.setattr(checkpoint, "load", lambda *args, **more: pytest.fail("a weight was read"))
    assert train(twin, data, tmp_path / "out") == 2
    err = capsys.readouterr().err
    assert "training needs 0." in err and "layers run again), cpu has 0.1 GB free" in err
    assert err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_rate_rises_and_falls_to_a_tenth() -> None:
    rates = [cosine(step / 100, step, warm_up=25) for step in range(101)]
    assert rates[0] == pytest.approx(0.04, rel=0.01) and rates[-1] == pytest.approx(0.1)
    assert all(one < two for one, two in pairwise(rates[:20]))
    assert all(one > two for one, two in pairwise(rates[25:]))
    assert cosine(0.5, 50, warm_up=0) == pytest.approx(0.55)
