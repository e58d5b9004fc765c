"""What all tests may ask for."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

# Before torch is loaded: threads that spin for each other starve on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

# Before a kernel file is: without a GPU, tests run kernels in Triton's interpreter.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

from dgedit_engine.nano import parts, prepared
from dgedit_engine.types import ModelError
from scripted import Scripted

with suppress(ModuleNotFoundError):
    from hypothesis import settings

    # A busy machine makes any example slow now and then.
    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")

ONLY_TESTS = {"gguf", "hypothesis", "peft", "transformers", "textual", "typer", "tree_sitter"}
"""Packages without which a file of tests is skipped where it is loaded: a machine with a GPU has
torch and what the engine needs, and runs what is marked `gpu`.
"""

_READY = "NANO_READY_FOR_TESTS"
"""The variable by which processes that share the tests share the folder that nano is ready in."""


def pytest_configure(config: pytest.Config) -> None:
    """Heed signals, and name that folder, in the process that all others come from."""
    # ignored by what is started in the background, and so by all that tests start and end by them
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
    if not hasattr(config, "workerinput"):
        os.environ[_READY] = tempfile.mkdtemp(prefix="dgedit-nano-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(_READY), ignore_errors=True)


class TestFile(pytest.Module):
    """A file of tests, skipped where it needs a package that is not there."""

    def _getobj(self) -> object:
        try:
            return super()._getobj()
        except self.CollectError as error:
            if (name := getattr(error.__cause__, "name", None)) not in ONLY_TESTS:
                raise
            raise pytest.skip.Exception(f"needs {name}", allow_module_level=True) from None


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    """Make every file of tests one of these."""
    return TestFile.from_parent(parent, path=module_path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once that tests were skipped for want of the base."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum("base is not installed" in str(report.longrepr) for report in skipped)
    if count:
        terminalreporter.write_line(f"{count} tests of nano were skipped: {parts.MISSING}")


@pytest.fixture(autouse=True)
def nobody(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No models, settings and warm engines but those that a test makes, and tiny for a default."""
    home = tmp_path_factory.mktemp("home", numbered=True)
    for name in [name for name in os.environ if name.startswith("DGEDIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DGEDIT_ENGINE", "local")  # no test leaves a process
    monkeypatch.setenv("DGEDIT_MODEL", "tiny")
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home / name))
    (home / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))


@pytest.fixture
def base(nobody: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of nano with its published base, made ready once for all tests, and the default.
    Without the base, a test that asks for it is skipped.
    """
    try:
        parts.find()
    except ModelError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ[_READY])
    monkeypatch.delenv("DGEDIT_MODEL")
    return prepared.folder()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """A scripted backend, and the one that the editor gets when it opens an engine."""
    backend = Scripted()
    monkeypatch.setattr("dgedit.engines.connect.connect", lambda *which, **more: backend)
    return backend


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the one we are in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def relatives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of one vocabulary that `gemma4.family` writes."""
    from gemma4 import family

    folder = tmp_path_factory.mktemp("relatives")
    family(folder)
    return folder
