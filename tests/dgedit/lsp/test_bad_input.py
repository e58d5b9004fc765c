"""Clients that misbehave: answered or refused in one line, nothing hangs, memory level."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dgedit.protocol.rpc import RpcError
from lspclient import ALL, URI, LspClient, at, lsp_scripted
from scripted import PATH

TEXT = "def half(x):\n    \n\n\nprint(half(2))\n"
_LEVEL = 30_000_000  # bytes by which memory may grow


def is_alive(client: LspClient) -> bool:
    """Whether it still offers something at a place."""
    client.open(TEXT, uri="file:///home/me/alive.py")
    return client.offered(1, 4, uri="file:///home/me/alive.py") == ["filled"]


def test_client_that_never_acks_is_served(tmp_path: Path) -> None:
    able = ALL | {
        "window": {"workDoneProgress": True},
        "workspace": {
            "configuration": True,
            "didChangeConfiguration": {"dynamicRegistration": True},
        },
    }
    with lsp_scripted(tmp_path) as client:
        client.start(able)
        client.open(TEXT)
        for _ in range(50):
            client.peer.tell("workspace/didChangeConfiguration", {"settings": None})
            (action, *_) = client.actions(at(1, 4), at(1, 4))
            assert "edit" in client.request("codeAction/resolve", action)
        assert is_alive(client) and client.end() == 0


def test_versions_out_of_order_are_told_in_one_line_until_the_whole_text_comes(
    tmp_path: Path,
) -> None:
    with lsp_scripted(tmp_path) as client:
        client.start()
        client.open(TEXT, version=5)
        here = {"start": at(0, 0), "end": at(0, 0)}
        for version in (4, 3, 6):
            client.change([{"range": here, "text": "x"}], version)
        assert client.offered(1, 4) == []
        (line,) = client.logged("out of order")
        assert line.startswith("dgedit: textDocument/didChange: ") and "\n" not in line
        with pytest.raises(RpcError, match="out of step"):
            data = {"uri": URI, "version": 5, "kind": "here", "range": here}
            client.request("codeAction/resolve", {"data": data})
        client.change([{"text": TEXT}], 7)
        assert client.offered(1, 4) == ["filled"]


def test_text_that_is_closed_while_it_is_filled_is_let_go(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, pause=0.3) as client:
        client.start()
        client.open(TEXT)
        _, answer = client.ask_at(1, 4)
        client.until(lambda: "step 1" in client.errors())
        client.peer.tell("textDocument/didClose", {"textDocument": {"uri": URI}})
        with pytest.raises(RpcError, match="closed"):
            answer.result(0.25)
        client.until(lambda: "closed" in client.errors())
        assert "step 3" not in client.errors()
        assert client.offered(1, 4) == []


def test_client_that_goes_while_it_waits_ends_it(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, pause=30) as client:
        client.start()
        client.open(TEXT)
        client.ask_at(1, 4)
        client.until(lambda: any(line.startswith("asked") for line in client.errors()))
        assert client.process.stdin is not None
        client.process.stdin.close()
        assert client.process.wait(10) == 1


def test_place_inside_of_a_surrogate_pair_is_its_start(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path) as client:
        client.start()
        client.open("x = '😀'\n")
        (item,) = client.ask_at(0, 6)[1].result(20)["items"]
        assert item["range"] == {"start": at(0, 5), "end": at(0, 5)}
        (action, *_) = client.actions(at(0, 6), at(0, 6))
        edit = client.request("codeAction/resolve", action)["edit"]
        assert edit["documentChanges"][0]["edits"][0]["range"]["start"] == at(0, 5)


def test_text_of_50_megabytes_is_refused_in_one_line(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path) as client:
        client.start()
        assert is_alive(client)
        before = client.memory()
        for size, words in ((50_000_000, "at most"), (25_000_000, "too large to be filled")):
            client.open("x = 1\n" * (size // 6))
            assert client.offered(0, 0) == []
            assert client.memory() - before < _LEVEL
            if size < 32_000_000:
                assert len(client.logged(words)) == 1
        client.change([{"text": TEXT}], 2)
        assert client.offered(1, 4) == ["filled"]
        assert client.end() == 0


def test_requests_at_200_a_second_leave_memory_level(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, certainty=[0.9], pause=0.01) as client:
        client.start(initializationOptions={"debounce": 20})
        client.open(TEXT)
        assert is_alive(client)
        answers: list[Any] = []

        def burst(count: int) -> None:
            for number in range(count):
                where = {"start": at(0, 0), "end": at(0, 0)}
                client.change([{"range": where, "text": "x"}], client.next_version())
                answers.append(client.ask_at(1, number % 4, kind=1 + number % 2)[1])
                time.sleep(0.005)

        burst(200)
        for one in answers:
            assert "items" in one.result(20)
        before = client.memory()
        burst(1000)
        for one in answers:
            assert "items" in one.result(20)
        assert client.memory() - before < _LEVEL / 3
        assert threads(client) < 12
        assert is_alive(client)


def test_client_that_does_not_read_costs_no_memory_and_its_end_is_the_servers(
    tmp_path: Path,
) -> None:
    with (tmp_path / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "dgedit", "lsp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=os.environ | {"PYTHONPATH": PATH},
        )
    assert process.stdin is not None and process.stdout is not None
    os.set_blocking(process.stdin.fileno(), False)
    body = json.dumps({"id": 1, "method": "x" * 200}).encode()
    data = b"Content-Length: %d\r\n\r\n%b" % (len(body), body) * 100
    sent, quiet = 0, 0
    while quiet < 10:  # until both pipes are full
        try:
            sent += os.write(process.stdin.fileno(), data)
            quiet = 0
        except BlockingIOError:
            quiet += 1
            time.sleep(0.05)
    assert sent > 60_000
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    assert pages * os.sysconf("SC_PAGE_SIZE") < 60_000_000
    process.stdout.close()
    process.stdin.close()
    assert process.wait(10) == 1
    assert (tmp_path / "stderr").read_bytes() == b""


def threads(client: LspClient) -> int:
    return len(list(Path(f"/proc/{client.process.pid}/task").iterdir()))


def test_engine_that_is_stuck_holds_up_nobody_for_ever(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, pause=60) as client:
        client.start()
        client.open(TEXT)
        answers = [client.ask_at(1, 4)[1] for _ in range(100)]
        for one in answers[:-1]:
            assert one.result(10) == {"items": []}
        assert threads(client) < 12
        assert client.end() == 0


METHODS = (
    *("initialize", "initialized", "$/cancelRequest", "nothing"),
    *("textDocument/didOpen", "textDocument/didChange", "textDocument/didClose"),
    *("textDocument/didSave", "workspace/didChangeConfiguration"),
    *("workspace/didChangeWorkspaceFolders", "textDocument/inlineCompletion"),
    *("textDocument/codeAction", "codeAction/resolve", "workspace/executeCommand"),
    "textDocument/copilotInlineEdit",
)


def odd(draw: random.Random, depth: int = 0) -> Any:
    """Something that JSON can say."""
    kind = draw.randrange(9 if depth < 3 else 6)
    if kind < 6:
        texts = ["", "x\ny", "\ud83d", URI, "refactor", "a" * 999]
        return draw.choice([None, True, 0, -1, 2**70, 1.5, *texts])
    if kind < 8:
        names = ["uri", "version", "line", "character", "text", "range", "kind", "id", "title"]
        return {draw.choice(names): odd(draw, depth + 1) for _ in range(draw.randrange(4))}
    return [odd(draw, depth + 1) for _ in range(draw.randrange(4))]


def damaged(draw: random.Random, value: Any) -> Any:
    """A value with something odd in one place or none."""
    if draw.random() < 0.1:
        return odd(draw)
    if isinstance(value, dict):
        return {name: damaged(draw, one) for name, one in value.items() if draw.random() < 0.98}
    return [damaged(draw, one) for one in value] if isinstance(value, list) else value


def test_10_000_fuzzed_messages_are_answered_or_ignored(tmp_path: Path) -> None:
    draw, threads = random.Random(24), threading.active_count()
    where = {"start": at(0, 1), "end": at(1, 2)}
    params = {
        "textDocument": {"uri": URI, "version": 3, "text": TEXT, "languageId": "python"},
        "position": at(1, 4),
        "range": where,
        "context": {"triggerKind": 1, "selectedCompletionInfo": {"range": where, "text": "y"}},
        "contentChanges": [{"range": where, "text": "z\n"}],
        "data": {"uri": URI, "version": 3, "kind": "here", "range": where},
        "command": "dgedit.fill",
        "arguments": [{"uri": URI, "version": 3, "kind": "body", "range": where}],
        "settings": {"dgedit": {"effort": 0.3}},
        "event": {"added": [{"uri": URI}], "removed": []},
        "id": 7,
    }
    with lsp_scripted(tmp_path) as client:
        client.start()
        assert is_alive(client)
        pending = []
        before = client.memory()
        assert client.process.stdin is not None
        for number in range(10_000):
            method, said = draw.choice(METHODS), damaged(draw, params)
            if draw.random() < 0.1:  # no message at all
                data = json.dumps(said).encode()[: draw.randrange(60)]
                head = draw.choice([b"", b"Content-Length: %d\r\n\r\n" % len(data)])
                with client.peer._writing:
                    client.process.stdin.write(head + data + b"\r\n" * (not head))
                    client.process.stdin.flush()
            elif draw.random() < 0.5:
                client.peer.tell(method, said)
            else:
                pending.append(client.send(method, said)[1])
            if number % 100 == 0:
                while pending:
                    try:
                        pending.pop().result(20)
                    except RpcError as error:
                        assert "\n" not in str(error) and len(str(error)) < 200
        assert client.logged("fault of dgedit's") == []
        assert client.memory() - before < _LEVEL
        assert is_alive(client)
        assert not any("Traceback" in line for line in client.errors())
        assert client.end() == 0
    assert threading.active_count() < threads + 15
