"""`dgedit engine`: what it starts, ends and shows of real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dgedit import cli
from dgedit.errors import Exit
from warm import CLIENT, Warm, is_gone, request, warm_engines

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Warm]:
    with warm_engines(monkeypatch) as made:
        made.model.mkdir()
        (made.model / "weights").touch()
        yield made


def engine(capfd: Capture, *words: str) -> tuple[int, str, str]:
    code = cli.run(["engine", *words])
    return code, *capfd.readouterr()


def test_start_twice_is_one_engine(warm: Warm, capfd: Capture) -> None:
    code, out, err = engine(capfd, "start", "--model", str(warm.model))
    (pid,) = warm.pids()
    assert (code, err) == (Exit.OK, "")
    assert out.startswith(f"model  cpu  pid {pid}  up 0 s  0 requests  ")
    assert engine(capfd, "start", "--model", str(warm.model))[0] == Exit.OK
    assert warm.pids() == [pid]


def test_start_of_what_is_no_model_is_code_5(warm: Warm, capfd: Capture) -> None:
    broken = warm.model.with_name("broken")
    broken.mkdir()
    for model, said in [("/nowhere", "no such model"), (str(broken), "is broken")]:
        code, out, err = engine(capfd, "start", "--model", model)
        assert (code, out, err.count("\n")) == (Exit.ENGINE, "", 1)
        assert said in err


def test_status_is_a_line_for_each(warm: Warm, capfd: Capture) -> None:
    assert engine(capfd, "status") == (Exit.OK, "no engine runs\n", "")
    assert engine(capfd, "status", "--json") == (Exit.OK, "[]\n", "")
    list(warm.open().infill(request()))
    warm.open("o\x1bther")
    code, out, err = engine(capfd, "status")
    assert (code, err, out.count("\n"), "\x1b" in out) == (Exit.OK, "", 2, False)
    assert "  1 requests  " in out and " MB  idle 0 s\n" in out
    found = {one["name"]: one for one in json.loads(engine(capfd, "status", "--json")[1])}
    one = found["model"]
    assert (one["model"], one["device"], one["state"]) == (str(warm.model), "cpu", "ready")
    assert (one["requests"], one["waiting"]) == (1, 0)
    assert one["memory"] > 1_000_000 and one["seconds"] >= one["idle"] >= 0


def test_stop_ends_one_or_all_and_waits(warm: Warm, capfd: Capture) -> None:
    warm.open()
    (first,) = warm.pids()
    for name in ("b", "c"):
        warm.open(name)
    assert engine(capfd, "stop", "--model", str(warm.model)) == (Exit.OK, f"stopped {first}\n", "")
    assert is_gone(first)
    others = warm.pids()
    assert len(others) == 2
    code, out, err = engine(capfd, "stop")
    assert (code, err) == (Exit.OK, "")
    assert sorted(out.splitlines()) == sorted(f"stopped {pid}" for pid in others)
    assert not list(warm.run.glob("dgedit/*.sock"))
    assert engine(capfd, "stop") == (Exit.OK, "", "")


def test_stop_does_not_wait_for_a_request(warm: Warm, capfd: Capture) -> None:
    steps = warm.open().infill(request("crawl"))  # 6 s
    next(steps)
    began = time.monotonic()
    assert engine(capfd, "stop")[0] == Exit.OK
    assert time.monotonic() - began < 5
    with pytest.raises(Exception, match="the engine ended before the infill did"):
        list(steps)


def test_run_serves_in_the_foreground_until_interrupted(warm: Warm, capfd: Capture) -> None:
    words = ["engine", "run", "--model", str(warm.model)]
    code = "from dgedit.engines import connect as backend\nfrom warm import Moody\n"
    code += "backend.open_here = lambda *given: Moody(name='foreground')\n"
    process = subprocess.Popen([sys.executable, "-c", code + CLIENT, *words], stderr=-1)
    deadline = time.monotonic() + 90
    while warm.pids() != [process.pid]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert warm.open().name == "foreground"
    code_, _, err = engine(capfd, "run", "--model", str(warm.model))
    assert code_ == Exit.ENGINE and f"the engine {process.pid} runs already" in err
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=90)
    assert process.returncode == Exit.INTERRUPTED
    assert b"begins" in log and b"Traceback" not in log
    assert not list(warm.run.glob("dgedit/*.sock"))


@pytest.mark.parametrize("address", ["8000", "host:", ":80", "host:x", "host:99999"])
def test_http_address_that_cannot_be_is_named(warm: Warm, capfd: Capture, address: str) -> None:
    code, out, err = engine(capfd, "run", "--http", address)
    assert (code, out) == (Exit.USAGE, "")
    assert f"not {address}" in err


def test_http_address_and_token_are_checked_before_a_model_is_opened(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*which: object, **more: object) -> None:
        raise AssertionError("opened a model")

    monkeypatch.setattr("dgedit.engines.connect.connect", opened)
    code, _, err = engine(capfd, "run", "--http", "0.0.0.0:0")
    assert code == Exit.USAGE and "set DGEDIT_HTTP_TOKEN" in err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, err = engine(capfd, "run", "--http", address)
    assert code == Exit.ENGINE and f"cannot listen at {address}: " in err


def test_http_address_is_free_again_when_no_model_opens(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DGEDIT_HTTP_TOKEN", "secret")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    code, _, err = engine(capfd, "run", "--http", f"127.0.0.1:{port}", "--model", "none")
    assert code == Exit.ENGINE and "no such model: none" in err
    socket.create_server(("127.0.0.1", port)).close()


def test_setting_of_the_device_names_the_same_engine_as_when_filling(
    warm: Warm, capfd: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a.py").write_text("<FILL>")
    monkeypatch.setenv("DGEDIT_DEVICE", "cpu")
    monkeypatch.setenv("DGEDIT_MODEL", str(warm.model))
    assert engine(capfd, "start")[0] == Exit.OK
    pids = warm.pids()
    assert cli.run(["fill", "--print", str(tmp_path / "a.py")]) == Exit.OK
    assert capfd.readouterr().out == "filled"
    assert warm.pids() == pids
    assert os.path.exists(f"/proc/{pids[0]}")
