"""A text is written otherwise by commands from the palette, each as one undo."""

from __future__ import annotations

from codecs import BOM_UTF16_LE
from pathlib import Path

import pytest

from ..conftest import Desk, OpenDesk


async def run(d: Desk, command: str, *choice: str) -> None:
    """Run a command by its words in the palette, and choose in the list that it shows."""
    await d.press("alt+x", *command, "enter")
    for letters in choice:
        await d.press(*letters, "enter")


def text_of(d: Desk) -> str:
    return d.app.editor.text


async def test_case_is_that_of_the_word_or_of_each_selection(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"one two\none two\n"}) as d:
        await run(d, "write in upper case")
        assert text_of(d) == "ONE two\none two\n"
        await run(d, "write in lower case")
        assert text_of(d) == "one two\none two\n"
        d.select(4, 7)
        await d.press("ctrl+d")
        await run(d, "write in upper case")
        assert text_of(d) == "one TWO\none TWO\n" and d.app.editor.cursors.count == 2
        await d.press("ctrl+z")
        assert text_of(d) == "one two\none two\n"
        await run(d, "write in lower case")
        assert "nothing to write in lower case" in d.notice


async def test_lines_are_sorted_with_their_holes(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"head\nc\nb\na"}) as d:
        await run(d, "sort the selected lines")
        assert "select the lines" in d.notice
        d.select(7, 8)
        await d.press("f2")
        d.select(5, 10)
        await run(d, "sort the selected lines")
        (hole,) = d.app.editor.holes
        assert text_of(d) == "head\na\nb\nc" and text_of(d)[hole.start : hole.end] == "b"
        await run(d, "sort the selected lines")
        assert "in order" in d.notice
        await d.press("ctrl+z")
        assert text_of(d) == "head\nc\nb\na"


async def test_lines_end_as_is_chosen_and_as_before_after_an_undo(
    desk: OpenDesk, tmp_path: Path
) -> None:
    async with desk({"a.txt": b"one\ntwo\n"}) as d:
        await run(d, "line ends", "CRLF")
        assert text_of(d) == "one\r\ntwo\r\n" and d.notice == "lines end with CRLF; 2 changed"
        assert "CRLF" in d.app.workspace.status.place
        await d.press("enter", "ctrl+s")
        assert (tmp_path / "a.txt").read_bytes() == b"\r\none\r\ntwo\r\n"
        await d.press("ctrl+z", "ctrl+z", "enter")
        assert text_of(d) == "\none\ntwo\n"
        assert "CRLF" not in d.app.workspace.status.place


async def test_text_without_lines_ends_them_as_is_chosen(desk: OpenDesk) -> None:
    async with desk({}) as d:
        await run(d, "line ends", "CRLF")
        await d.press("a", "enter", "b", "enter")
        assert text_of(d) == "a\r\nb\r\n"


async def test_indentation_changes_the_text_only_when_asked(desk: OpenDesk) -> None:
    async with desk({"a.py": b"if a:\n  if b:\n    c\n"}) as d:
        assert "2 blanks" in d.app.workspace.status.place
        await run(d, "indentation", "tabs")
        assert text_of(d) == "if a:\n  if b:\n    c\n"
        assert "tabs" in d.app.workspace.status.place
        await d.press("tab")
        assert text_of(d).startswith("\tif a")
        await d.press("ctrl+z")
        await run(d, "indentation", "4 blanks, and")
        assert text_of(d) == "if a:\n    if b:\n        c\n"
        assert "blanks" not in d.app.workspace.status.place
        await d.press("ctrl+z")
        assert text_of(d) == "if a:\n  if b:\n    c\n"


async def test_encoding_is_that_of_the_next_save(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.txt": "é\n".encode()}) as d:
        await run(d, "encoding", "utf-16le")
        assert "utf-16-le" in d.app.workspace.status.place
        assert (tmp_path / "a.txt").read_bytes() == "é\n".encode()
        await d.press("ctrl+s")
        assert (tmp_path / "a.txt").read_bytes() == BOM_UTF16_LE + "é\n".encode("utf-16-le")


async def test_bytes_that_are_no_text_are_not_lost(desk: OpenDesk, tmp_path: Path) -> None:
    async with desk({"a.txt": b"\xff\n"}) as d:
        await run(d, "encoding", "utf-16le")
        assert "would be lost" in d.notice
        await d.press("ctrl+s")
        assert (tmp_path / "a.txt").read_bytes() == b"\xff\n"


async def test_language_decides_colours_comments_and_names(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"def f(): pass\n"}) as d:
        editor = d.app.editor
        assert editor.syntax is None
        await run(d, "language", "python")
        assert editor.syntax is not None and editor.buffer.parse is not None
        assert "as python" in d.app.workspace.status.place
        await d.press("ctrl+slash")
        assert text_of(d) == "# def f(): pass\n"
        await run(d, "language", "plain")
        assert editor.syntax is None
        await d.press("ctrl+slash")
        assert "no comments are known" in d.notice


@pytest.mark.parametrize("command", ["sort the selected lines", "write in upper case"])
async def test_read_only_text_stays(desk: OpenDesk, command: str) -> None:
    async with desk({"a.txt": b"b\na\n"}) as d:
        d.app.editor.locked = True
        await d.press("ctrl+a")
        await run(d, command)
        assert text_of(d) == "b\na\n" and "read-only" in d.notice
