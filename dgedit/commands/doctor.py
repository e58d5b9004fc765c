"""The command `dgedit doctor`: check everything that dgedit needs, one line each.

The slowest check is started first and reported last, and every wait has a limit: about three
seconds in all, most of them torch's. Nothing is written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dgedit.commands import output
from dgedit.commands.options import Colored, known_device
from dgedit.errors import DgeditError, Exit
from dgedit.models import store
from dgedit.models.names import NANO
from dgedit.text.visible import visible

if TYPE_CHECKING:
    from dgedit.doctor.checks import Finding

# Seconds from the start until torch is no longer waited for.
_PATIENCE = 10.0
_WIDTH = 10
_COLOURS = {"ok": "32", "warn": "33", "fail": "31"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    color: Colored = "auto",
) -> int:
    """Say whether all is there that dgedit needs, and what to do where it is not.

    ok is as it should be, warn could be better, fail keeps dgedit from working: then the exit code
    is 1. Asks the terminal what it can, and torch, which takes a few seconds; writes nothing.

    Example: dgedit doctor --json
    """
    found = []
    colored = output.is_colored(sys.stdout, color)
    for finding in examine():
        found.append(finding)
        if not as_json:
            output.show(_line(finding), sys.stdout, paint=_painter(finding) if colored else str)
    failed = any(finding.state == "fail" for finding in found)
    if as_json:
        whole = {"ok": not failed, "findings": [asdict(finding) for finding in found]}
        output.print_text(json.dumps(whole) + "\n")
    return Exit.NO if failed else Exit.OK


def examine(patience: float = _PATIENCE) -> Iterator[Finding]:
    """Run all checks and yield their findings; torch may take `patience` seconds."""
    from dgedit.doctor import checks, fitting

    device = known_device(checks.chosen().device) or None
    probe = checks.Probe(_model(), device, patience=patience)
    try:
        yield from _guarded("terminal", _terminal)
        for check in (
            checks.python,
            checks.packages,
            checks.settings,
            checks.grammars,
            checks.git,
            checks.disk,
            checks.memory,
            checks.base,
            checks.engine,
        ):
            yield from _guarded(check.__name__, lambda check=check: [check()])  # type: ignore[misc]
        facts = probe.facts()
        gpus = bool(facts["torch"].get("gpus"))
        yield from _guarded("torch", lambda: [checks.torch(facts["torch"])])
        yield from _guarded("gpu", lambda: [checks.gpu(facts["torch"])])
        yield from _guarded("kernels", lambda: [checks.kernels(facts["kernels"], gpus=gpus)])
        yield from _guarded("models", lambda: [fitting.models(facts["torch"])])
        yield from _guarded("model", lambda: [checks.model(facts["model"])])
    finally:
        probe.close()


def _terminal() -> list[Finding]:
    from dgedit.doctor import terminal_checks

    return terminal_checks.findings()


def _guarded(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """Run a check; if it fails itself, that is a finding too."""
    try:
        return check()
    except Exception as error:
        from dgedit.doctor.checks import Finding

        what = f"cannot be looked at: {type(error).__name__}: {error}"
        return [Finding(name, "fail", what, "install dgedit again, or report it")]


def _model() -> str:
    try:
        return store.resolve()
    except DgeditError:  # another check reports it
        return NANO


def _line(finding: Finding) -> str:
    words = f"{finding.what} -> {finding.advice}" if finding.advice else finding.what
    return visible(f"{finding.state:5} {finding.name:{_WIDTH}} {words}") + "\n"


def _painter(finding: Finding) -> Callable[[str], str]:
    colour, length = _COLOURS[finding.state], len(finding.state)
    return lambda line: f"\x1b[{colour}m{line[:length]}\x1b[m{line[length:]}"
