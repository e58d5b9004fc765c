"""Clients of the HTTP form among others: in turn, and gone when they are gone."""

from __future__ import annotations

import threading
import time

import pytest

from dgedit.engines.http import queue as turns
from overhttp import ask, begun, served
from scripted import STEPS, Scripted


def test_infills_run_one_after_the_other() -> None:
    running, most = [0], [0]

    def during(index: int) -> None:
        running[0] += index == 1
        most[0] = max(most[0], running[0])
        running[0] -= index == STEPS

    with served(Scripted(pause=0.02, during=during)) as serving:
        found: list[int] = []
        clients = [
            threading.Thread(target=lambda: found.append(ask(serving)[0].status)) for _ in range(6)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join(20)
        assert found == [200] * 6
    assert most == [1]


def test_more_than_can_wait_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_WAITING", 1)
    with served(Scripted(pause=0.3)) as serving:
        first = threading.Thread(target=lambda: ask(serving))
        first.start()
        time.sleep(0.2)
        answer, _ = ask(serving)
        assert (answer.status, answer.getheader("Retry-After")) == (429, "1")
        first.join(10)


def test_client_that_hangs_up_cancels_within_a_step() -> None:
    reached: list[int] = []
    hung_up = threading.Event()

    def during(index: int) -> None:
        reached.append(index)
        if index == 2:
            hung_up.wait(5)

    backend = Scripted(during=during)
    with served(backend) as serving:
        client = begun(serving)
        while 2 not in reached:
            time.sleep(0.01)
        client.close()
        time.sleep(0.1)
        hung_up.set()
        assert ask(serving)[0].status == 200
    assert reached == [1, 2, 1, 2, 3]
    assert backend.closed == 2


def test_client_that_hangs_up_while_it_waits_is_not_served() -> None:
    backend = Scripted(pause=0.3)
    with served(backend) as serving:
        first = begun(serving)
        time.sleep(0.1)
        begun(serving).close()
        first.recv(10)
        assert ask(serving)[0].status == 200
        first.close()
    assert len(backend.requests) == 2


def test_time_limit_gives_the_best_so_far() -> None:
    with served(Scripted(("one two three",), pause=0.1)) as serving:
        body = {"input_prefix": "", "input_suffix": "", "t_max_predict_ms": 50}
        found = ask(serving, "/infill", body)[1]
    assert found["content"] == "one two~~~~~~"  # 0.1 s after the first step
    assert found["stop_type"] == "limit"
