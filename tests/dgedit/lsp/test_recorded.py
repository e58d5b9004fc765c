"""What editors' own clients have said to `dgedit lsp`, said once more.

Recorded from the sessions of `test_clients.py`, Neovim 0.11.4, vscode-languageclient 11.0.0, eglot
1.17.30 and lsp-mode 10.0.0; and from hands in a terminal: Vim 9.0 with coc.nvim of August 2026 and
Neovim 0.12.4, which showed the text at the pauses and took it, Helix 25.07.1, which filled the body
of a function and then the place before its cursor, and Kakoune 2022.10.31 with kakoune-lsp 21.0.2,
which filled the body and, after an undo, the word that was selected.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lspclient import LspClient, at, lsp_scripted

RECORDED = Path(__file__).parent / "recorded"
FILLED = "return x / 2"


def replayed(client: LspClient, name: str) -> Iterator[tuple[str, Any]]:
    """Send what was recorded; yield each request's method and result."""
    for line in (RECORDED / f"{name}.jsonl").read_text().splitlines():
        said = json.loads(line)
        if "method" not in said:
            continue  # an answer to a request of the server's
        if "id" in said:
            yield said["method"], client.request(said["method"], said.get("params"))
        else:
            client.peer.tell(said["method"], said.get("params"))


@pytest.mark.parametrize("name", ["neovim", "vscode", "coc"])
def test_session_of_an_editor_goes_as_it_went(tmp_path: Path, name: str) -> None:
    with lsp_scripted(tmp_path, texts=[FILLED], certainty=[0.9]) as client:
        found = list(replayed(client, name))
        assert client.logged() == []
        assert client.process.wait(10) == 0 if name != "coc" else client.end() == 0
    greeting, results = found[0][1], dict(found)
    if name == "neovim":
        assert greeting["capabilities"]["positionEncoding"] == "utf-8"
        titles = [one["title"] for one in results["textDocument/codeAction"]]
        assert titles == ["Fill here", "Fill all <FILL> markers", "Fill body of half"]
        (change,) = results["codeAction/resolve"]["edit"]["documentChanges"]
        where = {"start": at(1, 12), "end": at(1, 18)}
        assert change["edits"] == [{"range": where, "newText": FILLED}]
        (item,) = results["textDocument/inlineCompletion"]["items"]
        assert item == {"insertText": FILLED, "range": {"start": at(2, 18), "end": at(2, 18)}}
        return
    assert greeting["capabilities"]["positionEncoding"] == "utf-16"
    texts = [
        result["items"][0]["insertText"]
        for method, result in found
        if method.endswith("Completion")
    ]
    assert texts == [FILLED, FILLED if name == "coc" else "turn x / 2"]


def test_ghost_text_of_neovim_is_asked_for_at_every_pause(tmp_path: Path) -> None:
    """It takes the text, waits, types on, and takes what is left of the next."""
    with lsp_scripted(tmp_path, texts=[FILLED], certainty=[0.9]) as client:
        found = list(replayed(client, "neovim12"))
        assert client.logged() == [] and client.process.wait(10) == 0
    assert found[0][1]["capabilities"]["positionEncoding"] == "utf-8"
    items = [result["items"] for method, result in found if method.endswith("Completion")]
    offered = [[one["insertText"] for one in some] for some in items]
    assert offered == [[FILLED], [FILLED], [FILLED], [FILLED.removeprefix("ret")], [FILLED]]
    places = [some[0]["range"]["start"]["character"] for some in items]
    assert places == [19, 31, 32, 35, 44]  # bytes


@pytest.mark.parametrize("name", ["helix", "kakoune", "eglot"])
def test_function_is_filled_by_a_code_action(tmp_path: Path, name: str) -> None:
    with lsp_scripted(tmp_path, texts=[FILLED], certainty=[0.9]) as client:
        found = list(replayed(client, name))
        assert client.logged() == []
        assert client.process.wait(10) == (name == "kakoune")  # it exits without a shutdown
    menus = [result for method, result in found if method == "textDocument/codeAction"]
    titles = [[one["title"] for one in menu] for menu in menus]
    edits = [
        (*change["edits"][0]["range"].values(), change["edits"][0]["newText"])
        for method, result in found
        if method == "codeAction/resolve"
        for change in result["edit"]["documentChanges"]
    ]
    counted = found[0][1]["capabilities"]["positionEncoding"]
    here, body = "Fill here", "Fill body of half"
    if name == "helix":  # whose cursor is a selection
        assert counted == "utf-8"
        assert titles == [[here, "Fill selection", body]] * len(titles)
        assert edits == [(at(2, 4), at(2, 8), FILLED), (at(2, 18), at(2, 18), FILLED)]
    elif name == "kakoune":  # which leaves the last character out of what is selected
        assert counted == "utf-8"
        assert titles == [[here, body]] * 4 + [["Fill selection", body]] * 3 + [[here, body]]
        assert edits == [(at(2, 4), at(2, 8), FILLED)] * 2
    else:
        assert counted == "utf-32"
        assert titles == [[here, body]]
        assert edits == [(at(1, 14), at(1, 18), FILLED)]


def test_ghost_text_of_lsp_mode(tmp_path: Path) -> None:
    with lsp_scripted(tmp_path, texts=[FILLED], certainty=[0.9]) as client:
        found = dict(replayed(client, "lsp-mode"))
        assert client.logged() == [] and client.process.wait(10) == 0
    (item,) = found["textDocument/inlineCompletion"]["items"]
    assert item == {"insertText": FILLED, "range": {"start": at(2, 11), "end": at(2, 11)}}
