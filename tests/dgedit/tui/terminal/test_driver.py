"""Keys that come at once do what they do one by one, and no answer is taken for keys."""

from __future__ import annotations

import base64
import random
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._xterm_parser import XTermParser
from textual.document._document import Selection

from dgedit.tui.app import DgeditApp
from dgedit.tui.editor.editor import Editor
from dgedit.tui.editor.holes import OpenHole
from dgedit.tui.terminal.driver import _ALT, Answers, Keyboard
from dgedit.tui.terminal.keys import Burst, in_bursts, is_pasted, is_text
from scripted import DONE, Script

from ..conftest import Desk, OpenDesk
from ..interminal import InTerminal

TEXT = "def f(x):\n\tif x:\n        return [x]\n\n    é\u0301🇦🇧한글👩‍👩‍👧 \u0301界 end\r\nlast"
SIGNS = [
    *"abc xyz 0()[]{}:#'\"\\.,;",
    *"é界ñ한\u0301🇦👩©",
    "\u200d",
    "\r",
    "\r",
    "\t",
    "\x7f",
    "\x1b[D",
]


def keys_of(text: str) -> list[events.Key]:
    """As a terminal sends them."""
    parser = XTermParser()
    found = [*parser.feed(text)]
    assert all(isinstance(one, events.Key) for one in found)
    return found  # type: ignore[return-value]


async def typed(d: Desk, editor: Editor, text: str, *, at_once: bool) -> None:
    """Send keys to the editor in front."""
    d.app.workspace.show(editor)
    await d.until(lambda: d.app.focused is editor)
    messages = in_bursts(keys_of(text)) if at_once else keys_of(text)
    for message in messages:
        d.app.post_message(message)
    await d.settled()


def state(editor: Editor) -> tuple[object, ...]:
    spans = [(hole.start, hole.end) for hole in editor.holes]
    return editor.text, editor.selection, spans, editor.scroll_offset


# Bursts


async def test_burst_does_what_its_keys_do(desk: OpenDesk) -> None:
    """In the text, to the selection and the holes, and for undo; but that what nobody can have
    typed brings no pairs.
    """
    dice = random.Random(5)
    async with desk({"a.py": b"", "b.py": b""}) as d:
        one, two = d.app.editors
        for run in range(30):
            keys = "".join(dice.choice(SIGNS) for _ in range(dice.randint(2, 25)))
            start, end = sorted(dice.choices(range(len(TEXT)), k=2))
            hole = sorted(dice.choices(range(len(TEXT)), k=2)) if run % 3 == 0 else None
            for editor in (one, two):
                editor.text = TEXT
                editor.holes.clear()
                editor.open_holes([OpenHole(*hole)] if hole else [])
                at = editor.buffer.location(start)
                to = editor.buffer.location(end) if run % 4 == 0 else at
                editor.selection = Selection(at, to)
            one.keystrokes.as_is = is_pasted(keys_of(keys))
            await typed(d, one, keys, at_once=False)
            await typed(d, two, keys, at_once=True)
            assert state(one) == state(two), (run, keys, start, end)
            assert [len(batch) for batch in one.history.undo_stack] == [
                len(batch) for batch in two.history.undo_stack
            ]
            while one.history.undo_stack:
                one.undo()
                two.undo()
                assert state(one)[:2] == state(two)[:2], (run, keys)
            assert two.text == TEXT
            while one.history.redo_stack:
                one.redo()
                two.redo()
                assert state(one)[:2] == state(two)[:2], (run, keys)


async def test_burst_is_one_edit_for_each_line(desk: OpenDesk) -> None:
    async with desk({"a.py": b"    x\n"}) as d:
        editor, changes = d.app.editor, list[str]()
        editor.move_cursor((0, 5))
        edit = editor.edit
        editor.edit = lambda one: (changes.append(one.text), edit(one))[1]  # type: ignore[method-assign]
        await typed(d, editor, "yz\rab cd\ref", at_once=True)
        assert editor.text == "    xyz\n    ab cd\n    ef\n"  # indented as by hand
        assert len(changes) == 5


async def test_burst_of_many_characters_is_undone_in_parts(desk: OpenDesk) -> None:
    async with desk({"a.txt": b""}) as d:
        await typed(d, d.app.editor, "x" * 250, at_once=True)
        left = []
        for _ in range(3):
            d.app.editor.undo()
            left.append(len(d.app.editor.text))
        assert left == [200, 100, 0]


async def test_burst_goes_where_the_keyboard_is(desk: OpenDesk) -> None:
    async with desk({"a.py": b"needle\n"}) as d:
        await d.press("ctrl+f")
        d.app.post_message(Burst(keys_of("needle")))
        await d.until(lambda: d.app.finder.find_bar.what.value == "needle")
        assert d.app.editor.text == "needle\n"
        await d.press("escape")
        # Not where it was when they came: Ctrl+F is still to be done then.
        d.app.editor.post_message(events.Key("ctrl+f", None))
        d.app.editor.post_message(Burst(keys_of("dle")))
        await d.until(lambda: d.app.finder.find_bar.what.value.endswith("dle"))
        assert d.app.editor.text == "needle\n"


async def test_key_for_a_result_is_taken_out_of_a_burst(desk: OpenDesk) -> None:
    async with desk({"a.txt": b"x = \n"}, Script("one")) as d:
        d.app.editor.move_cursor((0, 4))
        await d.press("f2", "f5")
        await d.step(DONE + 1)
        await typed(d, d.app.editor, "ab[c", at_once=True)
        assert d.app.editor.text == "x = abc\n"
        assert d.app.fill is not None and d.row(0) != "x = abcone"  # the step before
        await typed(d, d.app.editor, "]\rd", at_once=True)
        assert d.app.editor.text == "x = abcdone\n"


async def test_locked_file_refuses_a_burst(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    app = DgeditApp([tmp_path / "a.txt"], connect=Script, watch=False, read_only=True)
    async with app.run_test() as pilot:
        d = Desk(app, pilot, Script())
        await typed(d, app.editor, "abc", at_once=True)
        assert app.editor.text == "text" and "read-only" in d.notice


def test_bursts_are_of_text_alone() -> None:
    parser = XTermParser()
    found = [*in_bursts(parser.feed("ab\rc\x13d\x1b[Aef"))]
    parts = [
        "".join(key.character or "" for key in one.keys) if isinstance(one, Burst) else one.key  # type: ignore[attr-defined]
        for one in found
    ]
    assert parts == ["ab\rc", "ctrl+s", "d", "up", "ef"]


# Alt


def read(*parts: str) -> str:
    keyboard = Keyboard()
    messages = [message for part in parts for message in keyboard.read(part)]
    time.sleep(0.11)
    messages += keyboard.read("")
    return " ".join(getattr(one, "key", "") or f"<{getattr(one, 'text', '')}>" for one in messages)


def test_alt_is_known_whatever_comes_with_it() -> None:
    assert read("\x1bk\x1bk\x1bk") == "alt+k alt+k alt+k"
    assert read("\x1bz\x1b[4~\x1b[A\x1bOR") == "alt+z end up f3"
    assert read("\x1bqab\x1bN") == "alt+q a b alt+shift+n"
    assert read("\x1b", "n") == "alt+n" and read("\x1b") == "escape"
    assert read("\x1b\x7f\x1bb\x1b\x7f") == "alt+backspace ctrl+left alt+backspace"
    assert read("\x1b[", "A") == "up" and read("\x1b[1;3A\x1bé") == "alt+up alt+é"
    pasted = "\x1b[200~one two\x1b[201~"
    assert read(pasted + "\x1bz") == "<one two> alt+z"
    assert read(pasted[:9], pasted[9:14], pasted[14:], "x") == "<one two> x"
    assert "alt" not in read("\x1b[200~a\x1bz", "\x1bz\x1b[201~")  # whatever is pasted


@pytest.mark.parametrize(
    "key",
    ["\x1b[999999999999999999999~", "\x1b[1114112u", "\x1b[97;;1114112u", f"\x1b[{'9' * 5000}u"],
)
def test_key_whose_number_is_no_characters_ends_no_reading(key: str) -> None:
    """It is a sequence as any that nobody knows; what is typed behind it comes."""
    found = read(f"a{key}b", "c\x1b[A")
    assert found.startswith("a circumflex_accent left_square_bracket ")
    assert found.endswith(" b c up")


def test_no_other_sequence_begins_as_alt_and_a_key_does() -> None:
    for sequence in ANSI_SEQUENCES_KEYS:
        assert len(sequence) < 3 or not _ALT.match(sequence), sequence


# Answers


def answer(text: str, end: str = "\x07") -> str:
    return f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}{end}"


KEYS = st.text(st.sampled_from("ab5;c]=\\\x1b\x07\r"), max_size=8).filter(
    lambda s: "\x1b]52;" not in s
)


@given(
    parts=st.lists(st.tuples(KEYS, st.text(max_size=20), st.sampled_from(["\x07", "\x1b\\"]))),
    last=KEYS,
    cuts=st.lists(st.integers(0, 400)),
)
def test_answers_are_taken_out_wherever_they_are_cut(
    parts: list[tuple[str, str, str]], last: str, cuts: list[int]
) -> None:
    parts = [(keys.rstrip("\x1b"), text, end) for keys, text, end in parts]
    texts = [text.encode("utf-8", "replace").decode() for _, text, _ in parts]
    stream = "".join(
        keys + answer(text, end) for (keys, _, end), text in zip(parts, texts, strict=True)
    )
    stream += last
    reader = Answers()
    reader.asked = True
    found, read = list[str](), ""
    ends = [*sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, stop in zip([0, *ends], ends, strict=False):
        keys, some = reader.take(stream[start:stop], 0) if start < stop else ("", [])
        read, found = read + keys, found + some
    read += reader.take("", 1)[0]  # what was kept as it could have begun one
    assert found == texts
    assert read == "".join(keys for keys, _, _ in parts) + last


def test_nothing_is_taken_out_before_there_was_a_question() -> None:
    assert Answers().take(answer("x"), 0) == (answer("x"), [])


def test_answer_without_an_end_is_never_typed() -> None:
    reader = Answers()
    reader.asked = True
    assert reader.take("a\x1b]52;c;YWJ", 0) == ("a", [])
    assert reader.take("", 1) == ("", [])  # it may still come
    assert reader.take("j", 1.5) == ("", [])
    assert reader.take("", 3) == ("", [])
    assert reader.take("", 4) == ("", [])
    assert reader.take("j", 4) == ("j", [])  # the user is heard again


def test_key_that_begins_like_an_answer_is_soon_a_key() -> None:
    reader = Answers()
    reader.asked = True
    for key in ("\x1b", "\x1b]", "\x1b]52"):
        assert reader.take(key, 0) == ("", []) and reader.wait < 0.05
        assert reader.take("", 0.04) == (key, []) and reader.wait == 0.1
    assert reader.take("\x1b[A\x1bOPé", 5) == ("\x1b[A\x1bOPé", [])
    assert reader.take("\x1b]52;c;?\x07x", 5) == ("x", [])  # our own question, echoed
    assert reader.take("\x1b]52;c;====\x07", 5) == ("", [])


def edited(folder: Path, *answers: bytes, pause: float = 0.0) -> tuple[str, bytes]:
    """Paste in a terminal that answers so; what is saved, and what the terminal was sent."""
    path = folder / "a.txt"
    path.write_text("end")
    with InTerminal(folder, ["a.txt"]) as terminal:
        terminal.wait_for(b"Ctrl+S")
        terminal.send(b"<\x16")
        terminal.wait_for(b"\x1b]52;c;?\x07")
        for part in answers:
            time.sleep(pause)
            terminal.send(part)
        terminal.send(b">")
        time.sleep(0.7)
        terminal.send(b"\x16!\x13")
        terminal.wait_for(b"saved")
        return path.read_text(), bytes(terminal.screen)


def test_paste_asks_the_terminal(tmp_path: Path) -> None:
    text = "é one\n  two"
    data = answer(text).encode()
    saved, screen = edited(tmp_path, data[:5], data[5:9], data[9:])
    # The second question is not answered: then nothing has been copied.
    assert saved == f"<{text}>!end" and screen.count(b"\x1b]52;c;?\x07") == 2


def test_terminal_that_answers_late_is_not_taken_for_a_typist(tmp_path: Path) -> None:
    saved, screen = edited(tmp_path, answer("late").encode(), pause=1.0)
    assert saved == "<>!end"
    assert screen.count(b"\x1b]52;c;?\x07") == 1  # it is not asked again
    assert b"key of its own" in re.sub(rb"\x1b\[[0-9;]*m", b"", screen)


def test_text_that_a_terminal_does_not_mark_as_pasted_is_typed(tmp_path: Path) -> None:
    lines = [f"line {i}, [with] (signs)" for i in range(300)]
    path = tmp_path / "a.txt"
    path.write_text("")
    with InTerminal(tmp_path, ["a.txt"]) as terminal:
        terminal.wait_for(b"Ctrl+S")
        for part in lines:
            terminal.send(part.encode() + b"\r")
        terminal.send(b"\x13")
        terminal.wait_for(b"saved")
    assert path.read_text() == "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        ("\x1b/", ["alt+slash"]),
        ("\x1b?\x1b.", ["alt+question_mark", "alt+full_stop"]),
        ("\x1b\\x", ["alt+backslash", "x"]),
        ("\x1bg", ["alt+g"]),
        ("\x1b ", ["space"]),
        ("\0", ["ctrl+@"]),
    ],
)
def test_alt_with_a_sign_is_told_from_the_sign(data: str, keys: list[str]) -> None:
    found = [one for one in Keyboard().read(data) if isinstance(one, events.Key)]
    assert [one.key for one in found] == keys
    assert not any(map(is_text, (one for one in found if one.key.startswith("alt+"))))
