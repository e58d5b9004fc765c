"""A remote engine: what it is asked, what comes of its answers, and how it fails."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest

from dgedit.engines.connect import connect
from dgedit.errors import EngineError
from dgedit_engine.types import Hole, InfillRequest, Passage, collect
from fakechat import GOOD, REQUEST, Answer, FakeChat, alone, failure, fakechat, steps


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeChat]:
    alone(monkeypatch)
    with fakechat() as found:
        found.answers = [GOOD]
        yield found


def test_holes_arrive_as_the_answer_comes(fake: FakeChat) -> None:
    found = steps(fake)
    texts = [tuple(draft.text for draft in step.drafts) for step in found]
    assert texts == [("", ""), ("1", ""), ("123", ""), ("123", "45"), ("123", "45"), ("123", "45")]
    assert [step.index for step in found] == [1, 2, 3, 4, 5, 6]
    assert all(step.total >= step.index for step in found)
    assert [step.last for step in found] == [False] * 5 + [True]
    assert found[1].drafts[0].settled == (False,)
    assert found[2].drafts[0].settled == (True, True)
    assert found[3].drafts[1].settled == (False,)
    assert found[-1].drafts[0].pieces == ("1", "23")
    assert found[-1].stopped == "settled"
    assert all(all(draft.settled) for draft in found[-1].drafts)


def test_server_is_asked_for_a_stream_of_its_model(fake: FakeChat) -> None:
    backend = connect(None, None, fake.url + "/")
    assert backend.name == "gem"
    assert backend.device == fake.url.removeprefix("http://")
    collect(iter(backend.infill(REQUEST)))
    listed, version, chat = fake.asked
    assert version.path == "/version"
    assert listed.path == "/v1/models"
    assert chat.path == "/v1/chat/completions"
    assert chat.body["model"] == "gem"
    assert chat.body["stream"] is True
    assert chat.body["temperature"] == 0.0
    assert chat.body["max_tokens"] == 1024  # a quarter of max_model_len
    assert "x = <hole 1></hole 1>" in chat.body["messages"][0]["content"]
    assert not {"authorization", "cookie"} & {name.lower() for name in chat.headers}


def test_named_model_is_asked_for(fake: FakeChat) -> None:
    backend = connect("other", None, fake.url + "/v1")
    assert collect(iter(backend.infill(REQUEST))).texts == ("123", "45")
    assert backend.name == "other"
    assert fake.chats[0].body["model"] == "other"


@pytest.mark.parametrize("status", [404, 500])
def test_server_without_a_list_needs_a_models_name(fake: FakeChat, status: int) -> None:
    fake.models = Answer(status=status, body=b"")
    assert connect("gem", None, fake.url).name == "gem"
    with pytest.raises(EngineError, match="names no model: say which by --model"):
        connect(None, None, fake.url)


def test_confidence_is_what_the_server_says(fake: FakeChat) -> None:
    fake.answers = [Answer(GOOD.chunks, logprob=math.log(0.25))]
    last = steps(fake)[-1]
    assert fake.chats[0].body["logprobs"] is True
    assert last.drafts[0].confidence == pytest.approx((0.25, 0.25))
    assert last.score == pytest.approx(math.log(0.25))


def test_confidence_is_neither_sure_nor_unsure_when_the_server_says_nothing(fake: FakeChat) -> None:
    assert steps(fake)[-1].drafts[0].confidence == (0.5, 0.5)


def test_several_tokens_in_a_chunk_are_as_many_pieces(fake: FakeChat) -> None:
    """As vLLM sends a canvas: one chunk for all of it."""
    tokens = ["<hole 1>", "1", "2", "</hole 1>", "<hole 2>", "é", "</hole 2>"]
    listed = [{"token": one, "logprob": -0.1 * at} for at, one in enumerate(tokens)]
    choice = {"delta": {"content": "".join(tokens)}, "logprobs": {"content": listed}}
    event = b"data: %s\r\n\r\n" % json.dumps({"choices": [choice]}).encode()
    fake.answers = [Answer([event[:20], 0.01, event[20:]])]
    first, last = steps(fake)
    assert last.drafts[0].pieces == ("1", "2")
    assert last.drafts[0].confidence == pytest.approx((math.exp(-0.1), math.exp(-0.2)))
    assert first.drafts == last.drafts


def test_tokens_that_are_halves_of_characters_do_not_garble_the_text(fake: FakeChat) -> None:
    listed = [{"token": "\ufffd", "logprob": -1.0}, {"token": "\ufffd", "logprob": -3.0}]
    choice = {"delta": {"content": "é"}, "logprobs": {"content": listed}}
    event = b"data: %s\n\n" % json.dumps({"choices": [choice]}).encode()
    fake.answers = [Answer(["<hole 1>", event, "</hole 1><hole 2></hole 2>"])]
    last = steps(fake)[-1]
    assert last.drafts[0].text == "é"
    assert last.drafts[0].confidence == pytest.approx((math.exp(-2.0),))


def test_server_without_logprobs_is_asked_again_without(fake: FakeChat) -> None:
    fake.answers = [Answer(status=422, body=b'{"detail": "Unexpected: {\'logprobs\'}"}'), GOOD]
    backend = connect(None, None, fake.url)
    for _ in range(2):
        assert collect(iter(backend.infill(REQUEST))).texts == ("123", "45")
    assert ["logprobs" in one.body for one in fake.chats] == [True, False, False]


def test_invalid_answer_is_asked_for_again(fake: FakeChat) -> None:
    fake.answers = [Answer(["Sure! Here you are."]), GOOD]
    found = steps(fake)
    assert [draft.text for draft in found[-1].drafts] == ["123", "45"]
    assert [step.index for step in found] == [*range(1, 8)]
    first, second = fake.chats
    assert first.body["seed"] != second.body["seed"]
    assert second.body["temperature"] > 0


def test_text_around_a_hole_is_not_said_again(fake: FakeChat) -> None:
    fake.answers = [Answer(["<hole 1>    total = f(1)\n    return total</hole 1>"])]
    parts = ("def f():\n    total = f(", Hole(), ")\n    return total\n")
    found = steps(fake, InfillRequest((Passage("a.py", parts),)))
    assert found[-1].drafts[0].text == "1"


def test_answers_that_stay_invalid_are_an_error(fake: FakeChat) -> None:
    line = failure(fake, Answer(["Sure! \x1b[31m"]))
    assert "no answer of use in 3 tries: it names no hole" in line
    assert len(fake.chats) == 3


def test_candidates_are_ranked_by_what_the_server_is_surest_of(fake: FakeChat) -> None:
    def answer(text: str, logprob: float) -> Answer:
        whole = f"<hole 1>{text}</hole 1><hole 2>{text}</hole 2>"
        return Answer([whole], logprob=logprob)

    fake.answers = [answer("a", -2.0), answer("b", -1.0), Answer(["no"]), answer("a", -2.0)]
    infill = collect(iter(steps(fake, InfillRequest(REQUEST.passages, candidates=3))))
    assert infill.texts == ("b", "b")
    assert [one.draft.text for one in infill.candidates[0]] == ["b", "a"]
    assert infill.score == pytest.approx(-1.0)
    assert len({one.body["seed"] for one in fake.chats}) == 4


def test_strength_0_asks_nobody(fake: FakeChat) -> None:
    (step,) = steps(fake, InfillRequest(REQUEST.passages, strength=0))
    assert [draft.text for draft in step.drafts] == ["old", ""]
    assert step.last and step.stopped == "unchanged"
    assert not fake.chats


def test_hidden_thought_is_not_text(fake: FakeChat) -> None:
    event = b'data: {"choices": [{"delta": {"reasoning_content": "hm"}}]}\n\n'
    fake.answers = [Answer([b": ping\n\n", event, *GOOD.chunks])]
    assert [draft.text for draft in steps(fake)[-1].drafts] == ["123", "45"]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (Answer(status=401, body=b"{}"), "wants a key: set DGEDIT_API_KEY (401)"),
        (Answer(status=403, body=b"{}"), "wants a key: set DGEDIT_API_KEY (403)"),
        (
            Answer(status=404, body=b'{"error": {"message": "The model does not exist."}}'),
            "answers 404: The model does not exist.",
        ),
        (
            Answer(status=400, body=b'{"message": "maximum context length is 4096 tokens"}'),
            "the text is too long for gem: maximum context length is 4096 tokens",
        ),
        (Answer(status=400, body=b'{"detail": [{"loc": "x"}]}'), 'answers 400: [{"loc": "x"}]'),
        (Answer(status=500, body=b"Oh\n\x1b[31mno"), "answers 500: Oh ␛[31mno"),
        (Answer(status=500, body=b"x" * 100_000), "answers 500: xxx"),
        (Answer(status=503, body=b""), "is busy (503)"),
        (
            Answer(status=429, headers={"Retry-After": "3600"}, body=b""),
            "is busy (429) and wants to be asked again after 3600",
        ),
        (
            Answer(status=307, headers={"Location": "http://elsewhere/v1"}, body=b""),
            "redirects to http://elsewhere/v1: not followed",
        ),
        (Answer(body=b"<html>"), "answers with application/json, not a stream"),
        (Answer(["<hole 1>1"], finish=None), "is cut off: its end is missing"),
        (Answer(["<hole 1>1"], finish="length"), "after too few tokens"),
        (Answer([b"data: {\n\n"]), "is cut off: an event that is no JSON object"),
        (Answer([b"data: []\n\n"]), "is cut off: an event that is no JSON object"),
        (Answer([b'data: {"choices": 3}\n\n']), "is cut off: an event that is no piece of a chat"),
        (Answer([b'data: {"choices": [{"delta": {"content": 3}}]}\n\n']), "no piece of a chat"),
        (Answer([b'data: {"error": {"message": "CUDA"}}\n\n']), "failed: CUDA"),
        (Answer([b'data: {"error": "CUDA"}\n\n']), "failed: CUDA"),
        (Answer([b"data: " + b"x" * 1_100_000]), "an event of more than 1,000,000 bytes"),
        (Answer([b": %s\n" % (b"x" * 99_999)] * 170), "an answer of more than 16,000,000 bytes"),
        (Answer(["x"] * 4097), "does not end its answer"),
    ],
)
def test_failure_is_one_line(fake: FakeChat, answer: Answer, line: str) -> None:
    assert line in failure(fake, answer)


def test_unknown_model_is_told_with_those_that_are_known(fake: FakeChat) -> None:
    fake.answers = [Answer(status=404, body=b'{"error": {"message": "no such model"}}')]
    backend = connect("jam", None, fake.url)
    with pytest.raises(EngineError, match=r"has no model jam; it has: gem$"):
        collect(iter(backend.infill(REQUEST)))


@pytest.mark.parametrize("body", [b"hello", b"[]", b'{"data": [3]}', b'{"data": {}}', b"[" * 9999])
def test_server_of_another_kind_is_refused(fake: FakeChat, body: bytes) -> None:
    fake.models = Answer(body=body)
    with pytest.raises(EngineError, match=r"OpenAI's protocol|names no model"):
        connect(None, None, fake.url)


def test_answer_that_breaks_off_within_its_length(fake: FakeChat) -> None:
    fake.models = Answer(headers={"Content-Length": "1000"}, body=b'{"data"')
    with pytest.raises(EngineError, match="hung up"):
        connect(None, None, fake.url)


def test_models_name_is_no_order_to_the_terminal(fake: FakeChat) -> None:
    fake.models = Answer(body=b'{"data": [{"id": "a\\u001b[2J"}]}')
    assert connect(None, None, fake.url).name == "a␛[2J"
