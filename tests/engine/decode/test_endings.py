"""Where a draft that ran on may have ended."""

from __future__ import annotations

import time

import pytest
from torch import Tensor

from dgedit_engine.decode import causal
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.endings import circle, cuts, met
from dgedit_engine.engine import Engine
from dgedit_engine.types import Hole, InfillRequest, Passage


def places(engine: Engine, draft: str, following: str, *, count: int = 4) -> list[str]:
    ids = engine.tokenizer.encode(draft)
    found = cuts(ids, [0.0] * (len(ids) + 1), following, engine.tokenizer, count=count)
    assert len(found) == len(set(found)) <= count
    assert all(1 <= length <= len(ids) for length in found)
    return ["".join(piece.text for piece in engine.tokenizer.pieces(ids[:n])) for n in found]


def test_draft_is_cut_where_it_runs_into_the_text_behind(tiny: Engine) -> None:
    draft = "None, **kwargs):\n        self.a = a\n"
    assert places(tiny, draft, ", **kwargs):\n        pass\n")[0] == "None"


def test_longest_agreement_comes_first(tiny: Engine) -> None:
    draft = "f(a, b) + g(a, c)\nreturn x\n"
    assert places(tiny, draft, ", c)\nreturn x\n")[0] == "f(a, b) + g(a"


def test_line_end_is_a_place_to_end(tiny: Engine) -> None:
    assert "total = 1" in places(tiny, "total = 1\nother = 2\nmore = 3", "zzz")


def test_likely_ends_are_places_to_end(tiny: Engine) -> None:
    ids = tiny.tokenizer.encode("one two three four five")
    ends = [0.0] * (len(ids) + 1)
    ends[3] = 0.9
    assert cuts(ids, ends, "zzz", tiny.tokenizer, count=2)[0] == 3


def test_nothing_behind_leaves_the_likely_ends(tiny: Engine) -> None:
    assert len(places(tiny, "one two three", "")) >= 2


@pytest.mark.parametrize(
    ("text", "following", "found"),
    [
        ("x = 1\n\nreturn total", "\n    return total\n", True),
        ("x = 1", "\n    return total\n", False),
        ("return", "return", False),  # too short to be sure
        ("anything", "", False),
    ],
)
def test_met_wants_a_good_part_of_the_text_behind(text: str, following: str, found: bool) -> None:
    assert met(text, following) == found


def test_draft_that_has_met_the_text_behind_is_given_up(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says then is known; its shorter versions compete."""
    spoken = tiny.tokenizer.encode("1 + 2\nanswer = 42 + 43\n" + "x = 3\n" * 50)
    read = 0
    encode = tiny.model.encode

    def counted(ids: Tensor, *args: object, **more: object) -> Tensor:
        nonlocal read
        read += more.get("positions") is None and ids.shape[1] == 1
        return encode(ids, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(tiny.model, "encode", counted)
    monkeypatch.setattr(
        causal, "_choose", lambda *given, **more: ([spoken[read - 1]], [0.5], [0.01])
    )
    after = "\nanswer = 42 + 43\nprint(answer)\n"
    tiny.decoding = Decoding(origins=("draft",), cuts=4)
    asked = InfillRequest((Passage("a.py", ("y = 0\nx = ", Hole(), after)),))
    last = list(tiny.infill(asked))[-1]
    assert read < len(spoken) // 2
    assert "1 + 2" in {one.draft.text.strip() for one in last.candidates[0]}


@pytest.mark.parametrize(
    ("text", "once"),
    [
        ("a = f(1)\na = f(1)\n", "a = f(1)\n"),
        ("x = 1\ny = f(x)\nz\ny = f(x)\nz\n", "x = 1\ny = f(x)\nz\n"),
        ("    return self.plain\n    return self.plain", "    return self.plain\n"),
        ("self.a = self.b.b.b.b.c", None),
        ("f(a, b, a, b, a, b, a, b", "f(a, b, "),
        ("one\ntwo\none\n", None),
        ("x = 0, 0, 0, 0, 0, 0, 0\n", None),
        ("mask = 0xffffffff", None),
        ("----------\n----------\n", None),
        ("    )\n    )\n", None),
        ("", None),
    ],
)
def test_circle_begins_behind_the_first_round(text: str, once: str | None) -> None:
    assert circle(text) == (None if once is None else len(once))


def test_draft_in_circles_is_cut_behind_its_first_round(tiny: Engine) -> None:
    draft = "total = f(1)\nmore = 2\nmore = 2\nmore = 2\n"
    assert places(tiny, draft, "zzz")[0] == "total = f(1)\nmore = 2\n"


def test_long_text_is_looked_at_in_no_time() -> None:
    started = time.process_time()
    assert circle("".join(f"line {n} of it\n" for n in range(5_000))) is None
    assert time.process_time() - started < 1
