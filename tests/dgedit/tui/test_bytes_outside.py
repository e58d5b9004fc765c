"""A file that is opened, edited and saved differs from what it was in the edits alone, to the byte.

Each code point carries the bytes that it came with through the same edits as the buffer: what is in
the file in the end must be these bytes, one after the other.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dgedit.files.document import ERRORS, Document
from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.highlighting import syntax_of

PIECES = st.sampled_from(
    [
        "a",
        "def f():\n",
        "    ",
        "\n",
        "\r\n",
        "\r",
        "\x0c",
        "\x0b",
        "\x85",
        "\u2028",
        "é",
        "界",
        "😀",
        "\ufeff",
    ]
)
TEXTS = st.lists(PIECES, max_size=20).map("".join)
BROKEN = st.sampled_from([b"\xff", b"\xc3", b"\x80", b"\xf0\x9f", b"\xed\xb2\x80", b"\xe2\x82"])
UNPAIRED = st.sampled_from(["\ud83d", "\ude00", "a", "\r\n"]).map(
    lambda char: char.encode("utf-16-le", "surrogatepass")
)


def utf16(order: str, bom: bytes) -> st.SearchStrategy[bytes]:
    """A file in UTF-16."""
    return TEXTS.map(lambda text: bom + text.encode(order))


FILES = st.one_of(
    st.binary(max_size=40),
    TEXTS.map(str.encode),
    TEXTS.map(lambda text: codecs.BOM_UTF8 + text.encode()),
    st.lists(st.one_of(TEXTS.map(str.encode), BROKEN), max_size=8).map(b"".join),
    utf16("utf-16-le", codecs.BOM_UTF16_LE),
    utf16("utf-16-be", codecs.BOM_UTF16_BE),
    st.lists(UNPAIRED, max_size=8).map(lambda parts: codecs.BOM_UTF16_LE + b"".join(parts)),
)
EDITS = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 8), TEXTS), max_size=10)


def stored(document: Document, text: str) -> list[bytes]:
    """The bytes of each code point."""
    return [char.encode(document.encoding, ERRORS[document.encoding]) for char in text]


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(b"a\rx\nb", [(2, 1, "")])  # a \r and a \n come together
@example(b"\xc3x\xa9", [(1, 1, "")])  # halves of a character come together
@example(codecs.BOM_UTF16_BE + b"\xd8\x3d\x00a\xde\x00", [(1, 1, "")])
@given(FILES, EDITS)
def test_bytes_outside_the_edits_are_the_same(
    tmp_path: Path, data: bytes, edits: list[tuple[int, int, str]]
) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(data)
    document = Document.load(path, binary=True)
    bytes_of = stored(document, document.text)
    assert document.bom + b"".join(bytes_of) == data

    buffer = Buffer(document.text, newline=document.eol, syntax=syntax_of(path))
    for at, count, new in edits:
        at %= buffer.length + 1
        start, end = (buffer.location(min(i, buffer.length)) for i in (at, at + count))
        bytes_of[buffer.index(start) : buffer.index(end)] = stored(document, new)
        buffer.replace_range(start, end, new)

    document.with_text(buffer.text).save()
    assert path.read_bytes() == document.bom + b"".join(bytes_of)
