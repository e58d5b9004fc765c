"""One model drafts, a masked diffusion model corrects: whose tokens stand, and what is shown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_engine.decode import correcting, left_to_right
from dgedit_engine.decode.correcting import Drafter, correct, read
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.masking import Masking, many
from dgedit_engine.decode.pool import Reader
from dgedit_engine.decode.unmask import MaskedHole, Unmasking
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.infill import drafted
from dgedit_engine.memory.plan import check_both
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import Sampling, load_config
from dgedit_engine.prompt.fim import FAMILIES
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Hole, InfillRequest, ModelError, Passage, Step, collect
from dgedit_engine.weights import checkpoint
from masked import EXPAND, MARKS, dcoder, dream, full, pair
from small_base import Leaning, model, request

pytestmark = pytest.mark.oracle
QWEN = FAMILIES["qwen"]
GREEDY = Masking("maskgit_plus", temperature=0.0, top_p=None)
ASKED = request("def f(a):\n    return ", Hole(), "\n\n\ndef g():\n    return a\n")
SEVERAL = request("a = f(", Hole(), ")\nb = ", Hole(), "\n")


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("pair")
    return folder, pair(folder)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgedit_engine.decode.search.LONGEST", 12)


@pytest.fixture
def both(twins: tuple[Path, Any]) -> Engine:
    """The masked model, and a drafter that leans towards the end of an infill."""
    folder, _ = twins
    words = Tokenizer(folder / "drafter" / "tokenizer.json")
    config = replace(load_config(folder / "drafter"), eos=(2,), pad=2)
    bias = torch.zeros(config.vocab)
    bias[: len(MARKS)] = -30.0
    bias[len(words) :] = -30.0
    bias[words.byte_tokens()] = -30.0
    for name in (QWEN.ends[0], QWEN.ends[2]):
        token = words.id(name)
        assert token is not None
        bias[token] = 3.0
    made: Leaning = model(config, bias=bias)
    reader = Reader(made, words, KVCache(config, dtype=torch.float32))
    masked = checkpoint.load(load_config(folder / "masked"), folder / "masked")
    tokenizer = Tokenizer(folder / "masked" / "tokenizer.json")
    return Engine(
        *(masked, tokenizer, Sampling()),
        name="both",
        masking=GREEDY,
        drafter=Drafter(reader, Decoding(candidates=4)),
    )


def alone(engine: Engine, asked: InfillRequest) -> list[Step]:
    """What the drafter shows without the other."""
    assert engine.drafter is not None
    settings = drafted(engine.drafter.decoding, asked)
    generator = torch.Generator().manual_seed(asked.seed)
    return list(left_to_right.fill(engine.drafter.reader, asked, settings, generator))


@pytest.mark.parametrize("asked", [ASKED, replace(ASKED, seed=3), SEVERAL])
def test_drafts_are_the_drafters_and_stay_candidates(both: Engine, asked: InfillRequest) -> None:
    asked = replace(asked, candidates=4)
    right, steps = alone(both, asked), list(both.infill(asked))
    shown = [one.drafts for one in steps[: len(right)]]
    assert shown == [one.drafts for one in right] and {one.phase for one in steps[:-1]} > {"draft"}
    assert any(draft.text for draft in right[-1].drafts)
    for hole, found in enumerate(steps[-1].candidates):
        assert {one.origin for one in found} <= {"draft", "revised"}
        texts = [one.draft.text for one in right[-1].candidates[hole]]
        assert all(one.draft.text in texts for one in found if one.origin == "draft")
    assert any(one.origin == "revised" for found in steps[-1].candidates for one in found)


def test_lone_draft_and_its_correction_are_both_offered(both: Engine) -> None:
    (last,) = alone(both, ASKED)[-1].drafts
    steps = list(both.infill(ASKED))
    (found,) = steps[-1].candidates
    assert {one.origin for one in found} == {"draft", "revised"}
    assert next(one for one in found if one.origin == "draft").draft.text == last.text
    assert steps[-1].drafts == (found[0].draft,) and all(found[0].draft.settled)
    # random weights doubt all: what is likelier beside itself and breaks nothing is shown
    assert sorted(found, key=lambda one: (one.faults or 0, -one.score)) == list(found)


def test_every_step_shows_what_stands(both: Engine) -> None:
    steps = list(both.infill(SEVERAL))
    drafting = len(alone(both, SEVERAL))
    correcting_, last = steps[drafting:-1], steps[-1]
    assert len(correcting_) > 3 and last.last and not any(one.last for one in steps[:-1])
    assert [one.index for one in steps] == list(range(1, len(steps) + 1))
    assert all(one.index <= one.total for one in steps)
    assert [one.forwards for one in steps] == sorted(one.forwards for one in steps)
    texts = [draft.text for draft in steps[drafting - 1].drafts]
    assert [draft.text for draft in correcting_[0].drafts] == texts  # masks, under what was there
    unsettled = [sum(not one for d in step.drafts for one in d.settled) for step in correcting_]
    assert unsettled[0] > 0 == unsettled[-1]
    assert collect(both.infill(SEVERAL)).texts == tuple(one.text for one in last.drafts)


def test_passages_are_corrected_each_in_its_own_window(both: Engine) -> None:
    one, two = Passage("a.py", ("a = f(", Hole(), ")\n")), Passage("b.py", ("b = ", Hole(), "\n"))
    steps = list(both.infill(InfillRequest((one, two))))
    drafts = [step.drafts for step in steps if step.phase != "draft"]
    assert all(len(some) == 2 for some in drafts) and len(steps[-1].candidates) == 2
    first = [some[0].text for some in drafts[:-1]]
    done = next(at for at, some in enumerate(drafts) if not all(some[1].settled))
    assert len(set(first[done:])) == 1 and len(set(first[: done + 1])) > 1


def test_stopped_on_the_way_the_next_request_is_the_same(both: Engine) -> None:
    expected = [replace(one, forwards=0) for one in both.infill(ASKED)]
    drafting = len(alone(both, ASKED))
    for taken in (1, drafting - 1, drafting + 2):
        under_way = both.infill(ASKED)
        assert isinstance(under_way, Iterator)
        assert [replace(next(under_way), forwards=0) for _ in range(taken)] == expected[:taken]
        under_way.close()  # type: ignore[attr-defined]
        assert [replace(one, forwards=0) for one in both.infill(ASKED)] == expected


def test_steps_and_effort_bound_the_passes(both: Engine) -> None:
    def passes(**text: Any) -> int:
        steps = list(both.infill(replace(ASKED, **text)))
        return steps[-1].forwards - max(one.forwards for one in steps if one.phase == "draft")

    assert passes(steps=1) == 3  # what stands, its masks once, what stands then
    assert passes(effort=0.5) >= passes(effort=0.0) > passes(steps=2) == 4


def test_what_is_kept_is_the_draft(both: Engine) -> None:
    asked = request("x = ", Hole("a + b"), "\n", strength=0.5)
    with_one = [replace(one, forwards=0) for one in both.infill(asked)]
    both.drafter = None
    assert with_one == [replace(one, forwards=0) for one in both.infill(asked)]


def test_templates_are_refused(both: Engine) -> None:
    with pytest.raises(ValueError, match="a masked diffusion model fills no templates"):
        list(both.infill(request("x = ", Hole("a_c", blanks=(1,)), "\n")))


FIXED = [[300, 301, 302], [303, 304]]
IDS = [400, 410, 420, 430, 440, 450]


def work_of(folder: Path) -> Unmasking:
    ours = checkpoint.load(load_config(folder / "masked"), folder / "masked")
    cache = KVCache(ours.config, dtype=torch.float32)
    assert ours.config.masks is not None
    return Unmasking(ours, cache, FIXED, [MaskedHole.of(IDS, ours.config.masks.mask)])


def plainly(theirs: Any, ids: list[int]) -> Tensor:
    """transformers' logits for the hole's places, which are those before them."""
    found: Tensor = full(theirs, torch.tensor([[*FIXED[0], *ids, *FIXED[1]]]))[0, 2 : 2 + len(ids)]
    return found


def odds(theirs: Any, ids: list[int]) -> list[float]:
    return [float(row.softmax(-1)[one]) for row, one in zip(plainly(theirs, ids), ids, strict=True)]


@pytest.mark.parametrize("rounds", [1, 3])
def test_corrected_tokens_are_the_masked_models_choice_given_the_rest(
    twins: tuple[Path, Any], rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, theirs = twins
    work = work_of(folder)
    read(work)
    (hole,) = work.holes
    assert hole.sure == pytest.approx(odds(theirs, IDS), abs=1e-4)
    likely = sorted(odds(theirs, IDS))[3] - 1e-6  # three of six are doubted
    monkeypatch.setattr(correcting, "LIKELY", likely)
    taken = list(correct(work, GREEDY, None, rounds=rounds))
    assert len(taken) >= 5  # masks, three tokens, all read anew
    ids = list(IDS)
    for _ in range(rounds):
        before = list(ids)
        masks = [at for at, one in enumerate(odds(theirs, ids)) if one < likely]
        for at in masks:
            ids[at] = work.mask
        for step in range(len(masks)):  # of all masks' best tokens, the most probable ones stay
            said = plainly(theirs, ids).softmax(-1)
            left = [at for at in masks if ids[at] == work.mask]
            left.sort(key=lambda at: -float(said[at].max()))
            for at in left[: many(len(left), step, len(masks))]:
                ids[at] = int(said[at].argmax())
        if ids == before:
            break
    assert hole.ids == ids != IDS
    assert hole.sure == pytest.approx(odds(theirs, ids), abs=1e-4)
    if rounds == 1:
        assert [at for at in range(6) if ids[at] != IDS[at]] == masks


def test_nothing_becomes_the_mark_to_expand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which DreamOn would predict where a draft has a token too few."""
    dream(tmp_path)
    ours = checkpoint.load(load_config(tmp_path), tmp_path)
    work = Unmasking(ours, KVCache(ours.config, dtype=torch.float32), FIXED, [])
    work.holes.append(MaskedHole.of(IDS, work.mask))
    real = Unmasking.logits

    def leaning(self: Unmasking, slots: Any, *, anew: bool = False) -> Tensor:
        found = real(self, slots, anew=anew).clone()
        found[:, EXPAND] = found.max() + 9
        return found

    monkeypatch.setattr(Unmasking, "logits", leaning)
    read(work)
    for _ in correct(work, GREEDY, None, rounds=1):
        assert EXPAND not in work.holes[0].best and EXPAND not in work.ids
    assert work.holes[0].ids != IDS and len(work.holes[0].ids) == len(IDS)


@pytest.mark.parametrize("masking", [GREEDY, Masking("p2", temperature=0.6), Masking()])
def test_likely_tokens_never_become_masks(
    twins: tuple[Path, Any], masking: Masking, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = work_of(twins[0])
    read(work)
    likely = sorted(work.holes[0].sure)[4] - 1e-6
    monkeypatch.setattr(correcting, "LIKELY", likely)
    stays = [at for at, one in enumerate(work.holes[0].sure) if one >= likely]
    generator = torch.Generator().manual_seed(1)
    for _ in correct(work, masking, generator, rounds=1):
        assert [work.holes[0].ids[at] for at in stays] == [IDS[at] for at in stays]
        assert len(work.masked()) <= 4
    assert len(stays) == 2 and not work.masked()


def test_what_is_likely_is_left_alone(
    twins: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correcting, "LIKELY", 0.0)
    work = work_of(twins[0])
    read(work)
    assert not list(correct(work, GREEDY, None, rounds=4)) and work.holes[0].ids == IDS
    work.holes[0] = MaskedHole.of([], work.mask)
    before = work.model.forwards
    read(work)
    assert work.model.forwards == before  # an empty draft has nothing to read


def test_folders_open_together(twins: tuple[Path, Any]) -> None:
    folder, _ = twins
    engine = open_engine(str(folder / "masked"), "cpu", drafter=str(folder / "drafter"))
    assert engine.name == "masked corrects drafter" and engine.drafter is not None
    assert engine.drafter.reader.model is not engine.model and engine.verifier is None
    found = collect(engine.infill(replace(ASKED, candidates=2)))
    assert {one.origin for some in found.candidates for one in some} <= {"draft", "revised"}


def test_memory_is_planned_for_both(twins: tuple[Path, Any]) -> None:
    folder, _ = twins
    planned = partial(check_both, folder / "masked", folder / "drafter", drafts=True, context=2048)
    one, two = planned(1 << 40)
    most = one.need.total + two.need.total
    assert planned(most) == (one, two)
    with pytest.raises(ModelError, match=r"beside .* GB of the drafter .*drafter"):
        planned(most - 1)
    with pytest.raises(ModelError, match=r"drafter .*drafter needs"):
        planned(two.need.total - 1)


def test_what_cannot_draft_is_refused(
    twins: tuple[Path, Any], tmp_path: Path, relatives: Path
) -> None:
    folder, _ = twins
    dcoder(tmp_path / "other")
    shutil.copytree(folder / "drafter", tmp_path / "renamed")
    file = tmp_path / "renamed" / "tokenizer.json"
    raw = json.loads(file.read_text())
    raw["model"]["vocab"]["zz"] = raw["model"]["vocab"].pop("Ġreturn")
    raw["model"]["merges"] = []
    file.write_text(json.dumps(raw))
    masked, drafter = str(folder / "masked"), str(folder / "drafter")
    for first, second, words in (
        (masked, str(tmp_path / "renamed"), "has not the vocabulary of .*2 differ"),
        (masked, str(tmp_path / "other"), "a drafter reads from left to right"),
        (masked, str(relatives / "diffusion"), "a drafter reads from left to right"),
        (drafter, drafter, "drafts by itself: a drafter is for masked diffusion models"),
        (masked, "nowhere", "no such model: nowhere"),
    ):
        with pytest.raises(ModelError, match=words) as caught:
            open_engine(first, "cpu", drafter=second)
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="ranks its drafts by itself"):
        open_engine(masked, "cpu", drafter=drafter, verifier=drafter)
