"""Nothing raw on a terminal, nothing unpickled, nothing given to a shell."""

from __future__ import annotations

import ast
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dgedit import cli
from dgedit.engines.warm import server
from fakechat import Answer, fakechat
from scripted import Scripted

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "dgedit", ROOT / "engine" / "dgedit_engine", ROOT / "kernels" / "dgedit_kernels")
# Runs programs that a model had a part in, in a sandbox: that is what it is for.
SANDBOX = {("confined.py", "exec"), ("confined.py", "compile")}
# Looks whether a text is Python, and runs nothing of it.
LOOKS = {("syntax.py", "compile")}

PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
CALLS = {"eval", "exec", "compile", "__import__"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
SHELLS |= {"asyncio.create_subprocess_shell", "pty.spawn"}


def calls() -> Iterator[tuple[Path, ast.Call, str]]:
    for folder in FOLDERS:
        for file in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call):
                    yield file, node, ast.unparse(node.func)


def option(call: ast.Call, name: str) -> object:
    """What a call says in so many words; None where it says nothing or not in so many."""
    found = (one.value for one in call.keywords if one.arg == name)
    return next((value.value for value in found if isinstance(value, ast.Constant)), None)


def test_nothing_is_unpickled() -> None:
    files = [file for folder in FOLDERS for file in folder.rglob("*.py")]
    assert len(files) > 100
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & PICKLES, file
    for file, call, name in calls():
        if name in ("torch.load", "torch.hub.load", "torch.jit.load"):
            assert name == "torch.load" and option(call, "weights_only") is True, file
        if name in ("np.load", "numpy.load"):
            assert option(call, "allow_pickle") in (None, False), file
        assert option(call, "trust_remote_code") in (None, False), file


def test_no_text_is_run_but_in_the_sandbox() -> None:
    found = {(file.name, name) for file, _, name in calls() if name in CALLS}
    assert found <= SANDBOX | LOOKS, found - SANDBOX


def test_nothing_is_given_to_a_shell() -> None:
    for file, call, name in calls():
        assert name not in SHELLS, (file, name)
        assert not [one for one in call.keywords if one.arg == "shell"], (file, name)
        if name in ("subprocess.run", "subprocess.Popen", "subprocess.check_output"):
            assert not isinstance(call.args[0], ast.Constant | ast.JoinedStr), (file, name)
            assert "'sh'" not in ast.unparse(call.args[0]), (file, name)


PRINTS = {"print", "typer.echo", "typer.secho", "click.echo", "sys.stdout.write"}
PRINTS |= {"sys.stderr.write", "sys.stdout.buffer.write", "sys.stderr.buffer.write"}
MAY_PRINT = {
    "dgedit/cli.py": "its version",
    "dgedit/commands/first.py": "a question, of names and figures of our own table",
    "dgedit/commands/interactive.py": "its questions, and keys made visible",
    "dgedit/commands/model.py": "lines made visible",
    "dgedit/commands/output.py": "the one that makes texts visible where somebody looks",
    "dgedit/engines/warm/bench.py": "numbers, for developers",
    "dgedit/tui/start.py": "a line of its own",
    "dgedit/tui/bench.py": "numbers, for developers",
}
"""Who may write onto a terminal without `output`, and why."""


def test_texts_reach_a_terminal_in_one_way() -> None:
    found = {
        file.relative_to(ROOT).as_posix()
        for file, _, name in calls()
        if name in PRINTS and file.is_relative_to(FOLDERS[0])
    }
    assert found <= MAY_PRINT.keys(), found - MAY_PRINT.keys()


# A title, a link, colours, a C1 sequence, bidi overrides and isolates, zero width, a tag, markup.
SIGNALS = ("\x1b]0;t\x07", "\x1b]8;;u\x1b\\", "\x1b[35;5m", "\x9b2J", "\u202e", "\u2066", "\u200b")
SIGNALS += ("\ufeff", "\U000e0041", "\x08", "\x7f")
EVIL = "".join(SIGNALS) + "[bold red]x[/bold red]"

# The program with a backend whose name, device and texts are as bad, and settings of its own.
DRIVER = """
import sys
sys.path.insert(0, {tests!r})
from dgedit import cli
from dgedit.engines import connect as backend
from scripted import Scripted
evil = {evil!r}
backend.connect = lambda *which, **more: Scripted((evil,), name=evil, device=evil)
cli.main()
"""
PLAIN = "from dgedit import cli; cli.main()"


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A folder of bad names; beside it, models with more of them."""
    here = tmp_path / "here"
    models = tmp_path / "data" / "dgedit" / "models"
    (models / "m\x1b[35;5m").mkdir(parents=True)
    (models / "m\x7f").mkdir()
    (models / "m\x1b[35;5m" / "config.json").write_text(json.dumps({"architectures": [EVIL]}))
    here.mkdir()
    for name in (f"{EVIL.replace('/', '|')}.py", "a.py"):
        (here / name).write_text(f"# {EVIL}\nx = <FILL: {EVIL}>\n", encoding="utf-8")
    return here


def seen(folder: Path, *args: str, keys: bytes = b"", driver: str = DRIVER) -> bytes:
    """What a command writes onto a terminal."""
    ours, theirs = pty.openpty()
    homes = ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")
    places = {name: str(folder.parent / name.split("_")[1].lower()) for name in homes}
    process = subprocess.Popen(
        [sys.executable, "-c", driver.format(tests=str(ROOT / "tests"), evil=EVIL), *args],
        cwd=folder,
        env=os.environ | places | {"TERM": "xterm-256color", "COLUMNS": "200"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    found, until = b"", time.monotonic() + 90
    try:
        while time.monotonic() < until:
            if not select.select([ours], [], [], 0.3)[0]:
                if found:  # it waits for a key
                    os.write(ours, keys)
                continue
            if not (read := _read(ours)):
                break
            found += read
    finally:
        os.close(ours)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(10)
    return found


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # nobody has it open any more
        return b""


NAME = f"{EVIL.replace('/', '|')}.py"


@pytest.mark.parametrize(
    ("args", "keys", "words"),
    [
        (("fill", NAME), b"", "x = "),
        (("fill", NAME, "--print"), b"", "x = "),
        (("fill", NAME, "--span-only"), b"", "bold"),
        (("fill", NAME, "--json"), b"", "bold"),
        (("fill", NAME, "--events"), b"", "bold"),
        (("fill", NAME, "--dry-run"), b"", "hole"),
        (("fill", NAME, "-i"), b"q", "?"),
        (("fill", f"{NAME}:99"), b"", "outside"),
        (("fill", f"gone{EVIL}"), b"", "no such file"),
        (("fill", "a.py", "--range", EVIL), b"", "not a range"),
        (("fill", "a.py", "--marker", f"{EVIL}!"), b"", "has no"),
        (("fill", f"{NAME}::{EVIL}"), b"", "def"),
        ((f"--{EVIL}",), b"", "no option"),
        (("config", "set", EVIL, EVIL), b"", "no key"),
        (("config", "set", "theme", EVIL), b"", ""),
        (("model", "list"), b"", "m"),
        (("model", "list", "--json"), b"", "tiny"),
        (("model", "info", EVIL), b"", "no such model"),
        (("model", "info", "../data/dgedit/models/m\x1b[35;5m"), b"", "architecture"),
    ],
)
def test_command_shows_signs(evil: Path, args: tuple[str, ...], keys: bytes, words: str) -> None:
    said = seen(evil, *args, keys=keys).decode("utf-8", "surrogateescape")
    assert [one for one in SIGNALS if one in said] == [], said
    assert words in said and "Traceback" not in said, said


def test_settings_are_shown_with_signs(evil: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DGEDIT_MODEL")
    assert b"Traceback" not in seen(evil, "config", "set", "model", EVIL)
    said = seen(evil, "config", "show").decode()
    assert "bold red" in said and [one for one in SIGNALS if one in said] == []


BAD = json.dumps({"error": {"message": EVIL, "type": EVIL}, "detail": EVIL}).encode()
EVENT = b"data: %s\n\n" % BAD
NAMED = json.dumps({"data": [{"id": f"m{EVIL}", "max_model_len": 4096}]}).encode()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(["<hole 1>", EVIL, "</hole 1>"]), "bold"),
        (Answer([EVIL]), "hole"),
        (Answer([EVENT]), "bold"),
        (Answer(body=BAD, status=500), "bold"),
        (Answer(body=BAD, status=400), "bold"),
        (Answer(body=EVIL.encode(), status=403), "403"),
        (Answer(body=b"{}", headers={"Content-Type": "a\x9b2J/b"}), "not a stream"),
        (Answer(body=BAD, status=302, headers={"Location": "http://x/\x9b2J"}), ""),
    ],
)
@pytest.mark.parametrize("more", [(), ("--print",)])
def test_server_shows_signs(evil: Path, answer: Answer, words: str, more: tuple[str, ...]) -> None:
    with fakechat() as fake:
        fake.answers, fake.models = [answer], Answer(body=NAMED)
        found = seen(evil, "fill", "a.py", *more, "--engine", fake.url, driver=PLAIN)
    said = found.decode("utf-8", "surrogateescape")
    assert [one for one in SIGNALS if one in said] == [], said
    assert words in said and "Traceback" not in said, said


def test_log_shows_signs(capsys: pytest.CaptureFixture[str]) -> None:
    """Names of models and of folders are in it, and it is looked at on a terminal."""
    before = server.log.handlers[:], server.log.level, server.log.propagate
    try:
        server.log_to_stderr()
        server.log.info("%s on %s", EVIL, EVIL)
    finally:
        server.log.handlers, server.log.level, server.log.propagate = before
    said = capsys.readouterr().err
    assert "bold red" in said and [one for one in SIGNALS if one in said] == []


def test_report_of_an_evaluation_shows_signs(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr("dgedit_engine.eval.measure.run", lambda *given, **more: EVIL)
    monkeypatch.setattr(
        "dgedit.engines.connect.connect", lambda *given, **more: Scripted(name=EVIL)
    )
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert cli.run(["eval", "--limit", "1"]) == 0
    said = capsysbinary.readouterr().out.decode()
    assert "bold red" in said and [one for one in SIGNALS if one in said] == []
