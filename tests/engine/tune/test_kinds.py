"""Each kind of base is tuned: what is trained of it learns, goes on, is written and opened."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from byte_base import SPECIAL, VOCAB, fields
from byte_level import CHAT, byte_level
from dgedit_engine.decode import search
from dgedit_engine.engine import open_engine
from dgedit_engine.formats import vocabulary
from dgedit_engine.memory.plan import TooLarge
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import load_config, save_config
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.nano.names import EMBEDDED, TINY
from dgedit_engine.prompt.fim import FAMILIES
from dgedit_engine.train.__main__ import SAMPLING, size
from dgedit_engine.train.adapter import PROJECTIONS, settings_of
from dgedit_engine.train.both_recipe import BothRecipe
from dgedit_engine.train.lora_recipe import LoraRecipe
from dgedit_engine.train.recipe import Recipe
from dgedit_engine.train.schedule import STATE, Diverged
from dgedit_engine.tune import adapted, both, whole
from dgedit_engine.tune.kinds import kind_of, needed, recipe_of
from dgedit_engine.tune.learner import TunePlan
from dgedit_engine.tune.run import Tuning
from dgedit_engine.types import ModelError
from dgedit_engine.weights import adapters, checkpoint
from llama import random_llama
from masked import dream, llada
from own_lines import TEXTS, spans

MARKS, STARS = (
    tuple(dict.fromkeys((*SPECIAL, one.before, one.behind, one.middle, *one.ends)))
    for one in (FAMILIES["qwen"], FAMILIES["starcoder"])
)
LORA = LoraRecipe(steps=12, rows=4, limit=96, rank=4, projections="all", lr=2e-2)
RECIPES: dict[str, LoraRecipe | Recipe | BothRecipe] = {
    "llama": LORA,
    "marks": LORA,
    "starcoder": LORA,
    "dream": LORA,
    "llada": LORA,
    "tiny": Recipe(steps=8, lr=0.02, copies=1),
    "chat": BothRecipe(steps=6, rows=2, limit=560, slots="64", rank=4, lr=2e-2, warm_up=1),
}


def _llama(folder: Path, kind: str, cut: str, special: tuple[str, ...], *, tied: bool) -> None:
    shape = {"vocab_size": VOCAB, "max_position_embeddings": 2048, "bos_token_id": None}
    random_llama(folder, kind, tie_word_embeddings=tied, **shape)
    vocabulary.made(fields(cut, special)).save(str(folder / "tokenizer.json"))
    (folder / "decoding.json").write_text('{"candidates": 1}')


def _diffusion(folder: Path, vocab: int) -> None:
    model = Model(size("tiny", vocab))
    init_weights(model, seed=0)
    checkpoint.save(model, folder / checkpoint.SINGLE)
    save_config(model.config, SAMPLING, folder)


def _tiny(folder: Path) -> None:
    folder.mkdir()
    _diffusion(folder, 4096)
    for name in ("tokenizer.json", "ability.json", "decoding.json"):
        shutil.copy(TINY / name, folder)


def _chat(folder: Path) -> None:
    folder.mkdir()
    _diffusion(folder, 300)
    byte_level(folder, CHAT)


MADE: dict[str, Callable[[Path], None]] = {
    "llama": lambda folder: _llama(folder, "llama", "smollm", SPECIAL, tied=False),
    "starcoder": lambda folder: _llama(folder, "starcoder2", "starcoder", STARS, tied=True),
    "dream": dream,
    "llada": llada,
    "marks": lambda folder: _llama(folder, "qwen2", "qwen2", MARKS, tied=True),
    "tiny": _tiny,
    "chat": _chat,
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A small base of each kind with random weights, made when it is first asked for."""
    top = tmp_path_factory.mktemp("bases")

    def base(name: str) -> Path:
        if not (top / name).exists():
            MADE[name](top / name)
        return top / name

    return base


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of a few tokens, and short drafts."""
    monkeypatch.setattr(whole, "SHAPES", ((64, 16), (64, 32)))
    monkeypatch.setattr(whole, "TOKENS", 256)
    monkeypatch.setattr(whole, "_GENERAL", 2)
    monkeypatch.setattr(both, "_GENERAL", 2)
    monkeypatch.setattr(whole, "MEASURED", 96)
    monkeypatch.setattr(adapted, "MEASURED", 96)
    monkeypatch.setattr(search, "LONGEST", 12)


def tuning_of(base: Path, folder: Path, **recipe: Any) -> Tuning:
    plan = TunePlan(base, folder, base.name, replace(RECIPES[base.name], **recipe), general=1)
    return Tuning(replace(plan, fills=0), TEXTS, spans()[:8])


def trained(tuning: Tuning) -> dict[str, Tensor]:
    run: Any = tuning.learner.run
    return dict(run.average) if tuning.learner.whole else run.adapter.weights()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "adapter") for name in ("llama", "marks", "starcoder", "dream", "llada")),
        *(("tiny", "whole"), ("chat", "both")),
    ],
)
def test_base_learns_and_what_is_written_is_what_was_measured(
    name: str, kind: str, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    base = bases(name)
    assert kind_of(base) == kind
    tuning = tuning_of(base, tmp_path)
    before = tuning.measure_base()
    assert len(tuning.before) == len(tuning.spans) > 4
    with tuning.learner.blended(0.0):
        assert tuning.learner.losses([1]) == tuning.before[1:2]  # whatever is drawn in between
    assert before == pytest.approx(np.mean(tuning.before))
    steps = list(tuning.train())
    assert steps[-1].step == tuning.steps and all(np.isfinite(one.loss) for one in steps)
    tuning.save()
    found = tuning.judge()
    assert found.after < found.before - 0.03 and np.isfinite(found.elsewhere).all()
    model = tmp_path / "model"
    adapter = None if tuning.learner.whole else model
    opened = open_engine(str(model if adapter is None else base), "cpu", adapter=adapter)
    assert opened.name.endswith("model")
    assert (model / "config.json").is_file() == tuning.learner.whole
    if tuning.learner.whole:  # what is written, as a base, is what was measured
        again = tuning_of_folder(model, tmp_path / "again")
        again.measure_base()
        rest = [at for at in range(len(again.spans)) if at % 3]
        assert np.mean([again.before[at] for at in rest]) == pytest.approx(found.after, abs=0.02)


def tuning_of_folder(base: Path, folder: Path) -> Tuning:
    plan = TunePlan(base, folder, "again", RECIPES["tiny"], general=1, fills=0)
    return Tuning(plan, TEXTS, spans()[:8])


@pytest.mark.parametrize("name", ["tiny", "chat"])
def test_run_goes_on_where_it_stopped(
    name: str, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    base = bases(name)
    whole_run = tuning_of(base, tmp_path / "whole", steps=3)
    assert len(list(whole_run.train())) == 3
    part = tuning_of(base, tmp_path / "part", steps=3)
    next(part.train())
    part.save()
    again = tuning_of(base, tmp_path / "part", steps=3)
    again.resume()
    assert [one.step for one in again.train()] == [2, 3]
    one, two = trained(whole_run), trained(again)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[part], two[part]) for part in one)
    if name == "chat":
        again = tuning_of(base, tmp_path / "part", rank=2)
    else:
        (tmp_path / "part" / STATE).write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match=r"state\.pt is not of this run: (?!.*not of this run)"):
        again.resume()


def test_all_weights_go_half_way_and_stay_good(
    bases: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuning = tuning_of(bases("tiny"), tmp_path)
    learner: Any = tuning.learner
    steps = tuning.train()
    next(steps), next(steps)
    live = {name: one.clone() for name, one in learner.run.model.state_dict().items()}
    average = {name: one.clone() for name, one in learner.run.average.items()}
    with learner.blended(0.5):
        half = dict(learner.run.model.named_parameters())
        for name, one in half.items():
            middle = (learner._before[name] + average[name]) / 2
            torch.testing.assert_close(one.detach(), middle)
    update = learner.run.update

    def broken(batch: Any) -> Any:
        return update(batch) | {"norm": torch.tensor(torch.nan)}

    monkeypatch.setattr(learner.run, "update", broken)
    with pytest.raises(Diverged, match="no finite number at step 3"):
        next(steps)
    assert all(torch.equal(one, live[name]) for name, one in learner.run.model.state_dict().items())
    assert all(torch.equal(one, average[name]) for name, one in learner.run.average.items())


@pytest.mark.parametrize("name", ["llama", "marks", "starcoder"])
def test_peft_reads_a_llamas_adapter_as_we_do(
    name: str, bases: Callable[[str], Path], tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    base = bases(name)
    learner: Any = tuning_of(base, tmp_path).learner
    generator = torch.Generator().manual_seed(3)
    for part in learner.run.adapter.parameters():
        part.data = torch.randn(part.shape, generator=generator) * 0.1
    learner.write(tmp_path / "model")
    own = [one for one in PROJECTIONS if name != "starcoder" or one != "gate_proj"]
    assert settings_of(tmp_path / "model").projections == tuple(own)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    theirs = peft.PeftModel.from_pretrained(theirs, tmp_path / "model").eval()
    ours = checkpoint.load(load_config(base), base, dtype=torch.float32)
    ids = torch.arange(40, 69)[None]
    with torch.no_grad():
        plain = ours.logits(ours.encode(ids, KVCache(ours.config, dtype=torch.float32)))
        adapters.merge(ours, adapters.load(tmp_path / "model"))
        found = ours.logits(ours.encode(ids, KVCache(ours.config, dtype=torch.float32)))
        right = theirs(ids).logits
    assert float((found - right).abs().max()) < 1e-3 < float((plain - right).abs().max())


def test_device_that_is_too_small_is_told_before(
    bases: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = bases("chat")
    words = needed(base, "cpu", minutes=1.0, seed=0)
    assert words.startswith("training needs ") and "GB free" in words
    for name in ("tiny", "marks"):
        assert needed(bases(name), "cpu", minutes=1.0, seed=0) == ""
    monkeypatch.setattr(adapted, "free_bytes", lambda device: 100_000)
    with pytest.raises(TooLarge, match=r"marks: training needs .* for the weights alone, cpu has"):
        needed(bases("marks"), "cpu", minutes=1.0, seed=0)
    monkeypatch.setattr(both, "free_bytes", lambda device: 1_000_000)
    with pytest.raises(TooLarge, match=r"chat: training needs .*, cpu has 0\.0 GB free"):
        needed(base, "cpu", minutes=1.0, seed=0)
    with pytest.raises(TooLarge):
        tuning_of(base, tmp_path)


def test_model_of_one_domain_is_refused() -> None:
    for refused in (kind_of, partial(recipe_of, minutes=1.0, seed=0)):
        with pytest.raises(ModelError, match="a model of one domain alone"):
            refused(EMBEDDED["sudoku"])
