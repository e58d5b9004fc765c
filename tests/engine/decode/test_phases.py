"""What the steps of a request say of the work behind them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.engine import Engine
from dgedit_engine.prompt.prompt import build
from dgedit_engine.types import Hole, InfillRequest, Passage

DECODING = Decoding(candidates=4, origins=("draft", "revised", "canvas", "sample"), canvases=(32,))
REQUEST = InfillRequest((Passage("a.py", ("x = 1\ny = ", Hole(), "\nz = 2\n")),), steps=3)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model hardly ever ends: keep it from going on."""
    monkeypatch.setattr("dgedit_engine.decode.phases.CANVASES", 1)
    monkeypatch.setattr("dgedit_engine.decode.causal.LONGEST", 12)


def test_every_pass_of_a_request_is_counted_and_every_phase_named(tiny: Engine) -> None:
    layer = next(tiny.model.stack())
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    layer.register_forward_hook(count)
    tiny.decoding = DECODING
    for seed in range(2):
        prompt = build(REQUEST, tiny.tokenizer, context=1024)
        encode(tiny.model, tiny.cache, prompt.ids)
        begun = passes  # with the prompt read
        steps = list(tiny.infill(replace(REQUEST, seed=seed)))
        assert steps[-1].forwards == passes - begun > len(steps)
        phases = [step.phase for step in steps]
        assert phases == sorted(phases) and set(phases) == {"draft", "refine"}
    tiny.decoding = Decoding()
    steps = list(tiny.infill(REQUEST))
    assert [step.forwards for step in steps] == [1, 2, 3]
