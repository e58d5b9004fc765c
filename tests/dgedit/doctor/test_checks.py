"""What the doctor looks at: each line as it should be and as it should not, its source faked."""

from __future__ import annotations

import collections
import contextlib
import importlib.metadata
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dgedit
from dgedit import config
from dgedit.doctor import checks
from dgedit.doctor.checks import Finding, Probe
from dgedit.engines.warm import sockets
from dgedit.models import store as models
from dgedit.text import languages
from dgedit_engine.memory import available as room

CPU: dict[str, Any] = {"version": "2.13.0", "cuda": None, "hip": None, "mps": False, "gpus": []}
H100 = {"name": "H100", "free": 70_000_000_000, "total": 80_000_000_000, "capability": "9.0"}
CUDA = CPU | {"cuda": "13.0"}
FITS = {"format": "BF16", "device": "cpu", "context": 4096, "needs": 5 * 10**8, "free": 10**9}


def held(finding: Finding) -> tuple[str, str]:
    """Its name and state; whatever is not as it should be has advice."""
    assert finding.what
    assert bool(finding.advice) == (finding.state != "ok")
    return finding.name, finding.state


# The installation


def test_python_is_new_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert held(checks.python()) == ("python", "ok")
    old = collections.namedtuple("old", "major minor micro")(3, 10, 4)
    monkeypatch.setattr(sys, "version_info", old)
    assert held(checks.python()) == ("python", "fail")


def test_packages_are_there_in_the_right_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = [
        "regex>=1",
        "absent-package",
        "rich>=99",
        "unused; extra == 'dev'",
        "mac; sys_platform == 'no'",
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needs[:1] + needs[3:])
    assert held(checks.packages()) == ("packages", "ok")
    assert "all 1 packages" in checks.packages().what
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needs)
    found = checks.packages()
    assert held(found) == ("packages", "fail")
    assert "absent-package is missing; rich 1" in found.what
    assert "where >=99 is needed" in found.what


def test_packages_of_a_folder_that_is_not_installed_are_not_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def requires(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    assert held(checks.packages()) == ("packages", "warn")


def test_settings_say_where_they_are_from(monkeypatch: pytest.MonkeyPatch) -> None:
    config.config_path().parent.mkdir(parents=True)
    config.config_path().write_text("effort = 0.2\n")
    found = checks.settings()
    assert held(found) == ("settings", "ok")
    variables = "DGEDIT_ENGINE: engine; DGEDIT_MODEL: model"
    assert found.what == f"{config.config_path()}: effort; {variables}"
    config.config_path().write_text("efort = 0.2\n")
    assert held(checks.settings()) == ("settings", "fail")
    assert "did you mean 'effort'?" in checks.settings().what


def test_grammars_that_do_not_load_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert held(checks.grammars()) == ("grammars", "ok")
    monkeypatch.setattr(languages, "grammar_of", lambda name: None if name == "rust" else 1)
    assert held(checks.grammars()) == ("grammars", "warn")
    assert checks.grammars().what == "none for rust"


@pytest.mark.parametrize(
    "program", ["", "#!/bin/sh\nexit 1\n", "#!/bin/sh\nsleep 60\n", "no program"]
)
def test_git_that_does_not_run_is_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    assert held(checks.git()) == ("git", "ok")
    if program:
        (folder / "git").write_text(program)
        (folder / "git").chmod(0o755)
    monkeypatch.setattr(checks, "_PATIENCE", 0.2)
    monkeypatch.setenv("PATH", f"{folder}:/bin" if "sleep" in program else str(folder))
    assert held(checks.git()) == ("git", "warn")


# The machine


def test_disk_that_is_full_or_not_ours_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert held(checks.disk()) == ("disk", "ok")
    assert str(models.folder()) in checks.disk().what
    used = collections.namedtuple("used", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: used(10, 9, 1))
    assert held(checks.disk()) == ("disk", "warn")
    assert checks.disk().what.startswith("1 B free")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "cannot be written" in checks.disk().what


@pytest.mark.parametrize(
    ("free", "left", "state", "words"),
    [
        (2 * 10**9, None, "ok", "2.0 GB free of 9.0 GB"),
        (2 * 10**9, 3 * 10**9, "ok", "2.0 GB free of 9.0 GB"),
        (2 * 10**8, None, "warn", "200.0 MB free of 9.0 GB"),
        (2 * 10**9, 10**8, "warn", "a control group leaves 100.0 MB"),
        (None, None, "ok", "nobody says"),
    ],
)
def test_little_memory_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, free: int | None, left: int | None, state: str, words: str
) -> None:
    monkeypatch.setattr(room, "total", lambda: 9 * 10**9)
    monkeypatch.setattr(room, "free", lambda: free)
    monkeypatch.setattr(room, "left", lambda: left)
    assert held(checks.memory()) == ("memory", state)
    assert words in checks.memory().what


def test_torch_that_cannot_be_loaded_is_a_failure() -> None:
    assert held(checks.torch(CPU)) == ("torch", "ok")
    assert checks.torch(CPU).what == "2.13.0 for the CPU"
    assert checks.torch(CUDA).what == "2.13.0 for CUDA 13.0"
    assert held(checks.torch({"error": "No module named 'torch'"})) == ("torch", "fail")


@pytest.mark.parametrize(
    ("facts", "driver", "state", "words"),
    [
        (CPU, None, "ok", "none: models run on the CPU"),
        (CPU | {"mps": True}, None, "ok", "Apple's"),
        (
            CUDA | {"gpus": [H100]},
            "580.65.06",
            "ok",
            "H100 (9.0), 70.0 GB free of 80.0 GB; driver 580.65.06",
        ),
        (CPU, "580.65.06", "warn", "no torch for it"),
        (CUDA, "470.1", "warn", "torch does not see the one of driver 470.1"),
        ({"error": "broken"}, None, "ok", "not known without torch"),
        ({"error": "broken"}, "580.65.06", "warn", "no torch for it"),
    ],
)
def test_gpu_that_torch_does_not_see_is_a_warning(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    facts: dict[str, Any],
    driver: str | None,
    state: str,
    words: str,
) -> None:
    place = folder / "version"
    monkeypatch.setattr(checks, "_DRIVER", place)
    if driver:
        place.write_text(
            f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {driver}  Tue\nGCC 12.2.0\n"
        )
    assert held(checks.gpu(facts)) == ("gpu", state)
    assert words in checks.gpu(facts).what


def test_kernels_need_triton_and_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "clang" else None)
    there, absent = {"triton": "3.7.1"}, {"error": "No module named 'triton'"}
    assert held(checks.kernels(absent, gpus=False)) == ("kernels", "ok")
    assert held(checks.kernels(absent, gpus=True)) == ("kernels", "warn")
    assert checks.kernels(there, gpus=True).what == "Triton 3.7.1, clang"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert held(checks.kernels(there, gpus=True)) == ("kernels", "fail")
    monkeypatch.setenv("CC", "/nowhere/cc")
    assert held(checks.kernels(there, gpus=True)) == ("kernels", "fail")


# The model


def test_model_that_does_not_open_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert held(checks.model(FITS)) == ("model", "ok")
    assert checks.model(FITS).what == "tiny, BF16: 500.0 MB on cpu for 4,096 tokens"
    assert "tiny; it is made ready" in checks.model({"prepared": False}).what
    assert held(checks.model({"error": "needs 18 GB, cpu has 1 GB free"})) == ("model", "fail")
    monkeypatch.setenv("DGEDIT_MODEL", "none")
    assert held(checks.model(FITS)) == ("model", "fail")
    (models.folder() / "none").mkdir(parents=True)
    assert "no tokenizer.json" in checks.model(FITS).what
    monkeypatch.setenv("DGEDIT_EFFORT", "lots")
    assert held(checks.model(FITS)) == ("model", "warn")


# The engine


@contextlib.contextmanager
def answering(*answers: bytes | None) -> Iterator[Path]:
    """A socket of ours that sends these to whoever asks; None: nothing, for as long as it takes."""
    path = sockets.folder() / "0123456789abcdef.sock"
    listener = sockets.listen(path)
    ended = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            for answer in answers:
                connection.recv(4096)
                if answer is None:
                    ended.wait(10)
                else:
                    connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield path
    finally:
        ended.set()
        listener.close()


def status(**other: Any) -> bytes:
    said = {"name": "nano", "device": "cpu", "state": "ready", "pid": 7} | other
    return json.dumps({"status": said}).encode() + b"\n"


@pytest.fixture
def auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGEDIT_ENGINE", "auto")


def test_engine_of_each_process_is_fine() -> None:
    assert held(checks.engine()) == ("engine", "ok")
    assert "local" in checks.engine().what


def test_engine_that_does_not_run_is_fine_and_no_folder_is_made(auto: None) -> None:
    assert held(checks.engine()) == ("engine", "ok")
    assert "none is warm" in checks.engine().what
    assert not sockets.where().exists()


def test_engine_that_runs_is_told(auto: None) -> None:
    with answering(status(version=dgedit.__version__)):
        found = checks.engine()
    assert (held(found), found.what) == (("engine", "ok"), "nano is ready, process 7")


@pytest.mark.parametrize("version", [{}, {"version": "0.0.1"}])
def test_engine_of_another_version_is_a_warning(auto: None, version: dict[str, str]) -> None:
    with answering(status(**version)):
        assert held(checks.engine()) == ("engine", "warn")


@pytest.mark.parametrize("answer", [None, b"no json\n", b"[]\n"])
def test_engine_that_says_nothing_is_a_warning_soon(
    auto: None, monkeypatch: pytest.MonkeyPatch, answer: bytes | None
) -> None:
    monkeypatch.setattr(checks, "_PATIENCE", 0.2)
    with answering(answer):
        assert held(checks.engine()) == ("engine", "warn")


def test_socket_that_nobody_listens_at_is_fine(auto: None) -> None:
    with answering():
        pass
    assert held(checks.engine()) == ("engine", "ok")


@pytest.mark.parametrize(("which", "state"), [("auto", "warn"), ("warm", "fail")])
def test_folder_for_sockets_that_others_may_enter_is_told(
    monkeypatch: pytest.MonkeyPatch, which: str, state: str
) -> None:
    monkeypatch.setenv("DGEDIT_ENGINE", which)
    sockets.where().mkdir(mode=0o755)
    assert held(checks.engine()) == ("engine", state)
    assert "is not ours alone" in checks.engine().what


def test_server_is_reached_or_not_and_its_password_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("DGEDIT_ENGINE", f"http://me:secret@127.0.0.1:{port}/v1")
        found = checks.engine()
        assert (held(found), found.what) == (
            ("engine", "ok"),
            f"the server at 127.0.0.1:{port} answers",
        )
    found = checks.engine()
    assert held(found) == ("engine", "fail")
    assert "Connection refused" in found.what
    assert "secret" not in found.what


def test_server_whose_name_takes_too_long_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(checks, "_PATIENCE", 0.1)
    monkeypatch.setattr(checks, "_reach", lambda host, port: ended.wait(10) or "")
    monkeypatch.setenv("DGEDIT_ENGINE", "https://example")
    assert checks.engine().what == "the server at example:443: no answer in time"
    ended.set()


def test_address_that_is_none_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGEDIT_ENGINE", "http://host:port")
    assert held(checks.engine()) == ("engine", "fail")


# What torch knows


real = subprocess.Popen


def ask(monkeypatch: pytest.MonkeyPatch, code: str, patience: float = 10) -> dict[str, Any]:
    """What is told when the process runs this code."""
    monkeypatch.setattr(
        subprocess,
        "Popen",
        lambda command, **more: real([sys.executable, "-c", code], **more),
    )
    return dict(Probe("nano", None, patience=patience).facts())


def test_what_a_crash_interrupts_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import os
print('{"torch": {"version": "2"}}', flush=True)
print("words of a library", flush=True)
os.kill(os.getpid(), 11)
"""
    found = ask(monkeypatch, code)
    assert found["torch"] == {"version": "2"}
    assert found["kernels"] == found["model"] == {"error": "ended by SIGSEGV"}


def test_what_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    code = """print('{"torch": {"version": "2"}}', flush=True)\nimport time\ntime.sleep(60)"""
    found = ask(monkeypatch, code, patience=1)
    assert found["torch"] == {"version": "2"}
    assert found["model"] == {"late": "not known after 1 s"}
    assert held(checks.model(found["model"])) == ("model", "warn")
    assert held(checks.torch(found["model"])) == ("torch", "warn")
    assert held(checks.kernels(found["model"], gpus=True)) == ("kernels", "warn")


def test_what_ends_early_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ask(monkeypatch, "import dgedit_engine.nothing")
    why = "ModuleNotFoundError: No module named 'dgedit_engine.nothing'"
    assert found["torch"] == {"error": why}
    assert ask(monkeypatch, "raise SystemExit(3)")["torch"] == {"error": "ended with 3"}
