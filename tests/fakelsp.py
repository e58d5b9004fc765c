"""A language server of a few lines, for tests: `python fakelsp.py [MODE…]`.

It finds each `bad` an error and each `odd` a warning, says of a name how long it is, and takes
`def NAME` in the same file for its definition. Modes: `utf-8` and `utf-32` count so, `whole` wants
whole texts, `dies` ends when it is told of a text with `die` in it, `mute` never answers, `deaf`
never reads, `noise` says what is no message first, `wild` answers what no protocol knows.
"""

from __future__ import annotations

import re
import sys
import time
from typing import Any

from dgedit.protocol.positions import PositionEncoding
from dgedit.protocol.rpc import METHOD_NOT_FOUND, Incoming, Peer, RpcError
from dgedit.protocol.told import Told

MODES = set(sys.argv[1:])
ENCODING: PositionEncoding = (
    "utf-8" if "utf-8" in MODES else "utf-32" if "utf-32" in MODES else "utf-16"
)
CAN = {
    "textDocumentSync": {"openClose": True, "change": 1 if "whole" in MODES else 2},
    "hoverProvider": True,
    "definitionProvider": True,
} | ({"positionEncoding": ENCODING} if ENCODING != "utf-16" else {})
WILD: list[Any] = [None, 7, "x", [], {"contents": 3}, {"contents": [None, {"value": 1}]}, [[]]]


class Fake:
    def __init__(self) -> None:
        self.peer = Peer(sys.stdin.buffer, sys.stdout.buffer)
        self.told: dict[str, Told] = {}
        self.heard: list[str] = []

    def run(self) -> None:
        for message in self.peer.incoming():
            self.heard.append(message.method)
            if message.method == "exit":
                return
            if "mute" not in MODES:
                self.take(message)

    def take(self, message: Incoming) -> None:
        params = message.params or {}
        uri = (params.get("textDocument") or {}).get("uri", "")
        match message.method:
            case "initialize":
                self.peer.answer(self.number(message), {"capabilities": CAN})
                self.peer.ask("workspace/configuration", {"items": [{"section": "fake"}]})
                self.peer.ask("workspace/unheard-of", {})
            case "textDocument/didOpen":
                self.told[uri] = Told(params["textDocument"]["text"])
                self.publish(uri)
            case "textDocument/didChange":
                self.told[uri] = self.changed(uri, params)
                self.publish(uri)
            case "textDocument/hover":
                name = self.name_at(uri, params["position"])
                said = f"{name}: {len(name)}\x1b[2J" if name else ""
                wild = WILD[len(self.heard) % len(WILD)]
                self.peer.answer(
                    self.number(message), wild if "wild" in MODES else {"contents": said}
                )
            case "textDocument/definition":
                name = self.name_at(uri, params["position"])
                found = self.places(uri, rf"(?<=def ){re.escape(name)}\b") if name else []
                self.peer.answer(
                    self.number(message), [{"uri": uri, "range": one} for one in found]
                )
            case "shutdown":
                self.peer.answer(self.number(message), None)
            case _ if message.id is not None:
                self.peer.fail(message.id, RpcError(METHOD_NOT_FOUND, "no"))

    def number(self, message: Incoming) -> int | str:
        assert message.id is not None
        return message.id

    def changed(self, uri: str, params: dict[str, Any]) -> Told:
        old, text = self.told[uri], self.told[uri].text
        for part in params["contentChanges"]:
            assert ("range" in part) == ("whole" not in MODES)
            if place := part.get("range"):
                start, end = (self.offset(uri, place[side]) for side in ("start", "end"))
                text = text[:start] + part["text"] + text[end:]
            else:
                text = part["text"]
        assert params["textDocument"]["version"] == old.version + 1
        return Told(text, old.version + 1)

    def offset(self, uri: str, place: dict[str, int]) -> int:
        return self.told[uri].offset(place["line"], place["character"], ENCODING)

    def name_at(self, uri: str, place: dict[str, int]) -> str:
        at = self.offset(uri, place)
        words = re.finditer(r"\w+", self.told[uri].text)
        return next((word[0] for word in words if word.start() <= at <= word.end()), "")

    def places(self, uri: str, pattern: str) -> list[dict[str, Any]]:
        told = self.told[uri]
        return [
            {
                "start": told.position(found.start(), ENCODING),
                "end": told.position(found.end(), ENCODING),
            }
            for found in re.finditer(pattern, told.text)
        ]

    def publish(self, uri: str) -> None:
        told = self.told[uri]
        if "dies" in MODES and "die" in told.text:
            sys.exit(3)
        if "noise" in MODES:
            print("Traceback: no message\n{", flush=True)
        found: list[Any] = [
            {"range": place, "message": f"{word} is {word}", "severity": level, "source": "fake"}
            for word, level in (("bad", 1), ("odd", 2))
            for place in self.places(uri, rf"\b{word}\b")
        ]
        if "wild" in MODES:
            found += [
                None,
                3,
                {"range": {"start": {}}},
                {"message": "x"},
                {"range": [], "code": []},
            ]
        said = {"uri": uri, "version": told.version, "diagnostics": found}
        self.peer.tell("textDocument/publishDiagnostics", said)


if __name__ == "__main__":
    if "deaf" in MODES:
        time.sleep(60)
    Fake().run()
