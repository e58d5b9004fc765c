"""Commands that convert plain option values themselves, without loading pydantic.

typer checks every value by pydantic, which takes 0.1 s to load: as long as everything else that a
call of a warm engine does before its first step. Plain texts, paths, numbers and choices do not
need it; any other value, above all an invalid one, still goes to typer, and `misuse` words its
errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from typer._click.exceptions import UsageError as Misused
from typer.core import TyperCommand, TyperGroup

from dgedit.errors import unknown

_NUMBERS = {int: r"-?\d{1,18}", float: r"-?\d{1,18}(\.\d{1,18})?"}
_LIMITS = ("min", "max", "parser", "exists", "writable", "resolve_path", "allow_dash")


class Quick(TyperCommand):
    """A command that converts plain values itself."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line. An error carries the command's context."""
        plainly(self.get_params(ctx))
        try:
            return super().parse_args(ctx, args)
        except Misused as error:
            error.ctx = error.ctx or ctx
            raise


class Group(TyperGroup):
    """Commands under one name, which by itself means its `--help`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line up to the command's name."""
        return super().parse_args(ctx, args or ["--help"])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command of that name. Raises an error with the nearest name."""
        name = args[0]
        if not (name in self.commands or name.startswith("-") or ctx.resilient_parsing):
            raise Misused(unknown("command", name, self.commands), ctx=ctx)
        return super().resolve_command(ctx, args)


def plainly(params: Iterable[Any]) -> None:
    """Let plain values of these parameters be converted without typer."""
    for param in params:
        param._runtime_param = _Plain()


@dataclass(frozen=True, slots=True)
class _Plain:
    """A replacement for the object with which typer converts a parameter's values."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Convert a value for the command."""
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        described = param.type_descriptor
        if not _is_limited(described.parameter_info):
            if not several:
                found = _plain(value, described.annotation)
            elif isinstance(value, list | tuple) and get_origin(described.annotation) is list:
                (kind,) = get_args(described.annotation)
                found = [_plain(one, kind) for one in value]
            else:
                found = None
            if found is not None and not (isinstance(found, list) and None in found):
                return found
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


def _is_limited(info: Any) -> bool:
    """Say whether a parameter restricts its values further; 0 is a limit, too."""
    said = (getattr(info, name, None) for name in _LIMITS)
    return any(one is not None and one is not False for one in said)


def _plain(value: Any, kind: Any) -> Any:
    """Convert a value to a type; None if it is not plainly of that type."""
    if get_origin(kind) is Literal:
        return value if value in get_args(kind) else None
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    if kind is str or kind in _NUMBERS:
        if type(value) is kind:
            return value
        if kind is float and type(value) is int:
            return float(value)
        if (
            kind in _NUMBERS
            and isinstance(value, str)
            and re.fullmatch(_NUMBERS[kind], value, re.ASCII)
        ):
            return kind(value)
    return None
