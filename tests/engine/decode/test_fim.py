"""Infills that a model was asked for by its marks: it ends them itself, and is judged by that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from byte_base import SPECIAL, tokenizer
from dgedit_engine.decode import drafting
from dgedit_engine.decode.cuts import cuts
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.pool import Pool, Reader, begin
from dgedit_engine.decode.search import search
from dgedit_engine.infill import infill
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import Sampling, load_config
from dgedit_engine.prompt.fim import FAMILIES
from dgedit_engine.prompt.plain import Surroundings
from dgedit_engine.types import Hole, InfillRequest, collect
from llama import random_llama
from small_base import Leaning, model, plainly, request

QWEN = FAMILIES["qwen"]
MARKS = (QWEN.before, QWEN.behind, QWEN.middle, *QWEN.ends)
ASKED = {
    "within a line": request("def f(a):\n    return ", Hole(), "\n\n\ndef g():\n    return a\n"),
    "in a word": request("def f(a):\n    ret", Hole(), "\n    return a\n"),
    "in brackets": request("x = f(", Hole(), ")\n"),
    "lines": request("def f(a):\n", Hole(), "    return a\n"),
    "the whole file": request(Hole()),
}


@pytest.fixture
def asked(tmp_path: Path) -> Reader:
    """A random Qwen2 that leans towards the marks that end an infill, and towards line ends."""
    words = tokenizer("qwen2", tuple(dict.fromkeys((*SPECIAL, *MARKS))))
    random_llama(tmp_path, "qwen2", vocab_size=1024, max_position_embeddings=2048)
    config = replace(load_config(tmp_path), eos=(2,), pad=2)
    bias = torch.zeros(config.vocab)
    bias[: len(SPECIAL) + len(MARKS)] = -30.0
    bias[len(words) :] = -30.0
    bias[words.byte_tokens()] = -30.0
    bias[words.encode("\n")] = 4.0
    for name in (QWEN.ends[0], QWEN.ends[2]):
        token = words.id(name)
        assert token is not None
        bias[token] = 4.0
    made: Leaning = model(config, bias=bias)
    return Reader(made, words, KVCache(config, dtype=torch.float32))


def searched(reader: Reader, request: InfillRequest) -> Pool:
    pool = begin(reader, request, 0, [])
    generator = torch.Generator().manual_seed(1)
    assert list(search(pool, request, Decoding(candidates=6), generator))
    return pool


@pytest.mark.parametrize("name", ASKED)
def test_candidates_are_judged_by_their_end(asked: Reader, name: str) -> None:
    pool = searched(asked, ASKED[name])
    assert pool.best or name == "lines"  # which random weights do not indent
    assert pool.behind == "" and pool.around.forced == ""
    end = asked.tokenizer.id(QWEN.ends[0])
    for one in pool.best[:4]:
        row = [*asked.tokenizer.encode(one.text), end]
        said = plainly(asked.model, pool.around.ids, row)  # type: ignore[arg-type]
        assert one.own == pytest.approx(sum(said[:-1]), abs=1e-3)
        assert one.after == pytest.approx(said[-1], abs=1e-3)
        assert one.joint == one.own + one.after - 2.0 * one.repeats
    assert pool.best == sorted(pool.best, key=lambda one: -one.joint)


def test_any_of_the_marks_ends_a_draft(asked: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    settle = drafting._settle

    def seen(row: drafting.Row, ends: object, text_of: object) -> None:
        going, last = not row.over, row.ids[-1:]
        settle(row, ends, text_of)  # type: ignore[arg-type]
        if going and row.ended:
            ended.extend(last)

    monkeypatch.setattr(drafting, "_settle", seen)
    for each in ASKED.values():
        searched(asked, each)
    assert {asked.tokenizer.id(name) for name in (QWEN.ends[0], QWEN.ends[2])} <= set(ended)


def test_several_holes_are_filled_in_turn(asked: Reader) -> None:
    each = request("a = ", Hole(), "\nb = [", Hole(), "]\n")
    model = asked.model
    steps = infill(model, asked.tokenizer, asked.cache, Sampling(), each)
    found = collect(steps)
    assert len(found.texts) == 2 and all("<|" not in text for text in found.texts)


@pytest.mark.parametrize(
    ("before", "behind", "text", "ended", "right"),
    [
        ("x = f(", ")\n", "a, b", True, [4]),
        ("x = f(", ")\n", "a, b", False, []),
        ("x = f(", ")\n", "a)\nb", False, []),  # what stands behind is not looked for
        ("x = ", "\ny = 1\n", "1\nz = 2", True, [1, 7]),
        ("x = ", "\ny = 1\n", "1\nz = 2", False, [1]),
        ("def f():\n", "    return a\n", "    a = 1\n", True, [10]),
        ("def f():\n", "    return a\n", "    a = 1", True, []),  # a line's end is missing
        ("x = ", "\n", "  ", True, []),
    ],
)
def test_a_draft_ends_where_the_model_ends_it(
    before: str, behind: str, text: str, ended: bool, right: list[int]
) -> None:
    place = Surroundings(before, behind)
    assert cuts(text, place, ended=ended, asked=True) == right


def test_without_marks_the_text_behind_is_judged(tmp_path: Path) -> None:
    words = tokenizer("qwen2")
    random_llama(tmp_path, "qwen2", vocab_size=1024, max_position_embeddings=2048)
    made = model(load_config(tmp_path))
    reader = Reader(made, words, KVCache(made.config, dtype=torch.float32))
    pool = begin(reader, ASKED["in brackets"], 0, [])
    pool.judge({"a": 0.0})
    assert pool.best and pool.behind == ")\n"
