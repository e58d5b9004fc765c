"""What a chat model is asked, and which of its answers are understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgedit.engines.remote.rewrite import Invalid, partial, task, whole
from dgedit_engine.types import Hole, InfillRequest, Passage

ONE = InfillRequest((Passage("a.py", ("def f(x):\n    return ", Hole("y"), "\n\nprint(f(1))\n")),))
TWO = InfillRequest((Passage("a.py", ("one = ", Hole(), "\ntwo = ", Hole(), "\nthree = 3\n")),))


def read(request: InfillRequest, answer: str) -> list[str]:
    return [answer[one.start : one.end] for one in whole(task(request), answer)]


def test_prompt_shows_the_text_with_holes_and_what_is_wanted() -> None:
    asked = InfillRequest(
        (*TWO.passages, Passage("b.py", ("four = 4\n",))), "numbers\nin words", candidates=2
    )
    prompt = task(asked).prompt
    assert "a.py\n```\none = <hole 1></hole 1>\ntwo = <hole 2></hole 2>\nthree = 3\n" in prompt
    assert "b.py\n```\nfour = 4\n" in prompt
    assert "numbers\nin words" in prompt
    assert "<hole 1>\n…\n</hole 1>\n<hole 2>\n…\n</hole 2>" in prompt


def test_prompt_shows_what_a_hole_holds_only_when_it_is_a_draft() -> None:
    assert "<hole 1></hole 1>" in task(ONE).prompt
    assert "draft" not in task(ONE).prompt
    prompt = task(InfillRequest(ONE.passages, strength=0.25)).prompt
    assert "<hole 1>y</hole 1>" in prompt
    assert "25%" in prompt


def test_tags_are_called_as_nothing_in_the_text_is() -> None:
    request = InfillRequest((Passage("a", ("<hole 1>", Hole("<hole- 2>"), "```` x")),))
    asked = task(request)
    assert asked.word == "hole--"
    assert "`````\n<hole 1><hole-- 1></hole-- 1>```` x\n`````" in asked.prompt


@pytest.mark.parametrize(
    "answer",
    [
        "<hole 1>x * 2</hole 1>",
        "<hole 1>\nx * 2\n</hole 1>\n",
        "<hole 1>\r\nx * 2\r\n</hole 1>",
        "```\n<hole 1>\nx * 2\n</hole 1>\n```",
        "```xml\n<hole 1>x * 2</hole 1>\n```\n",
        "<hole 1>\n```python\nx * 2\n```\n</hole 1>",
        "<|channel>thought\n<channel|><hole 1>x * 2</hole 1>",
        "<|channel>thought\nhm <hole 1>\n<channel|>\n<hole 1>x * 2</hole 1>",
        "<think>or 3?</think>\n\n<hole 1>x * 2</hole 1>",
        "def f(x):\n    return x * 2\n\nprint(f(1))\n",
        "```python\ndef f(x):\n    return x * 2\n\nprint(f(1))\n```",
    ],
)
def test_answer_is_understood(answer: str) -> None:
    assert read(ONE, answer) == ["x * 2"]


def test_two_holes_are_read_in_order() -> None:
    assert read(TWO, "<hole 1>\n1\n</hole 1>\n<hole 2>\n2\n</hole 2>") == ["1", "2"]
    assert read(TWO, "<hole 1></hole 1><hole 2>\n\n2\n\n</hole 2>") == ["", "\n2\n"]
    assert read(TWO, "one = 1\ntwo = 2\nthree = 3") == ["1", "2"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("Sure! Here it is: 1, 2", "names no hole"),
        ("<hole 1>1</hole 1>", "hole 2 of 2 is not where"),
        ("<hole 2>2</hole 2><hole 1>1</hole 1>", "hole 1 of 2 is not where"),
        ("<hole 1>1</hole 1> and <hole 2>2</hole 2>", "hole 2 of 2 is not where"),
        ("<hole 1>1</hole 1><hole 2>2</hole 2> done", "more than the holes"),
        ("<hole 1>1</hole 1><hole 2>2", "hole 2 has no end"),
        ("<hole 1>1<hole 2>2</hole 2></hole 1>", "hole in it"),
        ("one = 1\ntwo = 2\nfour = 3", "not as it was"),
        ("one = 1\ntow = 2\nthree = 3", "between two holes is not"),
        ("one = \ntwo = 1\ntwo = 2\nthree = 3", "cannot be told"),
        ("x" * 1_000_001, "characters long"),
    ],
)
def test_any_other_answer_is_refused(answer: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        read(TWO, answer)


def test_text_without_tags_is_refused_where_nothing_is_around_the_hole() -> None:
    with pytest.raises(Invalid, match="names no hole"):
        read(InfillRequest((Passage("", (Hole(), "\n")),)), "anything")


def test_blank_before_a_hole_is_not_repeated() -> None:
    request = InfillRequest((Passage("a.py", ("if x:\n    ", Hole(), "\n")),))
    assert read(request, "<hole 1>\n    return 1\n    pass\n</hole 1>") == ["return 1\n    pass"]
    assert read(request, "<hole 1>return 1</hole 1>") == ["return 1"]


def test_fence_stays_in_markdown() -> None:
    request = InfillRequest((Passage("a.md", ("# How\n", Hole(), "\n")),))
    assert read(request, "<hole 1>\n```\nls\n```\n</hole 1>") == ["```\nls\n```"]


def test_partial_answer_shows_what_has_come() -> None:
    answer = "<hole 1>\nab\n</hole 1>\n<hole 2>\ncd\n</hole 2>"
    asked = task(TWO)
    before = ["", ""]
    for end in range(len(answer) + 1):
        found = partial(asked, answer[:end])
        texts = [answer[:end][one.start : one.end] for one in found]
        assert all(new.startswith(old) for old, new in zip(before, texts, strict=True)), end
        assert found[0].closed == (end >= answer.index("<hole 2>") - 1)
        before = texts
    assert before == ["ab", "cd"]


TEXT = st.text(st.sampled_from("ab \n<>/`hole1-"), max_size=20)


@given(TEXT, TEXT, TEXT, TEXT, TEXT)
def test_answer_in_form_gives_exactly_its_texts(
    before: str, between: str, after: str, first: str, second: str
) -> None:
    parts = (before, Hole(), between, Hole(), after)
    request = InfillRequest((Passage("a.md", tuple(part for part in parts if part != "")),))
    asked = task(request)
    word = asked.word
    if any(f"{mark}{word} " in text for mark in ("<", "</") for text in (first, second)):
        return
    texts = [first, second]
    for at, indent in enumerate(asked.indents):
        if indent and texts[at].startswith(indent):
            texts[at] = texts[at].removeprefix(indent)
    answer = "\n".join(
        f"<{word} {n}>\n{text}\n</{word} {n}>" for n, text in enumerate((first, second), 1)
    )
    assert [answer[one.start : one.end] for one in whole(asked, answer)] == texts


@given(st.text(st.sampled_from("ab \n`x")), st.text(), st.lists(st.integers(0, 60), max_size=4))
def test_no_answer_breaks_the_reading(text: str, noise: str, cuts: list[int]) -> None:
    good = f"<hole 1>{text}</hole 1>\n<hole 2>{noise}</hole 2>"
    for cut in cuts:
        good = good[:cut] + noise + good[cut + 1 :]
    found = partial(task(TWO), good)
    assert all(0 <= one.start <= one.end <= len(good) for one in found)
    try:
        read(TWO, good)
    except Invalid as error:
        assert str(error)
