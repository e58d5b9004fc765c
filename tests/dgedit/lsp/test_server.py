"""Ghost text from a real process, as an editor sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dgedit.protocol import rpc
from dgedit.protocol.rpc import RpcError
from lspclient import ALL, URI, LspClient, at, lsp_scripted
from scripted import STEPS

TEXT = "def half(x):\n    \n\n\nprint(half(2))\n"
FILLED = "return x / 2"


@pytest.fixture
def sure(tmp_path: Path) -> Iterator[LspClient]:
    """A session whose engine is sure of what it says."""
    with lsp_scripted(tmp_path, texts=[FILLED], certainty=[0.9]) as client:
        client.start()
        client.open(TEXT)
        yield client


def count(client: LspClient, word: str) -> int:
    return sum(line.startswith(word) for line in client.errors())


def test_greeting_says_what_there_is(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path) as client:
        said = client.start()
        assert said["serverInfo"]["name"] == "dgedit"
        able = said["capabilities"]
        assert able["textDocumentSync"] == {"openClose": True, "change": 2, "save": False}
        assert able["inlineCompletionProvider"] == {"workDoneProgress": True}
        assert able["codeActionProvider"]["resolveProvider"] is True
        assert able["positionEncoding"] == "utf-16"
        assert client.end() == 0
        assert client.errors() == []


@pytest.mark.parametrize(
    ("listed", "chosen"),
    [
        (["utf-8", "utf-16"], "utf-8"),
        (["utf-32"], "utf-32"),
        (["utf-7", "utf-16"], "utf-16"),
        (7, "utf-16"),
    ],
)
def test_columns_are_counted_as_the_client_likes_best(
    tmp_path: Path, listed: Any, chosen: str
) -> None:
    with lsp_scripted(tmp_path, texts=["x"]) as client:
        said = client.start({"general": {"positionEncodings": listed}})
        assert said["capabilities"]["positionEncoding"] == chosen
        client.open('s = "é😀"  # ')
        end = {"utf-8": 16, "utf-16": 13, "utf-32": 12}[chosen]
        (item,) = client.ask_at(0, 999)[1].result(20)["items"]
        assert item == {"insertText": "x", "range": {"start": at(0, end), "end": at(0, end)}}


def test_exit_codes_say_whether_it_was_shut_down(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path) as client:
        client.start()
        client.peer.tell("exit", None)
        assert client.process.wait(10) == 1
    with lsp_scripted(tmp_path) as client:
        client.start()
        assert client.process.stdin is not None
        client.process.stdin.close()
        assert client.process.wait(10) == 1
    with lsp_scripted(tmp_path) as client:
        client.start()
        assert client.request("shutdown") is None
        with pytest.raises(RpcError, match="shut down"):
            client.request("textDocument/inlineCompletion", {})
        client.peer.tell("exit", None)
        assert client.process.wait(10) == 0


def test_it_ends_with_its_editor_even_if_its_input_stays_open(tmp_path: Path) -> None:
    import subprocess

    editor = subprocess.Popen(["sleep", "60"])
    try:
        with lsp_scripted(tmp_path) as client:
            client.request("initialize", {"capabilities": {}, "processId": editor.pid})
            editor.kill()
            editor.wait()
            assert client.process.wait(10) == 1
    finally:
        editor.kill()


def test_requests_in_the_wrong_order_are_errors(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path) as client:
        with pytest.raises(RpcError) as early:
            client.request("textDocument/inlineCompletion", {})
        assert early.value.code == rpc.NOT_INITIALIZED
        client.start()
        with pytest.raises(RpcError, match="before"):
            client.request("initialize", {})
        with pytest.raises(RpcError) as unknown:
            client.request("textDocument/hover", {})
        assert unknown.value.code == rpc.METHOD_NOT_FOUND
        with pytest.raises(RpcError, match=r"^position\.line must be a whole number from 0$"):
            client.request("textDocument/inlineCompletion", {"textDocument": {"uri": URI}})


@pytest.mark.parametrize("kind", [1, 2])
def test_what_is_sure_is_offered_at_the_cursor(sure: LspClient, kind: int) -> None:
    (item,) = sure.ask_at(1, 4, kind)[1].result(20)["items"]
    assert item == {"insertText": FILLED, "range": {"start": at(1, 4), "end": at(1, 4)}}
    effort = "0.5" if kind == 1 else "0.0"
    assert f"asked 1 1.0 {effort}" in sure.errors()


@pytest.mark.parametrize(
    "said", [{"certainty": [0.39]}, {"faults": [1]}, {"stopped": "cap", "certainty": [0.9]}]
)
def test_what_is_in_doubt_is_only_for_those_who_ask(tmp_path: Path, said: Any) -> None:
    with lsp_scripted(tmp_path, texts=[FILLED], **said) as client:
        client.start()
        client.open(TEXT)
        assert client.offered(1, 4, kind=2) == []
        assert client.offered(1, 4, kind=1) == [FILLED]


def test_options_come_at_the_start_and_by_the_clients_configuration(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, texts=["a\nb\nc"], certainty=[0.3]) as client:
        client.answers["workspace/configuration"] = [{"max_lines": 2, "effort": 0.25, "speed": 9}]
        able = ALL | {"workspace": {"configuration": True}}
        client.start(able, initializationOptions={"dgedit": {"caution": 0.2, "model": "/x"}})
        client.open(TEXT)
        client.until(lambda: client.logged("speed"))
        assert client.logged("option model must be a model's name")
        assert client.offered(1, 4, kind=2) == ["a\nb"]
        assert "asked 1 1.0 0.25" in client.errors()
        settings = {"settings": {"dgedit": {"caution": 0.31}}}
        client.peer.tell("workspace/didChangeConfiguration", settings)
        assert client.offered(1, 4, kind=2) == []


def test_typing_what_it_says_needs_no_engine(sure: LspClient) -> None:
    assert sure.offered(1, 4, kind=2) == [FILLED]
    for typed, version in (("re", 2), ("turn", 3), (" ", 4)):
        column = 4 + {2: 0, 3: 2, 4: 6}[version]
        where = {"start": at(1, column), "end": at(1, column)}
        sure.change([{"range": where, "text": typed}], version)
    assert sure.offered(1, 11, kind=2) == ["x / 2"]
    assert count(sure, "asked") == 1
    sure.change([{"range": {"start": at(1, 11), "end": at(1, 11)}, "text": "y"}], 5)
    assert sure.offered(1, 12, kind=2) == [FILLED]  # something else was typed: asked anew
    assert count(sure, "asked") == 2


def test_text_elsewhere_that_changed_asks_anew(sure: LspClient) -> None:
    assert sure.offered(1, 4, kind=2) == [FILLED]
    where = {"start": at(4, 0), "end": at(4, 5)}
    sure.change([{"range": where, "text": "show"}], 2)
    sure.offered(1, 4, kind=2)
    assert count(sure, "asked") == 2


def test_cancelled_request_is_answered_at_once_and_closed_within_a_step(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, pause=0.4) as client:
        client.start()
        client.open(TEXT)
        number, answer = client.ask_at(1, 4)
        client.until(lambda: "step 1" in client.errors())
        client.peer.tell("$/cancelRequest", {"id": number})
        with pytest.raises(RpcError) as cancelled:
            answer.result(0.3)
        assert cancelled.value.code == rpc.REQUEST_CANCELLED
        client.until(lambda: "closed" in client.errors())
        assert "step 3" not in client.errors()


def test_cancellation_that_names_nothing_cancels_nothing(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, pause=0.1) as client:
        client.peer._last = -1  # so that ids begin with 0
        client.request("initialize", {"capabilities": {}})
        client.open(TEXT)
        client.peer._last = -1
        number, answer = client.ask_at(1, 4)
        assert number == 0
        for odd in ({}, {"id": None}, {"id": "x"}, None, []):
            client.peer.tell("$/cancelRequest", odd)
        assert answer.result(20)["items"][0]["insertText"] == "filled"


def test_newer_request_for_a_text_takes_the_place_of_the_older(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, pause=0.2, certainty=[0.9]) as client:
        client.start()
        client.open(TEXT)
        client.open(TEXT, uri="file:///home/me/b.py")
        _, first = client.ask_at(1, 4)
        _, other = client.ask_at(1, 4, uri="file:///home/me/b.py")
        client.until(lambda: "step 1" in client.errors())
        _, second = client.ask_at(2, 0)
        assert first.result(0.3) == {"items": []}
        assert [one.result(20)["items"][0]["insertText"] for one in (other, second)] == [
            "filled"
        ] * 2


def test_pause_is_waited_for_only_where_nobody_asked(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, certainty=[0.9]) as client:
        client.start(initializationOptions={"debounce": 10_000})
        client.open(TEXT)
        client.open(TEXT, uri="file:///home/me/b.py")
        _, waiting = client.ask_at(1, 4, kind=2)
        assert client.offered(1, 4, uri="file:///home/me/b.py") == ["filled"]
        assert not waiting.done() and count(client, "asked") == 1
        assert client.offered(2, 0) == ["filled"]
        assert waiting.result(1) == {"items": []}
        assert count(client, "asked") == 2


def test_item_that_is_selected_in_a_menu_is_gone_on_from(sure: LspClient) -> None:
    where = {"start": at(4, 6), "end": at(4, 8)}
    info = {"selectedCompletionInfo": {"range": where, "text": "hash"}}
    _, answer = sure.ask_at(4, 8, 2, context=info)
    (item,) = answer.result(20)["items"]
    assert item == {"insertText": f"hash{FILLED}", "range": where}


def test_progress_is_told_under_the_clients_token(sure: LspClient) -> None:
    _, answer = sure.ask_at(1, 4, workDoneToken="t")
    answer.result(20)
    told = [said["value"]["kind"] for name, said in sure.said if name == "$/progress"]
    assert (told[0], told[-1]) == ("begin", "end") and set(told[1:-1]) == {"report"}


def test_drafts_are_partial_results_where_the_client_wants_them(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, texts=[FILLED], pause=0.1) as client:
        client.start(initializationOptions={"drafts": True})
        client.open(TEXT)
        _, answer = client.ask_at(1, 4, partialResultToken="p")
        assert answer.result(20)["items"][0]["insertText"] == FILLED
        drafts = [
            said["value"][0]["insertText"] for name, said in client.said if name == "$/progress"
        ]
        assert len(drafts) == STEPS - 1
        assert drafts[0].startswith("return") and "~" in drafts[0]


@pytest.mark.parametrize("language", ["python", "rust"])
def test_language_that_the_model_does_not_know_is_told_to_those_who_ask(
    tmp_path: Path, language: str
) -> None:
    with lsp_scripted(tmp_path, languages=[".py"], certainty=[0.9]) as client:
        client.start()
        client.open(TEXT, uri="untitled:Untitled-1", language=language)
        uri = {"uri": "untitled:Untitled-1"}
        if language == "python":
            assert client.offered(1, 4, **uri) == ["filled"]
            return
        assert client.offered(1, 4, kind=2, **uri) == []
        with pytest.raises(RpcError, match=r"^scripted does not know \.rs files$"):
            client.offered(1, 4, **uri)


def test_engine_that_fails_is_told_once_and_not_tried_at_every_key(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, failing="no such model: x") as client:
        client.start(initializationOptions={"debounce": 0})
        client.open(TEXT)
        for _ in range(5):
            assert client.offered(1, 4, kind=2) == []
        assert client.logged() == ["dgedit: no such model: x"]
        assert count(client, "tried") == 1
        with pytest.raises(RpcError, match=r"^no such model: x$") as failed:
            client.offered(1, 4, kind=1)
        assert failed.value.code == rpc.REQUEST_FAILED
        assert count(client, "tried") == 2
