"""Code actions and edits around the cursor, from a real process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dgedit.protocol import rpc
from dgedit.protocol.rpc import RpcError
from lspclient import ALL, URI, LspClient, at, lsp_scripted

TEXT = '''class Point:
    def norm(self):
        """Return the length."""
        return 0

    def half(self):
        <FILL: half of it>


y = 1  # <FILL>
'''


@pytest.fixture
def client(tmp_path: Path) -> Iterator[LspClient]:
    with lsp_scripted(tmp_path, texts=["one", "two"], certainty=[0.9]) as client:
        client.start()
        client.open(TEXT, version=7)
        yield client


def applied(text: str, edits: list[Any]) -> str:
    """The text with edits, whose ranges are in ASCII."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def offset(spot: Any) -> int:
        return starts[spot["line"]] + spot["character"]

    ordered = sorted(edits, key=lambda edit: offset(edit["range"]["start"]), reverse=True)
    for edit in ordered:
        start, end = (offset(edit["range"][name]) for name in ("start", "end"))
        text = text[:start] + edit.get("newText", edit.get("text")) + text[end:]
    return text


def titles(actions: list[Any]) -> list[str]:
    return [one["title"] for one in actions]


def resolved(client: LspClient, action: Any, text: str = TEXT) -> str:
    """The text with the edit of an action."""
    (change,) = client.request("codeAction/resolve", action)["edit"]["documentChanges"]
    assert change["textDocument"] == {"uri": URI, "version": 7}
    return applied(text, change["edits"])


def test_menu_is_there_without_an_engine(client: LspClient) -> None:
    found = client.actions(at(3, 10), at(3, 10))
    assert titles(found) == ["Fill here", "Fill all <FILL> markers", "Fill body of Point.norm"]
    assert all(one["kind"] == "refactor.rewrite" and "edit" not in one for one in found)
    selected = client.actions(at(3, 8), at(3, 16))
    assert titles(selected)[0] == "Fill selection"
    assert client.errors() == []


def test_selection_of_one_character_is_a_cursor_too(client: LspClient) -> None:
    """As in Helix and Kakoune, whose cursor lies on the character behind the place."""
    first = ["Fill here", "Fill selection"]
    assert titles(client.actions(at(3, 15), at(3, 16)))[:2] == first
    assert titles(client.actions(at(3, 14), at(3, 16)))[:1] == ["Fill selection"]
    here, selection, *_ = client.actions(at(3, 16), at(4, 0))  # on the line's end
    assert titles([here, selection]) == first
    assert resolved(client, here) == TEXT.replace("return 0", "return 0one")
    client.open(TEXT.replace("\n", "\r\n"), version=7)
    here = client.actions(at(3, 16), at(4, 0))[0]
    text = TEXT.replace("\n", "\r\n")
    assert resolved(client, here, text) == text.replace("return 0", "return 0one")


@pytest.mark.parametrize(
    ("only", "count"),
    [
        (["refactor"], 3),
        (["refactor.rewrite"], 3),
        (["quickfix", "source"], 0),
        ([""], 3),
        ("x", 3),
    ],
)
def test_only_wanted_kinds_are_in_it(client: LspClient, only: Any, count: int) -> None:
    assert len(client.actions(at(3, 10), at(3, 10), only=only)) == count


def test_edits_are_made_when_an_action_is_chosen(client: LspClient) -> None:
    here, markers, body = client.actions(at(3, 15), at(3, 15))
    assert resolved(client, here) == TEXT.replace("return 0", "return one0")
    filled = TEXT.replace("<FILL: half of it>", "one").replace("<FILL>", "two")
    assert resolved(client, markers) == filled
    assert resolved(client, body) == TEXT.replace("return 0", "one")
    (selection, *_) = client.actions(at(3, 8), at(3, 16))
    assert resolved(client, selection) == TEXT.replace("return 0", "one")


def test_body_of_a_name_is_that_around_the_cursor(client: LspClient) -> None:
    assert titles(client.actions(at(0, 3), at(0, 3)))[-1] == "Fill body of Point"
    assert titles(client.actions(at(5, 4), at(5, 4)))[-1] == "Fill body of Point.half"
    assert titles(client.actions(at(9, 0), at(9, 0)))[-1] == "Fill all <FILL> markers"


def test_lines_end_as_they_do_in_the_text(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, texts=["one\ntwo"]) as client:
        client.start()
        client.open("a\r\n<FILL>\r\n", version=7)
        found = {one["title"]: one for one in client.actions(at(0, 0), at(0, 0))}
        action = client.request("codeAction/resolve", found["Fill all <FILL> markers"])
        ((edit,),) = [one["edits"] for one in action["edit"]["documentChanges"]]
        assert edit == {"range": {"start": at(1, 0), "end": at(1, 6)}, "newText": "one\r\ntwo"}
        assert client.offered(0, 1) == ["one\ntwo"]  # as every client splits it


def test_edit_of_a_text_that_has_changed_is_refused(client: LspClient) -> None:
    (action, *_) = client.actions(at(3, 15), at(3, 15))
    client.change([{"range": {"start": at(0, 0), "end": at(0, 0)}, "text": "#\n"}], 8)
    with pytest.raises(RpcError, match="changed meanwhile") as refused:
        client.request("codeAction/resolve", action)
    assert refused.value.code == rpc.CONTENT_MODIFIED


def test_text_that_changes_while_it_is_filled_is_not_edited(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, pause=0.2) as client:
        client.start()
        client.open(TEXT)
        (action, *_) = client.actions(at(3, 15), at(3, 15))
        _, answer = client.send("codeAction/resolve", action)
        client.until(lambda: "step 1" in client.errors())
        client.change([{"text": "x"}], 2)
        with pytest.raises(RpcError, match="changed meanwhile"):
            answer.result(20)


@pytest.mark.parametrize(
    "data", [None, 7, {}, {"uri": URI}, {"uri": URI, "version": 7, "kind": "rm"}, {"uri": 7}]
)
def test_action_of_somebody_elses_is_an_error(client: LspClient, data: Any) -> None:
    with pytest.raises(RpcError) as refused:
        client.request("codeAction/resolve", {"title": "x", "data": data})
    assert refused.value.code == rpc.INVALID_PARAMS


def test_doubt_is_told_with_the_edit(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, texts=["one"], certainty=[0.2]) as client:
        client.start()
        client.open(TEXT, version=7)
        (action, *_) = client.actions(at(3, 15), at(3, 15))
        assert resolved(client, action) == TEXT.replace("return 0", "return one0")
        assert (
            "window/showMessage",
            {"type": 2, "message": "dgedit: line 4: unsure (20%)"},
        ) in client.said


def test_edit_that_takes_long_is_the_best_so_far(tmp_path: Path) -> None:
    """As Helix gives up after 20 s."""
    with lsp_scripted(tmp_path, texts=["a b c"], pause=0.6, limit=1.0) as client:
        client.start()
        client.open(TEXT, version=7)
        (action, *_) = client.actions(at(3, 15), at(3, 15))
        drafts = ("a~~~~", "a b~~")  # whichever there is by then
        places = [TEXT.replace("return 0", f"return {draft}0") for draft in drafts]
        assert resolved(client, action) in places
        assert "step 3" not in client.errors()
        message = {"type": 2, "message": "dgedit: line 4: did not settle"}
        assert ("window/showMessage", message) in client.said


def test_client_that_cannot_resolve_has_the_edit_applied(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, texts=["one"]) as client:
        client.start({})
        client.open(TEXT)
        (action, *_) = client.actions(at(3, 15), at(3, 15))
        command = action["command"]
        about = {"command": command["command"], "arguments": command["arguments"]}
        assert client.request("workspace/executeCommand", about) is None
        client.until(lambda: "workspace/applyEdit" in [name for name, _ in client.said])
        (edit,) = [said["edit"] for name, said in client.said if name == "workspace/applyEdit"]
        assert applied(TEXT, edit["changes"][URI]) == TEXT.replace("return 0", "return one0")
        with pytest.raises(RpcError, match="no command"):
            client.request("workspace/executeCommand", about | {"command": "rm"})


@pytest.mark.parametrize("agrees", [True, False])
def test_progress_of_ours_is_told_only_to_who_agrees(tmp_path: Path, agrees: bool) -> None:
    with lsp_scripted(tmp_path, pause=0.1) as client:
        if agrees:
            client.answers["window/workDoneProgress/create"] = None
        client.start(ALL | {"window": {"workDoneProgress": True}})
        client.open(TEXT, version=7)
        (action, *_) = client.actions(at(3, 15), at(3, 15))
        client.request("codeAction/resolve", action)
        told = [said["value"]["kind"] for name, said in client.said if name == "$/progress"]
        assert told[:1] + told[-1:] == (["begin", "end"] if agrees else [])


def test_action_that_is_refused_leaves_no_progress_behind(tmp_path: Path) -> None:
    """A client that was asked to show one would show it for good."""
    with lsp_scripted(tmp_path) as client:
        client.answers["window/workDoneProgress/create"] = None
        client.start(ALL | {"window": {"workDoneProgress": True}})
        client.open(TEXT, version=7)
        (action, *_) = client.actions(at(3, 15), at(3, 15))
        client.change([{"text": "x"}], 8)
        with pytest.raises(RpcError, match="changed"):
            client.request("codeAction/resolve", action)
        assert client.request("shutdown") is None
        assert "window/workDoneProgress/create" not in [name for name, _ in client.said]


OLD = "def f(x):\n    a = 1\n    b = 2\n    c = 3\n    return a + b + c\n"
NEW = "a = 7\n    b = 2\n    c = 3\n    d = 4\n    return a + b + c"


@pytest.mark.parametrize("kind", [2, 1])
@pytest.mark.parametrize("certainty", [0.9, 0.1])
def test_edits_near_the_cursor_are_hunks_of_this_version(
    tmp_path: Path, kind: int, certainty: float
) -> None:
    """As sidekick.nvim asks for them."""
    with lsp_scripted(tmp_path, texts=[NEW], certainty=[certainty]) as client:
        client.start()
        client.open(OLD, version=7)
        about = {"textDocument": {"uri": URI, "version": 7}, "position": at(2, 4)}
        about |= {"context": {"triggerKind": kind}}
        edits = client.request("textDocument/copilotInlineEdit", about)["edits"]
        assert "asked 1 0.5" in " ".join(client.errors())  # at half strength
        if kind == 2 and certainty < 0.4:
            assert edits == []
            return
        assert len(edits) == 2
        assert all(one["textDocument"] == {"uri": URI, "version": 7} for one in edits)
        assert applied(OLD, edits) == OLD.replace("a = 1", "a = 7").replace(
            "c = 3\n", "c = 3\n    d = 4\n"
        )


def test_edits_of_a_selection_stay_in_it(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, texts=["b = 9"]) as client:
        client.start()
        client.open(OLD)
        where = {"start": at(2, 0), "end": at(2, 99)}
        about = {"textDocument": {"uri": URI, "version": 1}, "position": at(2, 4), "range": where}
        edits = client.request("textDocument/copilotInlineEdit", about)["edits"]
        assert applied(OLD, edits) == OLD.replace("b = 2", "b = 9")
