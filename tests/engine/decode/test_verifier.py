"""A second model reads what a first one wrote: it ranks, and says where it disagrees."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dgedit_engine.decode import phases
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.judge import Judge
from dgedit_engine.decode.rank import Filling, Ranked, confirmed, rank
from dgedit_engine.decode.work import Work
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.memory.plan import check, check_both, need
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.model import Model
from dgedit_engine.types import Hole, InfillRequest, ModelError, Step
from masked import dcoder
from small_base import request

pytestmark = pytest.mark.oracle
ASKED = request("def add(a, b):\n    return ", Hole(), "\n\n\nadd(1, 2)\n", steps=3)
SEVERAL = request("a = ", Hole(), "\nb = ", Hole(), "\n", steps=3)
ALL = Decoding(
    **{"candidates": 4, "origins": ("draft", "revised", "canvas", "sample"), "repairs": 1},
    confirmed=True,
)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgedit_engine.decode.phases.CANVASES", 1)
    monkeypatch.setattr("dgedit_engine.decode.causal.LONGEST", 12)


def opened(folder: Path, verifier: Path | None = None, decoding: Decoding = ALL) -> Engine:
    name = None if verifier is None else str(verifier)
    engine = open_engine(str(folder), "cpu", verifier=name)
    engine.decoding = decoding
    return engine


def steps(engine: Engine, asked: InfillRequest) -> list[Step]:
    """What is shown; passes are counted of the first model alone."""
    return [replace(one, forwards=0) for one in engine.infill(asked)]


@pytest.fixture
def works(relatives: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Work, Work]]:
    """A request as it ends, judged by the drafter itself and by another model."""
    found: list[Work] = []
    monkeypatch.setattr(phases, "confirmed", lambda work, one: found.append(work) or one.drafts)
    list(opened(relatives / "diffusion", relatives / "other").infill(ASKED))
    (work,) = found
    yield replace(work, verifier=None), work


def plainly(work: Work, model: Model, ids: Sequence[int]) -> list[float]:
    """The log-probability of each token of a filling, in one pass over the prompt and it."""
    whole = torch.tensor([[*work.prompt.ids, *ids]])
    with torch.inference_mode():
        cache = KVCache(model.config, dtype=model.embedding.dtype)
        said = model.logits(model.encode(whole, cache))[0].log_softmax(-1)
    first = len(work.prompt.ids)
    return [float(said[place - 1, whole[0, place]]) for place in range(first, whole.shape[1])]


def filling(ids: list[int]) -> Filling:
    return Filling((ids,), ([0.5] * len(ids),), "canvas", True, True)


@pytest.mark.parametrize("name", ["diffusion", "causal"])
@pytest.mark.parametrize("asked", [ASKED, SEVERAL])
def test_equal_verifier_changes_nothing(relatives: Path, name: str, asked: InfillRequest) -> None:
    alone = opened(relatives / "diffusion")
    judged = opened(relatives / "diffusion", relatives / name)
    assert judged.verifier is not None and judged.verifier.model is not judged.model
    assert (alone.name, judged.name) == ("diffusion", f"diffusion verified by {name}")
    for _ in range(2):  # what it has read of the prompt is kept
        expected = steps(alone, asked)
        assert steps(judged, asked) == expected
        assert len({one.draft.text for one in expected[-1].candidates[0]}) > 1


def test_it_marks_whatever_was_set(relatives: Path) -> None:
    plain = replace(ALL, origins=("canvas",), confirmed=False)
    expected = steps(opened(relatives / "diffusion", decoding=plain), ASKED)[-1].drafts
    judged = steps(opened(relatives / "diffusion", relatives / "causal", plain), ASKED)[-1].drafts
    assert [one.text for one in judged] == [one.text for one in expected]
    assert all(expected[0].settled) and not all(judged[0].settled)


def test_prompt_is_read_once(relatives: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = opened(relatives / "diffusion", relatives / "other")
    assert engine.verifier is not None
    list(engine.infill(ASKED))
    read: list[int] = []
    real = Judge.begin

    def begin(judge: Judge, prompt: Sequence[int]) -> None:
        before = judge.model.forwards
        real(judge, prompt)
        read.append(judge.model.forwards - before)
        assert len(judge.cache) == len(prompt) - 1

    monkeypatch.setattr(Judge, "begin", begin)
    list(engine.infill(replace(ASKED, seed=1)))
    assert len(read) > 1 and not any(read)


def test_ranking_is_the_verifiers(works: tuple[Work, Work]) -> None:
    own, other = (
        replace(one, decoding=replace(ALL, veto=False, repairs=0, following=0.0)) for one in works
    )
    generator = torch.Generator().manual_seed(0)
    first = len(own.tokenizer) - 30  # letters
    texts = torch.randint(first, first + 26, (40, 3), generator=generator).tolist()
    means = [
        [sum(plainly(work, model, ids)) / len(ids) for ids in texts]
        for work, model in ((own, own.model), (other, other.judge.model))
    ]
    # two that each prefers the other of, by enough
    pairs = [(a, b) for a in range(len(texts)) for b in range(len(texts))]
    one, two = max(
        pairs,
        key=lambda pair: min(
            means[0][pair[0]] - means[0][pair[1]], means[1][pair[1]] - means[1][pair[0]]
        ),
    )
    assert means[0][one] > means[0][two] + 0.1 and means[1][two] > means[1][one] + 0.1
    both = [filling(texts[one]), filling(texts[two])]
    encode(own.model, own.cache, own.prompt.ids)
    assert [found.filling.holes[0] for found in rank(own, both)] == [texts[one], texts[two]]
    found = rank(other, both)
    assert [each.filling.holes[0] for each in found] == [texts[two], texts[one]]
    assert found[0].score == pytest.approx(means[1][two], abs=0.02)


def test_text_behind_is_the_verifiers_too(works: tuple[Work, Work]) -> None:
    own, other = (
        replace(one, decoding=replace(ALL, veto=False, repairs=0, following=1.0)) for one in works
    )
    texts = [filling([270, 271]), filling([272, 273, 274])]
    encode(own.model, own.cache, own.prompt.ids)
    apart = [
        {tuple(one.filling.holes[0]): one.score for one in rank(w, texts)} for w in (own, other)
    ]
    assert all(abs(apart[0][key] - apart[1][key]) > 0.01 for key in apart[0])


def test_marks_are_the_verifiers(works: tuple[Work, Work]) -> None:
    own, other = works
    prompt, model = own.prompt.ids, other.judge.model
    ids: list[int] = []
    with torch.inference_mode():
        for turn in range(6):  # every other token is another than the verifier's
            cache = KVCache(model.config, dtype=model.embedding.dtype)
            logits = model.logits(model.encode(torch.tensor([[*prompt, *ids]]), cache))[0, -1]
            logits[:270] = -torch.inf  # letters
            logits[len(own.tokenizer) :] = -torch.inf
            ids.append(int(logits.topk(2).indices[turn % 2]))
    wanted = []
    with torch.inference_mode():
        cache = KVCache(model.config, dtype=model.embedding.dtype)
        best = model.logits(model.encode(torch.tensor([[*prompt, *ids]]), cache))[0].argmax(-1)
    wanted = [int(best[len(prompt) - 1 + place]) == one for place, one in enumerate(ids)]
    (draft,) = confirmed(other, Ranked(filling(ids), (), 0.0))
    assert list(draft.settled) == wanted and not all(wanted)


def test_other_vocabulary_is_refused(relatives: Path, tmp_path: Path) -> None:
    for name, change in {
        "renamed": lambda vocab: vocab.update(zz=vocab.pop("the")),
        "larger": lambda vocab: vocab.update(zz=len(vocab)),
    }.items():
        shutil.copytree(relatives / "other", tmp_path / name)
        file = tmp_path / name / "tokenizer.json"
        raw = json.loads(file.read_text())
        change(raw["model"]["vocab"])
        raw["model"]["merges"] = []
        file.write_text(json.dumps(raw))
    with pytest.raises(ModelError) as caught:
        opened(relatives / "diffusion", tmp_path / "renamed")
    words = str(caught.value)
    assert "has not the vocabulary of" in words and "(2 differ)" in words and "\n" not in words
    assert "'the' is token 293 in one, none in the other" in words
    with pytest.raises(ModelError, match=r"\(2 differ\)"):  # a token that the library adds too
        opened(relatives / "diffusion", tmp_path / "larger")


def test_what_cannot_verify_is_refused(relatives: Path, tmp_path: Path, tiny_folder: Path) -> None:
    dcoder(tmp_path / "masked")
    with pytest.raises(ModelError, match="no causal reading to verify with"):
        opened(relatives / "diffusion", tmp_path / "masked")
    with pytest.raises(ModelError, match="ranks its drafts by itself"):
        opened(tmp_path / "masked", relatives / "other")
    with pytest.raises(ModelError, match="has not the vocabulary"):
        opened(relatives / "diffusion", tiny_folder)
    with pytest.raises(ModelError, match="no such model: nowhere"):
        open_engine(str(relatives / "diffusion"), "cpu", verifier="nowhere")
    shutil.copytree(relatives / "other", tmp_path / "narrow")
    file = tmp_path / "narrow" / "config.json"
    file.write_text(file.read_text().replace('"vocab_size": 320', '"vocab_size": 300'))
    with pytest.raises(ModelError, match="reads 300 tokens"):
        opened(relatives / "diffusion", tmp_path / "narrow")


def test_memory_is_planned_for_both(relatives: Path) -> None:
    first, second = relatives / "diffusion", relatives / "other"
    one, two = check_both(first, second, 1 << 40)
    assert one.context == two.context
    least = one.need.total + two.need.total
    assert two.need.weights == need(second, context=two.context).weights
    assert check_both(first, second, least)[0] == one
    with pytest.raises(ModelError, match=f"beside .* GB of the verifier {second}"):
        check_both(first, second, least - 1)
    with pytest.raises(ModelError, match=f"verifier {second} needs"):
        check_both(first, second, two.need.total - 1)
    assert check(first, one.need.total, context=one.context)  # alone it fits


def test_context_is_what_both_can(relatives: Path, tmp_path: Path) -> None:
    shutil.copytree(relatives / "other", tmp_path / "short")
    file = tmp_path / "short" / "config.json"
    file.write_text(file.read_text().replace("4096", "2048"))
    engine = opened(relatives / "diffusion", tmp_path / "short")
    assert engine.ability.context == 2048
    with pytest.raises(ModelError, match="a context of 4,096, where 2,048 are possible"):
        check_both(relatives / "diffusion", tmp_path / "short", 1 << 40, context=4096)
