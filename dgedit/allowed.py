"""What each setting may be.

Knows values; not where they come from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from dgedit.errors import unknown
from dgedit.text.languages import known

DEVICES = "auto, cpu, cuda, cuda:0 … or mps"
"""The devices that a model may run on, in words."""

_WIDEST, _FARTHEST, _FURTHEST = 16, 100, 1000
_COLOR = re.compile("#[0-9a-fA-F]{6}")
COLORS = (
    *("primary", "secondary", "accent", "warning", "error", "success"),
    *("foreground", "background", "surface", "panel"),
)
"""What a theme has colours for."""
_DEVICE = re.compile(r"|auto|cpu|mps|cuda(:\d{1,3})?", re.ASCII)
_DAY = 24 * 60
_HOUR = 60 * 60


def is_device(name: str) -> bool:
    """Say whether this names a device that some machine has."""
    return _DEVICE.fullmatch(name) is not None


def _is_text(value: object) -> str:
    return "" if isinstance(value, str) else "a text"


def _is_flag(value: object) -> str:
    return "" if isinstance(value, bool) else "true or false"


def _is_live(value: object) -> str:
    return "" if value in ("full", "settle", "off") else "'full', 'settle' or 'off'"


def _is_color(value: object) -> str:
    return "" if value in ("auto", "always", "never") else "'auto', 'always' or 'never'"


def _is_files(value: object) -> str:
    return "" if value in ("new", "all", "off") else "'new', 'all' or 'off'"


def _is_numbering(value: object) -> str:
    return "" if isinstance(value, bool) or value == "relative" else "true, false or 'relative'"


def _is_whitespace(value: object) -> str:
    return "" if value in ("none", "trailing", "all") else "'none', 'trailing' or 'all'"


def _are_columns(value: object) -> str:
    columns = value if isinstance(value, list) else [value]
    fits = all(type(one) is int and 1 <= one <= _FURTHEST for one in columns)
    return "" if fits else f"a column from 1 to {_FURTHEST}, or a list of such"


def _is_width(value: object) -> str:
    fits = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _WIDEST
    return "" if fits else f"a number from 1 to {_WIDEST}"


def _is_margin(value: object) -> str:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _FARTHEST
    return "" if fits else f"a number from 0 to {_FARTHEST}"


def _is_device(value: object) -> str:
    return "" if isinstance(value, str) and is_device(value) else DEVICES


def _is_engine(value: object) -> str:
    known = ("auto", "local", "warm")
    fits = isinstance(value, str) and (value in known or value.startswith(("http://", "https://")))
    return "" if fits else "'auto', 'local', 'warm' or a server's http address"


def _is_between(least: float, most: float) -> Callable[[object], str]:
    def check(value: object) -> str:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = number and least <= value <= most  # type: ignore[operator]
        return "" if fits else f"a number from {least:g} to {most:g}"

    return check


def _is_keys(value: object) -> str:
    fits = isinstance(value, dict) and all(isinstance(key, str) for key in value.values())
    return "" if fits else "a table of texts"


def _are_themes(value: object) -> str:
    shape = 'a table [themes.NAME] with base = "THEME" and colours such as primary = "#7aa2f7"'
    if not isinstance(value, dict):
        return shape
    for table in value.values():
        if not isinstance(table, dict) or not isinstance(table.get("base", ""), str):
            return shape
        for name, color in table.items():
            if name not in COLORS and name != "base":
                return f"of colours: {unknown('colour', name, COLORS)}"
            if name != "base" and not (isinstance(color, str) and _COLOR.fullmatch(color)):
                return f'of colours such as "#7aa2f7": {name} is none'
    return ""


def _is_lsp(value: object) -> str:
    shape = 'a table [lsp.LANGUAGE] with command = ["PROGRAM", …] for each language'
    if not isinstance(value, dict):
        return shape
    for name, table in value.items():
        if name not in known():
            return f"of languages: {unknown('language', name, known())}"
        command = table.get("command") if isinstance(table, dict) else None
        words = isinstance(command, list) and all(isinstance(word, str) for word in command)
        if not (words and command and command[0]) or table.keys() != {"command"}:
            return shape
    return ""


CHECKS: Mapping[str, Callable[[object], str]] = {
    "model": _is_text,
    "adapter": _is_text,
    "verifier": _is_text,
    "drafter": _is_text,
    "device": _is_device,
    "engine": _is_engine,
    "idle": _is_between(0.1, _DAY),
    "effort": _is_between(0, 1),
    "caution": _is_between(0, 1),
    "color": _is_color,
    "theme": _is_text,
    "live": _is_live,
    "reduced_motion": _is_flag,
    "tab_width": _is_width,
    "soft_wrap": _is_flag,
    "line_numbers": _is_numbering,
    "rulers": _are_columns,
    "whitespace": _is_whitespace,
    "scroll_margin": _is_margin,
    "sessions": _is_flag,
    "auto_pairs": _is_flag,
    "trim": _is_flag,
    "final_newline": _is_flag,
    "editorconfig_indent": _is_flag,
    "editorconfig_trim": _is_flag,
    "editorconfig_final_newline": _is_flag,
    "editorconfig_end_of_line": _is_files,
    "editorconfig_charset": _is_files,
    "editorconfig_max_line_length": _is_flag,
    "auto_save": _is_between(0, _HOUR),
    "git": _is_flag,
    "themes": _are_themes,
    "lsp": _is_lsp,
    "keys": _is_keys,
}
"""For each key a check, which returns what a value must be, or nothing for a valid one."""
