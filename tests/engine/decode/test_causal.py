"""The causal reading: drafts token by token, and the log-probability of given tokens."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dgedit_engine.decode.causal import Drafted, draft, encode, log_probabilities
from dgedit_engine.engine import Engine
from dgedit_engine.prompt.layout import EOS, HOLES
from dgedit_engine.prompt.prompt import Prompt

IDS = list(range(300, 380))


def prompt(holes: int = 1) -> Prompt:
    markers: list[list[int]] = [[hole] for hole in HOLES[:holes]]
    return Prompt(IDS, tuple([] for _ in range(holes)), ([], *markers[1:]))


def drafted(engine: Engine, asked: Prompt, *, rows: int = 1, seed: int = 0) -> list[Drafted]:
    encode(engine.model, engine.cache, asked.ids)
    generator = torch.Generator().manual_seed(seed)
    *_, last = draft(
        engine.model,
        engine.tokenizer,
        engine.cache,
        asked,
        rows=rows,
        heat=1.0,
        generator=generator,
    )
    return last


def say(engine: Engine, after: dict[int, int], monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Make the model say `after[last token]` with certainty; returns what it reads."""
    read: list[list[int]] = []
    encode_ids = engine.model.encode

    def encoded(ids: Tensor, *args: object, **more: object) -> Tensor:
        read.append(ids[:, -1].tolist())
        return encode_ids(ids, *args, **more)  # type: ignore[arg-type]

    def logits(hidden: Tensor) -> Tensor:
        scores = torch.full((*hidden.shape[:2], engine.model.config.vocab), -30.0)
        for row, token in enumerate(read[-1]):
            scores[row, -1, after.get(token, EOS)] = 30.0
        return scores

    monkeypatch.setattr(engine.model, "encode", encoded)
    monkeypatch.setattr(engine.model, "logits", logits)
    return read


def test_draft_ends_at_the_end(tiny: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    say(tiny, {IDS[-1]: 500, 500: 501, 501: EOS}, monkeypatch)
    (one,) = drafted(tiny, prompt())
    assert one.holes == [[500, 501]] and one.ended and one.over
    assert one.confidence == [[pytest.approx(1.0), pytest.approx(1.0)]]


def test_draft_without_an_end_is_cut_where_an_end_was_likeliest(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(tiny, {IDS[-1]: 500, 500: 501, 501: 502, 502: 502}, monkeypatch)
    certain = tiny.model.logits

    def logits(hidden: Tensor) -> Tensor:
        scores = certain(hidden)
        scores[scores[..., 502] > 0, EOS] = 10.0  # behind 501 for the first time
        return scores

    monkeypatch.setattr(tiny.model, "logits", logits)
    (one,) = drafted(tiny, prompt())
    assert one.holes == [[500, 501]] and not one.ended


def test_draft_of_several_holes_reads_the_marker_between_them(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = say(tiny, {IDS[-1]: 500, 500: EOS, HOLES[1]: 600, 600: 601, 601: EOS}, monkeypatch)
    (one,) = drafted(tiny, prompt(2))
    assert one.holes == [[500], [600, 601]] and one.ended
    assert [row[0] for row in read[1:]] == [IDS[-1], 500, EOS, HOLES[1], 600, 601]


def test_greedy_draft_is_the_reference_loop(tiny: Engine) -> None:
    """Each token is the best one behind the whole text, read anew."""
    (one,) = drafted(tiny, prompt())
    text = one.holes[0][:10]
    for length in range(len(text)):
        tiny.cache.truncate(0)
        with torch.inference_mode():
            ids = torch.tensor([IDS + text[:length]])
            said = tiny.model.logits(tiny.model.encode(ids, tiny.cache))[0, -1]
        assert float(said.max() - said[text[length]]) < 0.05  # a tie, in bfloat16


def test_sampled_drafts_differ_and_the_first_is_greedy(tiny: Engine) -> None:
    alone = drafted(tiny, prompt())[0]
    rows = drafted(tiny, prompt(), rows=3, seed=1)
    assert len({tuple(one.holes[0]) for one in rows}) == 3
    assert rows[0].holes[0][:3] == alone.holes[0][:3]
    assert [one.holes for one in drafted(tiny, prompt(), rows=3, seed=1)] == [
        one.holes for one in rows
    ]


def test_draft_leaves_the_cache_as_it_was(tiny: Engine) -> None:
    drafted(tiny, prompt(), rows=2)
    assert tiny.cache.ids == IDS


def test_log_probabilities_are_those_of_a_plain_reading(exact: Engine) -> None:
    exact.model.float()
    exact.cache = type(exact.cache)(exact.model.config, dtype=torch.float32)
    encode(exact.model, exact.cache, IDS)
    rows = [[400, 401, 402, 403], [400, 7], [900, 901, 902]]
    counted = [2, 1, 2]
    found = log_probabilities(exact.model, exact.cache, rows, counted)
    assert exact.cache.ids == IDS
    for row, count, values in zip(rows, counted, found, strict=True):
        exact.cache.truncate(len(IDS))
        with torch.inference_mode():
            hidden = exact.model.encode(torch.tensor([row[:-1]]), exact.cache)
            said = exact.model.logits(hidden)[0].log_softmax(-1)
        places = range(len(row) - 1 - count, len(row) - 1)
        expected = [float(said[place, row[place + 1]]) for place in places]
        assert values == pytest.approx(expected, abs=1e-4)
