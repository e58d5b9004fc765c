"""The user's settings: one TOML file, read once, every mistake in it named in one line.

A key nobody knows, a value out of range or of the wrong type stops the editor before it opens, so
that no setting is silently without effect. Knows no screen, no theme's name and no key: whoever
uses those checks them. Reading takes well under a millisecond, and only the editor asks for it.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dgedit.errors import UsageError

Live = Literal["full", "settle", "off"]

_WIDEST = 16


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user may set. The fields are the file's keys."""

    theme: str = "tokyo-night"
    """The name of one of the screen's themes."""
    live: Live = "full"
    """Whether every step of an infill is drawn, only what has settled, or only the result."""
    reduced_motion: bool = False
    """Nothing blinks, slides or scrolls smoothly."""
    tab_width: int = 4
    """Columns from one tab stop to the next, 1 to 16."""
    soft_wrap: bool = False
    """Whether a line wider than the screen goes on in the next row."""
    line_numbers: bool = True
    """Whether lines are numbered."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys for actions by their ids, several with commas between them, none for an empty text."""


def config_path() -> Path:
    """Where the settings lie: `$XDG_CONFIG_HOME/dgedit/config.toml`."""
    return folder_of("XDG_CONFIG_HOME", ".config") / "config.toml"


def folder_of(variable: str, default: str) -> Path:
    """Our folder in one of the XDG's; a path that is not absolute is to be ignored, it says."""
    given = Path(os.environ.get(variable, ""))
    return (given if given.is_absolute() else Path.home() / default) / "dgedit"


def load(path: Path) -> Settings:
    """The settings in a file; the defaults where there is none. Raises UsageError for a mistake."""
    try:
        with path.open("rb") as file:
            return parse(tomllib.load(file), str(path))
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None


def parse(table: Mapping[str, Any], where: str) -> Settings:
    """The settings in a table. Raises UsageError for a mistake, and says where it is."""
    for name in table:
        if name not in _CHECKS:
            raise UsageError(f"{where}: {unknown('key', name, _CHECKS)}")
    for name, value in table.items():
        if wrong := _CHECKS[name](value):
            raise UsageError(f"{where}: {name} must be {wrong}, not {_shown(value)}")
    return Settings(**table)


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Words for a name that nobody knows, with the nearest that is known."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"no {kind} {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _is_text(value: object) -> str:
    return "" if isinstance(value, str) else "a text"


def _is_flag(value: object) -> str:
    return "" if isinstance(value, bool) else "true or false"


def _is_live(value: object) -> str:
    return "" if value in ("full", "settle", "off") else "'full', 'settle' or 'off'"


def _is_width(value: object) -> str:
    fits = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _WIDEST
    return "" if fits else f"a number from 1 to {_WIDEST}"


def _is_keys(value: object) -> str:
    fits = isinstance(value, dict) and all(isinstance(key, str) for key in value.values())
    return "" if fits else "a table of texts"


_CHECKS: Mapping[str, Callable[[object], str]] = {
    "theme": _is_text,
    "live": _is_live,
    "reduced_motion": _is_flag,
    "tab_width": _is_width,
    "soft_wrap": _is_flag,
    "line_numbers": _is_flag,
    "keys": _is_keys,
}
"""For each key, what a value must be, in words; nothing for one that is."""
