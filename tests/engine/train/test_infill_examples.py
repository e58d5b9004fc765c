"""Examples for the causal reading: the two layouts, what counts, and that a batch repeats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from byte_base import SPECIAL
from byte_base import tokenizer as of_bytes
from dgedit_engine.prompt import fim
from dgedit_engine.prompt.layout import BOS, EOS, PAD
from dgedit_engine.prompt.plain import JOINT, around
from dgedit_engine.train import vocabulary
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.infill_draw import InfillDraw, lay_out_marked
from dgedit_engine.train.infill_examples import (
    AHEAD,
    END,
    FORMS,
    BaseFormat,
    Form,
    InfillExample,
    Weights,
    batched,
    lay_out,
)
from dgedit_engine.types import Hole, InfillRequest, Passage

TEXT = "".join(f"def step_{n}(value):\n    return value + {n}\n\n\n" for n in range(60))
START = TEXT.index("    return value + 30")
SPAN = (START, TEXT.index("\n", START) + 1)
WEIGHTS = Weights(middle=1.0, end=2.0, text=0.25)


@pytest.fixture(scope="module")
def tokenizer(data: Path) -> Tokenizer:
    return vocabulary.load(data / "tokenizer.json")


def laid_out(tokenizer: Tokenizer, form: Form, limit: int = 128, text: str = TEXT) -> InfillExample:
    found = lay_out(text, SPAN, tokenizer, form=form, limit=limit, weights=WEIGHTS)
    assert found is not None and len(found.ids) == len(found.weights) <= limit
    return found


def read(tokenizer: Tokenizer, ids: list[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=False)


def test_first_form_is_the_text_as_it_goes_on(tokenizer: Tokenizer) -> None:
    one = laid_out(tokenizer, "ahead")
    assert one.ids[0] == BOS and EOS not in one.ids
    assert read(tokenizer, one.ids[1:]) in TEXT
    middle = read(tokenizer, one.ids[slice(*one.middle)])
    assert middle.startswith(TEXT[slice(*SPAN)].rstrip("\n"))
    assert (
        read(tokenizer, one.ids[slice(*one.prefix)])
        == TEXT[SPAN[0] - len(read(tokenizer, one.ids[slice(*one.prefix)])) : SPAN[0]]
    )
    assert one.weights[slice(*one.middle)] == [1.0] * (one.middle[1] - one.middle[0])
    behind = one.weights[one.middle[1] :]
    assert behind[:END] == [2.0] * END
    assert behind[END:] == [0.25] * (len(behind) - END) and END < len(behind) <= AHEAD
    assert one.weights[:17] == [0.0] * 17 and one.weights[17] == 0.25


def test_short_text_and_no_suffix_fit(tokenizer: Tokenizer) -> None:
    text = TEXT[SPAN[0] : SPAN[1]]
    span = (0, len(text))
    for form in FORMS:
        one = lay_out(text, span, tokenizer, form=form, limit=64)
        assert one is not None and one.prefix[0] == one.prefix[1]
        assert one.ids[: one.middle[0]] == [BOS]


@pytest.mark.parametrize("form", FORMS)
def test_empty_and_long_middles_are_none(tokenizer: Tokenizer, form: Form) -> None:
    assert lay_out(TEXT, (9, 9), tokenizer, form=form, limit=64) is None
    assert lay_out(TEXT, (0, len(TEXT)), tokenizer, form=form, limit=64) is None


def test_turned_form_reads_what_follows_first_as_plain_text(tokenizer: Tokenizer) -> None:
    read = tokenizer.encode
    start, end = TEXT.index("\n") + 1, TEXT.index("\n", TEXT.index("\n") + 1) + 1
    one = lay_out(TEXT, (start, end), tokenizer, form="turned", limit=256, suffix_tokens=8)
    assert one is not None and len(one.ids) == len(one.weights)
    after = read(TEXT[end:], add_special_tokens=False).ids[:8]
    joint = read(JOINT, add_special_tokens=False).ids
    before = read(TEXT[:start], add_special_tokens=False).ids
    assert one.ids[: one.middle[0]] == [BOS, *after, *joint, *before]
    assert tokenizer.decode(one.ids[slice(*one.middle)]) == TEXT[start:end]
    assert [one.weights[place] for place in range(*one.middle)] == [1.0] * len(range(*one.middle))
    assert one.ids[slice(*one.prefix)] == before
    behind = one.weights[one.middle[1] :]  # which stands in front already
    assert behind == [1.0] * END + [0.0] * (len(behind) - END) and len(behind) > END
    nothing = lay_out(TEXT[:end], (start, end), tokenizer, form="turned", limit=256)
    plain = lay_out(TEXT[:end], (start, end), tokenizer, form="ahead", limit=256)
    assert nothing == plain


@pytest.mark.parametrize("form", FORMS)
def test_the_token_before_a_hole_inside_a_word_is_read_with_it(
    tokenizer: Tokenizer, form: Form
) -> None:
    start = TEXT.index("return value + 30") + len("ret")
    span = (start, TEXT.index("\n", start))
    one = lay_out(TEXT, span, tokenizer, form=form, limit=128)
    assert one is not None
    before = read(tokenizer, one.ids[slice(*one.prefix)])
    place = TEXT.rindex(before, 0, start) + len(before)
    assert start - len("ret") <= place < start
    expected = tokenizer.encode(TEXT[place:], add_special_tokens=False).ids
    count = one.middle[1] - one.prefix[1]
    assert one.ids[one.prefix[1] : one.middle[1]] == expected[:count]
    assert read(tokenizer, one.ids[one.prefix[1] : one.middle[1]]) == TEXT[place : span[1]]


def test_batch_is_filled_up_with_what_does_not_count(tokenizer: Tokenizer) -> None:
    one, two = laid_out(tokenizer, "turned", 64), laid_out(tokenizer, "turned", 128)
    batch = batched([one, two], "turned")
    assert batch.ids.shape == batch.weights.shape == batch.middle.shape == (2, len(two.ids))
    assert (batch.ids[0, len(one.ids) :] == PAD).all() and not batch.weights[0, 64:].any()
    assert batch.middle.sum() == sum(each.middle[1] - each.middle[0] for each in (one, two))
    assert batch.ends.sum() == 2 * END and not (batch.ends & batch.middle).any()
    assert tuple(batch.prefix[0]) == one.prefix


def test_batches_repeat_and_are_of_one_form(data: Path, tokenizer: Tokenizer) -> None:
    draw = InfillDraw(Corpus(data), tokenizer, limit=96, turned=0.5)
    forms = set()
    for number in range(8):
        one, two = (draw.batch(3, seed=5, number=number) for _ in range(2))
        assert np.array_equal(one.ids, two.ids) and np.array_equal(one.weights, two.weights)
        assert one.ids.shape[0] == 3 and one.ids.shape[1] <= 96
        forms.add(one.form)
        assert (one.weights[one.middle] > 0).all()
    assert forms == set(FORMS)


@pytest.mark.parametrize("family", ["qwen", "seed"])  # the text behind second, and first
def test_marks_stand_where_a_request_has_them(family: str) -> None:
    names, (start, end) = fim.FAMILIES[family], SPAN
    own = (*SPECIAL, names.before, names.behind, names.middle, *names.ends)
    words = of_bytes("smollm", tuple(dict.fromkeys(own)))
    marks = fim.marks(words)
    assert marks is not None
    text = TEXT[start - 300 : end + 200]
    span = (300, 300 + end - start)
    one = lay_out_marked(text, span, words.inner, marks, limit=500, weights=WEIGHTS, bos=1)
    assert one is not None and len(one.ids) == len(one.weights)
    first, last = one.middle
    asked = InfillRequest((Passage("", (text[: span[0]], Hole(), text[span[1] :])),))
    assert one.ids[:first] == around(asked, 0, (), words, bos=1, context=500).ids
    assert one.ids[first:] == [*words.encode(text[slice(*span)]), marks.ends[0]]
    assert one.weights[first:] == [1.0] * (last - first) + [2.0]
    assert one.ids[slice(*one.prefix)] == words.encode(text[: span[0]])
    counted = [token for token, weight in zip(one.ids[:first], one.weights, strict=False) if weight]
    assert not {marks.before, marks.behind, marks.middle} & set(counted) and len(counted) > 50
    short = lay_out_marked(text, span, words.inner, marks, limit=100, bos=1)
    assert short is not None and 60 < len(short.ids) <= 100
    assert lay_out_marked(text, (9, 9), words.inner, marks, limit=100) is None


def test_white_space_is_read_with_the_word_behind_it() -> None:
    words = of_bytes("smollm")
    start = TEXT.index("return value + 30")  # behind its line's indentation
    text, span = TEXT[: start + 17], (start, start + 17)
    one = lay_out(
        text, span, words.inner, form="ahead", limit=90, format=BaseFormat(None, joins=True)
    )
    assert one is not None and one.ids == words.encode(text)[-len(one.ids) :]
    assert one.prefix[0] == 0 and one.weights[one.middle[0]] == 1.0
    assert "".join(piece.text for piece in words.pieces(one.ids[slice(*one.middle)])) == (
        " return value + 30"
    )
    only = lay_out("x = 1", (0, 5), words.inner, form="ahead", limit=90, format=BaseFormat(None))
    assert only is None  # nothing says what its first token is
