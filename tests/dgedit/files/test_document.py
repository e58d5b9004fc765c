"""Documents: bytes come back as they were, edits touch their span only, conflicts are seen."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from dgedit.errors import ConflictError, InputError
from dgedit.files.document import Document, Span

ODD = [
    b"",
    b"a\r\nb\rc\n\x0c\xe2\x80\xa8d",
    b"\xef\xbb\xbfname = 'x'\n",
    b"\xef\xbb\xbf\xef\xbb\xbftwice",
    b"latin \xe9t\xe9\n\xff\xfe in the middle\n",
    b"half a character \xe2\x82",
    b"\xed\xa0\x80 an encoded surrogate",
    "\ufeffwide \U0001f600\r\n".encode("utf-16-le"),
    "\ufeffwide \U0001f600\n".encode("utf-16-be"),
    b"\xff\xfe\x3d\xd8a\x00",  # UTF-16 with an unpaired surrogate
    b"\xff\xfe",
    b"no end of line",
]


@pytest.mark.parametrize("data", ODD)
def test_load_then_encode_gives_the_same_bytes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "odd"
    path.write_bytes(data)
    assert Document.load(path).encode() == data


def test_encode_gives_back_random_bytes() -> None:
    rng = random.Random(0)
    alphabet = [b"a", b"\n", b"\r", b"\r\n", b"\x0c", "é".encode(), "😀".encode()]
    alphabet += [b"\xc3", b"\x80", b"\xf0\x9f", b"\xed\xb2\x80"]
    for _ in range(500):
        data = rng.choice([b"", b"\xef\xbb\xbf"])
        data += b"".join(rng.choices(alphabet, k=rng.randrange(30)))
        assert Document.from_bytes(data).encode() == data


def test_apply_changes_no_byte_outside_its_spans() -> None:
    rng = random.Random(1)
    for _ in range(300):
        pieces = rng.choices(["x", "é", "\r\n", "\n", "\r", "\udce9", "😀"], k=40)
        document = Document.from_text("".join(pieces))
        size = len(document.text)
        a, b, c, d = sorted(rng.randrange(size + 1) for _ in range(4))
        edits = [(Span(c, d), "new"), (Span(a, b), "text")]
        rng.shuffle(edits)
        if a == c:
            continue
        parts = [document.text[:a], "text", document.text[b:c], "new", document.text[d:]]
        expected = "".join(parts).encode("utf-8", "surrogateescape")
        assert document.apply(edits).encode() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nX\r\nb\n", "a\r\n1\r\n2\r\nb\n"),
        ("a\nX\nb\r\n", "a\n1\n2\nb\r\n"),
        ("a\rX\rb", "a\r1\r2\rb"),
        ("X", "1\n2"),
    ],
)
def test_apply_takes_the_line_ends_around_the_span(text: str, expected: str) -> None:
    at = text.index("X")
    assert Document.from_text(text).apply([(Span(at, at + 1), "1\n2")]).text == expected


def test_apply_counts_the_line_ends_near_the_span_before_those_of_the_file() -> None:
    text = "near\r\nX\r\n" + "far " * 2000 + "\n" * 100
    assert Document.from_text(text).eol == "\n"
    assert Document.from_text(text).apply([(Span(6, 7), "1\n2")]).text[6:10] == "1\r\n2"


def test_apply_of_the_same_words_keeps_odd_line_ends_and_bytes() -> None:
    document = Document.from_bytes(b"a\r\nb\xe9\nc\rd\n")
    assert document.apply([(Span(0, 9), "a\nb\ufffd\nc\nd")]) == document


def test_apply_refuses_overlapping_spans() -> None:
    with pytest.raises(AssertionError):
        Document.from_text("abcdef").apply([(Span(0, 3), "x"), (Span(2, 4), "y")])


def test_encode_names_a_character_that_cannot_be_stored() -> None:
    with pytest.raises(InputError, match=r"U\+D800"):
        Document.from_text("a\ud800").encode()


@pytest.mark.parametrize("data", [b"\x7fELF\0\0", b"\xff\xfe\0\0a\0\0\0", b"\xff\xfea"])
def test_load_refuses_what_is_not_text(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "binary"
    path.write_bytes(data)
    with pytest.raises(InputError, match="is not text"):
        Document.load(path)


def test_load_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file: .*gone\.py"):
        Document.load(tmp_path / "gone.py")


def test_load_refuses_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Is a directory"):
        Document.load(tmp_path)


def test_load_refuses_a_fifo_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match="not a regular file"):
        Document.load(tmp_path / "fifo")


def test_save_then_load_gives_an_equal_document(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfa\r\n")
    saved = Document.load(path).with_text("b\r\n").save()
    assert path.read_bytes() == b"\xef\xbb\xbfb\r\n"
    assert saved == Document.load(path)


def test_save_refuses_a_file_that_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("mine")
    document = Document.load(path)
    path.write_text("else")
    with pytest.raises(ConflictError, match=r"a\.txt has changed"):
        document.with_text("new").save()
    assert path.read_text() == "else"
    document.with_text("new").save(overwrite=True)
    assert path.read_text() == "new"


def test_is_stale_follows_the_content_not_the_time(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    document = Document.load(path)
    assert not document.is_stale()
    os.utime(path, (1, 1))
    assert not document.is_stale()
    path.write_text("two")
    assert document.is_stale()
    path.unlink()
    assert document.is_stale()


def test_a_text_without_a_file_is_stale_once_there_is_one(tmp_path: Path) -> None:
    document = Document.from_text("new", tmp_path / "a.txt")
    assert not document.is_stale()
    (tmp_path / "a.txt").write_text("theirs")
    assert document.is_stale()
    with pytest.raises(ConflictError):
        document.save()


@pytest.mark.parametrize(("text", "eol"), [("a", "\n"), ("a\r\nb\r\nc\n", "\r\n"), ("a\rb", "\r")])
def test_eol_is_the_one_used_most(text: str, eol: str) -> None:
    assert Document.from_text(text).eol == eol
