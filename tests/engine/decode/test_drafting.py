"""Drafts side by side: the likeliest and drawn ones, forced beginnings, rows that drop out."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dgedit_engine.decode.drafting import Row, drafted
from dgedit_engine.decode.phases import encode
from dgedit_engine.decode.search import Reader
from dgedit_engine.model.cache import KVCache
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


def run(opened: Reader, ids: list[int], *, seed: int = 1, **options: Any) -> list[Row]:
    """The drafts as they are at last; `over` says after which tokens some are done with."""
    over = options.pop("over", None)
    encode(opened.model, opened.cache, ids)
    generator = torch.Generator().manual_seed(seed)
    defaults = {"rows": 3, "longest": 12, "heat": 0.8, "greedy": True, "generator": generator}
    rows: list[Row] = []
    for count, rows in enumerate(drafted(opened.model, opened.cache, ids, **(defaults | options))):
        for row in rows:
            row.over = row.over or (over is not None and over(row, count + 1))
    return rows


def forced(opened: Reader, text: str) -> dict[str, Any]:
    words = opened.tokenizer
    return {
        "forced": text,
        "beginnings": words.beginning,
        "text_of": lambda token: words.pieces([token])[0].text,
    }


def test_greedy_row_is_the_best_token_at_each_step(opened: Reader) -> None:
    ids = prompt(opened)
    row = run(opened, ids)[0]
    for place, token in enumerate(row.ids):
        whole = torch.tensor([[*ids, *row.ids[:place]]])
        with torch.inference_mode():
            cache = KVCache(opened.model.config, dtype=torch.float32)
            said = opened.model.logits(opened.model.encode(whole, cache))[0, -1]
        assert int(said.argmax()) == token
    assert len(row.ids) == 12 or row.ended


def test_log_probabilities_are_those_of_one_plain_pass(opened: Reader) -> None:
    ids = prompt(opened)
    rows = run(opened, ids, rows=5)
    assert len({tuple(row.ids) for row in rows}) > 1
    for row in rows:
        assert row.own == pytest.approx(plainly(opened.model, ids, row.ids), abs=1e-3)


def test_rows_that_drop_out_change_nothing_for_those_left(opened: Reader) -> None:
    """Of eight rows seven are done with on the way; the eighth reads on as if it were alone."""
    ids = prompt(opened)
    rows = run(opened, ids, rows=8, longest=24, over=lambda row, count: row.number < count // 2)
    left = rows[-1]
    assert all(len(row.ids) <= 2 * row.number + 2 for row in rows[:-1])
    assert len(left.ids) > 12 or left.ended
    assert left.own == pytest.approx(plainly(opened.model, ids, left.ids), abs=1e-3)
    first = run(opened, ids, rows=4, longest=24, over=lambda row, count: row.number > 0)[0]
    alone = run(opened, ids, rows=1, longest=24)[0]
    assert first.ids == alone.ids and first.own == pytest.approx(alone.own, abs=1e-3)


def test_rows_that_are_over_get_no_more_tokens(opened: Reader) -> None:
    rows = run(opened, prompt(opened), rows=4, over=lambda row, count: row.number == 2)
    assert len(rows[2].ids) == 1 and not rows[2].ended


def test_same_seed_gives_the_same_drafts(opened: Reader) -> None:
    ids = prompt(opened)
    one, same, other = (run(opened, ids, rows=4, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one[0].ids == other[0].ids and one[1:] != other[1:]
    drawn = run(opened, ids, rows=4, greedy=False)
    assert drawn[0].ids != one[0].ids


def test_low_heat_draws_the_likeliest(opened: Reader) -> None:
    rows = run(opened, prompt(opened), rows=3, heat=1e-3)
    assert rows[0].ids == rows[1].ids == rows[2].ids


def test_prompt_s_cache_is_left_as_it_was(opened: Reader) -> None:
    ids = prompt(opened)
    rows = run(opened, ids)
    assert opened.cache.ids == ids
    assert run(opened, ids) == rows


def test_forced_beginning_is_held(opened: Reader) -> None:
    ids = prompt(opened)
    for text in (" ", "ret", "日本", "(a", "items.self"):
        for row in run(opened, ids, rows=6, heat=3.0, **forced(opened, text)):
            said = "".join(piece.text for piece in opened.tokenizer.pieces(row.ids))
            assert said.startswith(text) and not row.left
            assert len(row.own) == len(row.ids)


def test_what_is_forced_counts_as_the_model_has_it(opened: Reader) -> None:
    ids = prompt(opened)
    row = run(opened, ids, **forced(opened, "日本"))[1]
    assert row.own == pytest.approx(plainly(opened.model, ids, row.ids), abs=1e-3)


def test_row_that_cannot_say_what_it_must_is_over(opened: Reader) -> None:
    rows = run(opened, prompt(opened), **forced(opened, "語"))
    assert all(row.over and row.left and not row.ids for row in rows)


def test_shortlist_that_lacks_what_is_forced_ends_the_rows() -> None:
    made = model(bias=leaning(tokenizer()))
    made.head = Head(made.embedding[:300], torch.arange(300), made.config.vocab)
    opened = reader(made)
    assert all(row.over for row in run(opened, [BOS, 272], **forced(opened, "z")))
    made.head.admit(opened.tokenizer.encode("z"), made.embedding)
    assert all(not row.left for row in run(opened, [BOS, 272], **forced(opened, "z")))


@pytest.mark.parametrize("token", [EOS, 0])
def test_end_of_the_text_ends_a_draft(token: int) -> None:
    bias = leaning(tokenizer())
    bias[token] = 3.0
    opened = reader(model(bias=bias))
    rows = run(opened, prompt(opened), rows=8, longest=120)
    assert all(row.over == row.ended == (len(row.ids) < 120) for row in rows)
    assert not any(token in row.ids for row in rows)
    assert any(row.ended for row in rows)


def test_prompt_of_one_token_is_enough(opened: Reader) -> None:
    row = run(opened, [BOS])[0]
    assert row.own == pytest.approx(plainly(opened.model, [BOS], row.ids), abs=1e-3)


def test_as_many_passes_as_tokens(opened: Reader) -> None:
    encode(opened.model, opened.cache, prompt(opened))
    before = opened.model.forwards
    rows = run(opened, prompt(opened), rows=5)
    assert opened.model.forwards - before == max(len(row.ids) + row.ended for row in rows)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_logits_that_are_no_numbers_are_named(value: float) -> None:
    made = model()
    made.norm = torch.nn.Parameter(made.norm * value, requires_grad=False)
    opened = reader(made)
    with pytest.raises(ModelError, match="no finite numbers"):
        run(opened, [BOS])
