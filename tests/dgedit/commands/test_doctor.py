"""`dgedit doctor`: its lines and exit codes, faked and in a real terminal."""

from __future__ import annotations

import curses
import io
import json
import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dgedit import cli
from dgedit.commands import doctor
from dgedit.doctor import checks, terminal, terminal_checks
from dgedit.doctor.checks import Finding, Probe
from dgedit.doctor.terminal import PASTES, SYNCHRONISED, TerminalFacts
from dgedit.errors import Exit
from pretended import KITTY, Pretended

Capture = pytest.CaptureFixture[str]
ALL = TerminalFacts(True, "kitty", {SYNCHRONISED: True, PASTES: True}, True, True, (2, 2))
SCREEN = ["terminal", "colours", "unicode", "keyboard", "drawing", "pasting", "clipboard"]
MACHINE = ["python", "packages", "settings", "grammars", "git", "disk", "memory", "base", "engine"]
NAMES = ["terminal", *MACHINE, "torch", "gpu", "kernels", "models", "model"]


def line(finding: Finding) -> tuple[str, str]:
    """Its name and state; whatever is not as it should be has advice."""
    assert bool(finding.advice) == (finding.state != "ok")
    return finding.name, finding.state


# The command


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What is found, at once."""
    found = [Finding("one", "ok", "well"), Finding("two", "warn", "so so", "do this")]
    monkeypatch.setattr(doctor, "examine", lambda: iter(found))
    return found


def test_finding_is_a_line_with_what_to_do(findings: list[Finding], capsys: Capture) -> None:
    assert cli.run(["doctor"]) == Exit.OK
    assert capsys.readouterr().out == "ok    one        well\nwarn  two        so so -> do this\n"


def test_failure_ends_with_one(findings: list[Finding], capsys: Capture) -> None:
    findings.append(Finding("three", "fail", "broken", "mend"))
    assert cli.run(["doctor"]) == Exit.NO
    assert "\nfail  three      broken -> mend\n" in capsys.readouterr().out


def test_findings_are_one_json_object(findings: list[Finding], capsys: Capture) -> None:
    assert cli.run(["doctor", "--json"]) == Exit.OK
    one = {"name": "one", "state": "ok", "what": "well", "advice": ""}
    two = {"name": "two", "state": "warn", "what": "so so", "advice": "do this"}
    assert json.loads(capsys.readouterr().out) == {"ok": True, "findings": [one, two]}
    findings.append(Finding("three", "fail", "\x1b[2J", "mend"))
    assert cli.run(["doctor", "--json"]) == Exit.NO
    out = capsys.readouterr().out
    assert out.isprintable() or out[:-1].isprintable()
    assert json.loads(out)["ok"] is False


def test_colour_is_for_the_state_alone(findings: list[Finding], capsys: Capture) -> None:
    assert cli.run(["doctor", "--color", "always"]) == Exit.OK
    first, second = capsys.readouterr().out.splitlines()
    assert (first, second[:11]) == ("\x1b[32mok\x1b[m    one        well", "\x1b[33mwarn\x1b[")


def test_control_characters_are_made_visible(findings: list[Finding], capsys: Capture) -> None:
    findings[:] = [Finding("one", "ok", "a\x1b[2J\nb\u202e")]
    assert cli.run(["doctor"]) == Exit.OK
    assert capsys.readouterr().out == "ok    one        a␛[2J␊b‹U+202E›\n"


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch that cannot be loaded, known at once."""
    facts = {name: {"error": "broken"} for name in ("torch", "kernels", "model")}
    monkeypatch.setattr(Probe, "facts", lambda self: facts)


def test_check_that_fails_itself_is_a_finding(
    broken: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Finding:
        raise RuntimeError("no luck")

    fail.__name__ = "git"
    monkeypatch.setattr(checks, "git", fail)
    found = {one.name: one for one in doctor.examine()}
    assert list(found) == NAMES
    assert found["git"].what == "cannot be looked at: RuntimeError: no luck"
    states = {name: one.state for name, one in found.items() if one.state != "ok"}
    assert states == {"terminal": "warn", "git": "fail", "torch": "fail", "model": "fail"}


def test_wrong_settings_are_a_finding_and_no_end(
    broken: None, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("DGEDIT_EFFORT", "lots")
    assert cli.run(["doctor", "--json"]) == Exit.NO
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
    assert list(found) == NAMES
    assert found["settings"]["state"] == "fail"
    assert "DGEDIT_EFFORT" in found["settings"]["what"]
    assert (found["model"]["state"], found["memory"]["state"]) == ("warn", "ok")


def test_settings_that_are_no_toml_are_named_with_their_line(
    broken: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "dgedit").mkdir()
    (tmp_path / "dgedit" / "config.toml").write_text("effort = 0.3\ntheme nord\n")
    assert cli.run(["doctor"]) == Exit.NO
    lines = capsys.readouterr().out.splitlines()
    assert [one.split()[1] for one in lines] == NAMES
    found = lines[NAMES.index("settings")]
    assert found.startswith(f"fail  settings   {tmp_path}/dgedit/config.toml is not TOML: ")
    assert found.endswith("(at line 2, column 7) -> correct it there: nothing is filled before")
    assert sum("config.toml" in one for one in lines) == 1


# The terminal


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Finding]]:
    """What is found of a terminal that gives these answers, or none that can be asked."""
    for name in ("COLORTERM", "NO_COLOR", "TMUX", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")

    def look(
        answers: TerminalFacts | OSError | None, *, encoding: str = "utf-8"
    ) -> dict[str, Finding]:
        def ask(fd: int, *, unicode: bool) -> TerminalFacts | None:
            assert unicode == (encoding == "utf-8")
            if isinstance(answers, OSError):
                raise answers
            return answers

        class Screen(io.TextIOWrapper):
            def isatty(self) -> bool:
                return True

            def fileno(self) -> int:
                return 1

        monkeypatch.setattr(terminal, "ask", ask)
        monkeypatch.setattr(sys, "stdin", Screen(io.BytesIO()))
        monkeypatch.setattr(sys, "stdout", Screen(io.BytesIO(), encoding))
        return {one.name: one for one in terminal_checks.findings()}

    return look


Look = Callable[..., dict[str, Finding]]


def test_terminal_that_can_all_is_fine(here: Look) -> None:
    found = here(ALL)
    assert list(found) == SCREEN
    assert {one.state for one in found.values()} == {"ok"}
    assert found["terminal"].what == "kitty, TERM=xterm-256color, 80 × 24"


def test_terminal_that_cannot_is_warned_of(here: Look) -> None:
    found = here(TerminalFacts(True, "", {SYNCHRONISED: False, PASTES: False}, widths=(2, 2)))
    assert {one.name for one in found.values() if one.state == "warn"} == {
        *("keyboard", "drawing", "pasting", "clipboard")
    }
    for one in found.values():
        line(one)


def test_terminal_that_does_not_answer_is_warned_of(here: Look) -> None:
    found = here(TerminalFacts())
    assert line(found["terminal"]) == ("terminal", "warn")
    assert "does not answer" in found["terminal"].what
    assert found["unicode"].what == "UTF-8; widths are not known"
    assert found["pasting"].state == "ok"


@pytest.mark.parametrize(
    ("answers", "words"), [(None, "background"), (OSError(5, "gone"), "cannot be asked: gone")]
)
def test_terminal_that_must_not_be_asked_is_one_line(
    here: Look, answers: OSError | None, words: str
) -> None:
    found = here(answers)
    assert line(found["terminal"]) == ("terminal", "warn")
    assert list(found) == ["terminal"]
    assert words in found["terminal"].what


@pytest.mark.parametrize("name", ["dumb", ""])
def test_dumb_terminal_is_not_asked(here: Look, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("TERM", name)
    found = here(OSError(0, "asked"))
    assert [line(one) for one in found.values()] == [("terminal", "warn")]
    assert found["terminal"].what == f"TERM is {name!r}"


def test_small_terminal_is_warned_of(here: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINES", "23")
    monkeypatch.setenv("TMUX", "/tmp/tmux,1,0")
    found = here(ALL)["terminal"]
    assert line(found) == ("terminal", "warn")
    assert "kitty in tmux" in found.what


@pytest.mark.parametrize(
    ("environment", "count", "state", "words"),
    [
        ({"COLORTERM": "truecolor"}, 8, "ok", "16.7 million"),
        ({}, 256, "ok", "256, more with"),
        ({"NO_COLOR": "1"}, 256, "ok", "; NO_COLOR turns them off"),
        ({}, 8, "warn", "8"),
        ({}, -1, "warn", "0"),
        ({}, None, "warn", "TERM=xterm-256color is not known here"),
    ],
)
def test_colours_are_counted(
    here: Look,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    count: int | None,
    state: str,
    words: str,
) -> None:
    def setupterm(**more: object) -> None:
        if count is None:
            raise curses.error("setupterm: could not find terminal")

    monkeypatch.setattr(curses, "setupterm", setupterm)
    monkeypatch.setattr(curses, "tigetnum", lambda name: count)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = here(ALL)["colours"]
    assert line(found) == ("colours", state)
    assert words in found.what


@pytest.mark.parametrize(
    ("widths", "words"), [((1, 2), "take 1 columns"), ((2, 4), "joined emoji takes 4 columns")]
)
def test_widths_that_are_not_ours_are_warned_of(
    here: Look, widths: tuple[int, int], words: str
) -> None:
    found = here(TerminalFacts(True, widths=widths))["unicode"]
    assert line(found) == ("unicode", "warn")
    assert words in found.what


def test_locale_without_unicode_is_warned_of(here: Look) -> None:
    found = here(ALL, encoding="ascii")["unicode"]
    assert (line(found), found.what) == (("unicode", "warn"), "text is written in ascii")


def test_clipboard_has_one_way_at_least(
    here: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert line(here(TerminalFacts(True))["clipboard"]) == ("clipboard", "warn")
    monkeypatch.setenv("TMUX", "1")
    assert "set-clipboard" in here(TerminalFacts(True))["clipboard"].advice
    (tmp_path / "xsel").touch(mode=0o755)
    assert here(TerminalFacts(True))["clipboard"].what == "by xsel"
    assert here(ALL)["clipboard"].what == "by the terminal (OSC 52) and xsel"


# As a process


# A torch that is known at once not to be there.
QUICK = """
from dgedit.doctor.checks import Probe
Probe.facts = lambda self: {name: {"error": "broken"} for name in ("torch", "kernels", "model")}
"""


def start(pretended: Pretended, *args: str, code: str = "", **more: str) -> subprocess.Popen[bytes]:
    run = f"{code}\nfrom dgedit.__main__ import main\nmain()"
    gone = ["COLORTERM", "NO_COLOR", "TMUX", "DISPLAY", "WAYLAND_DISPLAY", "COLUMNS", "LINES"]
    environment = {name: value for name, value in os.environ.items() if name not in gone}
    return subprocess.Popen(
        [sys.executable, "-c", run, "doctor", *args],
        env=environment | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"} | more,
        stdin=pretended.fd,
        stdout=pretended.fd,
        stderr=pretended.fd,
        preexec_fn=pretended.take,
    )


def text(pretended: Pretended, ending: bytes) -> str:
    """What can be read of what was drawn, once its end is there."""
    deadline = time.monotonic() + 90
    while ending not in pretended.drawn:
        assert time.monotonic() < deadline, bytes(pretended.drawn)
        time.sleep(0.01)
    drawn = re.sub(r"\x1bP.*?\x1b\\|\x1b\[[?>]?[\d;]*\$?[a-zA-Z]", "", pretended.drawn.decode())
    return drawn.replace("\r\n", "\n").split("\r")[-1]


@pytest.fixture
def kitty() -> Iterator[Pretended]:
    with Pretended(KITTY) as made:
        yield made


def test_all_is_told_in_a_terminal_and_nothing_is_left(kitty: Pretended) -> None:
    before = termios.tcgetattr(kitty.fd)
    process = start(kitty)
    assert process.wait(30) == 0
    lines = text(kitty, b"model ").splitlines()
    assert [one.split()[1] for one in lines] == [*SCREEN, *NAMES[1:]]
    assert {one.split()[0] for one in lines} <= {"ok", "warn"}
    assert lines[0] == "ok    terminal   kitty(0.42.1), TERM=xterm-256color, 100 × 30"
    assert termios.tcgetattr(kitty.fd) == before
    assert kitty.left() == 0


def test_terminal_that_is_silent_does_not_keep_it() -> None:
    with Pretended() as silent:
        began = time.monotonic()
        assert start(silent, code=QUICK).wait(30) == 1
        assert time.monotonic() - began >= 2
        assert "it does not answer" in text(silent, b"model ")


def test_torch_that_is_not_there_is_a_line(kitty: Pretended, tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('libcudart.so: missing')")
    process = start(kitty, PYTHONPATH=str(tmp_path))
    assert process.wait(30) == 1
    said = text(kitty, b"model ")
    assert "fail  torch      cannot be loaded: libcudart.so: missing ->" in said
    assert "fail  model      tiny: libcudart.so: missing ->" in said


def test_nothing_is_written(kitty: Pretended, tmp_path: Path) -> None:
    names = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")
    names = (*names, "XDG_CACHE_HOME")
    homes = {name: str(tmp_path / name) for name in names}
    for place in homes.values():
        Path(place).mkdir()
    assert start(kitty, DGEDIT_ENGINE="auto", **homes).wait(30) == 0
    assert [str(path) for path in tmp_path.rglob("*") if path.is_file()] == []
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(names)


def test_interrupt_ends_it_and_restores_the_terminal() -> None:
    with Pretended() as silent:
        before = termios.tcgetattr(silent.fd)
        process = start(silent, code=QUICK)
        text(silent, b"\x1b[c")
        os.write(silent.master, b"\x03")
        assert process.wait(10) == 128 + signal.SIGINT
        assert termios.tcgetattr(silent.fd) == before


def test_pipe_is_not_asked(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{QUICK}\nfrom dgedit.cli import main\nmain()", "doctor"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=90,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"\x1b" not in done.stdout
    assert [one.split()[1].decode() for one in done.stdout.splitlines()] == NAMES
