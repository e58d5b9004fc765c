"""Read what a client's configuration says of dgedit.

It comes at the start (`initializationOptions`) and later (`workspace/configuration`), as a table or
as the table `dgedit` in one. What it leaves out is as in dgedit's own settings. A workspace's
configuration may be somebody else's, so that it can name a model but no path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

SECTION = "dgedit"
"""The name of the table."""


@dataclass(frozen=True, slots=True)
class LspOptions:
    """The options of a session. The fields are the table's keys."""

    model: str | None = None
    """The model's name; None for the one of the command line, or of the settings."""
    effort: float | None = None
    """The effort of all infills, 0 to 1; None for the least where nobody asked, else the
    settings'.
    """
    caution: float | None = None
    """The probability of being right from which an infill is offered unasked; None for that of the
    settings.
    """
    max_lines: int = 12
    """The most lines of a text that is offered at the cursor."""
    debounce: int = 75
    """Milliseconds without another request before one that nobody asked for begins."""
    drafts: bool = False
    """True if the client shows each partial result in the place of the one before."""


def read_options(said: object, before: LspOptions) -> tuple[LspOptions, list[str]]:
    """Return the options with what a client says, and a line for each mistake, which changes
    nothing.
    """
    if isinstance(said, Mapping) and isinstance(inner := said.get(SECTION), Mapping):
        said = inner
    if said is None:
        return before, []
    if not isinstance(said, Mapping):
        return before, ["options must be a table"]
    values: dict[str, Any] = {}
    mistakes = []
    for name, value in said.items():
        if name not in _CHECKS:
            mistakes.append(f"no option {str(name)[:50]!r}: {', '.join(_CHECKS)}")
        elif value is not None and (wrong := _CHECKS[name](value)):
            mistakes.append(f"option {name} must be {wrong}")
        elif value is not None:
            values[name] = value
    return replace(before, **values), mistakes[:8]


def _is_name(value: object) -> str:
    fits = isinstance(value, str) and 0 < len(value) <= 200 and not set(value) & {"/", "\\"}
    return "" if fits else "a model's name (a path goes into dgedit's settings)"


def _is_share(value: object) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "" if number and 0 <= value <= 1 else "a number from 0 to 1"  # type: ignore[operator]


def _is_flag(value: object) -> str:
    return "" if isinstance(value, bool) else "true or false"


def _is_count(least: int, most: int) -> Callable[[object], str]:
    def check(value: object) -> str:
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        return "" if fits else f"a whole number from {least} to {most}"

    return check


_CHECKS: Mapping[str, Callable[[object], str]] = {
    "model": _is_name,
    "effort": _is_share,
    "caution": _is_share,
    "max_lines": _is_count(1, 1000),
    "debounce": _is_count(0, 10_000),
    "drafts": _is_flag,
}
"""For each key a check, which returns what a value must be, or nothing for a valid one."""
