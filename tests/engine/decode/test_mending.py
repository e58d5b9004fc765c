"""A search in which no candidate leaves its file sound: drafts go on, and beginnings compete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from dgedit_engine.decode import left_to_right
from dgedit_engine.decode import pool as pools
from dgedit_engine.decode import search as module
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.drafting import Row
from dgedit_engine.decode.pool import Pool, Reader, begin
from dgedit_engine.decode.search import search
from dgedit_engine.types import Hole, InfillRequest
from small_base import reader, request

Drafted = Callable[..., Iterator[list[Row]]]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROUND", 8)


@pytest.fixture
def opened() -> Reader:
    return reader()


def run(opened: Reader, asked: InfillRequest) -> Pool:
    pool = begin(opened, asked, 0, ())
    for _ in search(pool, asked, Decoding(candidates=4), torch.Generator().manual_seed(0)):
        pass
    return pool


def written(opened: Reader, text: str, *, each: float = -0.1) -> Drafted:
    """A beam of one draft, which is this text."""
    ids = opened.tokenizer.encode(text)

    def drafted(*given: Any, **options: Any) -> Iterator[list[Row]]:
        rows = [Row()]
        for token in ids:
            rows[0].ids.append(token)
            rows[0].own.append(each)
            yield rows

    return drafted


@pytest.mark.parametrize(
    ("path", "before", "behind", "goes_on"),
    [
        ("a.py", "x = f(", "\ny = 1\n", True),
        ("a.unknown", "x = f(", "\ny = 1\n", False),  # no language: nothing is known to break
        ("a.py", "y = [)\n  x = f(", "\nz = (]\n", False),  # nothing makes this sound
    ],
)
def test_draft_goes_on_while_it_breaks_a_file_that_may_be_sound(
    opened: Reader,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    before: str,
    behind: str,
    goes_on: bool,
) -> None:
    whole = "a,\n    b,\n    a + b,\n    total,\n    items)"
    monkeypatch.setattr(module, "drafted", written(opened, f"({whole}\nself\n", each=-3.0))
    pool = run(opened, request(before, Hole(), behind, path=path))
    assert (whole in [one.text for one in pool.best]) == goes_on


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_beginning_of_a_draft_competes_where_no_end_leaves_the_file_sound(
    opened: Reader, monkeypatch: pytest.MonkeyPatch, newline: str
) -> None:
    monkeypatch.setattr(module, "drafted", written(opened, "def total():\n    return a\n\n\n"))
    behind = " -> None:\n    return items\n".replace("\n", newline)
    pool = run(opened, request("x = 1\n\n\nd", Hole(), behind, path="a.py"))
    assert not pool.broken()
    sound = [one.text for one in pool.best if not pool.errors([one.draft.text])[0]]
    assert "ef total()" in sound
    pool = run(opened, request("x = 1\n\n\nd", Hole(), behind))  # of a language that nobody knows
    assert "ef total()" not in [one.text for one in pool.best]


def test_mended_infill_is_shown_and_chosen_however_unlikely(
    opened: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in (pools, left_to_right):
        monkeypatch.setattr(one, "JUDGED", 1)
    monkeypatch.setattr(module, "drafted", written(opened, "def total():\n    return a\n\n\n"))
    asked = request("x = 1\n\n\nd", Hole(), " -> None:\n    return items\n", path="a.py")
    generator = torch.Generator().manual_seed(0)
    *_, shown, last = left_to_right.fill(opened, asked, Decoding(candidates=4), generator)
    assert last.drafts[0].text == "ef total()" == shown.drafts[0].text
    assert last.candidates[0][0].faults == 0


def test_errors_of_a_text_are_looked_for_once(
    opened: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    judge = pools.new_errors

    def watched(asked: InfillRequest, texts: Any) -> Any:
        seen.extend(one for one, *_ in texts)
        return judge(asked, texts)

    monkeypatch.setattr(pools, "new_errors", watched)
    asked = request("x = f(", Hole(), ")\ny = ", Hole(), "\n", path="a.py")
    pool = begin(opened, asked, 1, ["a"])
    assert pool.broken()
    assert pool.errors(["a)", "b", "a)"]) == [1, 0, 1] and pool.errors(["b"]) == [0]
    assert seen == ["a)", "b"]
    pool.judge({"a)": 0.0})
    assert pool.broken()
    pool.judge({"b": 0.0})
    assert not pool.broken()
