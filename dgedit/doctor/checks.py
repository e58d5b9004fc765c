"""Check what dgedit needs of a machine, one thing at a time: a finding and advice for each.

Nothing is written, no model's weights are read, nothing is contacted except a server named in the
settings. Questions to torch go to a process of its own: importing it takes seconds, and a broken
one may crash the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal
from urllib.parse import urlsplit

import dgedit
from dgedit import config
from dgedit.errors import DgeditError, EngineError, UsageError
from dgedit.files import git as program
from dgedit.files.disk import in_units
from dgedit.files.paths import leave_if_removed
from dgedit.models import nano, store
from dgedit.models.names import NANO, OURS
from dgedit.text import languages

State = Literal["ok", "warn", "fail"]
Facts = Mapping[str, Any]

_PATIENCE = 1.0  # seconds for a program, an engine or a server to answer
_OLDEST = (3, 11)
_LITTLE = 1_000_000_000  # bytes that nano needs, about
_DRIVER = Path("/proc/driver/nvidia/version")
_LATER = "try again when the machine has less to do"
_COMPILERS = ("gcc", "clang")  # in the order in which Triton looks for them


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    """The thing that was checked."""
    state: State
    """ok if it is as it should be, warn if it could be better, fail if dgedit cannot work."""
    what: str
    """A description of what was found."""
    advice: str = ""
    """A suggestion; empty if all is well."""


class Probe:
    """A process that imports torch and reports on it; it starts when this object is made."""

    def __init__(self, model: str, device: str | None, *, patience: float) -> None:
        asked = json.dumps({"model": model, "device": device})
        self._until = time.monotonic() + patience
        self._patience = patience
        leave_if_removed()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dgedit_engine.memory.machine", asked],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def facts(self) -> dict[str, Facts]:
        """Return the facts that it reported in time for each part; an error for the others."""
        try:
            out, err = self._process.communicate(timeout=max(0, self._until - time.monotonic()))
            missing = {"error": _reason(self._process.returncode, err)}
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, _ = self._process.communicate()
            missing = {"late": f"not known after {self._patience:g} s"}
        found: dict[str, Facts] = {}
        for line in out.splitlines():
            with contextlib.suppress(ValueError):  # other output, of a library
                found |= json.loads(line)
        return {name: found.get(name, missing) for name in ("torch", "kernels", "model")}

    def close(self) -> None:
        """End the process, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def python() -> Finding:
    """Check the interpreter's version."""
    what = f"{platform.python_version()} in {sys.prefix}"
    if sys.version_info[:2] < _OLDEST:
        return Finding("python", "fail", what, "dgedit needs Python 3.11 or newer")
    return Finding("python", "ok", what)


def packages() -> Finding:
    """Check that the required packages are installed in the right versions."""
    from packaging.requirements import Requirement

    what = f"dgedit {dgedit.__version__}"
    try:
        needs = metadata.requires("dgedit") or []
    except metadata.PackageNotFoundError:
        advice = "nobody knows what it needs: pip install it"
        return Finding("packages", "warn", f"{what} is not installed", advice)
    wrong, count = [], 0
    for line in needs:
        need = Requirement(line)
        if need.marker and not need.marker.evaluate({"extra": ""}):
            continue
        count += 1
        try:
            there = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{need.name} is missing")
            continue
        if not need.specifier.contains(there, prereleases=True):
            wrong.append(f"{need.name} {there}, where {need.specifier} is needed")
    if wrong:
        advice = "install dgedit again: pip install --upgrade dgedit"
        return Finding("packages", "fail", f"{what}: {'; '.join(wrong)}", advice)
    return Finding("packages", "ok", f"{what} with all {count} packages that it needs")


def settings() -> Finding:
    """Check the settings, and tell where they come from."""
    try:
        found = [(one.where, list(one.values)) for one in config.layers() if one.values]
    except UsageError as error:
        return Finding("settings", "fail", str(error), "correct it there: nothing is filled before")
    said = "; ".join(f"{where}: {', '.join(keys)}" for where, keys in found)
    return Finding("settings", "ok", said or f"none; {config.config_path()} would hold them")


def grammars() -> Finding:
    """Check which languages can be highlighted and searched for names."""
    names = languages.known()
    absent = [name for name in names if languages.grammar_of(name) is None]
    if absent:
        advice = "without a grammar a text has no symbols: pip install 'textual[syntax]'"
        return Finding("grammars", "warn", f"none for {', '.join(absent)}", advice)
    return Finding("grammars", "ok", f"{len(names)}: {', '.join(names)}")


def git() -> Finding:
    """Check that git runs, which tells what is ignored."""
    try:
        return Finding("git", "ok", program.version(patience=_PATIENCE))
    except FileNotFoundError:
        return Finding("git", "warn", "not there", "dgedit watch asks it what is ignored")
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("git", "warn", f"does not run: {error}", "run git --version")


def disk() -> Finding:
    """Check the free space for models."""
    place = store.folder()
    there = next(one for one in (place, *place.absolute().parents) if one.exists())
    free = shutil.disk_usage(there).free
    what = f"{in_units(free)} free for models in {place}"
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("disk", "warn", f"{there} cannot be written", "XDG_DATA_HOME moves it")
    if free < _LITTLE:
        return Finding("disk", "warn", what, "make room, or move it with XDG_DATA_HOME")
    return Finding("disk", "ok", what)


def memory() -> Finding:
    """Check the free memory."""
    from dgedit_engine.memory import available

    total, free, left = available.total(), available.free(), available.left()
    if free is None:
        return Finding("memory", "ok", "nobody says how much there is")
    what = f"{in_units(free)} free of {in_units(total or free)}"
    if left is not None and left < free:
        what += f"; a control group leaves {in_units(left)} of it"
    if (available.least() or 0) < _LITTLE:
        return Finding("memory", "warn", what, "nano takes 1 GB; end something, or raise a limit")
    return Finding("memory", "ok", what)


def base() -> Finding:
    """Check nano's base, which is installed or fetched separately."""
    try:
        nano.check()
        ready = nano.found()
    except EngineError as error:
        what, _, advice = str(error).partition(": ")
        if chosen().model not in ("", NANO) or chosen().engine.startswith("http"):
            return Finding("base", "ok", f"{what}, and nano is not asked")
        return Finding("base", "fail", what, advice or "dgedit model pull nano fetches it")
    if ready is None:
        return Finding("base", "ok", "nano's is here; it is made ready when it is first opened")
    return Finding("base", "ok", f"nano is ready in {ready}")


def torch(facts: Facts) -> Finding:
    """Check that torch can be loaded."""
    if "late" in facts:
        return Finding("torch", "warn", facts["late"], _LATER)
    if "error" in facts:
        advice = "install dgedit again, or see pytorch.org for a build that fits this machine"
        return Finding("torch", "fail", f"cannot be loaded: {facts['error']}", advice)
    builds = {"CUDA": facts["cuda"], "ROCm": facts["hip"]}
    built = [f"{name} {version}" for name, version in builds.items() if version]
    return Finding("torch", "ok", f"{facts['version']} for {', '.join(built) or 'the CPU'}")


def gpu(facts: Facts) -> Finding:
    """Check which GPUs torch sees, and whether it misses one."""
    driver = _driver()
    if gpus := facts.get("gpus"):
        each = [
            f"{one['name']} ({one['capability']}), "
            f"{in_units(one['free'])} free of {in_units(one['total'])}"
            for one in gpus
        ]
        return Finding("gpu", "ok", "; ".join([*each, *([f"driver {driver}"] if driver else [])]))
    if driver and facts.get("cuda"):
        advice = f"CUDA {facts['cuda']} may need a newer driver; CUDA_VISIBLE_DEVICES may hide it"
        return Finding("gpu", "warn", f"torch does not see the one of driver {driver}", advice)
    if driver:
        what = f"there is one with driver {driver}, and no torch for it"
        return Finding("gpu", "warn", what, "install a torch for CUDA: see pytorch.org")
    if "version" not in facts:
        return Finding("gpu", "ok", "not known without torch")
    if facts.get("mps"):
        return Finding("gpu", "ok", "Apple's; --device mps uses it")
    return Finding("gpu", "ok", "none: models run on the CPU")


def kernels(facts: Facts, *, gpus: bool) -> Finding:
    """Check what is needed to compile the kernels of a GPU."""
    if not gpus:
        return Finding("kernels", "ok", "not needed without a GPU")
    if "late" in facts:
        return Finding("kernels", "warn", facts["late"], _LATER)
    if "error" in facts:
        what = f"Triton cannot be loaded: {facts['error']}"
        return Finding("kernels", "warn", what, "slower ones in PyTorch run: pip install triton")
    compiler = os.environ.get("CC") or next(filter(shutil.which, _COMPILERS), None)
    if compiler is None or shutil.which(compiler) is None:
        what = f"Triton {facts['triton']} finds no C compiler"
        return Finding("kernels", "fail", what, "install gcc or clang, or set CC")
    return Finding("kernels", "ok", f"Triton {facts['triton']}, {compiler}")


def model(facts: Facts) -> Finding:
    """Check whether the default model would open."""
    try:
        config.current()
    except UsageError:
        advice = "correct the settings, which may name it"
        return Finding("model", "warn", "not known before the settings are", advice)
    try:
        name = store.default()
        path = store.resolve()
        if path not in OURS and (lacks := store.missing(Path(path))):
            raise UsageError(lacks)
    except DgeditError as error:
        return Finding("model", "fail", str(error), "dgedit model list shows all")
    if "late" in facts:
        return Finding("model", "warn", f"{name}: {facts['late']}", _LATER)
    if "error" in facts:
        advice = "dgedit model info says what it needs; dgedit model use chooses another"
        return Finding("model", "fail", f"{name}: {facts['error']}", advice)
    if not facts.get("prepared", True):
        return Finding("model", "ok", f"{name}; it is made ready when it is first opened")
    what = (
        f"{name}, {facts['format']}: {in_units(facts['needs'])} on {facts['device']}"
        f" for {facts['context']:,} tokens"
    )
    if facts.get("note"):
        what += f"; {facts['note']}"
    return Finding("model", "ok", what)


def engine() -> Finding:
    """Check which engine is used, and whether one is warm."""
    which = chosen().engine
    if which.startswith(("http://", "https://")):
        return _server(which)
    if which == "local":
        return Finding("engine", "ok", "in each process: engine is 'local'")
    from dgedit.engines.warm import client, sockets

    try:
        place = sockets.where()
        paths = sockets.present() if os.path.lexists(place) else []
        said = [one for path in paths if (one := client.status(path, _PATIENCE))]
    except sockets.Unavailable as error:
        state: State = "fail" if which == "warm" else "warn"
        advice = "until that is put right, each command opens a model anew"
        return Finding("engine", state, str(error), advice)
    except EngineError as error:
        return Finding("engine", "warn", str(error), "dgedit engine stop ends it")
    if not said:
        return Finding("engine", "ok", f"none is warm; one starts when needed, in {place}")
    running = "; ".join(
        f"{one['name'] or 'one'} is {one['state']}, process {one['pid']}" for one in said
    )
    if any(one.get("version") != dgedit.__version__ for one in said):
        what = f"{running}; not all are of version {dgedit.__version__}"
        return Finding("engine", "warn", what, "its next use replaces it")
    return Finding("engine", "ok", running)


def chosen() -> config.Settings:
    """Return the settings, or the defaults if they are invalid, which another check reports."""
    try:
        return config.current()
    except UsageError:
        return config.Settings()


def _server(address: str) -> Finding:
    """Check whether a server accepts connections at an address."""
    advice = "start the server, or dgedit config set engine auto"
    try:
        parts = urlsplit(address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        return Finding("engine", "fail", f"no server's address: {error}", advice)
    host = parts.hostname or ""
    said = SimpleQueue[str]()
    # Resolving the name may take longer than we want to wait.
    threading.Thread(target=lambda: said.put(_reach(host, port)), daemon=True).start()
    try:
        reason = said.get(timeout=2 * _PATIENCE)
    except Empty:
        reason = "no answer in time"
    if reason:
        return Finding("engine", "fail", f"the server at {host}:{port}: {reason}", advice)
    return Finding("engine", "ok", f"the server at {host}:{port} answers")


def _reach(host: str, port: int) -> str:
    """Connect to a server; return why that fails, or nothing."""
    try:
        socket.create_connection((host, port), timeout=_PATIENCE).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _driver() -> str:
    """Return the version of NVIDIA's driver; empty if there is none."""
    with contextlib.suppress(OSError):
        if match := re.search(r"\d+\.\d+(\.\d+)?", _DRIVER.read_text()):
            return match[0]
    return ""


def _reason(code: int, err: bytes) -> str:
    """Say why a process reported no more."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    lines = err.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"ended with {code}"
