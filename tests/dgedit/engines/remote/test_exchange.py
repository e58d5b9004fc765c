"""Waiting for a server: for how long, how often, and until somebody closes."""

from __future__ import annotations

import datetime
import email.utils
import gc
import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dgedit.engines.connect import connect
from dgedit.engines.remote import exchange
from dgedit.engines.remote.exchange import AnswerHead, _pause
from dgedit.errors import EngineError
from dgedit_engine.types import Step
from fakechat import GOOD, REQUEST, Answer, FakeChat, alone, failure, fakechat, steps


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeChat]:
    alone(monkeypatch)
    with fakechat() as found:
        found.answers = [GOOD]
        yield found


@pytest.mark.parametrize("chunks", [[9.0], [": ping\n\n", "<hole 1>1", 9.0]])
def test_silence_ends_the_wait(
    fake: FakeChat, chunks: list[str | bytes | float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "FIRST", 0.2)
    monkeypatch.setattr(exchange, "BETWEEN", 0.2)
    started = time.monotonic()
    assert "is silent: nothing came for 0 s" in failure(fake, Answer(chunks))
    assert time.monotonic() - started < 8
    assert fake.hung_up.wait(3)


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
        return _pause(AnswerHead(status, headers), tries, chance=lambda: chance)

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
    assert time.monotonic() - started < 20
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


@pytest.mark.parametrize(
    ("chunk", "most", "words"),
    [
        (b": a comment\n\n" * 5000, "LARGEST", "an answer of more than 1,000,000 bytes"),
        ("x" * 60_000, "LARGEST", "an answer of more than 1,000,000 bytes"),
        (b"data: " + b"x" * 60_000, "_EVENT", "an event of more than 1,000,000 bytes"),
        ("x" * 600_000, "", "does not end its answer"),
        ("x", "", "does not end its answer"),
    ],
)
def test_fault_12_answer_without_an_end_ends(
    fake: FakeChat, chunk: str | bytes, most: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if most:
        monkeypatch.setattr(exchange, most, 1_000_000)
    endless: Any = itertools.repeat(chunk)
    assert words in failure(fake, Answer(endless))
    assert fake.hung_up.wait(10)


def test_fault_12_answer_that_only_says_that_it_comes_ends(
    fake: FakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "LONGEST", 0.3)
    endless: Any = itertools.cycle([b": not yet\n\n", 0.02])
    assert "an answer that takes more than 0.3 s" in failure(fake, Answer(endless))


def test_fault_12_server_waits_for_who_takes_its_answer(fake: FakeChat) -> None:
    """What is not drawn yet is in its buffers, not in our memory."""
    sent: list[int] = []

    def endless() -> Iterator[str | bytes]:
        yield "<hole 1>1"
        while True:
            sent.append(60_000)
            yield b": " + b"x" * 60_000 + b"\n\n"

    chunks: Any = endless()
    fake.answers = [Answer(chunks)]
    found = connect(None, None, fake.url).infill(REQUEST)
    next(found)
    before, now = -1, 0
    while before < now:  # until it can send no more, which it could for ever
        time.sleep(0.5)
        before, now = now, len(sent)
        assert sum(sent) < 50_000_000, "nobody has taken any of it"
    found.close()  # type: ignore[attr-defined]


def test_fault_12_list_of_models_without_an_end_ends(fake: FakeChat) -> None:
    endless: Any = itertools.repeat(b" " * 60_000)
    fake.models = Answer(endless, headers={"Content-Type": "application/json"})
    with pytest.raises(EngineError, match="an answer of more than 4,000,000 bytes"):
        connect(None, None, fake.url)
