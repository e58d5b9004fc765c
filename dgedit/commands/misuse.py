"""Word the errors of a wrong command line: name the value, and point to the `--help` in question.

typer finds the errors and their places, but its own messages name no value.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from typer._click import exceptions as found

# Patterns of typer's messages, and our own.
_WORDS = (
    (r"Got unexpected extra argument\(s\) \((?P<it>.*)\)", "unexpected '{it}'"),
    (r"Option '(?P<it>.*)' requires an argument\.", "{it} needs a value"),
    (r"Option '(?P<it>.*)' does not take a value\.", "{it} takes no value"),
    (r"No such command '(?P<it>.*)'\.", "no command '{it}'"),
    (r"Missing command\.", "no COMMAND is given"),
)
_NEAR = 0.6
_KINDS = {int: "a whole number", float: "a number"}


def words(error: Any) -> str:
    """Word one of typer's errors in one line."""
    where = error.ctx.command_path if getattr(error, "ctx", None) else "dgedit"
    return f"{_what(error)} (try {where} --help)"


def alternatives(values: Sequence[object]) -> str:
    """Join choices: "'auto', 'always' or 'never'"."""
    *most, last = map(repr, values)
    return f"{', '.join(most)} or {last}" if most else last


def _what(error: Any) -> str:
    if isinstance(error, found.NoSuchOption):
        return _no_option(error)
    if isinstance(error, found.MissingParameter):
        return f"no {_called(error.param)} is given"
    if isinstance(error, found.BadParameter) and error.param is not None:
        return _no_value(error)
    said = error.format_message()
    for pattern, ours in _WORDS:
        if match := re.fullmatch(pattern, said, re.DOTALL):
            return ours.format(**match.groupdict())
    return str(said)


def _no_option(error: found.NoSuchOption) -> str:
    given, params = error.option_name, error.ctx.command.get_params(error.ctx) if error.ctx else []
    known = {name.lstrip("-"): name for param in params for name in param.opts if name[0] == "-"}
    near = difflib.get_close_matches(given.lstrip("-"), list(known), n=1, cutoff=_NEAR)
    return f"no option {given}" + (f"; did you mean {known[near[0]]}?" if near else "")


def _no_value(error: found.BadParameter) -> str:
    """Word an error about a value, which the cause of the error holds."""
    name, cause = _called(error.param), error.__cause__
    described: Any = error.param.type_descriptor if error.param else None
    kind = _kind(described.annotation, described.parameter_info)
    if kind and cause is not None and hasattr(cause, "errors"):
        return f"{name} must be {kind}, not {cause.errors()[0]['input']!r}"
    return f"{name}: {error.message}"


def _kind(annotation: Any, info: Any) -> str:
    """Describe the values of a type; empty if it is not a known one."""
    if get_origin(annotation) is Literal:
        return alternatives(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return alternatives([one.value for one in annotation])
    least = getattr(info, "min", None)
    return _KINDS.get(annotation, "") + (f" of at least {least:g}" if least is not None else "")


def _called(param: Any) -> str:
    """Return an option's longest name, or an argument's name as in `--help`."""
    if param.param_type_name == "option":
        return str(max(param.opts, key=len))
    return str(param.metavar or param.name.upper())
