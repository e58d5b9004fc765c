"""Streams take nothing back: whatever the steps, the parts that were sent are the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgedit.engines.http import completions
from dgedit.engines.http.answers import Answer, Answered, cutting
from dgedit.engines.http.completions import CompletionRequest, Form
from dgedit.engines.http.cutting import CutText, Cutting
from dgedit.engines.http.running import run
from dgedit.engines.http.settling import Settling
from dgedit_engine.types import Ability, Candidate, Draft, InfillRequest, Step


def draft(*pieces: str, settled: int = 0) -> Draft:
    """The pieces, of which so many in front are settled."""
    return Draft(pieces, (0.5,) * len(pieces), tuple(at < settled for at in range(len(pieces))))


def judged(*drafts: Draft, faults: int | None = None) -> tuple[tuple[Candidate, ...], ...]:
    return (tuple(Candidate(one, -0.1, "draft", faults) for one in drafts),)


@dataclass
class Steps:
    """A backend that takes these steps."""

    steps: list[Step]
    name: str = "steps"
    device: str = "cpu"
    ability: Ability = field(default_factory=Ability)
    taken: int = 0
    closed: int = 0

    def infill(self, request: InfillRequest) -> Iterator[Step]:
        try:
            for step in self.steps:
                self.taken += 1
                yield step
        finally:
            self.closed += 1


def streamed(
    steps: list[Step], tell: Callable[[CutText], None] = lambda cut: None, **body: object
) -> tuple[Answered, Steps, CompletionRequest]:
    asked = completions.read("completions", {"prompt": "x", "stream": True, **body}, effort=0.5)
    backend = Steps(steps)
    return (
        run(asked, backend, count=lambda text: len(text.encode()), look=bool, tell=tell),
        backend,
        asked,
    )


def told(*drafts: Draft, last: Draft | None = None, **body: object) -> list[str]:
    """What is sent before the end."""
    found: list[str] = []
    steps = [Step(at + 1, 9, (one,)) for at, one in enumerate(drafts)]
    steps.append(Step(9, 9, (last or drafts[-1],), last=True))
    streamed(steps, lambda cut: found.append(cut.text), **body)
    return found


def test_pieces_that_two_steps_settled_alike_are_sent() -> None:
    one, two = draft("a", "b", "c", settled=2), draft("a", "b", "d", settled=3)
    assert told(one, last=draft("a")) == []
    assert told(one, one, two, two, last=two) == ["ab", "d"]
    assert told(draft("a", "b"), draft("a", "b")) == []


def test_candidate_that_breaks_no_syntax_is_sent_at_once() -> None:
    found: list[str] = []
    one, other = draft("a", "b"), draft("a", "b", "c")
    steps = [Step(1, 3, (one,), candidates=judged(one, faults=1))]
    steps.append(Step(2, 3, (one,), candidates=judged(one, faults=0)))
    steps.append(Step(3, 3, (other,), True, candidates=judged(draft("z"), other)))
    answered, _, _ = streamed(steps, lambda cut: found.append(cut.text))
    assert found == ["ab"]
    assert [one.text for one in answered.drafts] == ["abc", "z"]


def test_answer_is_bound_to_what_was_sent() -> None:
    """It is no more than that, where no candidate begins with it."""
    one, end = draft("a", "b"), Step(3, 3, (draft("z"),), True, candidates=judged(draft("z")))
    answered, _, _ = streamed([Step(1, 3, (one,), candidates=judged(one)), end])
    assert [one.text for one in answered.drafts] == ["ab", "z"] and answered.settled
    other = draft("x", "y", "z")
    passed = [Step(1, 4, (one,), candidates=judged(one))]
    passed.append(Step(2, 4, (other,), candidates=judged(other)))
    answered, _, _ = streamed([*passed, end])
    assert answered.drafts[0].text == "ab" and answered.sent == 2
    part = draft("a", "b", settled=1)
    answered, _, _ = streamed([Step(1, 3, (part,)), Step(2, 3, (part,)), end])
    assert [one.text for one in answered.drafts] == ["a", "z"] and not answered.settled


def test_limit_counts_the_tokens_that_were_sent() -> None:
    """Not those of another spelling."""
    one, other = draft("ab"), draft("a", "b", "c", "d")
    steps = [Step(1, 2, (one,), candidates=judged(one))]
    steps.append(Step(2, 2, (other,), True, candidates=judged(other)))
    answered, _, asked = streamed(steps, max_tokens=2)
    (text,) = Answer(asked, model="m", count=len)._texts(answered)
    assert (text.text, text.tokens, text.ended) == ("abc", 2, "limit")


def test_infill_ends_once_the_answer_is_cut_off() -> None:
    one = draft("a", "b", "\n", "c")
    steps = [Step(at, 9, (one,), at == 9, candidates=judged(one)) for at in range(1, 10)]
    for body in ({"stop": "\n"}, {"max_tokens": 2}):
        answered, backend, asked = streamed(steps, **body)
        assert (backend.taken, backend.closed) == (1, 1)
        texts = Answer(asked, model="m", count=len)._texts(answered)
        assert texts[0].text == "ab"
    assert streamed(steps)[1].taken == 9


def test_beginning_of_a_stop_text_is_held_back() -> None:
    one, two = draft("a", "</"), draft("a", "</", "p")
    steps = [Step(1, 3, (one,), candidates=judged(one))]
    steps.append(Step(2, 3, (two,), candidates=judged(two)))
    steps.append(Step(3, 3, (two,), True, candidates=judged(two)))
    for stop, sent in (("</b>", ["a", "</p"]), ("</p", ["a"]), ("x", ["a</", "p"])):
        found: list[str] = []
        streamed(steps, lambda cut, found=found: found.append(cut.text), stop=stop)
        assert found == sent


@pytest.mark.parametrize(
    ("text", "stops", "held"),
    [
        ("ab", (), 0),
        ("ab", ("bc",), 1),
        ("aab", ("aabb", "bx"), 3),
        ("ab", ("ab",), 0),
        ("xx", ("xxx" * 99,), 2),
        ("", ("a",), 0),
    ],
)
def test_end_may_be_the_beginning_of_a_stop_text(
    text: str, stops: tuple[str, ...], held: int
) -> None:
    assert Cutting(None, stops, len).doubtful(text) == held


def test_tokens_of_a_piece_are_counted_where_bytes_make_its_characters() -> None:
    how = Cutting(5, (), lambda text: len(text.encode()))
    assert how.cut(["word", "🦀", "x"]).tokens == 5
    assert how.cut(["word", " word", "🦀"]) == CutText("word word", 2, "limit")
    assert Cutting(0, (), len).cut([]).ended == "limit"


def test_time_counts_from_the_first_step_and_ends_no_text_under_way() -> None:
    """As llama.cpp waits for the end of a line."""
    asked = completions.read(
        "infill", {"input_prefix": "a", "input_suffix": "b", "t_max_predict_ms": 1}, effort=0.5
    )
    asked = replace(asked, seconds=0.0)
    steps = [
        Step(1, 4, (draft("d"),), phase="draft"),
        Step(2, 4, (draft("d", "e"),), phase="draft"),
    ]
    steps.append(Step(3, 4, (draft("f"),), candidates=judged(draft("f"))))
    steps.append(Step(4, 4, (draft("g"),), True))
    backend = Steps(steps)
    answered = run(asked, backend, count=len, look=bool, tell=lambda cut: None)
    assert (backend.taken, backend.closed) == (3, 1)
    found = Answer(asked, model="m", count=len).whole(answered)
    assert isinstance(found, dict)
    assert (found["content"], found["stop_type"], found["stopped_limit"]) == ("f", "limit", True)
    whole = run(asked, Steps(steps[3:]), count=len, look=bool, tell=lambda cut: None)
    assert whole.settled


PIECES = st.lists(st.sampled_from(["a", "b", "ab", "é", "🦀", "\n", " ", "ba"]), max_size=6)
STOPS = st.lists(st.text("ab\né ", min_size=1, max_size=3), max_size=3)


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """Steps of any kind: much alike, since texts that share nothing are bound to nothing."""
    found = []
    pieces = draw(PIECES)
    count = draw(st.integers(1, 6))
    for index in range(1, count + 1):
        if draw(st.booleans()):
            pieces = pieces[: draw(st.integers(0, len(pieces)))] + draw(PIECES)
        flags = draw(st.lists(st.booleans(), min_size=len(pieces), max_size=len(pieces)))
        one = Draft(tuple(pieces), (0.5,) * len(pieces), tuple(flags))
        kinds = [(), judged(one), judged(one, faults=draw(st.integers(0, 1)))]
        candidates = draw(st.sampled_from(kinds))
        last = index == count
        if last and candidates:
            others = draw(st.lists(PIECES, max_size=3))
            every = draw(st.permutations([one, *(draft(*other) for other in others)]))
            candidates, one = judged(*every), every[0]
        phase = draw(st.sampled_from(["draft", "refine"]))
        found.append(Step(index, count, (one,), last, candidates=candidates, phase=phase))
    return found


@given(
    steps(),
    st.sampled_from(["completions", "fim", "infill", "completion"]),
    st.none() | st.integers(1, 9),
    STOPS,
    st.integers(1, 3),
    st.booleans(),
)
def test_parts_of_a_stream_are_its_answer(
    taken: list[Step], form: Form, most: int | None, stops: list[str], count: int, late: bool
) -> None:
    body = {"prompt": "x", "input_prefix": "", "input_suffix": "", "stream": True, "stop": stops}
    body |= {"max_tokens": most, "n_predict": most, "n": count, "n_cmpl": count, "echo": True}
    asked = completions.read(form, body, effort=0.5)
    asked = replace(asked, seconds=0.0 if late else None)

    def tokens(text: str) -> int:
        return len(text.encode())

    answer = Answer(asked, model="m", count=tokens)
    sent: list[str] = []

    def tell(cut: CutText) -> None:
        assert cut.text
        sent.extend(answer.begun(cut, first=not sent))

    backend = Steps(taken)
    answered = run(asked, backend, count=tokens, look=bool, tell=tell)
    assert backend.closed == 1
    early = "".join(text for at, text in map(part, sent) if at == 0)
    sent += answer.ended(answered)
    whole = cutting(asked, tokens).cut(answered.drafts[0].pieces, whole=answered.settled)
    echoed = "x" if asked.echo else ""
    assert early == (echoed if early else "") + whole.text[: answered.sent]
    texts = [""] * count
    for at, text in map(part, sent):
        texts[at] += text
    assert texts[0] == echoed + whole.text
    assert not any(stop in whole.text for stop in stops)
    assert most is None or whole.tokens <= most
    offered = {one.drafts[0].text for one in taken}
    offered |= {each.draft.text for one in taken for each in (one.candidates or ((),))[0]}
    text = answered.drafts[0].text
    assert any(one.startswith(text) if early else one == text for one in offered)


def part(event: str) -> tuple[int, str]:
    """Which answer an event is about, and its text."""
    if event == "[DONE]":
        return 0, ""
    found = json.loads(event)
    if "choices" not in found:
        return found["index"], found["content"]
    (choice,) = found["choices"]
    text = choice["text"] if "text" in choice else choice["delta"]["content"]
    return choice["index"], text


def test_settling_without_steps_has_nothing() -> None:
    assert not Settling(Cutting(None, (), len)).over
