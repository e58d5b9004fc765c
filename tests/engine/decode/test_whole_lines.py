"""Holes from the end of one line to where another begins."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from dgedit_engine.decode import search, whole_lines
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.cuts import between_lines
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.left_to_right import fill
from dgedit_engine.decode.pool import Reader, begin
from dgedit_engine.prompt.plain import Surroundings
from dgedit_engine.types import Hole, InfillRequest, Passage, Step
from small_base import EOS, leaning, model, plainly, reader, request, tokenizer

BEFORE, BEHIND = "def f(a):\n    total = a", "    return total\n\n\ndef g():\n    return a\n"
ASKED = request(BEFORE, Hole(), BEHIND)
MOVED = request(BEFORE + "\n", Hole(), BEHIND)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LONGEST", 24)
    monkeypatch.setattr(search, "_ROUND", 8)


@pytest.fixture
def over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every line to be over."""
    monkeypatch.setattr(whole_lines, "ENDS", 0.0)


def indenting() -> Reader:
    """A reader that leans towards indented lines."""
    words = tokenizer()
    bias = leaning(words)
    bias[words.encode("    ")] = 3.0
    bias[EOS] = -30.0
    return reader(model(bias=bias))


@pytest.fixture
def opened() -> Reader:
    return indenting()


def run(opened: Reader, asked: InfillRequest) -> list[Step]:
    return list(fill(opened, asked, Decoding(candidates=6), torch.Generator()))


@pytest.mark.parametrize(
    ("before", "behind", "right"),
    [
        ("x = 1", "    y = 2\n", True),
        ("x = 1", "\ty = 2\n", True),
        ("x = 1", " + 2\n", False),  # a blank between two words
        ("x = 1", "y = 2\n", False),  # which may be the rest of the line
        ("x = 1", "\n    y = 2\n", False),
        ("x = 1", "    \n    y = 2\n", False),
        ("x = 1", "", False),
        ("x = ", "    y = 2\n", False),
        ("x = 1\n", "    y = 2\n", False),
        ("x = 1\n    ", "    y = 2\n", False),
        ("", "    y = 2\n", False),
    ],
)
def test_holes_between_lines_are_told(before: str, behind: str, right: bool) -> None:
    assert between_lines(Surroundings(before, behind)) is right
    assert not between_lines(Surroundings(before, behind, " + 1\n"))


@pytest.mark.parametrize("before", [BEFORE, BEFORE + " + tot", "x = '日"])
def test_line_ends_as_likely_as_one_plain_pass_says(opened: Reader, before: str) -> None:
    pool = begin(opened, request(before, Hole(), BEHIND), 0, [])
    row = opened.tokenizer.encode(pool.around.forced + "\n")
    said = plainly(opened.model, pool.around.ids, row)[-1]
    assert pool.line_ends() == pytest.approx(math.exp(said), abs=1e-4)
    encode(opened.model, opened.cache, pool.around.ids[:-1])  # which is still known
    assert pool.line_ends() == pytest.approx(math.exp(said), abs=1e-4)


@pytest.mark.usefixtures("over")
def test_they_get_what_whole_lines_get_behind_the_lines_end(opened: Reader) -> None:
    steps, whole = run(opened, ASKED), run(indenting(), MOVED)
    assert len(steps) == len(whole) > 2
    for one, other in zip(steps, whole, strict=True):
        assert one.drafts[0].text == "\n" + other.drafts[0].text
        assert one.drafts[0].pieces[0] == "\n"
        assert [each.draft.text for each in one.candidates[0]] == [
            "\n" + each.draft.text for each in other.candidates[0]
        ]
    last = steps[-1].candidates[0]
    assert [one.faults for one in last] == [one.faults for one in whole[-1].candidates[0]]
    assert all(one.draft.text.endswith("\n") and all(one.draft.settled) for one in last)
    assert last[0].draft.confidence[0] == begin(opened, ASKED, 0, []).line_ends()


@pytest.mark.usefixtures("over")
def test_their_lines_end_as_the_files_do(opened: Reader) -> None:
    asked = request(BEFORE.replace("\n", "\r\n"), Hole(), BEHIND.replace("\n", "\r\n"))
    text = run(opened, asked)[-1].drafts[0].text
    assert text.startswith("\r\n") and text.endswith("\r\n")
    assert text.count("\n") == text.count("\r\n") > 1


@pytest.mark.usefixtures("over")
def test_each_of_several_gets_its_own(opened: Reader) -> None:
    between = "    items = total\n    self = "
    asked = request(BEFORE, Hole(), between, Hole(), "\n", BEFORE, Hole(), BEHIND)
    first, second, third = (one.text for one in run(opened, asked)[-1].drafts)
    assert first.startswith("\n") and third.startswith("\n") and not second.startswith("\n")
    other = InfillRequest((Passage("", ("x = 1\n",)), *asked.passages))
    assert run(opened, other)[-1].drafts[0].text.startswith("\n")


def test_line_that_goes_on_gets_the_rest_of_it(
    opened: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_lines, "ENDS", 1.1)
    assert whole_lines.begun(opened, ASKED, 0, [])[1:] == (ASKED, whole_lines.Lead())


def test_model_decides_whether_the_line_goes_on() -> None:
    words = tokenizer()
    found = []
    for towards in (30.0, -30.0):
        bias = torch.zeros(512)
        bias[words.encode("\n")] = towards
        opened = reader(model(bias=bias))
        found.append(whole_lines.begun(opened, ASKED, 0, [])[2].text)
    assert found == ["\n", ""]


@pytest.mark.usefixtures("over")
@pytest.mark.parametrize(
    "asked",
    [
        replace(ASKED, exact=True),
        request(BEFORE, Hole(" + 1\n"), BEHIND),
        request(BEFORE + "\n", Hole(), BEHIND),
        request(BEFORE, Hole(), "\n" + BEHIND),
    ],
)
def test_other_holes_are_left_as_they_are(opened: Reader, asked: InfillRequest) -> None:
    pool, own, lead = whole_lines.begun(opened, asked, 0, [])
    assert (own, lead) == (asked, whole_lines.Lead())
    assert pool.around == begin(opened, asked, 0, []).around
