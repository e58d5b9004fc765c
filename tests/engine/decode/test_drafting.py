"""Drafts side by side: the likeliest and drawn ones, forced beginnings, rows held or done with."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.drafting import Row, drafted
from dgedit_engine.decode.pool import Reader
from dgedit_engine.model.cache import GradientCache, KVCache
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.head import Head
from dgedit_engine.types import ModelError
from small_base import BOS, EOS, leaning, model, plainly, reader, tokenizer

TEXT = "def f(a):\n    return "


@pytest.fixture(scope="module", params=["cpu", "device"])
def opened(request: pytest.FixtureRequest) -> Reader:
    """A reader with either kind of cache."""
    made = model(bias=leaning(tokenizer()))
    cache = KVCache(made.config, dtype=torch.float32)
    device = DeviceCache(made.config, device="cpu", dtype=torch.float32)
    return reader(made, cache if request.param == "cpu" else device)


def prompt(opened: Reader, text: str = TEXT) -> list[int]:
    return [BOS, *opened.tokenizer.encode(text)]


Tell = Callable[[Row, int], None]


def run(opened: Reader, ids: list[int], *, seed: int | None = None, **options: Any) -> list[Row]:
    """The drafts as they are at last, with a `seed` drawn; `tell` says after each token which are
    held or over.
    """
    tell: Tell | None = options.pop("tell", None)
    encode(opened.model, opened.cache, ids)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    defaults = {"rows": 3, "longest": 12, "heat": 0.8, "generator": generator}
    rows: list[Row] = []
    for count, rows in enumerate(drafted(opened.model, opened.cache, ids, **(defaults | options))):
        assert len(rows) <= (defaults | options)["rows"]
        for row in rows:
            if tell is not None:
                tell(row, count + 1)
    return rows


def whole(opened: Reader, ids: list[int], length: int, count: int) -> list[tuple[float, list[int]]]:
    """The `count` likeliest texts of `length` tokens behind a prompt, without ends, by trying."""
    texts: list[tuple[float, list[int]]] = [(0.0, [])]
    for _ in range(length):
        fed = torch.tensor([[*ids, *text] for _, text in texts])
        with torch.inference_mode():
            hidden = opened.model.encode(fed, GradientCache(opened.model.config))
            said = opened.model.logits(hidden[:, -1]).log_softmax(-1)
        texts = [
            (total + one, [*text, token])
            for (total, text), row in zip(texts, said.tolist(), strict=True)
            for token, one in enumerate(row)
        ]
    texts = [(total, text) for total, text in texts if not {EOS, 0} & set(text)]
    return sorted(texts, reverse=True)[:count]


def forced(opened: Reader, text: str) -> dict[str, Any]:
    words = opened.tokenizer
    return {
        "forced": text,
        "beginnings": words.beginning,
        "text_of": lambda token: words.pieces([token])[0].text,
    }


def test_drafts_are_the_likeliest_texts(opened: Reader) -> None:
    ids = prompt(opened)
    rows = run(opened, ids, rows=6, longest=1)
    best = whole(opened, ids, 1, 6)
    said = [row for row in rows if not row.ended]
    assert len(said) >= 4 and [row.ids for row in said] == [text for _, text in best][: len(said)]
    worth = [row.worth for row in rows]
    assert worth == sorted(worth, reverse=True)
    assert [row.worth for row in said] == pytest.approx([sum(row.own) for row in said], abs=1e-4)
    wide = run(opened, ids, rows=100, longest=2)  # so many beginnings that none is missed
    best = whole(opened, ids, 2, 5)
    found = [row for row in wide if len(row.ids) == 2][:5]
    assert [row.ids for row in found] == [text for _, text in best]
    assert [row.odds for row in found] == pytest.approx([total for total, _ in best], abs=1e-3)


def test_no_two_drafts_are_the_same(opened: Reader) -> None:
    for seed in (None, 1, 2):
        rows = run(opened, prompt(opened), rows=8, seed=seed)
        assert len({tuple(row.ids) for row in rows}) == len(rows) == 8


def test_draws_come_as_often_as_they_are_likely(opened: Reader) -> None:
    """The first of those drawn without replacement is drawn as if it were alone."""
    ids = prompt(opened)
    best = run(opened, ids, rows=3, longest=1)
    likely = {tuple(row.ids): row.own[0] for row in best if row.ids}
    count, seen = 150, Counter[tuple[int, ...]]()
    for seed in range(count):
        seen[tuple(run(opened, ids, rows=4, longest=1, heat=1.0, seed=seed)[0].ids)] += 1
    for text, own in likely.items():
        expected = math.exp(own)
        spread = (expected * (1 - expected) / count) ** 0.5
        assert abs(seen[text] / count - expected) < 4 * spread


def test_log_probabilities_are_those_of_one_plain_pass(opened: Reader) -> None:
    ids = prompt(opened)
    rows = run(opened, ids, rows=5)
    assert len({tuple(row.ids) for row in rows}) > 1
    for row in rows:
        assert row.own == pytest.approx(plainly(opened.model, ids, row.ids), abs=1e-3)


def test_rows_that_drop_out_change_nothing_for_those_left(opened: Reader) -> None:
    """Of eight rows all but one are done with on the way; it reads on as if it were alone."""
    ids = prompt(opened)
    kept: list[Row] = []

    def tell(row: Row, count: int) -> None:
        if count == 4:
            if not kept and not row.over:
                kept.append(row)
            row.over, row.held = not kept or row is not kept[0], False

    rows = run(opened, ids, rows=8, longest=16, tell=tell)
    begun = kept[0].ids
    assert rows and all(row.ids[:4] == begun for row in rows)
    for row in rows:
        assert row.own == pytest.approx(plainly(opened.model, ids, row.ids), abs=1e-3)


def test_held_row_keeps_its_place_and_goes_on_with_its_likeliest_token() -> None:
    bias = leaning(tokenizer())
    bias[EOS] = -30.0
    opened = reader(model(bias=bias))
    ids = prompt(opened)
    held: list[Row] = []

    def tell(row: Row, count: int) -> None:
        if count == 2 and not held:
            row.held = True
            held.append(row)

    for seed in (None, 3):
        held.clear()
        rows = run(opened, ids, rows=4, longest=6, seed=seed, tell=tell)
        first = [row for row in rows if row.ids[:2] == held[0].ids and row.held]
        assert len(first) == 1 and first[0] is rows[0]
        assert first[0].worth == held[0].worth and len(first[0].ids) == 6
        for place in range(2, 6):
            text = torch.tensor([[*ids, *first[0].ids[:place]]])
            with torch.inference_mode():
                cache = KVCache(opened.model.config, dtype=torch.float32)
                said = opened.model.logits(opened.model.encode(text, cache))[0, -1]
            assert int(said.argmax()) == first[0].ids[place]


def test_row_that_is_over_gets_no_more_tokens_and_stays_while_it_is_held(opened: Reader) -> None:
    done: list[Row] = []

    def tell(row: Row, count: int) -> None:
        if count == 1 and not done:
            row.over = row.held = True
            done.append(row)
        if count == 3:
            done[0].held = False

    seen: list[bool] = []
    encode(opened.model, opened.cache, prompt(opened))
    made = drafted(opened.model, opened.cache, prompt(opened), rows=4, longest=6)
    for count, rows in enumerate(made, 1):
        for row in rows:
            tell(row, count)
        seen.append(any(row is done[0] for row in rows))
        assert len(rows) == 4
    assert seen == [True] * 3 + [False] * 3 and len(done[0].ids) == 1


def test_same_seed_gives_the_same_drafts(opened: Reader) -> None:
    ids = prompt(opened)
    one, same, other = (run(opened, ids, rows=4, seed=seed) for seed in (1, 1, 2))
    assert one == same and one != other
    likeliest = run(opened, ids, rows=4)
    assert likeliest == run(opened, ids, rows=4) and likeliest != one


def test_low_heat_draws_the_likeliest(opened: Reader) -> None:
    ids = prompt(opened)
    cold = run(opened, ids, rows=1, heat=1e-3, seed=5)
    assert cold[0].ids == run(opened, ids, rows=1)[0].ids


def test_prompt_s_cache_is_left_as_it_was(opened: Reader) -> None:
    ids = prompt(opened)
    rows = run(opened, ids)
    assert opened.cache.ids == ids
    assert run(opened, ids) == rows


def test_forced_beginning_is_held(opened: Reader) -> None:
    ids = prompt(opened)
    for text in (" ", "ret", "日本", "(a", "items.self"):
        for row in run(opened, ids, rows=6, heat=3.0, seed=1, **forced(opened, text)):
            said = "".join(piece.text for piece in opened.tokenizer.pieces(row.ids))
            assert said.startswith(text) and not row.left
            assert len(row.own) == len(row.ids)


def test_what_is_forced_counts_as_the_model_has_it(opened: Reader) -> None:
    ids = prompt(opened)
    row = run(opened, ids, **forced(opened, "日本"))[-1]
    assert row.own == pytest.approx(plainly(opened.model, ids, row.ids), abs=1e-3)


def test_nothing_is_drafted_where_nobody_can_say_what_it_must_begin_with(opened: Reader) -> None:
    for seed in (None, 1):
        assert run(opened, prompt(opened), seed=seed, **forced(opened, "語")) == []


def test_shortlist_that_lacks_what_is_forced_ends_the_rows() -> None:
    made = model(bias=leaning(tokenizer()))
    made.head = Head(made.embedding[:300], torch.arange(300), made.config.vocab)
    opened = reader(made)
    assert run(opened, [BOS, 272], **forced(opened, "z")) == []
    made.head.admit(opened.tokenizer.encode("z"), made.embedding)
    assert all(not row.left for row in run(opened, [BOS, 272], **forced(opened, "z")))


@pytest.mark.parametrize("token", [EOS, 0])
def test_end_of_the_text_ends_a_draft(token: int) -> None:
    bias = leaning(tokenizer())
    bias[token] = 3.0
    opened = reader(model(bias=bias))
    for seed in (None, 1):
        rows = run(opened, prompt(opened), rows=8, longest=120, seed=seed)
        assert all(row.over == row.ended == (len(row.ids) < 120) for row in rows)
        assert not any(token in row.ids for row in rows)
        assert any(row.ended for row in rows)
        assert all(len(row.own) == len(row.ids) for row in rows)


def test_prompt_of_one_token_is_enough(opened: Reader) -> None:
    row = run(opened, [BOS])[0]
    assert row.own == pytest.approx(plainly(opened.model, [BOS], row.ids), abs=1e-3)


def test_as_many_passes_as_tokens(opened: Reader) -> None:
    encode(opened.model, opened.cache, prompt(opened))
    before = opened.model.forwards
    rows = run(opened, prompt(opened), rows=5)
    assert opened.model.forwards - before == 12 and any(len(row.ids) == 12 for row in rows)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_logits_that_are_no_numbers_are_named(value: float) -> None:
    made = model()
    made.norm = torch.nn.Parameter(made.norm * value, requires_grad=False)
    opened = reader(made)
    with pytest.raises(ModelError, match="no finite numbers"):
        run(opened, [BOS])
