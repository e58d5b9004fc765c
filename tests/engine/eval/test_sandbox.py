"""What a test program may do, what stops it, and that nothing is left of it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dgedit_engine.eval import sandbox
from dgedit_engine.eval.sandbox import Outcome, run

ORDINARY = {
    "nothing": "",
    "imports": (
        "import math, re, collections, typing, hashlib, random, itertools, functools, heapq, json,"
        " string, bisect, copy, decimal, fractions, datetime, tempfile, unittest, subprocess,"
        " socket, multiprocessing, asyncio\nassert math.gcd(4, 6) == 2 and random.random() < 1\n"
        "assert hashlib.md5(b'').hexdigest() and re.match('a', 'ab')"
    ),
    "tests": (
        "from typing import List\n\ndef add(x: List[int]) -> int:\n    return sum(x)\n\n"
        "def check(candidate):\n    assert candidate([1, 2]) == 3, 'é'\n\ncheck(add)\n"
    ),
    "dataclass": (
        "from dataclasses import dataclass\nfrom collections import namedtuple\n\n@dataclass\n"
        "class A:\n    x: 'int'\n\nassert A(1) == A(1) and namedtuple('B', 'x')(1).x == 1\n"
    ),
    "own files": (
        "import os, pathlib, shutil, tempfile\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    pathlib.Path(folder, 'a').write_text('1')\n"
        "os.mkdir('d'); open('d/x', 'w').write('1'); os.rename('d/x', 'd/y'); shutil.rmtree('d')\n"
        "open(os.devnull, 'w').write('x')\n"
    ),
    "threads": (
        "import threading\nfound = []\nthread = threading.Thread(target=found.append, args=(1,))\n"
        "thread.start(); thread.join()\nassert found == [1] and __name__ == '__main__'"
    ),
    "prints": "print('x' * 1000)\nprint('no newline', end='')",
    "recursion": "def f(): f()\ntry:\n    f()\nexcept RecursionError:\n    pass",
}

STOPPED = {
    "fork": ("import os\nos.fork()", "forbidden: os.fork"),
    "forkpty": ("import os\nos.forkpty()", "forbidden: os.forkpty"),
    "exec": ("import os\nos.execv('/bin/true', ['true'])", "forbidden: os.exec"),
    "system": ("import os\nos.system('true')", "forbidden: os.system"),
    "spawn": (
        "import os\nos.posix_spawn('/bin/true', ['true'], os.environ)",
        "forbidden: os.posix_spawn",
    ),
    "subprocess": ("import subprocess\nsubprocess.run(['true'])", "forbidden: subprocess.Popen"),
    "multiprocessing": (
        "import multiprocessing as m\nm.get_context('fork').Process(target=print).start()",
        "forbidden: os.fork",
    ),
    "multiprocessing spawn": (
        "import multiprocessing as m\nm.get_context('spawn').Process(target=print).start()",
        "forbidden",
    ),
    "kill": ("import os\nos.kill(os.getppid(), 0)", "forbidden: os.kill"),
    "socket": ("import socket\nsocket.socket()", "forbidden: socket"),
    "download": ("import urllib.request as u\nu.urlopen('http://[::1]/')", "forbidden: socket"),
    "ctypes": ("import ctypes\nctypes.CDLL(None).fork()", "forbidden: ctypes"),
    "limits": (
        "import resource as r\nr.setrlimit(r.RLIMIT_CPU, (99, 99))",
        "forbidden: resource.setrlimit",
    ),
    "hooks": ("import sys\nsys.addaudithook(print)", "forbidden: sys.addaudithook"),
    "open": ("open('{}/new', 'w')", "forbidden: open"),
    "open for updating": ("open('{}/kept', 'r+')", "forbidden: open"),
    "os.open": ("import os\nos.open('{}/new', os.O_CREAT)", "forbidden: open"),
    "pathlib": ("import pathlib\npathlib.Path('{}/new').write_text('')", "forbidden: open"),
    "touch": ("import pathlib\npathlib.Path('{}/new').touch()", "forbidden"),
    "upwards": ("open('../new', 'w')", "forbidden: open"),
    "remove": ("import os\nos.remove('{}/kept')", "forbidden: os.remove"),
    "rename out": ("import os\nopen('a', 'w')\nos.rename('a', '{}/new')", "forbidden: os.rename"),
    "rename in": ("import os\nos.rename('{}/kept', 'a')", "forbidden: os.rename"),
    "link": ("import os\nos.link('{}/kept', 'a')", "forbidden: os.link"),
    "through a link": ("import os\nos.symlink('{}', 'a')\nopen('a/new', 'w')", "forbidden: open"),
    "mkdir": ("import os\nos.mkdir('{}/new')", "forbidden: os.mkdir"),
    "rmtree": ("import shutil\nshutil.rmtree('{}')", "forbidden: shutil.rmtree"),
    "by descriptor": (
        "import os\nplace = os.open('{}', os.O_RDONLY)\nos.remove('kept', dir_fd=place)",
        "forbidden: os.remove",
    ),
    "many files": ("for n in range(999):\n    open(str(n), 'w')", "forbidden: too many files"),
    "memory": ("rows = []\nwhile True:\n    rows.append(bytearray(1 << 24))", "memory"),
    "output": ("print('x' * 10_000_000)", "output"),
    "endless output": ("while True:\n    print('x' * 1000)", "output"),
    "wrong": ("assert 1 == 2", "failed: AssertionError"),
    "no Python": ("def (:", "failed: SyntaxError"),
    "exit": ("import sys\nsys.exit(0)", "failed"),
    "quit": ("raise SystemExit", "failed"),
    "at once": ("import os\nos._exit(0)", "failed"),
    "crash": ("import os\nos.abort()", "failed"),
    "closes stdout": ("import sys\nsys.stdout.close()", "failed"),
    "closes all": ("import os\nos.closerange(0, 99)", "failed"),
    "says so": ("print('passed')\nprint('0' * 32, 'passed', flush=True)\nassert False", "failed"),
}


@pytest.fixture(autouse=True)
def _nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its folder is gone, and no process is left in it."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield
    assert list(place.iterdir()) == []
    for process in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            assert not os.readlink(process).startswith(str(place))


@pytest.mark.parametrize("name", ORDINARY)
def test_run_lets_ordinary_programs_pass(name: str) -> None:
    assert run(ORDINARY[name]) == Outcome(True, "passed")


@pytest.mark.parametrize("name", STOPPED)
def test_run_stops_what_is_forbidden_even_where_exceptions_are_swallowed(
    name: str, tmp_path: Path
) -> None:
    folder = tmp_path / "others"
    folder.mkdir()
    (folder / "kept").write_text("kept")
    program, reason = STOPPED[name]
    program = program.replace("{}", str(folder))
    started = time.monotonic()
    outcome = run(program)
    assert not outcome.passed and outcome.reason.startswith(reason), outcome
    if reason.startswith("forbidden"):
        lines = "".join(f"    {line}\n" for line in program.split("\n"))
        outcome = run(f"try:\n{lines}except BaseException:\n    pass\n")
        assert not outcome.passed and outcome.reason.startswith(reason), outcome
    assert time.monotonic() - started < 40
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"kept": "kept"}


@pytest.mark.parametrize(
    "program",
    [
        "while True:\n    pass",
        "import time\ntime.sleep(60)",
        "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n"
        "        pass",
        "import signal, time\nfor n in (1, 2, 10, 14, 15, 24):\n"
        "    signal.signal(n, signal.SIG_IGN)\ntime.sleep(60)",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
        "time.sleep(60)",
    ],
)
def test_run_ends_at_the_time_limit(program: str) -> None:
    started = time.monotonic()
    assert run(program, seconds=0.3) == Outcome(False, "time")
    assert time.monotonic() - started < 40


def test_run_removes_what_was_made_unreadable() -> None:
    deep = "import os\nfor n in range(20):\n    os.mkdir('d'); open('d/f', 'w'); os.chdir('d')\n"
    assert run(deep + "os.chmod('../../d', 0)\nos.chmod('..', 0)").passed


def test_run_leaves_the_programs_environment_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    program = "import os, sys\nassert 'SECRET' not in os.environ and os.listdir() == []\n"
    assert run(program + "assert sys.stdin.read() == '' and len(sys.argv) == 1").passed


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux alone")
def test_run_has_the_kernels_layers_where_it_offers_them() -> None:
    if "Seccomp:\t" not in Path("/proc/self/status").read_text():
        pytest.skip("this kernel has no seccomp")
    assert run("assert 'Seccomp:\\t2' in open('/proc/self/status').read()").passed
    fifo = run("import os\nos.mkfifo('../fifo')")  # of which no event tells
    assert fifo == Outcome(False, "forbidden: a system call")


def test_audit_hook_stands_where_the_kernel_has_no_layers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sandbox._CONFINED.read_text()
    (tmp_path / "confined.py").write_text(whole.replace("    _confine(folder)\n", ""))
    monkeypatch.setattr(sandbox, "_CONFINED", tmp_path / "confined.py")
    folder = tmp_path / "others"
    folder.mkdir()
    (folder / "kept").write_text("kept")
    for name, (program, reason) in STOPPED.items():
        if reason.startswith("forbidden"):
            outcome = run(program.replace("{}", str(folder)))
            assert not outcome.passed and outcome.reason.startswith(reason), (name, outcome)
    assert [path.name for path in folder.iterdir()] == ["kept"]


@pytest.mark.parametrize("limits", [{"seconds": 0}, {"megabytes": 1}])
def test_run_refuses_limits_that_cannot_be(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"0|1"):
        run("", **limits)
