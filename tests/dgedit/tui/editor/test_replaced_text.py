"""Any bytes, any edits: what no edit touched stays, and any text may take another's place."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dgedit.files.document import Document, UnfitError
from dgedit.tui.app import DgeditApp
from dgedit.tui.editor.editor import Editor
from scripted import Script

BYTES = st.lists(
    st.sampled_from(
        # The last three are bytes that are no text.
        (
            *("a", " ", "\n", "\r\n", "\r", "\v", "\f", "\x85", "\u2028", "é", "😀", "\x1b"),
            *("\udcff", "\udcc3", "\udced\udca0\udc80"),
        )
    ),
    max_size=30,
).map(lambda parts: "".join(parts).encode("utf-8", "surrogateescape"))
NEW = st.text(st.sampled_from("xy\n\r\té\u2028😀"), max_size=6)


@st.composite
def edited(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int, str]]]:
    """A file's bytes, and edits of its text: from, how much, what instead."""
    data = draw(st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])) + draw(BYTES)
    place = st.integers(0, 40)
    return data, draw(st.lists(st.tuples(place, st.integers(0, 9), NEW), max_size=6))


@given(edited())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_bytes_outside_the_edits_stay(tmp_path: Path, case: tuple[bytes, list]) -> None:
    data, edits = case
    path = tmp_path / "any"
    path.write_bytes(data)
    try:
        file = Document.load(path)
    except UnfitError:
        file = Document.load(path, binary=True)
    editor = Editor(path, file)
    expected = file.text
    for start, size, new in edits:
        buffer = editor.buffer
        first, last = buffer.location(start), buffer.location(start + size)
        low, high = buffer.index(first), buffer.index(last)
        buffer.replace_range(first, last, new)
        expected = expected[:low] + new + expected[high:]
        assert editor.text == expected
    editor.current.save()
    assert path.read_bytes() == dataclasses.replace(file, text=expected).encode()
    if not edits:
        assert path.read_bytes() == data


@given(st.lists(BYTES, min_size=8, max_size=12))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=4
)
async def test_any_text_may_replace_any_other_and_be_undone(
    tmp_path: Path, texts: list[bytes]
) -> None:
    (tmp_path / "a").write_bytes(b"")
    app = DgeditApp([tmp_path / "a"], connect=Script, watch=False)
    async with app.run_test(size=(20, 6)):
        before = ""
        for text in (Document.from_bytes(data).text for data in texts):
            app.editor.replace_text(text)
            assert app.editor.text == text
            if text != before:
                app.editor.undo()
                assert app.editor.text == before
                app.editor.redo()
            assert app.editor.text == text
            before = text
