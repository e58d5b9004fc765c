"""What dgedit needs of a machine, each looked at by itself: a line, and what to do about it.

Nothing is written, no model's weights are read, nothing is sent further than to a server that the
settings name. What only torch knows is asked of a process of its own: importing it takes seconds,
and a broken one may take the process with it.
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
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import dgedit
from dgedit import config, languages, models
from dgedit.errors import DgeditError, UsageError
from dgedit.models import gigabytes

State = Literal["ok", "warn", "fail"]
Facts = Mapping[str, Any]

_PATIENCE = 1.0  # seconds for a program, an engine or a server to answer
_OLDEST = (3, 11)
_LITTLE = 1_000_000_000  # bytes: nano takes half of it
_MEMORY = Path("/proc/meminfo")
_GROUPS = Path("/proc/self/cgroup")
_CONTROLS = Path("/sys/fs/cgroup")
_DRIVER = Path("/proc/driver/nvidia/version")
_COMPILERS = ("gcc", "clang")  # in this order Triton looks


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing."""

    name: str
    """What was looked at."""
    state: State
    """Whether it is as it should be, could be better, or keeps dgedit from working."""
    what: str
    """What is there."""
    advice: str = ""
    """What to do; nothing where all is well."""


class Probe:
    """The process that knows torch, at work from when this is made."""

    def __init__(
        self, model: str, device: str | None, most: int | None, *, patience: float
    ) -> None:
        asked = json.dumps({"model": model, "device": device, "most": most})
        self._until = time.monotonic() + patience
        self._patience = patience
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dgedit_engine.machine", asked],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def facts(self) -> dict[str, Facts]:
        """What it said of each part in time; why not, for the others."""
        try:
            out, err = self._process.communicate(timeout=max(0, self._until - time.monotonic()))
            reason = _reason(self._process.returncode, err)
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, err = self._process.communicate()
            reason = f"takes longer than {self._patience:g} s"
        found: dict[str, Facts] = {}
        for line in out.splitlines():
            with contextlib.suppress(ValueError):  # a library's own words
                found |= json.loads(line)
        return {name: found.get(name, {"error": reason}) for name in ("torch", "kernels", "model")}

    def close(self) -> None:
        """End it, if it has not."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def python() -> Finding:
    """The interpreter."""
    what = f"{platform.python_version()} in {sys.prefix}"
    if sys.version_info[:2] < _OLDEST:
        return Finding("python", "fail", what, "dgedit needs Python 3.11 or newer")
    return Finding("python", "ok", what)


def packages() -> Finding:
    """What dgedit needs to be installed, in the versions that it needs."""
    from packaging.requirements import Requirement

    wrong, count = [], 0
    for line in metadata.requires("dgedit") or []:
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
    what = f"dgedit {dgedit.__version__}"
    if wrong:
        advice = "install dgedit again: pip install --upgrade dgedit"
        return Finding("packages", "fail", f"{what}: {'; '.join(wrong)}", advice)
    return Finding("packages", "ok", f"{what} with all {count} packages that it needs")


def settings() -> Finding:
    """The settings, and where they come from."""
    try:
        found = [(one.where, list(one.values)) for one in config.layers() if one.values]
    except UsageError as error:
        return Finding("settings", "fail", str(error), "correct it; dgedit config --help")
    said = "; ".join(f"{where}: {', '.join(keys)}" for where, keys in found)
    return Finding("settings", "ok", said or f"none; {config.config_path()} would hold them")


def grammars() -> Finding:
    """The languages that can be coloured, and whose names can be looked up."""
    names = languages.known()
    absent = [name for name in names if languages.grammar_of(name) is None]
    if absent:
        advice = "without a grammar a text has no colours: pip install 'textual[syntax]'"
        return Finding("grammars", "warn", f"none for {', '.join(absent)}", advice)
    return Finding("grammars", "ok", f"{len(names)}: {', '.join(names)}")


def git() -> Finding:
    """The program, which says what is ignored."""
    try:
        done = subprocess.run(
            ["git", "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
        )
    except FileNotFoundError:
        return Finding("git", "warn", "not there", "dgedit watch asks it what is ignored")
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("git", "warn", f"does not run: {error}", "run git --version")
    return Finding("git", "ok", done.stdout.decode("utf-8", "replace").split(" ")[-1].strip())


def disk() -> Finding:
    """Room for models."""
    place = models.folder()
    there = next(one for one in (place, *place.absolute().parents) if one.exists())
    free = shutil.disk_usage(there).free
    what = f"{gigabytes(free)} free for models in {place}"
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("disk", "warn", f"{there} cannot be written", "XDG_DATA_HOME moves it")
    if free < _LITTLE:
        return Finding("disk", "warn", what, "make room, or move it with XDG_DATA_HOME")
    return Finding("disk", "ok", what)


def memory() -> Finding:
    """What programs may still take."""
    total, free = _memory()
    if free is None:
        return Finding("memory", "ok", "nobody says how much there is")
    what = f"{gigabytes(free)} free"
    if total is not None:
        what += f" of {gigabytes(total)}"
    if (left := _left()) is not None and left < free:
        what += f"; a control group leaves {gigabytes(left)} of it"
    if (room() or 0) < _LITTLE:
        return Finding("memory", "warn", what, "nano takes 0.5 GB; end something, or raise a limit")
    return Finding("memory", "ok", what)


def room() -> int | None:
    """Bytes of memory that we may still take; None where nobody says."""
    said = [one for one in (_memory()[1], _left()) if one is not None]
    return min(said, default=None)


def torch(facts: Facts) -> Finding:
    """The library that computes."""
    if "error" in facts:
        advice = "install dgedit again, or see pytorch.org for a build that fits this machine"
        return Finding("torch", "fail", f"cannot be loaded: {facts['error']}", advice)
    builds = {"CUDA": facts["cuda"], "ROCm": facts["hip"]}
    built = [f"{name} {version}" for name, version in builds.items() if version]
    return Finding("torch", "ok", f"{facts['version']} for {', '.join(built) or 'the CPU'}")


def gpu(facts: Facts) -> Finding:
    """The devices that torch sees, and one that it does not."""
    driver = _driver()
    if gpus := facts.get("gpus"):
        each = [
            f"{one['name']} ({one['capability']}), "
            f"{gigabytes(one['free'])} free of {gigabytes(one['total'])}"
            for one in gpus
        ]
        return Finding("gpu", "ok", "; ".join([*each, *([f"driver {driver}"] if driver else [])]))
    if driver and facts.get("cuda"):
        advice = f"CUDA {facts['cuda']} may need a newer driver; CUDA_VISIBLE_DEVICES may hide it"
        return Finding("gpu", "warn", f"torch does not see the one of driver {driver}", advice)
    if driver:
        what = f"there is one with driver {driver}, and no torch for it"
        return Finding("gpu", "warn", what, "install a torch for CUDA: see pytorch.org")
    if facts.get("mps"):
        return Finding("gpu", "ok", "Apple's; --device mps uses it")
    return Finding("gpu", "ok", "none: models run on the CPU")


def kernels(facts: Facts, *, gpus: bool) -> Finding:
    """What makes the kernels of a GPU."""
    if not gpus:
        return Finding("kernels", "ok", "not needed without a GPU")
    if "error" in facts:
        what = f"Triton cannot be loaded: {facts['error']}"
        return Finding("kernels", "warn", what, "slower ones in PyTorch run: pip install triton")
    compiler = os.environ.get("CC") or next(filter(shutil.which, _COMPILERS), None)
    if compiler is None or shutil.which(compiler) is None:
        what = f"Triton {facts['triton']} finds no C compiler"
        return Finding("kernels", "fail", what, "install gcc or clang, or set CC")
    return Finding("kernels", "ok", f"Triton {facts['triton']}, {compiler}")


def model(facts: Facts) -> Finding:
    """The default model, and whether it would open."""
    try:
        name = models.default()
        path = models.resolve()
        if path != models.NANO and (lacks := models.missing(Path(path))):
            raise UsageError(lacks)
    except DgeditError as error:
        return Finding("model", "fail", str(error), "dgedit model list shows all")
    if "error" in facts:
        advice = "dgedit model info says what it needs; dgedit model use chooses another"
        return Finding("model", "fail", f"{name}: {facts['error']}", advice)
    what = (
        f"{name}, {facts['format']}: {gigabytes(facts['needs'])} on {facts['device']}"
        f" for {facts['context']:,} tokens"
    )
    return Finding("model", "ok", what)


def engine() -> Finding:
    """Whose engine fills, and whether one is warm."""
    which = chosen().engine
    if which.startswith(("http://", "https://")):
        return _server(which)
    if which == "local":
        return Finding("engine", "ok", "in each process: engine is 'local'")
    from dgedit import sockets

    try:
        place = sockets.where()
        found = sockets.present() if os.path.lexists(place) else []
        said = [one for path in found if (one := _said(path))]
    except sockets.Unavailable as error:
        state: State = "fail" if which == "warm" else "warn"
        advice = "remove it or chmod it to 700; until then each command opens a model anew"
        return Finding("engine", state, str(error), advice)
    running = "; ".join(words for words, _ in said)
    if old := [version for _, version in said if version != dgedit.__version__]:
        advice = "its next use replaces it"
        return Finding("engine", "warn", f"{running}: of dgedit {old[0] or 'unknown'}", advice)
    return Finding(
        "engine", "ok", running or f"none is warm; one starts when it is needed, {place}"
    )


def chosen() -> config.Settings:
    """The settings, or the defaults where they are wrong, which is another finding."""
    try:
        return config.current()
    except UsageError:
        return config.Settings()


def _server(address: str) -> Finding:
    parts = urlsplit(address)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=_PATIENCE).close()
    except (OSError, ValueError) as error:
        advice = "start the server, or dgedit config set engine auto"
        return Finding("engine", "fail", f"{address} does not answer: {error}", advice)
    return Finding("engine", "ok", f"{address} answers")


def _said(path: Path) -> tuple[str, str] | None:
    """What an engine is, and of which version; None where none listens."""
    from dgedit import sockets

    lines = sockets.dial(path, _PATIENCE)
    if lines is None:
        return None
    try:
        lines.send({"do": "status"})
        status = (lines.receive(_PATIENCE) or {}).get("status") or {}
        lines.send({"do": "hello"})
        hello = (lines.receive(_PATIENCE) or {}).get("hello") or {}
    except (OSError, ValueError):  # silent, or no engine
        return "one does not answer", ""
    finally:
        lines.close()
    keys = ("name", "device", "state", "pid")
    name, device, state, pid = (status.get(key, "?") for key in keys)
    return f"{name or 'one'} on {device or '?'} is {state}, process {pid}", str(hello.get("dgedit"))


def _memory() -> tuple[int | None, int | None]:
    """All that the machine has, and what is available."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _MEMORY.read_text().splitlines():
            name, _, size = line.partition(":")
            found[name] = 1024 * int(size.split()[0])
    return found.get("MemTotal"), found.get("MemAvailable")


def _left() -> int | None:
    """What control groups let us take beside what is taken; None where none limits it."""
    found = []
    for folder, most, used, cache in _groups():
        with contextlib.suppress(OSError, ValueError):  # "max"
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            kept = int((folder / used).read_text()) - int(stat.get(cache, 0))
            found.append(max(0, int((folder / most).read_text()) - kept))
    return min(found, default=None)


def _groups() -> Iterator[tuple[Path, str, str, str]]:
    """The folders of our control groups for memory, with the names of the files in them."""
    with contextlib.suppress(OSError):
        for line in _GROUPS.read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            names = ("memory.max", "memory.current", "inactive_file")
            top = _CONTROLS
            if "memory" in kinds.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                top = _CONTROLS / "memory"
            elif kinds:
                continue
            own = top / path.lstrip("/")
            yield from (
                (folder, *names) for folder in (own, *own.parents) if folder.is_relative_to(top)
            )


def _driver() -> str:
    """The version of NVIDIA's; nothing where there is none."""
    with contextlib.suppress(OSError):
        if match := re.search(r"\d+\.\d+(\.\d+)?", _DRIVER.read_text()):
            return match[0]
    return ""


def _reason(code: int, err: bytes) -> str:
    """Why a process said no more."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    lines = err.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"ended with {code}"
