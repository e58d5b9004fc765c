"""`dgedit pipe` as a filter: what comes out whatever went in, alone and in three editors."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dgedit import cli
from dgedit.errors import EngineError, Exit
from dgedit_engine.types import Hole
from scripted import Scripted

Capture = pytest.CaptureFixture[bytes]
TESTS = Path(__file__).parents[2]

# `dgedit` with a backend that fills in two lines, unless it is told to fail.
PROGRAM = f"""#!{sys.executable}
import atexit, os, sys, time
sys.path[:0] = {[str(TESTS), *(path for path in sys.path if path)]!r}
from dgedit import cli
from dgedit.engines import connect as backend
from dgedit.errors import EngineError
from scripted import Scripted
def connect(*which, **more):
    if os.environ.get("FAIL"):
        raise EngineError("no model")
    if os.environ.get("HANG"):
        open("begun", "w").close()
        time.sleep(20)
    return Scripted(("x = 1\\n    y = 2",))
backend.connect = connect
atexit.register(lambda: open("ran", "w").close())
cli.main()
"""


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a", b"1\n2"),
        (b"a\n", b"1\n2\n"),
        (b"    a\n    b\n", b"    1\n2\n"),
        (b"  a\n    b", b"  1\n2"),
        (b"\ta\r\n\tb\r\n", b"\t1\r\n2\r\n"),
        (b"\n\n  a  \n\n", b"\n\n  1\n2  \n\n"),
        (b"\xef\xbb\xbf\xe9\n", b"\xef\xbb\xbf1\n2\n"),
        (b"", b"1\n2"),
        (b"\n", b"1\n2\n"),
        (b"    \n", b"    1\n2\n"),
    ],
)
def test_text_without_a_marker_is_rewritten_when_it_is_said_how(
    scripted: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: Capture,
    before: bytes,
    after: bytes,
) -> None:
    scripted.texts = ("1\n2",)
    feed(monkeypatch, before)
    assert cli.run(["pipe", "-m", "say"]) == Exit.OK
    assert capfdbinary.readouterr() == (after, b"")
    assert scripted.requests[0].strength == 0.5


@pytest.mark.parametrize(
    ("args", "strength", "hole"),
    [
        (["-m", "say"], 0.5, "a <FILE> b"),
        (["-m", "say", "--strength", "1"], 1.0, "a <FILE> b"),
        (["-m", "say", "--range", "1:1-1:2"], 1.0, "a"),
        (["-m", "say", "--marker", "<FILE>"], 1.0, ""),
        (["--marker", "<FILE>", "--strength", "0.2"], 0.2, ""),
    ],
)
def test_strength_is_one_where_a_part_is_named(
    scripted: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: Capture,
    args: list[str],
    strength: float,
    hole: str,
) -> None:
    feed(monkeypatch, b"a <FILE> b\n")
    assert cli.run(["pipe", *args]) == Exit.OK
    (request,) = scripted.requests
    assert (request.strength, request.holes) == (strength, (Hole(hole),))


def test_range_may_be_a_name(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    feed(monkeypatch, b"def f():\n    pass\n")
    assert cli.run(["pipe", "--range", "::f", "--stdin-filename", "a.py"]) == Exit.OK
    assert capfdbinary.readouterr() == (b"def f():\n    filled\n", b"")


FAILURES = [
    (b"no marker \xff\r\n", [], Exit.INPUT),
    (b"", [], Exit.INPUT),
    (b"\0<FILL>", [], Exit.INPUT),
    (b"a", ["--range", "2"], Exit.INPUT),
    (b"a", ["--range", "b"], Exit.USAGE),
    (b"a", ["--range", "::f"], Exit.USAGE),
    (b"<FILL>", ["--strength", "2"], Exit.USAGE),
    (b"<FILL>", ["--nope"], Exit.USAGE),
    (b"<FILL>", ["--seed", "x"], Exit.USAGE),
    (b"x" * 64_001, ["-m", "say"], Exit.INPUT),
]


@pytest.mark.parametrize(("data", "args", "code"), FAILURES)
@pytest.mark.parametrize("on_error", [[], ["--on-error", "echo"], ["--on-error=fail"]])
def test_what_fails_gives_the_text_back_and_one_line(
    scripted: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: Capture,
    data: bytes,
    args: list[str],
    code: Exit,
    on_error: list[str],
) -> None:
    feed(monkeypatch, data)
    assert cli.run(["pipe", *args, *on_error]) == code
    out, err = capfdbinary.readouterr()
    assert out == (b"" if "fail" in "".join(on_error) else data)
    assert err.startswith(b"dgedit: ") and err.count(b"\n") == 1


@pytest.mark.parametrize("error", [EngineError("no"), RuntimeError("memory"), IndexError("bug")])
def test_engine_that_fails_gives_the_text_back(
    scripted: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: Capture,
    error: Exception,
) -> None:
    def fail(index: int) -> None:
        if index == 2:
            raise error

    monkeypatch.delenv("DGEDIT_DEBUG", raising=False)
    scripted.during = fail
    feed(monkeypatch, b"a <FILL>\r\n")
    assert cli.run(["pipe"]) in (Exit.ENGINE, Exit.BUG)
    out, err = capfdbinary.readouterr()
    assert (out, err.count(b"\n")) == (b"a <FILL>\r\n", 1)


def test_wrong_settings_give_the_text_back(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    monkeypatch.setenv("DGEDIT_EFFORT", "7")
    feed(monkeypatch, b"<FILL>")
    assert cli.run(["pipe"]) == Exit.USAGE
    out, err = capfdbinary.readouterr()
    assert (out, err.count(b"\n")) == (b"<FILL>", 1)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`dgedit` on the path."""
    path = tmp_path / "bin" / "dgedit"
    path.parent.mkdir()
    path.write_text(PROGRAM)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path


def test_error_is_not_said_where_it_would_be_taken_for_the_text(
    program: Path, tmp_path: Path
) -> None:
    def run(redirected: str) -> tuple[int, bytes]:
        command = f"printf 'a\\n' | {program} pipe -m x > out {redirected}"
        code = subprocess.run(["sh", "-c", command], cwd=tmp_path, timeout=90).returncode
        return code, (tmp_path / "out").read_bytes()

    os.environ["FAIL"] = "1"
    try:
        assert run("2>&1") == (Exit.ENGINE, b"a\n")  # as Vim does
        assert run("2> err") == (Exit.ENGINE, b"a\n")
        assert (tmp_path / "err").read_bytes() == b"dgedit: no model\n"
    finally:
        del os.environ["FAIL"]
    assert run("2>&1") == (Exit.OK, b"x = 1\n    y = 2\n")


def test_signal_gives_the_text_back(program: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [program, "pipe", "-m", "x"],
        cwd=tmp_path,
        env=os.environ | {"HANG": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin and process.stdout and process.stderr
    process.stdin.write(b"a\r\nb")
    process.stdin.close()
    wait(lambda: (tmp_path / "begun").exists())
    process.send_signal(signal.SIGINT)  # as an editor's Ctrl+C
    assert process.stdout.read() == b"a\r\nb"
    assert (process.stderr.read(), process.wait(10)) == (b"", 130)


def wait(until: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Editor:
    """An editor in tmux."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.server = ["tmux", "-L", f"dgedit-{os.getpid()}", "-f", "/dev/null"]
        size = ("-x", "80", "-y", "24")
        self.run("new-session", "-d", *size, "-c", str(folder), *command)

    def run(self, *args: str) -> str:
        done = subprocess.run([*self.server, *args], capture_output=True, timeout=90, check=True)
        return done.stdout.decode()

    @property
    def screen(self) -> str:
        return self.run("capture-pane", "-p")

    @property
    def over(self) -> bool:
        command = [*self.server, "has-session"]
        return subprocess.run(command, capture_output=True, check=False).returncode != 0

    def press(self, *keys: str) -> None:
        for key in keys:
            self.run("send-keys", *([] if key in ("Enter", "Escape") else ["-l"]), key)
            time.sleep(0.1)

    def close(self) -> None:
        subprocess.run([*self.server, "kill-server"], capture_output=True, check=False)


# How each is called; what selects lines 2 and 3, and the end of line 2 from column 3 on.
EDITORS = {
    "vim": ("vim -Nu NONE -n", [":2,3!"], None),
    "kak": ("kak -n", ["2g", "xJx", "|"], ["2gll", "Gl", "|"]),
    "hx": ("hx", ["2gg", "xx", "|"], ["2ggll", "vgl", "|"]),
}
TEXT = b"one\n    two\n    three\nfour\n"


@pytest.fixture(params=list(EDITORS))
def filtered(
    request: pytest.FixtureRequest, program: Path, tmp_path: Path
) -> Iterator[Callable[..., bytes]]:
    """What is in the file once its editor has filtered some of it, and saved."""
    name = request.param
    command, lines, part = EDITORS[name]
    if shutil.which("tmux") is None or shutil.which(name) is None:
        pytest.skip(f"no {name}, or no tmux")
    opened: list[Editor] = []

    def edit(text: bytes = TEXT, *, whole: bool = True, **variables: str) -> bytes:
        file = tmp_path / "a.py"
        file.write_bytes(text)
        keys = lines if whole else part
        if keys is None:
            pytest.skip(f"{name} filters whole lines")
        plain = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm-256color"}
        settings = [f"{key}={value}" for key, value in (plain | variables).items()]
        one = Editor(tmp_path, "env", "-i", *settings, *command.split(), "a.py")
        opened.append(one)
        wait(lambda: "four" in one.screen)
        time.sleep(0.3)  # until it takes keys
        one.press(*keys, "dgedit pipe -m say", "Enter")
        wait(lambda: (tmp_path / "ran").exists())
        time.sleep(0.5)  # until it has read the end
        one.press("Enter", "Escape", ":wq", "Enter")  # the first for Vim, which may ask for it
        wait(lambda: one.over)
        return file.read_bytes()

    yield edit
    for one in opened:
        one.close()


def test_editor_filters_lines(filtered: Callable[..., bytes]) -> None:
    assert filtered() == b"one\n    x = 1\n    y = 2\nfour\n"


def test_editor_filters_lines_that_end_in_both(filtered: Callable[..., bytes]) -> None:
    text = TEXT.replace(b"\n", b"\r\n")
    assert filtered(text) == b"one\r\n    x = 1\r\n    y = 2\r\nfour\r\n"


def test_editor_filters_a_part_that_begins_in_an_indentation(
    filtered: Callable[..., bytes],
) -> None:
    assert filtered(whole=False) == b"one\n    x = 1\n    y = 2\n    three\nfour\n"


def test_editor_keeps_its_text_when_the_filter_fails(filtered: Callable[..., bytes]) -> None:
    assert filtered(FAIL="1") == TEXT
