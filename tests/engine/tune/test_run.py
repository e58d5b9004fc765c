"""A run of `tune` on a tiny base: it learns, is judged, goes on, and stops at no number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dgedit_engine.decode import search
from dgedit_engine.engine import open_engine
from dgedit_engine.train.lora_recipe import LoraRecipe
from dgedit_engine.train.lora_run import LoraRun
from dgedit_engine.train.schedule import Diverged
from dgedit_engine.tune.adapted import AdapterLearner
from dgedit_engine.tune.learner import TunePlan
from dgedit_engine.tune.run import Tuning
from dgedit_engine.tune.verdict import Verdict, compared
from own_lines import TEXTS, spans
from small_base import write

RECIPE = LoraRecipe(
    steps=12, rows=4, micro=4, limit=96, rank=4, projections="all", lr=2e-2, turned=1.0
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Gemma 3 with random weights, in a GGUF file."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("base")
    write(folder / "twin.gguf")
    (folder / "decoding.json").write_text('{"candidates": 2}')
    return folder


def plan(base: Path, folder: Path, **recipe: Any) -> TunePlan:
    return TunePlan(base, folder, "twin", replace(RECIPE, **recipe), general=1, fills=2)


def adapter(tuning: Tuning) -> dict[str, torch.Tensor]:
    assert isinstance(tuning.learner, AdapterLearner)
    return tuning.learner.run.adapter.weights()


def test_run_learns_is_judged_and_can_be_opened(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LONGEST", 12)
    tuning = Tuning(plan(base, tmp_path / "run"), TEXTS, spans())
    before = tuning.measure_base()
    steps = list(tuning.train())
    assert [one.step for one in steps] == list(range(1, 13))
    assert sum(one.held is not None for one in steps) >= 3
    assert steps[-1].held is None or steps[-1].held < tuning.glanced  # of the same spans
    tuning.save()
    found = tuning.judge()
    assert found.gain[0] > 0.05 and found.gain[1] > 0 and found.after < found.before
    assert abs(before - found.before) < 1 and found.blend in (1.0, 0.7, 0.5, 0.35)
    assert found.fills is not None and found.elsewhere[0] > 0
    opened = open_engine(str(base), "cpu", adapter=tmp_path / "run" / "model")
    assert opened.name.endswith("+model")


def test_run_goes_on_where_it_stopped(base: Path, tmp_path: Path) -> None:
    whole = Tuning(plan(base, tmp_path / "whole", steps=4), TEXTS, spans()[:4])
    assert len(list(whole.train())) == 4
    part = Tuning(plan(base, tmp_path / "part", steps=4), TEXTS, spans()[:4])
    for one in part.train():
        if one.step == 2:
            break
    part.save()
    again = Tuning(plan(base, tmp_path / "part", steps=4), TEXTS, spans()[:4])
    assert again.begun
    again.resume()
    assert [one.step for one in again.train()] == [3, 4]
    for one, other in zip(adapter(whole).values(), adapter(again).values(), strict=True):
        torch.testing.assert_close(one, other)


def test_state_of_another_run_is_refused(base: Path, tmp_path: Path) -> None:
    first = Tuning(plan(base, tmp_path, steps=4), TEXTS, spans()[:4])
    first.save()
    other = Tuning(plan(base, tmp_path, steps=4, rank=2), TEXTS, spans()[:4])
    with pytest.raises(ValueError, match=r"state\.pt is not of this run"):
        other.resume()


def test_loss_that_is_no_number_leaves_the_last_good_weights(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuning = Tuning(plan(base, tmp_path), TEXTS, spans()[:4])
    steps = tuning.train()
    next(steps)
    good = adapter(tuning)
    run = tuning.learner.run
    assert isinstance(run, LoraRun)
    update = run.update

    def broken(batch: Any) -> dict[str, Any]:
        values = update(batch)
        with torch.no_grad():
            for part in run.adapter.parameters():
                part.fill_(torch.nan)
        return values | {"norm": torch.tensor(torch.nan)}

    monkeypatch.setattr(run, "update", broken)
    with pytest.raises(Diverged, match="no finite number at step 2"):
        next(steps)
    for one, other in zip(good.values(), adapter(tuning).values(), strict=True):
        assert torch.equal(one, other)


def test_half_a_blend_is_half_of_the_change(base: Path, tmp_path: Path) -> None:
    tuning = Tuning(plan(base, tmp_path, steps=3), TEXTS, spans()[:6])
    before = tuning.measure_base()
    list(tuning.train())
    whole, every = adapter(tuning), range(len(tuning.spans))
    with tuning.learner.blended(0.0):
        losses = tuning.learner.losses(every)
    assert sum(losses) / len(losses) == pytest.approx(before, abs=1e-3)
    with tuning.learner.blended(0.5):
        half = adapter(tuning)
    for name, one in adapter(tuning).items():
        assert torch.equal(one, whole[name])
        changed = name.endswith("lora_B") or name == "rows"
        assert torch.equal(half[name], one * 0.5 if changed else one)


def verdict(**changed: Any) -> Verdict:
    return Verdict(
        **{
            **{"before": 2.0, "after": 1.8, "gain": (0.2, 0.1, 0.3), "spans": 100, "files": 10},
            **{"elsewhere": (2.0, 2.05), "blend": 1.0},
            **changed,
        }
    )


def test_only_what_is_surely_better_is_kept() -> None:
    assert verdict().better
    assert verdict(gain=(0.2, -0.01, 0.3)).reasons == ["held-out holes are not surely better"]
    assert verdict(elsewhere=(2.0, 2.1)).reasons == ["other people's text is worse by 5% or more"]
    assert verdict(elsewhere=(2.0, float("nan"))).reasons
    less = dict.fromkeys(("exact", "similar"), (0.4, 0.3, (-0.1, -0.2, 0.1)))
    assert verdict(fills=less).reasons == ["fills are worse"]
    assert verdict(fills=less | {"similar": (0.4, 0.5, (0.1, -0.1, 0.2))}).better


def test_gain_is_paired_and_drawn_by_file() -> None:
    before, files = [3.0, 1.0, 4.0, 1.5], ["a", "a", "b", "b"]
    _, _, gain = compared(before, [one + 0.5 for one in before], files)
    assert gain == (0.5, 0.5, 0.5)
    _, _, gain = compared(before, [4.0, 2.0, 3.0, 0.5], files)  # better in one file alone
    assert gain[1] < 0 < gain[2]
