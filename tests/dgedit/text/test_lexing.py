"""What has no grammar is named as Pygments does, row by row."""

from __future__ import annotations

import io

import pytest

from dgedit.text import lexing
from dgedit.text.lexing import is_known, languages, receive, rows_of, send


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("a.kt", True),
        ("a.cs", True),
        ("a.ini", True),
        ("CMakeLists.txt", True),
        ("a.html.j2", True),
        ("a.txt", False),
        ("untitled", False),
        ("a", False),
        ("", False),
    ],
)
def test_name_says_whether_there_is_a_lexer(name: str, known: bool) -> None:
    assert is_known(name) is known


def test_each_language_has_a_file_that_is_known() -> None:
    found = languages()
    assert found["Kotlin"] == "x.kt" and found["INI"] == "x.ini" and len(found) > 400
    assert all(map(is_known, found.values()))
    assert "Text only" not in found


def test_parts_are_named_by_row_and_column() -> None:
    text = '\n; é\r[part]\nkey = "字" \n'
    rows = rows_of("a.ini", text, 0)
    lines = text.split("\n")
    named = [
        [(line[a:b], name) for a, b, name in row] for line, row in zip(lines, rows, strict=True)
    ]
    assert named[0] == [] and named[3] == []
    assert ("key", "property") in named[2]
    assert rows_of("a.ini", text, 2) == rows[2:]


def test_part_of_several_rows_is_named_in_each() -> None:
    rows = rows_of("a.kt", "/* a\n\n  b */ val x = 1", 1)
    assert rows[0] == [] and rows[1][:2] == [(0, 6, "comment"), (7, 10, "keyword")]


def test_long_rows_and_unknown_names_have_none() -> None:
    assert rows_of("a.kt", "val a = 1\n" + "val b = 2;" * 300, 0)[1] == []
    assert rows_of("a.none", "val a", 0) == [[]]


def test_messages_are_read_as_they_were_written() -> None:
    stream = io.BytesIO()
    given = ("a.kt", 'é"\ud800\n', 3)
    send(stream, given)
    send(stream, [])
    stream.seek(0)
    assert receive(stream) == [*given]
    assert receive(stream) == [] and receive(stream) is None
    assert receive(io.BytesIO(b"\0\0\0\5ab")) is None


def test_names_are_those_that_have_colours() -> None:
    from dgedit.tui.editor.paint import syntax_style

    assert all(syntax_style(name) for name in lexing._NAMES.values())
