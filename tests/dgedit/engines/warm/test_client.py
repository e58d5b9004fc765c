"""A warm engine as its clients see it: real processes, started, used, broken and replaced."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dgedit.engines.connect import connect
from dgedit.engines.warm import client as daemon
from dgedit.engines.warm import sockets, wire
from dgedit.engines.warm.client import Daemon
from dgedit.engines.warm.sockets import EngineKey, Unavailable
from dgedit.errors import EngineError
from dgedit_engine.types import ModelError, collect
from scripted import STEPS, Scripted
from warm import CLIENT, SECRET, Warm, is_gone, request, warm_engines


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Warm]:
    with warm_engines(monkeypatch) as made:
        yield made


def test_steps_come_as_the_backend_gave_them(warm: Warm) -> None:
    engine = warm.open()
    assert (engine.name, engine.device) == ("model", "cpu")
    assert list(engine.infill(request(holes=3))) == list(Scripted().infill(request(holes=3)))
    assert collect(engine.infill(request())).texts == ("filled",)


def test_engine_is_shared_and_cut_off_from_who_started_it(warm: Warm, tmp_path: Path) -> None:
    with open(tmp_path / "ours", "w") as ours:
        os.set_inheritable(ours.fileno(), True)
        warm.open()
    warm.open()
    (pid,) = warm.pids()
    process = Path(f"/proc/{pid}")
    opened = {os.path.realpath(one) for one in (process / "fd").iterdir()}
    log = str(daemon.log_path(EngineKey.of(str(warm.model), None)))
    assert str(tmp_path / "ours") not in opened
    assert [os.readlink(process / "fd" / str(n)) for n in range(3)] == [os.devnull, log, log]
    assert os.readlink(process / "cwd") == "/"
    assert os.getsid(pid) not in (os.getsid(0), pid)
    assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0)
    assert int((process / "stat").read_text().rsplit(")", 1)[1].split()[1]) != os.getpid()


def test_sockets_and_logs_are_for_us_alone(warm: Warm) -> None:
    list(warm.open().infill(request()))
    log = daemon.log_path(EngineKey.of(str(warm.model), None))
    for path, mode in [(warm.run / "dgedit", 0o700), (log, 0o600), (log.parent, 0o700)]:
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
    for path in (warm.run / "dgedit").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


@pytest.mark.parametrize("kind", ["value", "model", "fail"])
def test_error_reaches_its_client_alone_and_no_log_quotes_it(warm: Warm, kind: str) -> None:
    engine = warm.open()
    (pid,) = warm.pids()
    expected = {"value": ValueError, "model": ModelError, "fail": RuntimeError}[kind]
    with pytest.raises(expected, match=r"too long|no numbers|oh no"):
        list(engine.infill(request(kind)))
    assert len(list(engine.infill(request()))) == STEPS
    assert warm.pids() == [pid]
    assert expected.__name__ in warm.logged("done after 3 steps")
    assert SECRET not in warm.log() and "secret.py" not in warm.log()


def test_hanging_up_cancels_within_a_step(warm: Warm) -> None:
    steps = warm.open().infill(request("slow"))
    assert next(steps).index == 1
    steps.close()  # type: ignore[attr-defined]
    said = warm.logged("cancelled after")
    assert "cancelled after 1 steps" in said or "cancelled after 2 steps" in said


def test_killed_process_is_one_line_and_the_next_call_starts_another(warm: Warm) -> None:
    engine = warm.open()
    (before,) = warm.pids()
    with pytest.raises(EngineError, match=r"^the engine ended before the infill did \(see [^\n]*$"):
        list(engine.infill(request("die")))
    assert list((warm.run / "dgedit").glob("*.sock"))  # stale
    assert len(list(engine.infill(request()))) == STEPS
    (after,) = warm.pids()
    assert before != after


def test_memory_that_ran_out_is_told_and_others_turn_to_the_next_engine(warm: Warm) -> None:
    engine, other = warm.open(), warm.open()
    (before,) = warm.pids()
    with ThreadPoolExecutor() as pool:
        failing = pool.submit(list, engine.infill(request("slow memory")))
        wait_until(lambda: busy(0))
        waiting = pool.submit(list, other.infill(request()))
        with pytest.raises(RuntimeError, match="out of memory"):
            failing.result(20)
        assert len(waiting.result(20)) == STEPS
    assert before not in warm.pids()
    assert is_gone(before)


def test_many_at_once_start_one_engine(warm: Warm) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = [pool.submit(warm.open) for _ in range(8)]
        for one in opened:
            assert len(list(one.result(30).infill(request()))) == STEPS
    assert len(warm.pids()) == 1
    assert warm.log().count("begins") == 1


def test_adapter_is_opened_by_an_engine_of_its_own(warm: Warm, tmp_path: Path) -> None:
    changes = tmp_path / "mine"
    changes.mkdir()
    plain, adapted = warm.open(), Daemon.open(str(warm.model), None, str(changes))
    assert adapted.name == f"{plain.name}+mine"
    assert adapted.place.socket != plain.place.socket
    assert len(daemon.statuses()) == 2


def test_each_model_and_device_has_its_own_engine(warm: Warm) -> None:
    warm.open()
    warm.open("another")
    Daemon.open(str(warm.model), "cpu")
    assert len(set(warm.pids())) == 3


@pytest.mark.parametrize("what", ["weights", "wire"])
def test_engine_of_another_version_is_replaced_after_its_request(
    warm: Warm, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    engine = warm.open()
    (before,) = warm.pids()
    with ThreadPoolExecutor() as pool:
        under_way = pool.submit(list, engine.infill(request("slow")))
        wait_until(lambda: busy(0))
        if what == "weights":
            os.utime(warm.model / "weights", (2e9, 2e9))
        else:
            monkeypatch.setattr(wire, "VERSION", wire.VERSION + 1)
            versions = "import dgedit.engines.warm.wire; dgedit.engines.warm.wire.VERSION += 1\n"
            program, option, code = daemon.COMMAND
            monkeypatch.setattr(daemon, "COMMAND", (program, option, versions + code))
        warm.open()
        assert len(under_way.result(1)) == STEPS  # was not cut short
    (after,) = warm.pids()
    assert before != after and is_gone(before)


def test_model_that_is_gone_is_said_to_be(warm: Warm) -> None:
    engine = warm.open()
    os.utime(warm.model / "weights", (2e9, 2e9))
    warm.model.rename(warm.model.with_name("elsewhere"))
    with pytest.raises(EngineError, match="no such model"):
        list(engine.infill(request()))


@pytest.mark.parametrize("engine", ["auto", "warm"])
def test_model_that_cannot_be_opened_is_said_as_it_is(warm: Warm, engine: str) -> None:
    model = warm.model.with_name("broken")
    model.mkdir()
    with pytest.raises(EngineError) as raised:
        connect(str(model), None, engine)
    assert str(raised.value) == f"{model} is broken"
    assert not isinstance(raised.value, Unavailable)


def test_process_that_does_not_start_is_one_line(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in [("/nowhere/python",), (sys.executable, "-c", "oh no")]:
        monkeypatch.setattr(daemon, "COMMAND", command)
        with pytest.raises(Unavailable, match=r"^[^\n]*start[^\n]*$"):
            warm.open()
    assert "SyntaxError" in warm.log()


@pytest.mark.parametrize("spoilt", ["loose", "link", "file"])
def test_folder_that_is_not_ours_alone_is_refused(
    warm: Warm, monkeypatch: pytest.MonkeyPatch, spoilt: str, tmp_path: Path
) -> None:
    place = warm.run / "dgedit"
    if spoilt == "loose":
        place.mkdir(mode=0o755)
    elif spoilt == "link":
        place.symlink_to(tmp_path)
    else:
        place.touch()
    warm.model.mkdir()
    monkeypatch.setattr("dgedit.engines.connect.open_here", lambda *given: Scripted(name="here"))
    assert connect(str(warm.model), None, "auto").name == "here"
    with pytest.raises(EngineError, match=r"^no folder for sockets: [^\n]*dgedit"):
        connect(str(warm.model), None, "warm")


def test_path_too_long_for_a_socket_gives_way_to_another_folder(
    warm: Warm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(warm.run))
    assert sockets.folder() == warm.run / f"dgedit-{os.geteuid()}"


def test_system_without_peers_names_has_no_warm_engine(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "SO_PEERCRED")
    with pytest.raises(Unavailable, match="need Linux"):
        warm.open()


def test_listener_of_another_user_is_refused(warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = warm.open()
    monkeypatch.setattr(sockets, "user_of", lambda connection: os.geteuid() + 1)
    with pytest.raises(Unavailable, match="another user"):
        list(engine.infill(request()))


def test_process_that_says_nothing_is_told_of_and_can_be_ended(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = warm.open()
    (pid,) = warm.pids()
    monkeypatch.setattr(daemon, "_PATIENCE", 0.1)
    monkeypatch.setattr(daemon, "_STOPPING", 0.1)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(Unavailable, match="does not answer"):
        list(engine.infill(request()))
    assert daemon.stop(engine.place.socket) == pid
    wait_until(lambda: is_gone(pid))


@pytest.mark.parametrize("answer", [b"no json\n", b"[]\n", b'{"hello": 1}\n', b""])
def test_whoever_else_listens_there_is_no_engine(
    warm: Warm, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(daemon, "_PATIENCE", 1.0)
    warm.model.mkdir()
    listener = sockets.listen(EngineKey.of(str(warm.model), None).socket)

    def talk() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with contextlib.suppress(OSError):
                    connection.sendall(answer)
                connection.close()

    threading.Thread(target=talk, daemon=True).start()
    with pytest.raises(EngineError, match=r"^the engine [^\n]*$"):
        list(Daemon(str(warm.model), None).infill(request()))
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_interrupted_command_ends_at_once_and_the_engine_cancels(
    warm: Warm, tmp_path: Path
) -> None:
    (tmp_path / "a.py").write_text("<FILL>")
    warm.open()
    words = ["fill", "-w", "a.py", "-m", "slow", "--model", str(warm.model)]
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_until(lambda: busy(0))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=90)
    assert (process.returncode, out, err) == (130, b"", b"")
    assert (tmp_path / "a.py").read_text() == "<FILL>"
    warm.logged("cancelled after")


def test_command_starts_an_engine_in_silence_and_loads_none(warm: Warm, tmp_path: Path) -> None:
    warm.model.mkdir()
    (tmp_path / "a.py").write_text("a = <FILL>\n")
    look = """
import atexit, sys
heavy = {"torch", "numpy", "textual", "rich", "tree_sitter"}
atexit.register(lambda: open("seen", "w").write(str(heavy & set(sys.modules))))
"""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", look + CLIENT, "pipe", "--model", str(warm.model)],
            cwd=tmp_path,
            input=b"a <FILL>\r\n",
            capture_output=True,
            timeout=90,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"a filled\r\n", b"")
        assert (tmp_path / "seen").read_text() == "set()"
    assert len(warm.pids()) == 1


@pytest.mark.slow
def test_hundreds_of_calls_are_answered_in_level_memory(warm: Warm) -> None:
    def ask(n: int) -> int:
        return len(list(Daemon.open(str(warm.model), None).infill(request(holes=1 + n % 5))))

    warm.open()

    def memory() -> int:
        (one,) = daemon.statuses()
        return int(one["memory"])

    assert [ask(n) for n in range(50)] == [STEPS] * 50
    early = memory()
    assert [ask(n) for n in range(150)] == [STEPS] * 150
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(200))) == [STEPS] * 200
    (one,) = daemon.statuses()
    assert one["requests"] == 400
    assert memory() < 1.05 * early + 2_000_000


def busy(waiting: int) -> bool:
    """Whether the engine works on a request, and so many wait."""
    return any(one["state"] == "busy" and one["waiting"] >= waiting for one in daemon.statuses())


def wait_until(fact: object) -> None:
    deadline = time.monotonic() + 90
    while not fact():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)
