"""The errors that a user may meet, and the exit code of each.

Raised wherever the problem is found; turned into one line on stderr and an exit code in one place,
`cli.main`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum
from typing import ClassVar


class Exit(IntEnum):
    """The exit codes."""

    OK = 0
    NO = 1
    """`--check` found that something would change, or nothing was accepted."""
    USAGE = 2
    INPUT = 3
    """For example: no such file, a range outside the file, no marker, not text."""
    CONFLICT = 4
    """The file was changed by another program meanwhile."""
    ENGINE = 5
    """The engine or the model is unavailable, or the model cannot do what it is asked."""
    UNSETTLED = 6
    """An infill is in doubt: it breaks the syntax, is unsure or did not settle. Nothing was
    written.
    """
    BUG = 70
    """An error of dgedit's own."""
    INTERRUPTED = 130
    PIPE = 141
    """The reader of our output closed the pipe."""


class DgeditError(Exception):
    """An error to report to the user, in one line."""

    exit: ClassVar[Exit] = Exit.NO


class UsageError(DgeditError):
    """The command line asks for something that makes no sense."""

    exit = Exit.USAGE


class InputError(DgeditError):
    """A file cannot be read or written, or lacks what was asked for."""

    exit = Exit.INPUT


class OutputError(DgeditError):
    """Standard output cannot be written."""

    exit = Exit.INPUT


class ConflictError(DgeditError):
    """The file on disk is no longer the one that was loaded."""

    exit = Exit.CONFLICT


class DoubtError(DgeditError):
    """An infill is in doubt, and there was nobody to ask whether to write it."""

    exit = Exit.UNSETTLED


class EngineError(DgeditError):
    """The engine or its model is unavailable, or the model cannot do what it is asked."""

    exit = Exit.ENGINE


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Word an error for an unknown name, with the nearest known one."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"no {kind} {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
