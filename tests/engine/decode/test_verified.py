"""Texts read many tokens at a time: the same as one by one, in fewer passes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dgedit_engine.decode import causal, search
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.drafting import drafted
from dgedit_engine.decode.phases import CANVASES
from dgedit_engine.decode.pool import Reader, begin
from dgedit_engine.decode.verified import CanvasGuess, VerifiedReader, copied
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.infill import infill
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import Sampling, load_config
from dgedit_engine.prompt.prompt import build
from dgedit_engine.types import Hole, InfillRequest, collect
from dgedit_engine.weights import checkpoint
from llama import KINDS, random_llama
from small_base import reader, request

PARTS = (
    ("def f(a):\n    return ", Hole(), "\n\n\ndef g():\n    return a\n"),
    ("def total(items):\n    ret", Hole(), "\n    return items\n"),
    ("x = f(", Hole("total + items"), ")\n"),
    (Hole(),),
)


def greedy(opened: Reader, ids: Sequence[int], longest: int) -> list[int]:
    """The likeliest token, one after the other, in a pass of all before it."""
    text = list(ids)
    model = opened.model
    for _ in range(longest):
        with torch.inference_mode():
            cache = KVCache(model.config, dtype=torch.float32)
            said = model.logits(model.encode(torch.tensor([text]), cache))[0, -1]
        text.append(int(model.tokens(said.argmax())))
    return text[len(ids) :]


@pytest.mark.parametrize("block", [1, 2, 5, 9])
@pytest.mark.parametrize("kind", [*KINDS, "gemma3"])
def test_greedy_text_is_the_same_whatever_is_guessed(tmp_path: Path, kind: str, block: int) -> None:
    if kind == "gemma3":
        opened = reader()
        opened.model.bias = None  # type: ignore[assignment]
    else:
        random_llama(tmp_path, kind)
        model = checkpoint.load(load_config(tmp_path), tmp_path)
        cache = KVCache(model.config, dtype=torch.float32)
        opened = Reader(model, None, cache)  # type: ignore[arg-type]
    ids, draw = [1, *range(40, 70)], random.Random(block)
    wanted = greedy(opened, ids, 24)
    whole = [*ids, *wanted]

    def guess(text: Sequence[int], most: int) -> list[int]:
        """Sometimes right, for some tokens."""
        assert list(text) == whole[: len(text)]
        right = whole[len(text) : len(text) + draw.randrange(most + 1)]
        return [*right, draw.randrange(3, 100)][: most + draw.randrange(3)]

    encode(opened.model, opened.cache, ids)
    exact = VerifiedReader(opened.model, opened.cache, ids, guess, block=block)
    tokens = [ids[-1]]
    for step in range(24):
        said = exact.read(tokens[-1])
        tokens.append(int(opened.model.tokens(said[0].argmax())))
        if step % 7 == 3:  # another text, as candidates that are judged
            encode(opened.model, opened.cache, ids[: 5 + step])
    assert tokens[1:] == wanted
    assert exact.tokens == 24
    assert exact.passes == 24 if block == 1 else exact.passes < 24


def test_a_pass_has_as_many_rows_whatever_is_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16 wide products are rounded by their number of rows on some machines."""
    random_llama(tmp_path, "qwen2", intermediate_size=2048)
    model = checkpoint.load(load_config(tmp_path), tmp_path, dtype=torch.bfloat16)
    ids, text, widths = [1, *range(40, 60)], list(range(50, 90)), set[int]()
    encode_ = type(model).encode

    def counted(self: Any, ids: Any, *given: Any, **more: Any) -> Any:
        widths.add(ids.shape[1])
        return encode_(self, ids, *given, **more)

    said = []
    for block, seed in ((1, 0), (8, 1), (8, 2)):
        cache, draw = KVCache(model.config, dtype=torch.bfloat16), random.Random(seed)
        encode(model, cache, ids)
        monkeypatch.setattr(type(model), "encode", counted)

        def guess(so_far: Sequence[int], most: int, draw: random.Random = draw) -> list[int]:
            at = len(so_far) - len(ids) + 1
            return [*text[at : at + draw.randrange(most + 1)], 3][:most]

        exact = VerifiedReader(model, cache, ids, guess, block=block, rows=8)
        said.append(torch.cat([exact.read(token) for token in (ids[-1], *text)]))
        monkeypatch.undo()
        assert len(cache) >= len(ids) + len(text) - 1
    assert widths == {8}
    assert all(torch.equal(one, said[0]) for one in said)


def test_copies_follow_the_longest_text_that_stood_before() -> None:
    text = [1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3]
    assert copied(text, 3) == [4, 9, 2]  # behind 1 2 3, not behind the nearer 2 3
    assert copied([7, 8], 3) == [] and copied([], 3) == [] and copied([5, 5, 5, 5], 2) == [5]
    assert copied([1, 2], 2, beside=[1, 2, 6, 7]) == [6, 7]
    assert copied([3, 1, 8, 1], 2) == []  # a lone token says nothing


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("seed", [0, 5])
def test_exact_infill_is_the_greedy_draft(
    parts: tuple[str | Hole, ...], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LONGEST", 40)
    asked = request(*parts, exact=True, seed=seed, candidates=7)
    opened, plain = reader(), reader()
    found = [
        collect(infill(*_of(one), Sampling(), each, decoding=Decoding(candidates=count)))
        for one, each, count in (
            (opened, asked, 12),
            (plain, replace(asked, exact=False, seed=0, candidates=None), 1),
        )
    ]
    assert found[0].texts == found[1].texts and found[0].score == found[1].score
    pool = begin(plain, asked, 0, [])
    encode(plain.model, plain.cache, pool.around.ids)
    own = list(
        drafted(
            *(plain.model, plain.cache, pool.around.ids),
            rows=1,
            longest=40,
            forced=pool.around.forced,
            beginnings=plain.tokenizer.beginning,
            text_of=lambda token: plain.tokenizer.pieces([token])[0].text,
        )
    )
    assert pool.said(own[-1][0]).startswith(found[0].texts[0])


def _of(opened: Reader) -> tuple[Any, Any, Any]:
    return opened.model, opened.tokenizer, opened.cache


@pytest.mark.parametrize(
    "parts", [*PARTS[:3], ("a = ", Hole(), "\nb = ", Hole(), "\n"), ("x", Hole(), "y", Hole())]
)
def test_canvas_guesses_and_the_causal_reading_writes(
    exact: Engine, parts: tuple[str | Hole, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(causal, "LONGEST", 24)
    # in bfloat16 a pass of several tokens rounds otherwise, and random weights are never sure
    exact = Engine(exact.model.float(), exact.tokenizer, exact.sampling, name="fp32")
    asked = request(*parts, exact=True, seed=3)
    found = collect(exact.infill(asked))
    again = collect(exact.infill(replace(asked, seed=4)))
    config = exact.model.config
    room = config.context - config.canvas * CANVASES
    prompt = build(asked, exact.tokenizer, context=room)
    cache = exact.cache.fresh()
    encode(exact.model, cache, prompt.ids)
    *_, (alone,) = causal.draft(
        *(exact.model, exact.tokenizer, cache, prompt),
        **{"rows": 1, "heat": 0.8, "generator": None},
        following=parts[2] if len(prompt.holes) == 1 else "",  # type: ignore[arg-type]
    )
    wanted = tuple(
        "".join(piece.text for piece in exact.tokenizer.pieces(ids)).replace("\ufffd", "")
        for ids in alone.holes
    )
    assert found.texts == again.texts == wanted


def test_canvas_guesses_where_nothing_is_copied_and_while_it_pays() -> None:
    class Counted:
        forwards = 0

    model, made = Counted(), iter([[1, 2, 3, 4], [7, 8], [9], [5]])
    guess = CanvasGuess.__new__(CanvasGuess)
    guess.work, guess._text, guess._made, guess._owed = Counted(), [], [], 0  # type: ignore[assignment]
    guess.work.model = model  # type: ignore[misc]

    def refined(text: Sequence[int]) -> list[int]:
        model.forwards += 4
        return next(made)

    guess._refined = refined  # type: ignore[method-assign]
    assert guess([30, 31], 3) == [1, 2, 3]
    assert guess([30, 31, 1, 2, 30, 31], 2) == [1, 2]  # which stood there
    assert guess._owed == 2 and model.forwards == 4
    assert guess([30, 31, 1, 2, 30, 33], 3) == [7, 8]
    assert guess([30, 31, 1, 2, 30, 33, 40], 3) == [9] and guess._owed == 10
    assert guess([30, 31, 1, 2, 30, 33, 40, 9, 50], 3) == [] and guess._owed == 9


def test_exact_leaves_nothing_of_the_present_text() -> None:
    with pytest.raises(ValueError, match=r"strength must be 1, not 0\.5"):
        InfillRequest(request("a", Hole("b")).passages, strength=0.5, exact=True)


def test_shipped_model_fills_exactly() -> None:
    engine = open_engine("tiny", "cpu")
    parts = ("def add(a, b):\n    return ", Hole(), "\n\n\nprint(add(1, 2))\n")
    asked = [request(*parts, exact=True, seed=seed) for seed in (0, 9)]
    first, second = (collect(engine.infill(one)) for one in asked)
    assert first.texts == second.texts
    assert all(one.origin == "draft" for one in first.candidates[0])
    engine.decoding = replace(engine.decoding, cuts=0)
    whole = collect(engine.infill(asked[0]))
    assert whole.texts[0].startswith(first.texts[0])
