"""`dgedit -`: piped text is edited at the terminal and printed, exactly, at the end."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
from pathlib import Path

import pytest

from dgedit import cli
from dgedit.errors import Exit
from dgedit.files.document import Document
from dgedit.files.journal import Journal, Process
from dgedit.tui.app import DgeditApp
from dgedit.tui.widgets.dialogs import Ask
from scripted import Script

from ..conftest import Desk
from ..interminal import InTerminal

DEAD = dataclasses.replace(Process.ours(), started="before")
NASTY = b"\xef\xbb\xbfa\r\nb\n\x0bc\x0cd\xc2\x85e\xe2\x80\xa8f\r\xff\r\n\r\nend"


def edit(folder: Path, stdin: bytes, *keys: tuple[bytes, bytes]) -> tuple[int, bytes]:
    """Pipe a text in; each time words are seen, press keys. Returns the exit code and stdout."""
    with InTerminal(folder, ["-"], stdin=stdin, stdout=True) as editor:
        for words, pressed in keys:
            editor.wait_for(words)
            editor.send(pressed)
        assert editor.process.stdout
        out = editor.process.stdout.read()
        return editor.end(), out


def test_edited_text_is_printed_and_every_other_byte_is_exact(tmp_path: Path) -> None:
    keys = ((b"utf-8", b"x"), (b"1:2", b"\x11"), (b"discard", b"s"))
    code, out = edit(tmp_path, NASTY, *keys)
    assert (code, out) == (0, NASTY.replace(b"a", b"xa", 1))


def test_text_that_is_not_edited_is_printed_as_it_was(tmp_path: Path) -> None:
    assert edit(tmp_path, NASTY, (b"utf-8", b"\x11")) == (0, NASTY)


def test_discarded_text_prints_the_input_and_ends_with_130(tmp_path: Path) -> None:
    keys = ((b"utf-8", b"x"), (b"1:2", b"\x11"), (b"discard", b"d"))
    assert edit(tmp_path, NASTY, *keys) == (130, NASTY)


def test_screen_is_the_terminals_wherever_the_result_goes(tmp_path: Path) -> None:
    with InTerminal(tmp_path, ["-"], stdin=b"text\n", stdout=True, rows=33) as editor:
        editor.wait_for(b"scripted")  # the status line's last word, once the engine is there
        before = bytes(editor.screen).split(b"scripted")[0]
        assert re.findall(rb"\x1b\[(\d+);\d+H", before)[-1] == b"32"


def test_signal_prints_nothing_and_the_text_is_kept(tmp_path: Path) -> None:
    with InTerminal(tmp_path, ["-"], stdin=b"text\n", stdout=True) as editor:
        editor.wait_for(b"utf-8")
        editor.send(b"x")
        editor.wait_for(b"1:2")
        editor.signal(signal.SIGTERM)
        assert editor.process.stdout
        assert (editor.end(), editor.process.stdout.read()) == (143, b"")
    (file,) = (tmp_path / "state" / "dgedit" / "recovery").glob("*.text")
    assert file.read_bytes().endswith(b"\nxtext\n")


@pytest.mark.parametrize(
    ("sink", "code", "said"),
    [("/dev/full", 3, b"cannot write the output: No space left on device"), ("pipe", 141, b"")],
)
@pytest.mark.parametrize("closed", [False, True])
def test_fault_2_text_that_cannot_be_printed_is_kept_and_says_where(
    tmp_path: Path, sink: str, code: int, said: bytes, closed: bool
) -> None:
    if sink == "pipe":
        read, write = os.pipe()
        os.close(read)
    else:
        write = os.open(sink, os.O_WRONLY)
    with InTerminal(tmp_path, ["-"], stdin=b"text\n", stdout=write) as editor:
        os.close(write)
        editor.wait_for(b"utf-8")
        editor.send(b"x")
        editor.wait_for(b"1:2")
        editor.send(b"\x13")
        editor.wait_for(b"this will be printed")
        if closed:  # its tab, and another text is in front
            editor.send(b"\x17")
            editor.wait_for(b"untitled")
        editor.send(b"\x11")
        assert editor.end() == code
        editor.wait_for(b"what was not saved is offered at the next start of dgedit -")
        editor.wait_for(said)
    (file,) = (tmp_path / "state" / "dgedit" / "recovery").glob("*.text")
    assert file.read_bytes().endswith(b"\nxtext\n")


def test_fault_2_text_that_was_put_back_and_cannot_be_printed_is_kept_again(
    tmp_path: Path,
) -> None:
    Journal(tmp_path / "state" / "dgedit" / "recovery", DEAD).keep(Document.from_text("old\n"))
    write = os.open("/dev/full", os.O_WRONLY)
    with InTerminal(tmp_path, ["-"], stdin=b"", stdout=write) as editor:
        os.close(write)
        editor.wait_for(b"never saved")
        editor.send(b"\x1b[21~r")  # F10, and put them back
        editor.wait_for(b"put back")
        editor.send(b"\x13")
        editor.wait_for(b"this will be printed")
        editor.send(b"\x11")
        assert editor.end() == 3
    kept = [file.read_bytes() for file in tmp_path.rglob("*.text")]
    assert any(data.endswith(b"\nold\n") for data in kept)


def test_binary_input_and_a_terminal_for_input_are_one_line(tmp_path: Path) -> None:
    with InTerminal(tmp_path, ["-"], stdin=b"\x7fELF\0", stdout=True) as editor:
        assert editor.end() == 3
        editor.wait_for(b"standard input is not text (5 B)")
    with InTerminal(tmp_path, ["-"]) as editor:
        assert editor.end() == 2
        editor.wait_for(b"dgedit: - reads standard input, which is the terminal")


def test_no_terminal_at_all_is_one_line(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert cli.run(["-"]) == Exit.USAGE
    assert b"needs a terminal" in capfdbinary.readouterr().err


@pytest.mark.parametrize(
    ("keys", "result", "code"),
    [
        (("#", "ctrl+s", "!", "ctrl+q", "d"), "#text", 130),
        (("#", "ctrl+s", "ctrl+q"), "#text", 0),
        (("#", "ctrl+w", "s", "ctrl+q"), "#text", 0),
        (("#", "ctrl+w", "d", "ctrl+q"), "text", 130),
        (("ctrl+q",), "text", 0),
    ],
)
async def test_result_is_the_text_as_last_saved(
    tmp_path: Path, keys: tuple[str, ...], result: str, code: int
) -> None:
    piped = Document.from_bytes(b"text")
    app = DgeditApp([Path("-")], connect=Script, watch=False, piped=piped)
    async with app.run_test() as pilot:
        await Desk(app, pilot, Script()).press(*keys)
    assert app.piped.result is not None and app.piped.result.text == result
    assert app.return_code == code


async def test_nothing_is_the_result_while_the_user_stays(tmp_path: Path) -> None:
    piped = Document.from_bytes(b"text")
    app = DgeditApp([Path("-")], connect=Script, watch=False, piped=piped)
    async with app.run_test() as pilot:
        await Desk(app, pilot, Script()).press("#", "ctrl+q")
        assert isinstance(app.screen, Ask)
        await pilot.press("escape")
        assert app.is_running and app.piped.result is None
