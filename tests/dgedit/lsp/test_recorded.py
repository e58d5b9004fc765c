"""What editors' own clients have said to `dgedit lsp`, said once more.

Recorded from the sessions of `test_clients.py`, Neovim 0.11.4 and vscode-languageclient 11.0.0, and
from Vim 9.0 with coc.nvim of August 2026, which showed the text at the first pause and took it.
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
