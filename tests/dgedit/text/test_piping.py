"""What a program is given of a text, and what becomes of what it prints."""

from __future__ import annotations

import pytest
from hypothesis import given as given_
from hypothesis import strategies as st

from dgedit.errors import InputError
from dgedit.files.document import Document
from dgedit.text.piping import given, taken


@given_(st.binary(max_size=40).filter(lambda data: b"\0" not in data), st.sampled_from("\n\r"))
def test_program_that_changes_nothing_changes_nothing(data: bytes, newline: str) -> None:
    text = Document.from_bytes(data, binary=True).text
    if (
        "\r\n" in text
        and text.replace("\r\n", "").count("\r") == 0
        and "\n" not in text.replace("\r\n", "")
    ):
        assert b"\r" not in given(text, "surrogateescape")
    ends_mixed = "\r" in text.replace("\r\n", "")
    if not ends_mixed:
        errors = "surrogateescape"
        assert taken(given(text, errors), text, errors, newline) == text


def test_lines_end_in_a_newline_for_the_program_and_as_before_afterwards() -> None:
    assert given("b\r\na\r\n", "strict") == b"b\na\n"
    assert taken(b"a\nb\n", "b\r\na\r\n", "strict", "\n") == "a\r\nb\r\n"
    assert taken(b"A\n", "a", "strict", "\n") == "A"
    assert taken(b"A\nB\n", "a", "strict", "\r\n") == "A\r\nB"
    assert given("a\r\nb\n", "strict") == b"a\r\nb\n"
    assert taken(b"a\r\nb\n", "a\r\nb\n", "strict", "\n") == "a\r\nb\n"


@pytest.mark.parametrize("printed", [b"a\0b", b"\xff"])
def test_what_is_no_text_is_refused(printed: bytes) -> None:
    with pytest.raises(InputError, match="no text"):
        taken(printed, "a", "surrogatepass", "\n")
    with pytest.raises(InputError, match="no program"):
        given("\ud800", "surrogateescape")
