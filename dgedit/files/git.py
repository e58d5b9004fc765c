"""Ask git in such a way that it runs no program named by the repository.

A repository's own configuration may name programs: a file system monitor, hooks, a pager, a way to
the server that has an object which is missing here. An unpacked tree is somebody else's, and so is
its `.git`. Only the commands below are run. None of them shows a file as it would be checked out or
compared, so that no filter and no textconv runs; docs/security.md says what each option is against.

Knows one program and its answers; nothing of who asks.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from threading import Timer

_PATIENCE = 5.0  # seconds
_LONG = 60.0  # seconds for a command that goes through a whole tree or its history
_TREE = 64_000_000  # bytes of the list of a tree's files

_OPTIONS = {
    **{"core.fsmonitor": "", "core.hooksPath": os.devnull, "core.pager": "cat"},
    **{"core.sshCommand": "false", "core.gitProxy": "none", "core.askPass": "true"},
    **{"credential.helper": "", "protocol.allow": "never", "safe.bareRepository": "explicit"},
}
_VARIABLES = {
    **{"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_SSH_COMMAND": "false"},
    **{"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_ALLOC_LIMIT": "1g"},
}
# The path decides which repository and index are used, not the environment that we were run in: of
# git's own variables only those for the user's configuration and the search's end are kept.
_KEPT = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CEILING_DIRECTORIES")


def ignores(path: str) -> bool:
    """Say whether git ignores an absolute path; no if git does not answer."""
    try:
        done = _run("check-ignore", "-q", "--", path, folder=os.path.dirname(path))
    except (OSError, ValueError, subprocess.SubprocessError):  # no git, or not in time
        return False
    return done.returncode == 0


def committed(path: str, *, most: int) -> bytes | None:
    """Return a file's bytes in the last commit, as git stores them; None if it is not in there, if
    they are more than `most`, or if git does not answer.
    """
    folder, name = os.path.split(os.path.realpath(path))
    code, data = _answer("cat-file", "blob", f"HEAD:./{name}", folder=folder, most=most)
    return data if code == 0 else None


def branch(path: str) -> str:
    """Return the name of the branch that is checked out where a file lies; "detached" if a commit
    is, and nothing without a repository.
    """
    folder = os.path.dirname(os.path.realpath(path))
    code, said = _answer("symbolic-ref", "--quiet", "--short", "HEAD", folder=folder, most=1000)
    return "detached" if code == 1 else said.decode("utf-8", "replace").strip() * (code == 0)


def commit(folder: str, name: str) -> str | None:
    """Return the hash of a commit by one of its names; None if there is no such commit."""
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    code, said = _answer(*words, folder=folder, most=1000)
    return said.decode("ascii", "replace").strip() if code == 0 else None


def ancestors(folder: str, name: str, *, most: int) -> list[str]:
    """Return the hashes of a commit and its first parents, the newest first; none if git does not
    answer.
    """
    words = ("rev-list", "--first-parent", f"--max-count={most}", name, "--")
    code, said = _answer(*words, folder=folder, most=100 * most, patience=_LONG)
    return said.decode("ascii", "replace").split() if code == 0 else []


def tree(folder: str, name: str) -> list[tuple[str, str, int]]:
    """Return the regular files of a folder in a commit: path within the folder, hash and bytes;
    none if git does not answer.
    """
    words = ("ls-tree", "-r", "-l", "-z", name)
    code, said = _answer(*words, folder=folder, most=_TREE, patience=_LONG)
    found = []
    for entry in said.split(b"\0") if code == 0 else ():
        facts, _, path = entry.partition(b"\t")
        mode, _, digest, size = (facts.split() + [b""] * 4)[:4]
        if mode.startswith(b"100") and size.isdigit():
            found.append((os.fsdecode(path), digest.decode("ascii", "replace"), int(size)))
    return found


def blobs(folder: str, hashes: Sequence[str]) -> list[bytes]:
    """Return the bytes that git stores under hashes; fewer if git does not answer."""
    asked = "".join(f"{one}\n" for one in hashes).encode()
    try:
        done = subprocess.run(
            _command(("cat-file", "--batch")),
            input=asked,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=_environment(),
            timeout=_LONG,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return []
    data, at = done.stdout, 0
    found: list[bytes] = []
    while at < len(data):
        end = data.index(b"\n", at)
        size = int(data[at:end].rsplit(b" ", 1)[-1])
        found.append(data[end + 1 : end + 1 + size])
        at = end + 2 + size
    return found


def version(*, patience: float = _PATIENCE) -> str:
    """Return git's version. Raises OSError or SubprocessError if it does not run in time."""
    done = _run("--version", patience=patience)
    done.check_returncode()
    return done.stdout.decode("utf-8", "replace").split(" ")[-1].strip()


def _answer(
    *words: str, folder: str, most: int, patience: float = _PATIENCE
) -> tuple[int | None, bytes]:
    """Return git's exit code, and what it says: never more than `most` bytes, whatever the tree
    makes it say. Without a code there is no repository, no git, or no answer in time.
    """
    places = (folder, *map(str, Path(folder).parents))
    if not any(os.path.lexists(os.path.join(place, ".git")) for place in places):
        return None, b""  # without the cost of starting git
    try:
        process = subprocess.Popen(
            _command(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=_environment(),
        )
    except (OSError, ValueError):
        return None, b""
    watchdog = Timer(patience, process.kill)
    watchdog.start()
    try:
        with process:
            assert process.stdout is not None
            data = process.stdout.read(most + 1)
            if len(data) > most:
                process.kill()
    finally:
        watchdog.cancel()
    fits = process.returncode >= 0 and len(data) <= most
    return (process.returncode, data) if fits else (None, b"")


def _run(
    *words: str, folder: str | None = None, patience: float = _PATIENCE
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        _command(words),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=folder,
        env=_environment(),
        timeout=patience,
        check=False,
    )


def _command(words: Sequence[str]) -> list[str]:
    options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
    return ["git", "--no-pager", *options, *words]


def _environment() -> dict[str, str]:
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name in _KEPT
    }
    return own | _VARIABLES
