"""The command line: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

import dgedit
from dgedit import cli
from dgedit.commands import output
from dgedit.engines import connect as backend
from dgedit.engines.warm.wire import step_from_json
from dgedit.errors import EngineError, Exit
from scripted import Scripted

Capture = pytest.CaptureFixture[bytes]


@pytest.fixture
def file(folder: Path) -> Path:
    path = folder / "a.py"
    path.write_bytes(b"one\r\ntwo <FILL> \xe9\r\nthree")
    return path


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_fill_prints_a_diff_that_git_applies_and_writes_nothing(
    file: Path, scripted: Scripted, capfdbinary: Capture
) -> None:
    before = file.read_bytes()
    subprocess.run(["git", "init", "--quiet"], check=True)
    capfdbinary.readouterr()
    assert cli.run(["fill", "a.py"]) == Exit.OK
    out, err = capfdbinary.readouterr()
    assert (err, file.read_bytes()) == (b"", before)
    subprocess.run(["git", "apply", "--whitespace=nowarn", "-"], input=out, check=True)
    assert file.read_bytes() == before.replace(b"<FILL>", b"filled")


def test_fill_write_changes_the_span_only(
    file: Path, scripted: Scripted, capfdbinary: Capture
) -> None:
    scripted.texts = ("1\n2",)
    assert cli.run(["fill", "-w", "a.py:1"]) == Exit.OK
    assert file.read_bytes() == b"1\r\n2\r\ntwo <FILL> \xe9\r\nthree"
    assert capfdbinary.readouterr() == (b"", b"")


def test_fill_print_gives_the_whole_result(
    file: Path, scripted: Scripted, capfdbinary: Capture
) -> None:
    assert cli.run(["fill", "--print", "a.py"]) == Exit.OK
    assert capfdbinary.readouterr().out == b"one\r\ntwo filled \xe9\r\nthree"


def test_fill_span_only_gives_the_infills(
    file: Path, scripted: Scripted, capfdbinary: Capture
) -> None:
    scripted.texts = ("é\n", "y")
    assert cli.run(["fill", "--span-only", "a.py:3", "a.py"]) == Exit.OK
    assert capfdbinary.readouterr().out == "é\n\ny".encode()


def test_fill_json_says_what_was_filled_where(
    file: Path, scripted: Scripted, capfdbinary: Capture
) -> None:
    assert cli.run(["fill", "--json", "--seed", "7", "a.py:L3", "a.py"]) == Exit.OK
    report = json.loads(capfdbinary.readouterr().out)
    assert report.pop("seconds") >= 0
    place = {"path": "a.py", "text": "filled", "doubt": None}
    assert report == {
        "model": "scripted",
        "device": "cpu",
        "holes": [
            place
            | {"span": {"start": 9, "end": 15}, "bytes": {"start": 9, "end": 15}}
            | {"start": {"line": 2, "column": 5}, "end": {"line": 2, "column": 11}},
            place
            | {"span": {"start": 19, "end": 24}, "bytes": {"start": 19, "end": 24}}
            | {"start": {"line": 3, "column": 1}, "end": {"line": 3, "column": 6}},
        ],
        "score": -0.25,
        "steps": 3,
        "seed": 7,
        "stopped": "settled",
    }


def test_fill_events_gives_a_line_per_step(
    file: Path, scripted: Scripted, capfdbinary: Capture
) -> None:
    assert cli.run(["fill", "--events", "a.py"]) == Exit.OK
    lines = capfdbinary.readouterr().out.splitlines()
    steps = [step_from_json(json.loads(line)) for line in lines]
    assert [step.last for step in steps] == [False, False, True]
    assert steps[-1].drafts[0].text == "filled"


def test_fill_of_several_files_is_one_request(
    file: Path, scripted: Scripted, capfdbinary: Capture
) -> None:
    Path("b.py").write_text("<FILL>")
    Path("link.py").symlink_to("a.py")
    scripted.texts = ("1", "2", "3")
    assert cli.run(["fill", "-w", "a.py", "b.py", "link.py:3", "-m", "say"]) == Exit.OK
    (request,) = scripted.requests
    assert [(p.path, len(p.holes)) for p in request.passages] == [("a.py", 2), ("b.py", 1)]
    assert request.instruction == "say"
    assert file.read_bytes() == b"one\r\ntwo 1 \xe9\r\n2"
    assert Path("b.py").read_text() == "3"
    assert Path("link.py").is_symlink()


def test_fill_passes_its_options_on(file: Path, scripted: Scripted, capfdbinary: Capture) -> None:
    options = "--strength 0.5 --effort 1 --steps 9 --entropy-bound 0.1 --seed 4 --marker two"
    assert cli.run(["fill", "a.py", *options.split()]) == Exit.OK
    (request,) = scripted.requests
    assert (request.strength, request.effort, request.steps) == (0.5, 1.0, 9)
    assert (request.entropy_bound, request.seed) == (0.1, 4)
    assert request.holes[0].text == "" and not request.exact


@pytest.mark.parametrize("command", ["fill a.py:2", "pipe --range 1"])
def test_exact_is_asked_for(
    file: Path,
    scripted: Scripted,
    capfdbinary: Capture,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dgedit.commands.pipe._stdin", lambda: b"one\n")
    assert cli.run([*command.split(), "--exact"]) == Exit.OK
    (request,) = scripted.requests
    assert request.exact and request.strength == 1


@pytest.mark.parametrize(("strength", "code"), [("0", Exit.OK), ("1", Exit.NO)])
def test_fill_check_says_whether_anything_would_change(
    file: Path, scripted: Scripted, capfdbinary: Capture, strength: str, code: Exit
) -> None:
    before = file.read_bytes()
    assert cli.run(["fill", "--check", "a.py:2-3", "--strength", strength]) == code
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ("fill gone.py:3", Exit.INPUT, "no such file: gone.py"),
        ("fill a.py:9", Exit.INPUT, "range 9 is outside a.py, which has 3 lines"),
        ("fill empty.py:1", Exit.INPUT, "range 1 is outside empty.py, which has 0 lines"),
        ("fill empty.py", Exit.INPUT, "empty.py has no <FILL>"),
        ("fill binary", Exit.INPUT, "binary is not text"),
        ("fill .", Exit.INPUT, "cannot read .: Is a directory"),
        ("fill a.py:20-10", Exit.USAGE, "not a range: '20-10'"),
        ("fill a.py:x", Exit.USAGE, "not a range: 'x'"),
        ("fill a.py:1-2 a.py:2", Exit.USAGE, "overlap"),
        ("fill", Exit.USAGE, "no FILE is given"),
        ("fill a.py --strength 2", Exit.USAGE, "strength must be between 0 and 1, not 2.0"),
        ("fill a.py --strength nan", Exit.USAGE, "not nan"),
        ("fill a.py --effort -0.1", Exit.USAGE, "not -0.1"),
        ("fill a.py --exact --strength 0.5", Exit.USAGE, "exact writes from scratch"),
        ("fill a.py --steps 0", Exit.USAGE, "steps must be at least 1, not 0"),
        ("fill a.py --entropy-bound -1", Exit.USAGE, "not -1.0"),
        ("fill a.py --seed -1", Exit.USAGE, "not -1"),
        ("fill a.py --seed x", Exit.USAGE, "--seed must be a whole number, not 'x'"),
        ("fill a.py --write --json", Exit.USAGE, "--write and --json exclude each other"),
        ("fill a.py --print --span-only", Exit.USAGE, "--print and --span-only exclude"),
        ("fill a.py --check --write", Exit.USAGE, "--check and --write exclude"),
        ("fill a.py b.py --print", Exit.USAGE, "--print takes one file"),
        ("fill a.py --nope", Exit.USAGE, "no option --nope"),
        ("a.py", Exit.USAGE, "needs a terminal"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_code(
    file: Path, scripted: Scripted, capfdbinary: Capture, args: str, code: Exit, words: str
) -> None:
    Path("b.py").write_text("<FILL>")
    Path("empty.py").touch()
    Path("binary").write_bytes(b"\x7fELF\0")
    assert cli.run(args.split()) == code
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert words in err.decode()
    assert err.startswith(b"dgedit: ") and err.count(b"\n") == 1
    assert not scripted.requests


def test_error_line_shows_control_characters(scripted: Scripted, capfdbinary: Capture) -> None:
    cli.run(["fill", "\x1b]0;title\x07\nx"])
    assert capfdbinary.readouterr().err.decode() == "dgedit: no such file: ␛]0;title␇ x\n"


def test_fill_sees_a_file_that_changes_meanwhile_and_writes_none(
    file: Path, scripted: Scripted, capfdbinary: Capture
) -> None:
    Path("b.py").write_text("<FILL>")
    before = file.read_bytes()
    scripted.during = lambda index: Path("b.py").write_text("theirs <FILL>") and None
    assert cli.run(["fill", "-w", "a.py", "b.py"]) == Exit.CONFLICT
    assert file.read_bytes() == before
    assert Path("b.py").read_text() == "theirs <FILL>"
    assert b"b.py" in capfdbinary.readouterr().err


def test_fill_takes_back_what_it_wrote_when_a_later_file_fails(
    file: Path, scripted: Scripted, capfdbinary: Capture
) -> None:
    Path("b.py").write_text("<FILL>")
    Path("b.py").chmod(0o444)
    before = file.read_bytes()
    assert cli.run(["fill", "-w", "a.py", "b.py"]) == Exit.INPUT
    assert (file.read_bytes(), Path("b.py").read_text()) == (before, "<FILL>")
    assert b"b.py is read-only" in capfdbinary.readouterr().err


@pytest.mark.parametrize("error", [EngineError("no model"), RuntimeError("out of memory\nat x")])
def test_engine_that_fails_is_one_line_and_code_5(
    file: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture, error: Exception
) -> None:
    def fail(*args: object, **more: object) -> None:
        raise error

    broken = Scripted(during=fail)
    opened = fail if isinstance(error, EngineError) else lambda *which, **more: broken
    monkeypatch.setattr(backend, "connect", opened)
    assert cli.run(["fill", "a.py"]) == Exit.ENGINE
    assert capfdbinary.readouterr().err.count(b"\n") == 1


def test_error_of_ours_is_one_line_and_no_traceback(
    file: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    monkeypatch.delenv("DGEDIT_DEBUG", raising=False)
    scripted.during = lambda index: [][index]
    assert cli.run(["fill", "a.py"]) == Exit.BUG
    assert capfdbinary.readouterr().err.startswith(b"dgedit: IndexError: list index")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\xef\xbb\xbfa\r\n<FILL>\r\nb", b"\xef\xbb\xbfa\r\n1\r\n2\r\nb"),
        (b"\xe9 <FILL>\n\x0c\r<FILL>", b"\xe9 1\n2\n\x0c\r1\n2"),
        ("\ufeff<FILL>\r\n".encode("utf-16-le"), "\ufeff1\r\n2\r\n".encode("utf-16-le")),
    ],
)
def test_pipe_keeps_every_byte_outside_the_holes(
    scripted: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: Capture,
    before: bytes,
    after: bytes,
) -> None:
    scripted.texts = ("1\n2",)
    feed(monkeypatch, before)
    assert cli.run(["pipe"]) == Exit.OK
    assert capfdbinary.readouterr() == (after, b"")


def test_pipe_takes_ranges_and_a_name(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    feed(monkeypatch, b"a\nb\nc <FILL>\n")
    assert cli.run(["pipe", "--range", "1", "--range=2:1-2:1", "--stdin-filename", "x.rs"]) == 0
    assert capfdbinary.readouterr().out == b"filled\nfilledb\nc <FILL>\n"
    assert scripted.requests[0].passages[0].path == "x.rs"


def test_pipe_to_a_terminal_shows_control_characters(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", screen)
    scripted.texts = ("\x1b[2J",)
    feed(monkeypatch, b"a\t<FILL>\r\nb")
    assert cli.run(["pipe"]) == Exit.OK
    assert screen.getvalue() == "a\t␛[2J␍\nb\n"


def test_files_alone_open_the_editor(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []

    def editor(paths: list[Path], **options: object) -> int:
        opened.append((paths, options))
        return 0

    monkeypatch.setattr("dgedit.tui.start.run", editor)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    changes = ["--adapter", str(file.parent)]
    assert cli.run(["--seed", "5", *changes, "a.py", "./fill"]) == Exit.OK
    options: dict[str, object] = {"model": None, "device": None, "adapter": file.parent}
    options |= {"engine": "local", "effort": 0.5, "seed": 5}
    options |= {"read_only": False, "force": False, "piped": None, "give": output.print_document}
    options["places"] = {Path("a.py"): None, Path("fill"): None}
    assert opened == [([Path("a.py"), Path("fill")], options)]
    assert cli.run(["a.py", "--effort", "7"]) == Exit.USAGE
    assert len(opened) == 1
    assert cli.run(["a.py:2", "+3", "./fill"]) == Exit.OK
    options["places"] = {Path("a.py"): "2", Path("fill"): "3"}
    options |= {"adapter": None, "effort": 0.5, "seed": 0}
    assert opened[1:] == [([Path("a.py"), Path("fill")], options)]


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"], ["fill", "--help"], ["--version"]])
def test_help_and_version_go_to_stdout(args: list[str], capfdbinary: Capture) -> None:
    assert cli.run(args) == Exit.OK
    out, err = capfdbinary.readouterr()
    assert (b"dgedit" in out, err) == (True, b"")


def test_instruction_of_bytes_that_are_no_text_is_readable(
    file: Path, scripted: Scripted, capfdbinary: Capture
) -> None:
    assert cli.run(["fill", "-m", "a\udcffb", "a.py"]) == Exit.OK
    assert scripted.requests[0].instruction == "a\ufffdb"


def test_words_of_markers_are_part_of_the_instruction(folder: Path, scripted: Scripted) -> None:
    (folder / "a.py").write_text("a = <FILL: one>\nb = <FILL>\n")
    assert cli.run(["fill", "-w", "-m", "short", "a.py"]) == Exit.OK
    assert scripted.requests[0].instruction == "short\nhole 1: one"
    assert (folder / "a.py").read_text() == "a = filled\nb = filled\n"


def test_terminal_without_unicode_is_given_escapes(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(monkeypatch, "é<FILL>".encode())
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(out, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.run(["pipe"]) == Exit.OK
    assert out.buffer.getvalue() == b"\\xe9filled\n"  # type: ignore[attr-defined]


def test_name_that_is_too_long_is_no_such_file(
    folder: Path, scripted: Scripted, capfdbinary: Capture
) -> None:
    assert cli.run(["fill", f"{'x' * 300}:3"]) == Exit.INPUT
    assert capfdbinary.readouterr().err == b"dgedit: no such file: " + b"x" * 300 + b"\n"


def test_stdin_that_cannot_be_read_is_an_input_error(
    scripted: Scripted, monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    class Broken(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readall(self) -> bytes:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Broken())))
    assert cli.run(["pipe"]) == Exit.INPUT
    assert capfdbinary.readouterr() == (
        b"",
        b"dgedit: cannot read standard input: Input/output error\n",
    )


@pytest.mark.parametrize(
    ("args", "code", "out", "err"),
    [
        ("--version", Exit.OK, f"dgedit {dgedit.__version__}\n", ""),
        ("fill gone.py", Exit.INPUT, "", "dgedit: no such file: gone.py\n"),
    ],
)
def test_torch_is_not_taken_apart_at_the_end(
    folder: Path, args: str, code: Exit, out: str, err: str
) -> None:
    main = (
        "import atexit, sys, types\n"
        "sys.modules['torch'] = types.ModuleType('torch')\n"
        "atexit.register(print, 'taken apart')\n"
        "from dgedit.cli import main\nmain()"
    )
    command = [sys.executable, "-c", main, *args.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)
