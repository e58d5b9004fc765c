"""Read the user's settings from files and variables, and report every mistake in one line.

Later places go before earlier ones: the defaults, `$XDG_CONFIG_HOME/dgedit/config.toml`, the
project's `.dgedit.toml`, variables `DGEDIT_*`, options. A key nobody knows, a value out of range or
of the wrong type ends the program before it begins, so that no setting is silently without effect.
A project's file is somebody else's: it cannot say where texts are sent, what is loaded from a path,
what a key does or that whole files are rewritten.

Knows no screen, theme or key: the modules that use those check them. Reading takes about a
millisecond; a library that does the same (pydantic-settings) takes 140 ms to import, which is more
than half of what a call of a warm engine may cost.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from dgedit.errors import InputError, UsageError
from dgedit.files import disk, saving, small
from dgedit.files.paths import WorkingFolder, our_folder
from dgedit_engine.types import CAUTION

Live = Literal["full", "settle", "off"]
Color = Literal["auto", "always", "never"]
Files = Literal["new", "all", "off"]

PROJECT = ".dgedit.toml"
"""The name of a project's file."""

DEVICES = "auto, cpu, cuda, cuda:0 … or mps"
"""The devices that a model may run on, in words."""

_LARGEST = 64_000  # bytes of a settings file: beyond that tomllib may take seconds
_WIDEST, _FARTHEST = 16, 100
_DEVICE = re.compile(r"|auto|cpu|mps|cuda(:\d{1,3})?", re.ASCII)
_DAY = 24 * 60
# What a project's file may not say.
_PERSONAL = frozenset(
    {
        *("adapter", "engine", "device", "idle", "keys"),
        *("editorconfig_end_of_line", "editorconfig_charset"),  # which may rewrite whole files
    }
)
# Variables of ours that are no settings.
_OTHER_VARIABLES = frozenset(
    {"DGEDIT_DEBUG", "DGEDIT_API_KEY", "DGEDIT_PLAIN_KEY", "DGEDIT_HTTP_TOKEN"}
)
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """The user's settings. The fields are the file's keys."""

    model: str = ""
    """A model's name, or a path with a slash in it; empty for nano."""
    adapter: str = ""
    """The folder of a low-rank adapter (LoRA) of that model; empty for none."""
    device: str = ""
    """The device that it runs on: cpu, cuda, cuda:1, mps; auto or empty lets the engine choose."""
    engine: str = "auto"
    """The engine: "local" in this process, "warm" in a process that stays, "auto" a warm one where
    that is possible, or a server's address.
    """
    idle: float = 15
    """Minutes without a request after which a warm engine ends, 0.1 to 1440."""
    effort: float = 0.5
    """The effort of an infill, 0 to 1: step cap and entropy bound follow from it."""
    caution: float = CAUTION
    """The least probability of being right at which an infill counts as sure, 0 to 1."""
    color: Color = "auto"
    """When output is coloured: on a terminal, always or never."""
    theme: str = "tokyo-night"
    """The name of a colour theme."""
    live: Live = "full"
    """What is drawn of a running infill: every step, only settled pieces, or the result."""
    reduced_motion: bool = False
    """True if nothing blinks, slides or scrolls smoothly."""
    tab_width: int = 4
    """Columns from one tab stop to the next, 1 to 16."""
    soft_wrap: bool = False
    """True if a line wider than the screen is wrapped."""
    line_numbers: bool = True
    """True if lines are numbered."""
    scroll_margin: int = 0
    """Lines that stay visible above and below the cursor when it moves by a key, 0 to 100."""
    sessions: bool = True
    """Whether a project opens with the files, cursors, folds and panes that it was left with."""
    auto_pairs: bool = True
    """Whether an opening bracket or quote that is typed brings the closing one."""
    editorconfig_indent: bool = True
    """Whether `.editorconfig` says what lines are indented with, and how far."""
    editorconfig_trim: bool = True
    """Whether saving takes blanks from the ends of lines that were touched, where it says so."""
    editorconfig_final_newline: bool = True
    """Whether saving ends the last line, where it says so."""
    editorconfig_end_of_line: Files = "new"
    """Which files get the line ends that it says: new ones, all when they are saved, or none."""
    editorconfig_charset: Files = "new"
    """Which files are stored as it says: new ones, all when they are saved, or none."""
    git: bool = True
    """True if lines that differ from git's last commit have a sign, and the branch is shown."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys for actions by the actions' ids: several separated by commas, none if empty."""


@dataclass(frozen=True, slots=True)
class SettingsLayer:
    """The settings from one place."""

    where: str
    """A file's path, or a variable's name."""
    values: Mapping[str, Any]
    """Its settings, which have been checked."""


def current(folder: Path | None = None) -> Settings:
    """Return the settings for a folder, by default the current one. Raises UsageError."""
    merged: dict[str, Any] = {}
    for layer in layers(folder):
        merged.update(layer.values)
    return Settings(**merged)


def layers(folder: Path | None = None) -> list[SettingsLayer]:
    """Return the settings of each place, in order of rising precedence. Raises UsageError."""
    found = [SettingsLayer(str(config_path()), load(config_path()))]
    if (path := project_path(folder)) is not None:
        found.append(SettingsLayer(str(path), load(path, project=True)))
    return [*found, *_from_environment(os.environ)]


def load(path: Path, *, project: bool = False) -> dict[str, Any]:
    """Read one file's settings; none if it does not exist. Raises UsageError for a mistake."""
    try:
        said = small.text(path, most=_LARGEST)
        return {} if said is None else parse(tomllib.loads(said), str(path), project=project)
    except InputError as error:
        raise UsageError(str(error)) from None
    except (ValueError, RecursionError) as error:  # not TOML, or brackets nested too deeply
        raise UsageError(f"{path} is not TOML: {error}") from None


def parse(table: Mapping[str, Any], where: str, *, project: bool = False) -> dict[str, Any]:
    """Check a table of settings. Raises UsageError for a mistake, and says where it is."""
    for name, value in table.items():
        if name not in _CHECKS:
            raise UsageError(f"{where}: {unknown('key', name, _CHECKS)}")
        if wrong := _CHECKS[name](value):
            raise UsageError(f"{where}: {name} must be {wrong}, not {_shown(value)}")
        if project and (name in _PERSONAL or (name == "model" and is_path(str(value)))):
            what = "a model's path" if name == "model" else name
            raise UsageError(f"{where}: {what} can only be set in {config_path()}")
    return dict(table)


def read_value(key: str, words: str, where: str) -> Any:
    """Parse a setting's value as written in a variable or on the command line. Raises
    UsageError.
    """
    if key not in _CHECKS:
        raise UsageError(f"{where}: {unknown('key', key, _CHECKS)}")
    if key == "keys":
        raise UsageError(f"{where}: keys is a table: write it into the file")
    value: Any = words
    match next(one for one in fields(Settings) if one.name == key).default:
        case bool():
            value = _FLAGS.get(words.lower(), words)
        case int() | float() if re.fullmatch(r"-?\d{1,9}", words, re.ASCII):
            value = int(words)
        case int() | float() if re.fullmatch(r"-?\d*\.\d+", words, re.ASCII):
            value = float(words)
    return parse({key: value}, where)[key]


def change(key: str, value: Any, path: Path) -> None:
    """Set a key in a file, or remove it if the value is None; the rest of the file stays as it is.

    Raises UsageError for an invalid value, InputError for a file that cannot be written.
    """
    import tomlkit

    table = load(path, project=path.name == PROJECT)
    before: tuple[bytes, disk.Fingerprint | None] = (b"", None)
    if os.path.lexists(path):
        before = disk.read(path)
    bom = before[0][: len(BOM_UTF8) * before[0].startswith(BOM_UTF8)]
    text = tomlkit.parse(before[0][len(bom) :])
    if value is None:
        text.pop(key, None)
    else:
        parse({**table, key: value}, str(path), project=path.name == PROJECT)
        if key not in text and any(isinstance(one, Mapping) for one in text.values()):
            first = tomlkit.dumps({key: value}).encode()  # before tables
            text = tomlkit.parse(first + before[0][len(bom) :])
        else:
            text[key] = value
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot change {path}: {error.strerror}") from None
    try:
        data = bom + tomlkit.dumps(text).encode()
    except UnicodeEncodeError:
        raise UsageError(f"{path}: {key} cannot be {_shown(value)}, which is no UTF-8") from None
    saving.write(path, data, expected=before[1])


def config_path() -> Path:
    """Return the user's settings file: `$XDG_CONFIG_HOME/dgedit/config.toml`."""
    return our_folder("config") / "config.toml"


def project_path(folder: Path | None = None) -> Path | None:
    """Return the nearest `.dgedit.toml` from a folder upwards, up to the root of a repository or
    the home folder. One not owned by us or root is ignored.
    """
    start = folder or WorkingFolder.now().path
    for place in (start, *start.parents) if start else ():
        path = place / PROJECT
        try:
            if path.stat().st_uid in (os.geteuid(), 0):
                return path
        except OSError:
            pass  # not there, or not accessible
        if place == Path.home() or (place / ".git").exists():
            return None
    return None


def is_device(name: str) -> bool:
    """Say whether this names a device that some machine has."""
    return _DEVICE.fullmatch(name) is not None


def is_path(model: str) -> bool:
    """Say whether a model is given by its path, not by its name."""
    return "/" in model


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Word an error for an unknown name, with the nearest known one."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"no {kind} {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _from_environment(variables: Mapping[str, str]) -> list[SettingsLayer]:
    """Return one layer for each variable; an empty variable is ignored."""
    found = []
    names = {f"DGEDIT_{key.upper()}": key for key in _CHECKS if key != "keys"}
    for name in sorted(variables):
        if name.startswith("DGEDIT_") and variables[name] and name not in _OTHER_VARIABLES:
            if name not in names:
                raise UsageError(f"the environment: {unknown('setting', name, names)}")
            key = names[name]
            found.append(SettingsLayer(name, {key: read_value(key, variables[name], name)}))
    return found


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


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


_CHECKS: Mapping[str, Callable[[object], str]] = {
    "model": _is_text,
    "adapter": _is_text,
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
    "line_numbers": _is_flag,
    "scroll_margin": _is_margin,
    "sessions": _is_flag,
    "auto_pairs": _is_flag,
    "editorconfig_indent": _is_flag,
    "editorconfig_trim": _is_flag,
    "editorconfig_final_newline": _is_flag,
    "editorconfig_end_of_line": _is_files,
    "editorconfig_charset": _is_files,
    "git": _is_flag,
    "keys": _is_keys,
}
"""For each key a check, which returns what a value must be, or nothing for a valid one."""
