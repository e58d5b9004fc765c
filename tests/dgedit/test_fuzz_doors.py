"""Doors, and what lies in a tree, given any bytes: answers of their kind, or errors in words."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from textual import events

from dgedit.engines.warm import sockets, wire
from dgedit.engines.warm.client import Daemon
from dgedit.engines.warm.server import Serving
from dgedit.engines.warm.sockets import Connection, EngineKey
from dgedit.errors import EngineError
from dgedit.files.project import Rules, files_of
from dgedit.tui.terminal.driver import Answers, Keyboard
from dgedit.tui.terminal.keys import Burst, in_bursts
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Ability, Hole, InfillRequest, ModelError, Passage
from fuzzed import ANY_TEXT, changed, edited, inputs
from overhttp import ask, raw, served
from scripted import STEPS, Scripted

REQUEST = InfillRequest((Passage("a.py", ("x", Hole("y"), Hole())),), "do", seed=3, steps=4)
ASKED: list[dict[str, Any]] = [
    {"do": "hello"},
    {"do": "status"},
    {"do": "infill", "request": wire.request_to_json(REQUEST), "asker": "me"},
]


def lines(messages: list[dict[str, Any]]) -> st.SearchStrategy[bytes]:
    """Messages on a socket, some of them damaged."""
    whole = [json.dumps(one).encode() + b"\n" for one in messages]
    damaged = [changed(one).map(lambda one: json.dumps(one).encode() + b"\n") for one in messages]
    frames = st.one_of(*map(st.just, whole), *damaged, *map(edited, whole))
    return st.lists(frames, max_size=6).map(b"".join)


def test_socket_answers_any_bytes_with_messages(tmp_path: Path) -> None:
    path, place = tmp_path / "s.sock", EngineKey(str(tmp_path), "")
    one = Serving(sockets.listen(path), path, Scripted, place=place, idle=600)
    thread = threading.Thread(target=one.run)
    thread.start()
    kinds = {"hello", "ready", "waiting", "step", "error", "status", "again"}

    def said(data: bytes, last: bytes) -> list[dict[str, Any]]:
        """What is answered to bytes and a message behind them, up to its answer or a hang-up."""
        found: list[dict[str, Any]] = []
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(path))
            with contextlib.suppress(ConnectionError), client.makefile("rb") as stream:
                client.sendall(data + last)
                for line in stream:
                    found.append(json.loads(line))
                    if "status" in found[-1]:
                        break
        return found

    try:

        @inputs(lines(ASKED))
        def check(data: bytes) -> None:
            if b"retire" in data or b"stop" in data:
                return
            for message in said(data, b'{"do": "status"}\n'):
                assert kinds & message.keys()
                error = message.get("error", "x")
                assert isinstance(error, str) and error and len(error) < 300
            (status,) = said(b"", b'{"do": "status"}\n')
            assert status["status"]["state"] in ("ready", "busy")
    finally:
        if (end := sockets.dial(path)) is not None:
            with contextlib.closing(end):
                end.send({"do": "retire"})
        thread.join(10)
    assert not thread.is_alive()


HELLO = {"dgedit": "", "wire": wire.VERSION, "stamp": ""}


READY = {"name": "m", "device": "cpu", "ability": wire.ability_to_json(Ability())}


def saying(data: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """A client whose engine says so, and hangs up."""

    def reach() -> Connection:
        theirs, ours = socket.socketpair()
        theirs.sendall(data)
        theirs.close()
        return Connection(ours)

    monkeypatch.setattr("dgedit.__version__", "")
    monkeypatch.setattr(EngineKey, "stamp", property(lambda self: ""))
    daemon = Daemon(str(folder), None)
    monkeypatch.setattr(daemon, "_reach", reach)
    return daemon


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ([{}], "what is no greeting"),
        ([{"ready": 7}], "what is no greeting"),
        ([{"ready": {"name": 7}}], "what is no greeting"),
        ([{"ready": READY | {"name": 7}}], "what is no greeting"),
        ([{"ready": READY | {"ability": {}}}], "what is no greeting"),
        ([{"ready": READY}, {"step": 7}], "what is no step"),
    ],
)
def test_engine_that_greets_in_another_way_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: list[dict[str, Any]], words: str
) -> None:
    said = b"".join(json.dumps(one).encode() + b"\n" for one in [{"hello": HELLO}, *after])
    with pytest.raises(EngineError, match=words):
        list(saying(said, tmp_path, monkeypatch).infill(REQUEST))


def test_client_of_a_socket_takes_any_bytes_for_steps_or_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [{"step": wire.step_to_json(one), "seconds": 0.1} for one in Scripted().infill(REQUEST)]
    greeted = [{"hello": HELLO}, {"ready": READY}]
    after = [{"waiting": 0}, *steps, {"error": "x", "kind": "value"}, {"again": True}]
    whole = b"".join(json.dumps(one).encode() + b"\n" for one in [*greeted, *after[:-2]])

    @inputs(edited(whole) | st.tuples(lines(greeted), lines(after)).map(b"".join) | st.just(whole))
    def check(data: bytes) -> None:
        daemon = saying(data, tmp_path, monkeypatch)
        try:
            found = list(daemon.infill(REQUEST))
        except (EngineError, ValueError, ModelError, RuntimeError) as error:
            assert type(error) is not RecursionError and data != whole
            return
        assert isinstance(daemon.name, str) and isinstance(daemon.device, str)
        assert len(found) == STEPS or data != whole


BODIES: dict[str, dict[str, Any]] = {
    "/v1/completions": {"prompt": "a = ", "suffix": "\n", "n": 2, "stop": ["x"], "stream": True},
    "/v1/fim/completions": {"prompt": "a = ", "suffix": "\n", "max_tokens": 3},
    "/infill": {
        "input_prefix": "a",
        "input_suffix": "b",
        "prompt": "c",
        "input_extra": [{"text": "x", "filename": "f"}],
        "n_predict": 8,
        "t_max_predict_ms": 250,
        "n_cmpl": 2,
        "response_fields": ["content", "timings/prompt_n"],
    },
    "/completion": {"prompt": "[SUFFIX]b[PREFIX]+++++ f\na", "n_predict": 8, "stream": True},
}
ODD = st.sampled_from(
    [b"NaN", b"-Infinity", b"1e999", b"-1", b"-0.0", b"3.0", b"9" * 400, b"null", b"true", b"{}"]
) | st.sampled_from(
    [b'"\\ud800"', b'"\xed\xa0\x80"', b'"\xff"', b"[" * 9000, b"[" * 700 + b"]" * 700, b'["a", 1]']
)
"""Values that are of no type, of another one, or no JSON."""
LENGTHS = st.sampled_from(["", "0", "-1", "1048577", "9" * 30, "0x2", "1, 1", "²"])
HEADS = st.lists(
    st.sampled_from(
        ["Host: localhost", "Origin: http://x", "Expect: 100-continue", "Connection: keep-alive"]
    )
    | st.sampled_from(
        ["Transfer-Encoding: chunked", "Authorization: Bearer x", " folded", ":", "é:"]
    )
    | st.text(st.characters(max_codepoint=255), max_size=9)
    | LENGTHS.map("Content-Length: {}".format),
    max_size=4,
)
WORDS = st.sampled_from(["GET", "POST", "HEAD", "PUT", "get", "GET GET", "", "\x16\x03"])
CHAT = "/v1/chat/completions"
PLACES = st.sampled_from(
    [*BODIES, CHAT, "/models", "/health", "*", "//", "/infill?x", "http://x/", ""]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request, whole or damaged."""
    place = draw(st.sampled_from(sorted(BODIES)))
    body = json.dumps(draw(changed(BODIES[place]) | st.just(BODIES[place]))).encode()
    if draw(st.booleans()):
        key = draw(st.sampled_from([*BODIES[place], "seed", "echo", "max_tokens", "suffix"]))
        body = json.dumps(BODIES[place] | {key: "@"}).encode().replace(b'"@"', draw(ODD))
    head = ["Host: localhost", f"Content-Length: {len(body)}", *draw(HEADS)]
    version = draw(st.sampled_from(["HTTP/1.1", "HTTP/1.0", "HTTP/9.9", "HTTP/0.9", "HTTP/x", ""]))
    first = f"{draw(WORDS)} {draw(PLACES)} {version}"
    kept = draw(st.booleans())
    lines = [f"POST {place} HTTP/1.1", *head] if kept else [first, *draw(HEADS)]
    data = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
    return draw(st.just(data) | edited(data))


DONE = b"data: [DONE]"
STATUSES = {200, 400, 403, 404, 411, 413, 414, 417, 429, 431, 501, 505}


def test_port_answers_any_bytes_or_hangs_up() -> None:
    with served(Scripted(("1 + 2",))) as serving:

        @inputs(requests(), amount=100)
        def check(data: bytes) -> None:
            with contextlib.suppress(ConnectionError):
                said = raw(serving, data, None)
                while said.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"):
                    said = said.partition(b"\r\n\r\n")[2]
                if said.startswith(b"HTTP/1.1 "):
                    head, _, body = said.partition(b"\r\n\r\n")
                    assert int(head.split()[1]) in STATUSES, head
                    if body and not body.startswith(b"data: "):
                        assert isinstance(json.loads(body), dict | list)
                        assert b"\n" not in body
                    elif body:
                        events = body.removesuffix(b"\n\n").split(b"\n\n")
                        assert all(one in (b":", DONE) or json.loads(one[6:]) for one in events)
            assert ask(serving, "/health", method="GET")[0].status == 200


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    """A path, and a body for it in which a value is odd; or which is odd itself."""
    place = draw(st.sampled_from(sorted(BODIES)))
    key = draw(st.sampled_from([*BODIES[place], "seed", "echo", "max_tokens", "suffix"]))
    body = json.dumps(BODIES[place] | {key: "@"}).encode().replace(b'"@"', draw(ODD))
    return place, draw(st.just(body) | ODD)


def test_port_answers_any_body_in_a_line() -> None:
    with served(Scripted(("1 + 2",))) as serving:

        @inputs(bodies(), amount=100)
        def check(asked: tuple[str, bytes]) -> None:
            answer, said = ask(serving, *asked)
            if answer.status != 200:
                assert answer.status == 400
                message = said["error"]["message"]
                assert message.isprintable() and 0 < len(message) < 200


IGNORED = st.lists(
    st.sampled_from(["*", "**", "/", "!", "#", "\\", "[", "]", "[!", "?", "a", "b", ".py", "\n"])
    | st.sampled_from(["**/", "/**", "[a-", "[[:alpha:]]", "\r\n", " ", "\\ ", "é", "\t"])
    | ANY_TEXT,
    max_size=24,
).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass"))


def test_ignore_files_leave_out_files_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    names = {"a.py", "b", "a/a.py", "a/b/b.py", f"a/b/{'a' * 200}", "a/\udcff", "a/ "}
    for name in names:
        (tmp_path / name).touch()
    ignores = [tmp_path / ".gitignore", tmp_path / "a" / ".gitignore"]

    @inputs(IGNORED | edited(b"*.o\n!a/**/b.py\n[a-c]?\n"), IGNORED | st.binary(max_size=40))
    def check(one: bytes, two: bytes) -> None:
        for file, data in zip(ignores, (one, two), strict=True):
            file.write_bytes(data)
        found = set(files_of(tmp_path))
        assert found <= names | {".gitignore", "a/.gitignore"}
        root, inner = str(tmp_path), Rules.within(str(tmp_path), str(tmp_path / "a"))
        left_out = Rules.of(root).ignore(f"{root}/a", folder=True)
        for name in ("a.py", "\udcff", " ", ".gitignore"):  # the walk, and who asks about one path
            ignored = left_out or inner.ignore(f"{root}/a/{name}", folder=False)
            assert (f"a/{name}" in found) != ignored


TYPED = st.text(st.characters(codec="utf-8"), max_size=12)
KEYS = st.lists(
    st.sampled_from(
        ["\x1b[A", "\x1b[1;5D", "\x1bOP", "\x1b", "\x1b[", "\x1b[200~", "\x1b[201~", "a"]
    )
    | st.sampled_from(["\x1b]52;", "\x1b]52;c;", "\x07", "\x7f", "\x1bP", "\x1b\\", "\x9b", "\r"])
    | st.sampled_from(["\x1b[<0;3;4M", "\x1b[?2026;2$y", "\x1b[1;1R", "\x1b[M\0\0", "\x1b[97;5u"])
    | st.builds("\x1b[{};{};{}{}".format, *[st.integers(-1, 10**22)] * 3, st.sampled_from("~uRtA"))
    | TYPED,
    max_size=12,
).map("".join)


def test_terminal_sends_keys_whatever_its_bytes() -> None:
    """In any parts; and what is pasted behind them, once that is over, comes as it is."""

    @inputs(KEYS, st.lists(st.integers(0, 120), max_size=4), TYPED, st.booleans())
    def check(keys: str, cuts: list[int], text: str, asked: bool) -> None:
        answers, keyboard = Answers(), Keyboard()
        answers.asked = asked
        places = sorted({0, *cuts, len(keys)})
        parts = [keys[start:end] for start, end in pairwise(places)]
        now = 0.0
        for part in [*parts, "", ""]:
            now += 9
            for message in in_bursts(keyboard.read(answers.take(part, now)[0])):
                if isinstance(message, Burst):
                    assert len(message.keys) > (0 if message.pasted else 1)
        plain = "".join(char for char in text if char.isprintable())
        fresh = Keyboard()
        pasted = fresh.read(f"\x1b[200~{plain}\x1b[201~")
        assert [one.text for one in pasted if isinstance(one, events.Paste)] == [plain]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A tokenizer of Gemma's kind."""
    from every_format import tokenizer

    place = tmp_path_factory.mktemp("tokenizer")
    tokenizer(place)
    return (place / "tokenizer.json").read_bytes()


PARTS = [
    {"type": "Split", "pattern": {"Regex": r"\w+|\s"}, "behavior": "Isolated", "invert": False},
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    {"type": "Replace", "pattern": {"String": "a"}, "content": ""},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
    {"type": "Precompiled", "precompiled_charsmap": "AAAA"},
    {"type": "Prepend", "prepend": "▁"},
    {"type": "NFKC"},
    {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    {"type": "Digits", "individual_digits": True},
]


def test_tokenizers_encode_or_are_refused_in_a_line(tmp_path: Path, tokenizer: bytes) -> None:
    path, whole = tmp_path / "tokenizer.json", json.loads(tokenizer)
    place = st.sampled_from(["normalizer", "pre_tokenizer", "decoder", "post_processor"])
    parts = st.tuples(place, st.sampled_from(PARTS).flatmap(changed) | st.sampled_from(PARTS))
    lists = {"model": {**whole["model"], "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}}

    @inputs(
        edited(tokenizer)
        | changed(whole).map(lambda one: json.dumps(one).encode())
        | changed(whole | lists).map(lambda one: json.dumps(one).encode())
        | parts.map(lambda part: json.dumps(whole | dict([part])).encode()),
        st.sampled_from(["", "abc def\n", "é👩‍👩‍👧 \x00<bos>", "a" * 300]) | TYPED,
    )
    def check(data: bytes, text: str) -> None:
        path.write_bytes(data)
        try:
            found = Tokenizer(path)
            ids = found.encode(text)
            assert all(one >= 0 for one in ids) and found.encode_all([text]) == [ids]
            assert sum(piece.tokens for piece in found.pieces(ids)) == len(ids)
            found.encode_lines(text)
            found.beginning("a")
        except ModelError as error:
            assert str(error) and "\n" not in str(error)
