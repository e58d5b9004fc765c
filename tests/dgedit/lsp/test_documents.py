"""Texts that follow their changes, beside a plain model of them."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgedit.lsp import documents
from dgedit.lsp.documents import OpenTexts, OutOfStep
from dgedit.lsp.fields import LspPosition
from dgedit.protocol.positions import ENCODINGS, PositionEncoding, paired
from dgedit.protocol.rpc import RpcError

END = re.compile(r"\r\n|\n|\r")
PIECES = st.text(st.sampled_from("ab \n\r\té€😀\ud83d\ude00"), max_size=8)
URI = "file:///a.py"


def opened(text: str, encoding: PositionEncoding = "utf-16", version: Any = 1) -> OpenTexts:
    texts = OpenTexts()
    texts.encoding = encoding
    about = {"uri": URI, "languageId": "python", "version": version, "text": text}
    texts.open({"textDocument": about})
    return texts


def change(texts: OpenTexts, version: Any, *changes: Any) -> None:
    about = {"uri": URI, "version": version}
    texts.change({"textDocument": about, "contentChanges": list(changes)})


def text_of(texts: OpenTexts) -> str | None:
    snapshot = texts.get(URI)
    return None if snapshot is None else snapshot.text


def place(text: str, offset: int, encoding: str) -> dict[str, int]:
    """Where an offset is, counted by looking at all that is before it."""
    before = text[:offset]
    ends = [end.end() for end in END.finditer(text) if end.end() <= offset]
    last = before[ends[-1] :] if ends else before
    kind, width = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}[
        encoding
    ]
    return {"line": len(ends), "character": len(last.encode(kind, "surrogatepass")) // width}


def splits_an_end(text: str, offset: int) -> bool:
    return text[max(0, offset - 1) : offset + 1] == "\r\n"


@settings(max_examples=300)
@given(PIECES, st.sampled_from(ENCODINGS), st.data())
def test_changes_are_followed_as_in_a_plain_text(
    text: str, encoding: PositionEncoding, data: st.DataObject
) -> None:
    texts, plain = opened(text, encoding), paired(text)
    for version in range(2, 2 + data.draw(st.integers(1, 6))):
        changes = []
        for _ in range(data.draw(st.integers(1, 2))):
            inside = [at for at in range(len(plain) + 1) if not splits_an_end(plain, at)]
            start, end = sorted(data.draw(st.tuples(*[st.sampled_from(inside)] * 2)))
            new = data.draw(PIECES)
            where = {"start": place(plain, start, encoding), "end": place(plain, end, encoding)}
            changes.append({"range": where, "text": new})
            plain = paired(plain[:start] + new + plain[end:])
        change(texts, version, *changes)
        snapshot = texts.get(URI)
        assert snapshot is not None and snapshot.text == plain
        ends = [0, *(end.end() for end in END.finditer(plain)), len(plain)]
        assert list(snapshot.lines) == [plain[a:b] for a, b in itertools.pairwise(ends)]
        for at in range(len(plain) + 1):
            if not splits_an_end(plain, at):
                spot = place(plain, at, encoding)
                assert snapshot.position(at) == spot
                sent = LspPosition(spot["line"], spot["character"])
                assert snapshot.offset(sent) == at and snapshot.inside(sent) == spot


@pytest.mark.parametrize(
    ("line", "units", "offset"), [(0, 99, 2), (1, 0, 3), (1, 99, 4), (2, 0, 4), (99, 99, 4)]
)
def test_place_outside_is_moved_into_the_text(line: int, units: int, offset: int) -> None:
    snapshot = opened("ab\nc").get(URI)
    assert snapshot is not None and snapshot.offset(LspPosition(line, units)) == offset


def test_place_inside_of_a_pair_never_splits_it() -> None:
    texts = opened("x😀y")
    where = {"start": {"line": 0, "character": 2}, "end": {"line": 0, "character": 2}}
    change(texts, 2, {"range": where, "text": "-"})
    assert text_of(texts) == "x-😀y"


HERE = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}


@pytest.mark.parametrize("version", [1, 0, -5])
def test_version_out_of_order_is_told_once_and_mended_by_a_whole_text(version: int) -> None:
    texts = opened("a", version=1)
    with pytest.raises(OutOfStep, match=r"^a version out of order[^\n]*$"):
        change(texts, version, {"range": HERE, "text": "b"})
    assert text_of(texts) is None
    change(texts, 2, {"range": HERE, "text": "c"})  # not told again
    assert text_of(texts) is None
    change(texts, 3, {"text": "whole"})
    assert text_of(texts) == "whole"
    change(texts, 7, {"range": HERE, "text": "a "})
    assert text_of(texts) == "a whole"


def test_whole_text_of_an_older_version_is_taken() -> None:
    texts = opened("a", version=5)
    change(texts, 2, {"text": "b"}, {"range": HERE, "text": "c"})
    assert text_of(texts) == "cb"


def test_client_that_does_not_count_is_followed() -> None:
    texts = opened("a", version=None)
    change(texts, None, {"range": HERE, "text": "b"})
    assert text_of(texts) == "ba" and texts.get(URI).version is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "odd",
    [
        {"range": HERE},
        {"range": {"start": HERE["start"]}, "text": ""},
        {"range": {"start": {"line": 1, "character": 0}, "end": HERE["end"]}, "text": ""},
        {"range": {"start": {"line": -1, "character": 0}, "end": HERE["end"]}, "text": ""},
        {"range": {"start": {"line": 0.5, "character": 0}, "end": HERE["end"]}, "text": ""},
        7,
    ],
)
def test_change_that_cannot_be_leaves_the_text_out_of_step(odd: Any) -> None:
    texts = opened("a")
    with pytest.raises(OutOfStep, match=r"^a change cannot be followed[^\n]*$"):
        change(texts, 2, odd)
    assert text_of(texts) is None
    change(texts, 3, {"text": "b"})
    assert text_of(texts) == "b"


def test_text_that_is_not_open_is_told_once() -> None:
    texts = OpenTexts()
    with pytest.raises(OutOfStep, match="not open"):
        change(texts, 2, {"text": "a"})
    change(texts, 3, {"text": "a"})
    assert text_of(texts) is None
    with pytest.raises(RpcError, match=r"textDocument\.uri must be a text"):
        texts.change({"contentChanges": []})


def test_text_that_is_too_large_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "LARGEST", 100)
    with pytest.raises(OutOfStep, match=r"^a text of 100 characters is too large to be filled$"):
        opened("x" * 100)
    texts = opened("x" * 99)
    with pytest.raises(OutOfStep, match="too large"):
        change(texts, 2, {"range": HERE, "text": "y"})
    assert text_of(texts) is None
    change(texts, 3, {"text": "short"})
    assert text_of(texts) == "short"


def test_closed_text_is_forgotten() -> None:
    texts = opened("a")
    snapshot = texts.get(URI)
    assert snapshot is not None and texts.is_at(snapshot)
    texts.close({"textDocument": {"uri": URI}})
    assert text_of(texts) is None and not texts.is_at(snapshot)
