"""What is pasted comes whole and in order, whatever is in it and wherever a read cuts it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from textual import events

from dgedit.tui.terminal.driver import Keyboard

from ..interminal import InTerminal

BEGIN, END = "\x1b[200~", "\x1b[201~"
PASTES = st.lists(
    st.sampled_from(["a", "é", "\x1b", "\x1b[31m", "\x1b[A", "[200~", "\x1b[20", "\x1bz", "\n"]),
    max_size=8,
).map("".join)


def read(parts: list[str]) -> list[str]:
    """The keys, and the texts that were pasted."""
    keyboard = Keyboard()
    messages = [message for part in parts for message in keyboard.read(part)]
    return [
        f"<{one.text}>" if isinstance(one, events.Paste) else getattr(one, "key", "?")
        for one in messages
    ]


def cut(text: str, cuts: list[int]) -> list[str]:
    places = sorted({at % (len(text) + 1) for at in cuts} | {0, len(text)})
    return [text[start:end] for start, end in pairwise(places)]


@given(PASTES, PASTES, st.lists(st.integers(0, 200), max_size=6))
@example("one \x1b[31m two", "ab\x1bcd\nef", [])
def test_fault_5_pasted_text_is_whole_and_keys_around_it_are_keys(
    one: str, two: str, cuts: list[int]
) -> None:
    sent = f"x{BEGIN}{one}{END}y{BEGIN}{two}{END}z"
    if END in one + two:
        return
    assert read(cut(sent, cuts)) == ["x", f"<{one}>", "y", f"<{two}>", "z"]


def test_fault_5_text_of_several_reads_is_one_paste() -> None:
    text = "line \x1b[1m of it\n" * 20_000
    sent = BEGIN + text + END
    parts = [sent[at : at + 65_536] for at in range(0, len(sent), 65_536)]
    assert read(parts) == [f"<{text}>"]


def test_nul_is_left_out_of_what_is_pasted() -> None:
    assert read([f"{BEGIN}a\0b{END}"]) == ["<ab>"]


@pytest.mark.parametrize(
    ("pasted", "text"),
    [
        (b"one \x1b[31m two", b"one \x1b[31m two"),
        (b"ab\x1bcd\nef", b"ab\x1bcd\nef"),
        (b"\x1b\x1b[Ax\x1b]52;c;YQ==\x07y\x1b", b"\x1b\x1b[Ax\x1b]52;c;YQ==\x07y\x1b"),
    ],
)
def test_fault_5_pasted_text_is_saved_as_it_is(tmp_path: Path, pasted: bytes, text: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(b"")
    with InTerminal(tmp_path, ["a.txt"]) as editor:
        editor.wait_for(b"a.txt:1:1")
        editor.send(b"\x1b[200~" + pasted + b"\x1b[201~\x13")
        editor.wait_for(b"saved")
        drawn = bytes(editor.screen)
    assert (tmp_path / "a.txt").read_bytes() == text
    assert "␛".encode() in drawn and b"\x1b[31m two" not in drawn
