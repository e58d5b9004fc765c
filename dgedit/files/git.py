"""Ask git in such a way that it runs no program named by the repository.

A repository's own configuration may name programs: a file system monitor, hooks, a pager, a way to
the server that has an object which is missing here. An unpacked tree is somebody else's, and so is
its `.git`. Only the two commands below are run, neither of which shows a file's content, so that no
filter and no textconv runs; docs/security.md says what each option is against.

Knows one program and its answers; nothing of who asks.
"""

from __future__ import annotations

import os
import subprocess

_PATIENCE = 5.0  # seconds

_OPTIONS = {
    **{"core.fsmonitor": "", "core.hooksPath": os.devnull, "core.pager": "cat"},
    **{"core.sshCommand": "false", "core.gitProxy": "none", "core.askPass": "true"},
    **{"credential.helper": "", "protocol.allow": "never", "safe.bareRepository": "explicit"},
}
_VARIABLES = {
    **{"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_SSH_COMMAND": "false"},
    **{"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"},
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


def version(*, patience: float = _PATIENCE) -> str:
    """Return git's version. Raises OSError or SubprocessError if it does not run in time."""
    done = _run("--version", patience=patience)
    done.check_returncode()
    return done.stdout.decode("utf-8", "replace").split(" ")[-1].strip()


def _run(
    *words: str, folder: str | None = None, patience: float = _PATIENCE
) -> subprocess.CompletedProcess[bytes]:
    options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name in _KEPT
    }
    return subprocess.run(
        ["git", "--no-pager", *options, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=folder,
        env=own | _VARIABLES,
        timeout=patience,
        check=False,
    )
