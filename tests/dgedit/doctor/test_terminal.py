"""Terminals that answer, and such that do not: what is found out, and what is left behind."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import termios
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dgedit.doctor import terminal
from dgedit.doctor.terminal import PASTES, SYNCHRONISED, TerminalFacts, ask, parsed
from pretended import KITTY, XTERM, Pretended


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask as if from the foreground."""
    monkeypatch.setattr(os, "tcgetpgrp", lambda fd: os.getpgrp())


@pytest.fixture
def pretend() -> Iterator[Callable[..., Pretended]]:
    """Makes terminals."""
    with contextlib.ExitStack() as made:
        yield lambda *answers, pause=0.0: made.enter_context(Pretended(*answers, pause=pause))


def test_answers_are_read(pretend: Callable[..., Pretended]) -> None:
    assert ask(pretend(KITTY).fd) == TerminalFacts(
        True, "kitty(0.42.1)", {SYNCHRONISED: True, PASTES: True}, True, True, (2, 2)
    )
    assert ask(pretend(XTERM).fd) == TerminalFacts(
        True, "XTerm(390)", {SYNCHRONISED: False, PASTES: True}, False, False, (2, 4)
    )


def test_answers_may_come_in_parts(pretend: Callable[..., Pretended]) -> None:
    one = pretend(*(KITTY[at : at + 1] for at in range(len(KITTY))), pause=0.001)
    assert ask(one.fd) == parsed(KITTY)
    assert one.left() == 0


def test_terminal_that_does_not_answer_is_waited_for_no_longer(
    pretend: Callable[..., Pretended],
) -> None:
    one = pretend()
    began = time.monotonic()
    assert ask(one.fd, patience=0.2) == TerminalFacts()
    assert 0.2 <= time.monotonic() - began < 10


def test_terminal_that_chatters_is_waited_for_no_longer(pretend: Callable[..., Pretended]) -> None:
    one = pretend(*[b"\x1b[?2026;1$y"] * 1000, pause=0.02)
    began = time.monotonic()
    found = ask(one.fd, patience=0.3)
    assert found == TerminalFacts(modes={SYNCHRONISED: True})
    assert time.monotonic() - began < 10


def test_terminal_that_hangs_up_is_an_os_error() -> None:
    master, fd = pty.openpty()
    threading.Timer(0.2, os.close, (master,)).start()
    with pytest.raises(OSError):
        ask(fd, patience=5)
    os.close(fd)


def test_terminal_is_left_as_it_was(pretend: Callable[..., Pretended]) -> None:
    one = pretend(KITTY + b"typed ahead\n\x1b[?1;2c")
    before = termios.tcgetattr(one.fd)
    ask(one.fd)
    assert termios.tcgetattr(one.fd) == before
    assert one.left() == 0
    os.write(one.master, b"next\n")
    assert os.read(one.fd, 100) == b"next\n"


def test_what_is_drawn_to_be_measured_is_wiped(pretend: Callable[..., Pretended]) -> None:
    one = pretend(KITTY)
    ask(one.fd)
    drawn = bytes(one.drawn)
    assert drawn.rindex("👩\u200d🌾".encode()) < drawn.rindex(b"\r\x1b[K")
    plain = pretend(KITTY)
    ask(plain.fd, unicode=False)
    assert bytes(plain.drawn).isascii()


def test_terminal_in_whose_background_we_are_is_not_asked(
    pretend: Callable[..., Pretended], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = pretend(KITTY)
    monkeypatch.setattr(os, "tcgetpgrp", lambda fd: os.getpgrp() + 1)
    assert ask(one.fd) is None
    assert not one.drawn


def test_interrupt_restores_the_terminal(
    pretend: Callable[..., Pretended], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = pretend()
    before = termios.tcgetattr(one.fd)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        ask(one.fd, patience=5)
    assert termios.tcgetattr(one.fd) == before


def test_names_are_never_obeyed() -> None:
    found = parsed(b"\x1bP>|bad\x07\x9b2J\x1b\\\x1b[?1c")
    assert found.name == "bad\x07\ufffd2J"  # which whoever shows it makes visible
    assert found.answered


def test_patience_is_short() -> None:
    assert terminal.PATIENCE <= 2
