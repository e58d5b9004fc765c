"""Requests to a model that answers in turns: one hole at a time, fences, ends, and trimming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from byte_level import CHAT, byte_level
from dgedit_engine import infill as flow
from dgedit_engine.decode import starts
from dgedit_engine.decode.canvas import Seed
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.model.config import save_config
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.train.__main__ import SAMPLING, size
from dgedit_engine.types import Hole, InfillRequest, Passage, Step
from dgedit_engine.weights import checkpoint

PAD, EOS, TURN = 0, 1, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights with chat turns, whose tokens are bytes."""
    found = tmp_path_factory.mktemp("chat")
    config = replace(size("tiny", 4096), eos=(EOS, TURN))
    model = Model(config)
    init_weights(model, seed=0)
    checkpoint.save(model, found / "model.safetensors")
    save_config(config, SAMPLING, found)
    byte_level(found, CHAT)
    return found


@pytest.fixture
def engine(folder: Path) -> Engine:
    return open_engine(str(folder), "cpu")


def says(engine: Engine, text: str) -> None:
    """Make the model write a text from a canvas's beginning, then the turn's end and padding."""
    ids = [*engine.tokenizer.encode(text), TURN]

    def logits(hidden: Tensor) -> Tensor:
        slots = hidden.shape[1]
        wanted = torch.tensor([ids[at] if at < len(ids) else PAD for at in range(slots)])
        scores = torch.full((1, slots, engine.model.config.vocab), -30.0)
        scores[0, torch.arange(slots), wanted] = 30.0
        return scores

    engine.model.logits = logits  # type: ignore[method-assign]


def request(*parts: str | Hole, path: str = "a.py", **more: Any) -> InfillRequest:
    return InfillRequest((Passage(path, parts),), **({"steps": 3} | more))


def texts(steps: Sequence[Step]) -> tuple[str, ...]:
    return tuple(draft.text for draft in steps[-1].drafts)


def asked(monkeypatch: pytest.MonkeyPatch) -> list[InfillRequest]:
    """The requests that are made into prompts."""
    seen: list[InfillRequest] = []
    build = flow.build

    def watched(one: InfillRequest, *args: Any, **more: Any) -> Any:
        seen.append(one)
        return build(one, *args, **more)

    monkeypatch.setattr(flow, "build", watched)
    return seen


def seeds(monkeypatch: pytest.MonkeyPatch) -> list[Seed]:
    """The canvases that are started from."""
    seen: list[Seed] = []
    made = starts.seed_canvas

    def watched(*args: Any, **more: Any) -> Seed:
        seen.append(made(*args, **more))
        return seen[-1]

    monkeypatch.setattr(starts, "seed_canvas", watched)
    return seen


THREE = ("a = ", Hole("one"), "\nb = ", Hole("two"), "\nc = ", Hole(), "\n")


def test_several_holes_are_filled_one_after_another(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, canvases = asked(monkeypatch), seeds(monkeypatch)
    says(engine, "f(x)\n```")
    steps = list(engine.infill(request(*THREE)))
    assert texts(steps) == ("f(x)",) * 3
    assert [one.passages[0].parts for one in seen] == [
        ("a = ", Hole("one"), "\nb = two\nc = \n"),
        ("a = f(x)\nb = ", Hole("two"), "\nc = \n"),
        ("a = f(x)\nb = f(x)\nc = ", Hole(), "\n"),
    ]
    assert all(len(one.canvas.segments) == 1 for one in canvases)
    assert [step.index for step in steps] == [*range(1, len(steps) + 1)]
    assert all(step.index <= step.total for step in steps)
    assert [step.last for step in steps] == [False] * (len(steps) - 1) + [True]
    assert steps[-1].stopped is not None and all(one.stopped is None for one in steps[:-1])
    assert [one[0].draft.text for one in steps[-1].candidates] == ["f(x)"] * 3
    forwards = [step.forwards for step in steps]
    assert forwards == sorted(forwards) and forwards[-1] > 2
    shown = [tuple(draft.text for draft in step.drafts) for step in steps]
    assert shown[0] == ("f(x)", "", "") and shown[-2] == ("f(x)",) * 3


def test_several_holes_share_a_canvas_if_asked(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, canvases = asked(monkeypatch), seeds(monkeypatch)
    list(engine.infill(request(*THREE, together=True)))
    assert len(seen) == 1
    assert len(canvases[0].canvas.segments) == 3


def test_cancelling_between_holes_leaves_the_engine_usable(engine: Engine) -> None:
    says(engine, "f(x)\n```")
    steps = engine.infill(request(*THREE))
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert texts(list(engine.infill(request("a = ", Hole(), "\n")))) == ("f(x)",)


@pytest.mark.parametrize("text", ["", "x = 1", "0123456789" * 2, "x" * 31, "x" * 28])
def test_canvas_that_starts_from_text_ends_as_the_model_would(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """With its fence closed, the turn's end and padding; the end token is none it writes there."""
    canvases = seeds(monkeypatch)
    held = text or "y"
    list(engine.infill(request("a = ", Hole(held), "\n", strength=0.01)))
    (seed, *_) = canvases
    ids, known = seed.canvas.ids[0].tolist(), seed.known[0].tolist()
    behind = [*engine.tokenizer.encode(held + "\n```"), TURN]
    expected = behind + [PAD] * (len(ids) - len(behind))
    assert len(ids) >= len(behind) and sum(known) > len(ids) / 2
    assert all(not sure or ids[at] == expected[at] for at, sure in enumerate(known))


def test_template_ends_as_the_model_would(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    canvases = seeds(monkeypatch)
    list(engine.infill(request("# ", Hole("1?2", (1,), "34"), "\n")))
    ids, fixed = canvases[0].canvas.ids[0].tolist(), canvases[0].canvas.fixed[0].tolist()
    behind = [*engine.tokenizer.encode("2\n```"), TURN, PAD, PAD]
    assert ids[2 : 2 + len(behind)] == behind
    assert fixed == [True, False] + [True] * (len(ids) - 2)


@pytest.mark.parametrize(
    ("path", "before", "fence"),
    [("a.py", "x", "```"), ("a.py", "x = '```'", "````"), ("a.md", "x", "````")],
)
def test_fence_is_longer_than_any_in_the_text(
    engine: Engine, path: str, before: str, fence: str
) -> None:
    """In Markdown the answer itself may have one."""
    made = flow.build(
        request(f"{before}\n", Hole(), "\n", path=path), engine.tokenizer, context=4096
    )
    assert made.closing == f"\n{fence}"
    assert engine.tokenizer._inner.decode(made.ids[-len(fence) - 1 :]) == f"{fence}\n"
    inside = "a\n```py\ncode\n```\nb" if fence == "````" else "a"
    says(engine, f"{inside}\n{fence}")
    steps = list(engine.infill(request(f"{before}\n", Hole(), "\n", path=path)))
    assert texts(steps) == (inside,)


@pytest.mark.parametrize(
    ("answer", "parts", "expected"),
    [
        ("    total = 1", ("def f():\n    total = ", "\n    return total\n"), "1"),
        ("1\n    return total", ("def f():\n    total = ", "\n    return total\n"), "1"),
        ("    y = 2\n    z = 3", ("def f():\n    ", "\n    return y\n"), "y = 2\n    z = 3"),
        ("if x:\n    y = 2", ("def f():\n    ", "\n    return y\n"), "if x:\n        y = 2"),
    ],
)
def test_answer_is_trimmed_to_its_hole(
    engine: Engine, answer: str, parts: tuple[str, str], expected: str
) -> None:
    says(engine, f"{answer}\n```")
    last = list(engine.infill(request(parts[0], Hole(), parts[1])))[-1]
    assert last.drafts[0].text == expected
    assert last.candidates[0][0].draft.text == expected
