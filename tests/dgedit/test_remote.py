"""A remote engine: what it is asked, what comes of its answers, and every way in which it fails."""

from __future__ import annotations

import datetime
import email.utils
import gc
import json
import math
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from dgedit import exchange
from dgedit.backend import connect
from dgedit.errors import DgeditError, EngineError, UsageError
from dgedit.exchange import Head, _pause
from dgedit_engine.types import Hole, InfillRequest, Passage, Step, collect
from fakechat import Answer, FakeChat, fakechat

REQUEST = InfillRequest((Passage("a.py", ("x = ", Hole("old"), "\ny = ", Hole(), "\n")),))
GOOD = Answer(["<hole 1>\n", "1", "23\n</hole 1>", "\n<hole 2>45", "</hole 2>"])
KEY = "sk-very-secret"


@pytest.fixture(autouse=True)
def keyless(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "keyring", None)  # as where it is not installed
    monkeypatch.setattr(exchange, "_PAUSE", 0.001)


@pytest.fixture
def fake() -> Iterator[FakeChat]:
    with fakechat() as found:
        found.answers = [GOOD]
        yield found


def steps(fake: FakeChat, request: InfillRequest = REQUEST) -> list[Step]:
    return list(connect(None, None, fake.url).infill(request))


def failure(fake: FakeChat, *answers: Answer) -> str:
    """The line that an infill ends with."""
    fake.answers = list(answers)
    with pytest.raises(EngineError) as caught:
        steps(fake)
    assert caught.value.exit == 5
    line = str(caught.value)
    assert "\n" not in line and line.isprintable() and len(line) < 500
    return line


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
    listed, chat = fake.asked
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


def test_server_without_a_list_needs_a_models_name(fake: FakeChat) -> None:
    fake.models = Answer(status=404, body=b"")
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
    assert [one.drafts[0].text for one in infill.candidates] == ["b", "a"]
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


# Failures.


def test_refused_connection(fake: FakeChat) -> None:
    with fakechat() as gone:
        url = gone.url
    with pytest.raises(EngineError, match=rf"^nothing answers at {url}/v1: Connection refused$"):
        connect(None, None, url)


def test_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    made = ["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=127.0.0.1", "-days", "2"]
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made]
    subprocess.run(openssl, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with (
        fakechat(lambda bare: context.wrap_socket(bare, server_side=True)) as fake,
        pytest.raises(EngineError, match=r"no trusted connection to https://.*certificate"),
    ):
        connect(None, None, fake.url)


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


@pytest.mark.parametrize("chunks", [[9.0], [": ping\n\n", "<hole 1>1", 9.0]])
def test_silence_ends_the_wait(
    fake: FakeChat, chunks: list[str | bytes | float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "FIRST", 0.2)
    monkeypatch.setattr(exchange, "BETWEEN", 0.2)
    started = time.monotonic()
    assert "is silent: nothing came for 0 s" in failure(fake, Answer(chunks))
    assert time.monotonic() - started < 3
    assert fake.hung_up.wait(3)


# Busy servers.


def test_busy_server_is_asked_again(fake: FakeChat) -> None:
    busy = Answer(status=429, headers={"Retry-After": "0"}, body=b"")
    fake.answers = [busy, Answer(status=503, body=b""), GOOD]
    assert [draft.text for draft in steps(fake)[-1].drafts] == ["123", "45"]
    assert len(fake.chats) == 3


def test_busy_server_is_left_alone_after_a_while(fake: FakeChat) -> None:
    assert "is busy (503)" in failure(fake, Answer(status=503, body=b""))
    assert len(fake.chats) == 5


def test_pause_doubles_and_heeds_what_the_server_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_PAUSE", 0.5)

    def pause(status: int, tries: int, later: str = "", chance: float = 0.5) -> float | None:
        headers = exchange.httpx2.Headers({"Retry-After": later} if later else {})
        return _pause(Head(status, headers), tries, chance=lambda: chance)

    assert [pause(503, tries) for tries in range(4)] == [0.5, 1.0, 2.0, 4.0]
    assert pause(503, 20) == 60.0
    assert (pause(429, 0, chance=0.0), pause(429, 0, chance=1.0)) == (0.25, 0.75)
    assert pause(429, 3, "7", chance=0.0) == 7.0
    assert pause(429, 3, "7") == 7.25
    assert pause(429, 0, "61") is None
    assert pause(429, 1, "nonsense") == 1.0
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=20)
    asked = pause(429, 0, email.utils.format_datetime(later, usegmt=False), chance=0.0)
    assert asked is not None and 18 < asked <= 20
    assert pause(200, 0) is None


# Cancelling.


def test_closing_hangs_up_at_once(fake: FakeChat) -> None:
    fake.answers = [Answer(["<hole 1>1", 30.0])]
    found = iter(connect(None, None, fake.url).infill(REQUEST))
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert fake.hung_up.wait(2)
    assert next(found, None) is None


@pytest.mark.parametrize("chunks", [[30.0], ["<hole 1>1", 30.0]])
def test_another_thread_may_close(fake: FakeChat, chunks: list[str | bytes | float]) -> None:
    fake.answers = [Answer(chunks)]
    found = connect(None, None, fake.url).infill(REQUEST)
    taken: list[Step] = []
    reader = threading.Thread(target=lambda: taken.extend(found))
    reader.start()
    time.sleep(0.3)
    started = time.monotonic()
    found.close()  # type: ignore[attr-defined]
    reader.join(5)
    assert not reader.is_alive()
    assert fake.hung_up.wait(5)
    assert time.monotonic() - started < 1
    assert len(taken) == len(chunks) - 1


def test_closing_ends_the_wait_for_a_busy_server(
    fake: FakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.answers = [Answer(status=429, headers={"Retry-After": "50"}, body=b"")]
    found = connect(None, None, fake.url).infill(REQUEST)
    reader = threading.Thread(target=lambda: list(found))
    reader.start()
    time.sleep(0.3)
    found.close()  # type: ignore[attr-defined]
    reader.join(2)
    assert not reader.is_alive()


def test_steps_that_nobody_wants_any_more_hang_up(fake: FakeChat) -> None:
    fake.answers = [Answer(["<hole 1>1", 30.0])]
    found = connect(None, None, fake.url).infill(REQUEST)
    next(found)
    del found
    gc.collect()
    assert fake.hung_up.wait(2)


def test_closing_before_the_first_step_asks_nobody(fake: FakeChat) -> None:
    connect(None, None, fake.url).infill(REQUEST).close()  # type: ignore[attr-defined]
    assert not fake.chats


# Addresses and keys.


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///v1",
        "http://h:99999",
        "http://h?a=b",
        "http://h/#f",
        "http://h\u202e",
        "http://[::1",
    ],
)
def test_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="no server's address"):
        connect(None, None, url)


def test_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError) as caught:
        connect(None, None, f"https://me:{KEY}@example.org/v1")
    assert KEY not in str(caught.value)


def sent(fake: FakeChat) -> set[str]:
    """The keys that the server was given."""
    return {one.headers.get("Authorization", "") for one in fake.asked}


def test_key_is_sent_to_the_server(fake: FakeChat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGEDIT_API_KEY", KEY)
    steps(fake)
    assert sent(fake) == {f"Bearer {KEY}"}


def test_key_of_openai_is_sent_only_where_it_belongs(
    fake: FakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    steps(fake)
    assert sent(fake) == {""}
    fake.asked.clear()
    monkeypatch.setenv("OPENAI_BASE_URL", f"{fake.url}/v1")
    steps(fake)
    assert sent(fake) == {f"Bearer {KEY}"}


def test_key_comes_from_a_keyring(fake: FakeChat, monkeypatch: pytest.MonkeyPatch) -> None:
    class KeyringError(Exception):
        pass

    host = fake.url.removeprefix("http://")
    keyring, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    keyring.get_password = lambda service, user: {("dgedit", host): KEY}.get(  # type: ignore[attr-defined]
        (service, user)
    )
    errors.KeyringError = KeyringError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    steps(fake)
    assert sent(fake) == {f"Bearer {KEY}"}

    def locked(service: str, user: str) -> str:
        raise KeyringError("locked")

    fake.asked.clear()
    keyring.get_password = locked  # type: ignore[attr-defined]
    steps(fake)
    assert sent(fake) == {""}


def test_key_is_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGEDIT_API_KEY", KEY)
    with pytest.raises(EngineError, match="not encrypted") as caught:
        connect(None, None, "http://192.0.2.1:8000")
    assert KEY not in str(caught.value)
    monkeypatch.setenv("DGEDIT_PLAIN_KEY", "1")
    monkeypatch.setattr(exchange, "CONNECT", 0.05)
    with pytest.raises(EngineError, match="nothing answers at"):
        connect(None, None, "http://192.0.2.1:8000")


def test_key_is_in_no_line(fake: FakeChat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGEDIT_API_KEY", KEY)
    echo = json.dumps({"error": {"message": f"bad key {KEY}, really"}}).encode()
    for answer in (
        Answer(status=400, body=echo),
        Answer(status=500, body=echo),
        Answer(status=301, headers={"Location": f"http://x/{KEY}"}, body=b""),
        Answer([b"data: " + echo + b"\n\n"]),
    ):
        line = failure(fake, answer)
        assert KEY not in line and "…" in line
    assert "refuses the key (401)" in failure(fake, Answer(status=401, body=echo))
    assert KEY not in repr(vars(connect(None, None, fake.url)))


@pytest.mark.parametrize("key", ["schlüssel", "a\nb: c"])
def test_key_that_no_header_can_hold_is_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGEDIT_API_KEY", key)
    with pytest.raises(EngineError, match="cannot be sent") as caught:
        connect(None, None, "https://example.org")
    assert key not in str(caught.value)


def test_proxy_is_not_asked_for_what_is_here(
    fake: FakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert steps(fake)[-1].last


def test_models_name_is_no_order_to_the_terminal(fake: FakeChat) -> None:
    fake.models = Answer(body=b'{"data": [{"id": "a\\u001b[2J"}]}')
    assert connect(None, None, fake.url).name == "a␛[2J"


def test_errors_are_the_users(fake: FakeChat) -> None:
    assert issubclass(exchange.Silent, DgeditError) and issubclass(exchange.Cut, DgeditError)
