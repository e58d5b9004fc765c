"""A settled infill is read once more: what the causal reading would have written looks settled."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dgedit_engine.decode import phases
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.rank import Filling, Ranked, confirmed
from dgedit_engine.decode.work import Work
from dgedit_engine.engine import Engine
from dgedit_engine.model.model import Model
from dgedit_engine.types import Hole
from small_base import request

SEVERAL = request("a = ", Hole(), "\nb = ", Hole(), "\n")


@pytest.fixture
def exact32(exact: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr("dgedit_engine.decode.phases.CANVASES", 1)
    monkeypatch.setattr("dgedit_engine.decode.causal.LONGEST", 12)
    return Engine(exact.model.float(), exact.tokenizer, exact.sampling, name="fp32")


def wanted(model: Model, work: Work, ids: list[int]) -> int:
    """The token that the causal reading writes behind these."""
    cache = work.cache.fresh()
    with torch.inference_mode():
        hidden = model.encode(torch.tensor([ids]), cache)
        return int(model.logits(hidden)[0, -1].argmax())


def test_each_piece_is_judged_behind_all_before_it(
    exact32: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Work] = []
    monkeypatch.setattr(phases, "confirmed", lambda work, one: seen.append(work) or one.drafts)
    exact32.decoding = Decoding(confirmed=True)
    list(exact32.infill(replace(SEVERAL, steps=1)))
    (work,) = seen
    prompt, marker, end = work.prompt.ids, work.prompt.markers[1], work.model.config.eos[0]
    encode(work.model, work.cache, prompt)
    first = wanted(work.model, work, prompt)
    second = wanted(work.model, work, [*prompt, first])
    other = [300, 301]
    third = wanted(work.model, work, [*prompt, first, second, *other, end, *marker])
    holes = ([first, second, *other], [third, 302])
    filling = Filling(holes, ([0.5] * 4, [0.5] * 2), "canvas", True, True)
    before = work.model.forwards
    one, two = confirmed(work, Ranked(filling, (), 0.0))
    assert work.model.forwards == before + 1
    assert one.settled[:2] == (True, True) and not all(one.settled)
    right = wanted(work.model, work, [*prompt, first, second]) == 300
    assert one.settled[2] == right
    assert two.settled == (
        True,
        wanted(work.model, work, [*prompt, *holes[0], end, *marker, third]) == 302,
    )


@pytest.mark.parametrize("origins", [("canvas",), ("draft",)])
def test_setting_decides_whether_disagreement_shows(
    exact32: Engine, origins: tuple[str, ...]
) -> None:
    asked = request("def f(a):\n    return ", Hole(), "\n", steps=3)
    settings = Decoding(origins=origins, confirmed=True)  # type: ignore[arg-type]
    exact32.decoding = settings
    shown = list(exact32.infill(asked))[-1]
    exact32.decoding = replace(settings, confirmed=False)
    plain = list(exact32.infill(asked))[-1]
    assert shown.drafts[0].text == plain.drafts[0].text and all(plain.drafts[0].settled)
    assert shown.forwards == plain.forwards + 1
    assert shown.candidates[0][0].draft == shown.drafts[0]
    # noise from random weights is hardly ever what they would write; a greedy draft always is
    assert all(shown.drafts[0].settled) == (origins == ("draft",))
