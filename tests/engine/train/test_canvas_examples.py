"""Examples for the canvas: what stands in its slots, what counts, and how prompts are cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from dgedit_engine.prompt.layout import BOS, EOS
from dgedit_engine.prompt.plain import JOINT
from dgedit_engine.train import vocabulary
from dgedit_engine.train.canvas_examples import WIDTH, CanvasDraw, CanvasExample, lay_out
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.infill_examples import END, FORMS, Form, Weights

TEXT = "".join(f"def step_{n}(value):\n    return value + {n}\n\n\n" for n in range(60))
START = TEXT.index("    return value + 30")
SPAN = (START, TEXT.index("\n", START) + 1)
WEIGHTS = Weights(middle=1.0, end=2.0, text=0.25)


@pytest.fixture(scope="module")
def tokenizer(data: Path) -> Tokenizer:
    return vocabulary.load(data / "tokenizer.json")


def laid_out(
    tokenizer: Tokenizer,
    form: Form = "turned",
    *,
    text: str = TEXT,
    span: tuple[int, int] = SPAN,
    limit: int = 128,
    slots: int = 32,
) -> CanvasExample | None:
    options = {"tokenizer": tokenizer, "limit": limit, "slots": slots, "weights": WEIGHTS}
    return lay_out(text, span, form, 100, **options)  # type: ignore[arg-type]


def read(tokenizer: Tokenizer, ids: list[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=False)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("limit", [64, 128, 190, 192])
def test_canvas_goes_on_behind_the_prompt(tokenizer: Tokenizer, form: Form, limit: int) -> None:
    one = laid_out(tokenizer, form, limit=limit)
    assert one is not None and len(one.prompt) == limit // WIDTH * WIDTH
    assert one.prompt[0] == BOS and len(one.canvas) == len(one.weights) == 32
    before = read(tokenizer, one.prompt[-8:])
    canvas = read(tokenizer, one.canvas)
    assert before + canvas in TEXT
    assert read(tokenizer, one.canvas[slice(*one.middle)]).strip() == TEXT[slice(*SPAN)].strip()
    if form == "turned":
        joint = tokenizer.encode(JOINT, add_special_tokens=False).ids
        assert read(tokenizer, one.prompt[1:]).startswith(TEXT[SPAN[1] : SPAN[1] + 30])
        places = range(len(one.prompt) - len(joint))
        assert any(one.prompt[at : at + len(joint)] == joint for at in places)


def test_slots_count_by_what_they_hold(tokenizer: Tokenizer) -> None:
    one = laid_out(tokenizer)
    assert one is not None and one.middle[0] == 0
    last = one.middle[1]
    assert one.weights[:last] == [1.0] * last
    assert one.weights[last : last + END] == [2.0] * END
    assert set(one.weights[last + END :]) == {0.25}


def test_long_hole_is_cut_and_a_text_that_is_over_ends(tokenizer: Tokenizer) -> None:
    short = laid_out(tokenizer, slots=5)
    assert short is not None and short.middle == (0, 5) and short.weights == [1.0] * 5
    ended = laid_out(tokenizer, text=TEXT[: SPAN[1]])
    assert ended is not None and EOS in ended.canvas
    first = ended.canvas.index(EOS)
    assert first == ended.middle[1]
    assert ended.canvas[first:] == [EOS] * (32 - first)
    assert ended.weights[first:] == [2.0] + [0.0] * (31 - first)


def test_short_prefix_is_kept_and_the_suffix_cut(tokenizer: Tokenizer) -> None:
    start = TEXT.index("    return")
    span = (start, TEXT.index("\n", start) + 1)
    one = laid_out(tokenizer, span=span, limit=192)
    assert one is not None and not len(one.prompt) % WIDTH
    assert read(tokenizer, one.prompt).endswith(JOINT + TEXT[:start])
    assert laid_out(tokenizer, "ahead", span=span) is None  # too little to be a prompt


def test_batch_repeats_and_stands_in_parts_of_one_length(tokenizer: Tokenizer, data: Path) -> None:
    draw = CanvasDraw(Corpus(data), tokenizer, limit=128, turned=0.5, slots=(8, 16))
    one, two = (draw.batch(12, micro=4, seed=1, number=2) for _ in range(2))
    assert sum(len(part.gold) for part in one) == 12
    assert {part.gold.shape[1] for part in one} == {8}
    assert {len(part.gold) for part in one} <= {4, 1} and 4 in {len(part.gold) for part in one}
    for mine, same in zip(one, two, strict=True):
        assert np.array_equal(mine.prompt, same.prompt) and np.array_equal(mine.gold, same.gold)
        assert mine.weights.shape == mine.middle.shape == mine.gold.shape
        assert (mine.weights[mine.middle] == 1.0).all()
    other = draw.batch(12, micro=4, seed=1, number=3)
    assert {part.gold.shape[1] for part in other} == {16}
    forms = {draw.batch(1, micro=1, seed=1, number=number)[0].form for number in range(12)}
    assert forms == set(FORMS)
