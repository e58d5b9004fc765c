"""What writes: all that a model has, or its causal reading alone, which is all of a Gemma 4."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.drafts import open_part
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.model.cache import KVCache
from dgedit_engine.prompt.prompt import build
from dgedit_engine.types import Hole, InfillRequest
from masked import dcoder
from small_base import request

pytestmark = pytest.mark.oracle
LONGEST = 24
ASKED = request("def add(a, b):\n    return ", Hole(), "\n\n\nadd(1, 2)\n", steps=3)
SEVERAL = request("a = ", Hole(), "\nb = ", Hole(), "\n", steps=3)
CAUSAL = replace(ASKED, reading="causal")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgedit_engine.decode.phases.CANVASES", 1)
    monkeypatch.setattr("dgedit_engine.decode.causal.LONGEST", LONGEST)
    # codes of 8 bits are of all rows that are read together
    monkeypatch.setattr("dgedit_engine.weights.cpu_int8.available", lambda: False)


def opened(folder: Path) -> Engine:
    return open_engine(str(folder), "cpu")


def greedy(engine: Engine, asked: InfillRequest) -> str:
    """What a loop writes that reads all anew for each token, up to what may be its end."""
    prompt = build(asked, engine.tokenizer, context=3000)
    ids: list[int] = []
    model, kept = engine.model, None
    while len(ids) < LONGEST and kept is None:
        with torch.inference_mode():
            cache = KVCache(model.config, dtype=model.embedding.dtype)
            whole = torch.tensor([[*prompt.ids, *ids]])
            token = int(model.logits(model.encode(whole, cache))[0, -1].argmax())
        if token in model.config.eos:
            break
        ids.append(token)
        kept = open_part(ids, engine.tokenizer, prompt.closing)
    text = "".join(one.text for one in engine.tokenizer.pieces(ids[:kept]))
    return text.replace("\ufffd", "")  # bytes that make no character are not shown


@pytest.mark.parametrize("exact", [False, True])
def test_gemma_4_writes_its_likeliest_tokens(relatives: Path, exact: bool) -> None:
    engine = opened(relatives / "causal")
    assert not engine.model.canvas and not engine.ability.canvas
    assert engine.ability.instructions
    found = list(engine.infill(replace(ASKED, exact=exact)))
    assert {one.phase for one in found} == {"draft"} and found[-1].last
    text = found[-1].drafts[0].text
    expected = greedy(engine, ASKED)
    assert text and expected.startswith(text)  # cut where an end was likeliest
    assert found[-1].candidates[0][0].origin == "draft"
    again = list(engine.infill(replace(CAUSAL, exact=exact)))
    assert again[-1].drafts == found[-1].drafts


def test_several_holes_and_candidates(relatives: Path) -> None:
    engine = opened(relatives / "other")
    last = list(engine.infill(replace(SEVERAL, candidates=4, seed=3)))[-1]
    assert len(last.drafts) == 2 and all(one.origin == "sample" for one in last.candidates[0])
    last = list(engine.infill(replace(ASKED, candidates=4)))[-1]
    assert [one.origin for one in last.candidates[0]].count("draft") <= 1
    scores = [one.score for one in last.candidates[0]]
    assert len(scores) > 1


def test_diffusion_gemmas_causal_reading_is_what_the_gemma_4_writes(relatives: Path) -> None:
    both, alone = opened(relatives / "diffusion"), opened(relatives / "causal")
    settings = Decoding(candidates=3, origins=("canvas", "revised"), repairs=2, warm=True)
    both.decoding = alone.decoding = settings
    usual = list(both.infill(ASKED))
    assert "refine" in {one.phase for one in usual}
    found = list(both.infill(CAUSAL))
    assert {one.phase for one in found} == {"draft"}
    assert {one.origin for one in found[-1].candidates[0]} <= {"draft", "sample"}
    other = list(alone.infill(CAUSAL))
    assert [one.drafts for one in found] == [one.drafts for one in other]


@pytest.mark.parametrize("name", ["diffusion", "causal"])
def test_what_needs_a_canvas_is_refused(relatives: Path, name: str) -> None:
    engine = opened(relatives / name)
    reading = "causal" if name == "diffusion" else "auto"
    kept = request("a = ", Hole("one"), "\n")
    with pytest.raises(ValueError, match="the causal reading writes from scratch: strength"):
        list(engine.infill(replace(kept, strength=0.5, reading=reading)))
    blank = request("a = ", Hole("_b", (0,)), "\n", reading=reading)
    with pytest.raises(ValueError, match="a template is filled on a canvas"):
        list(engine.infill(blank))
    same = list(engine.infill(replace(kept, strength=0, reading="auto")))
    assert same[-1].stopped == "unchanged"


def test_masked_model_has_none(tmp_path: Path) -> None:
    dcoder(tmp_path / "masked")
    with pytest.raises(ValueError, match="no causal reading"):
        list(opened(tmp_path / "masked").infill(CAUSAL))


def test_unknown_reading_is_named() -> None:
    with pytest.raises(ValueError, match="reading must be auto or causal, not 'both'"):
        replace(ASKED, reading="both")
