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

import os
import re
import tomllib
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from dgedit.allowed import CHECKS
from dgedit.errors import InputError, UsageError, unknown
from dgedit.files import disk, saving, small
from dgedit.files.paths import WorkingFolder, our_folder
from dgedit_engine.types import CAUTION

Live = Literal["full", "settle", "off"]
Color = Literal["auto", "always", "never"]
Files = Literal["new", "all", "off"]
Whitespace = Literal["none", "trailing", "all"]

PROJECT = ".dgedit.toml"
"""The name of a project's file."""

_LARGEST = 64_000  # bytes of a settings file: beyond that tomllib may take seconds
# What a project's file may not say.
_PERSONAL = frozenset(
    {
        *("adapter", "verifier", "drafter", "engine", "device", "idle", "keys", "lsp"),
        "auto_save",
        *("editorconfig_end_of_line", "editorconfig_charset"),  # which may rewrite whole files
    }
)
# Settings that only a file can have.
_TABLES = frozenset({"keys", "lsp", "themes"})
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
    verifier: str = ""
    """A second model of the same vocabulary, which judges what that one writes; empty for none."""
    drafter: str = ""
    """A second model, which drafts what that one, a masked one, corrects; empty for none."""
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
    line_numbers: bool | Literal["relative"] = True
    """True if lines are numbered; "relative": by how far they are from the cursor's."""
    rulers: int | Sequence[int] = ()
    """The column, or columns, behind which a line is drawn from top to bottom, 1 to 1000."""
    whitespace: Whitespace = "none"
    """Which blanks and tabs are drawn as dim signs: none, those at the ends of lines, or all."""
    scroll_margin: int = 0
    """Lines that stay visible above and below the cursor when it moves by a key, 0 to 100."""
    sessions: bool = True
    """Whether a project opens with the files, cursors, folds and panes that it was left with."""
    auto_pairs: bool = True
    """Whether an opening bracket or quote that is typed brings the closing one."""
    trim: bool = False
    """Whether saving takes blanks from the ends of lines that were touched."""
    final_newline: bool = False
    """Whether saving ends the last line."""
    editorconfig_indent: bool = True
    """Whether `.editorconfig` says what lines are indented with, and how far."""
    editorconfig_trim: bool = True
    """Whether it says if saving does so, instead of `trim`."""
    editorconfig_final_newline: bool = True
    """Whether it says if saving does so, instead of `final_newline`."""
    editorconfig_end_of_line: Files = "new"
    """Which files get the line ends that it says: new ones, all when they are saved, or none."""
    editorconfig_charset: Files = "new"
    """Which files are stored as it says: new ones, all when they are saved, or none."""
    editorconfig_max_line_length: bool = True
    """Whether a ruler is drawn where `.editorconfig` says lines are to end."""
    auto_save: float = 0
    """Seconds after the last edit at which a file is saved by itself, up to 3600; 0 for never."""
    git: bool = True
    """True if lines that differ from git's last commit have a sign, and the branch is shown."""
    themes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """For the name of a theme its colours, and the theme that it has the others of."""
    lsp: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """For a language's name a table whose `command` starts a language server for it."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys for actions by the actions' ids: several separated by commas, none if empty."""

    @property
    def columns(self) -> tuple[int, ...]:
        """The columns of `rulers`."""
        return (self.rulers,) if isinstance(self.rulers, int) else tuple(self.rulers)


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
        if name not in CHECKS:
            raise UsageError(f"{where}: {unknown('key', name, CHECKS)}")
        if wrong := CHECKS[name](value):
            raise UsageError(f"{where}: {name} must be {wrong}, not {_shown(value)}")
        if project and (name in _PERSONAL or (name == "model" and is_path(str(value)))):
            what = "a model's path" if name == "model" else name
            raise UsageError(f"{where}: {what} can only be set in {config_path()}")
    return dict(table)


def read_value(key: str, words: str, where: str) -> Any:
    """Parse a setting's value as written in a variable or on the command line. Raises
    UsageError.
    """
    if key not in CHECKS:
        raise UsageError(f"{where}: {unknown('key', key, CHECKS)}")
    if key in _TABLES:
        raise UsageError(f"{where}: {key} is a table: write it into the file")
    value: Any = words
    match next(one for one in fields(Settings) if one.name == key).default:
        case bool():
            value = _FLAGS.get(words.lower(), words)
        case int() | float() if re.fullmatch(r"-?\d{1,9}", words, re.ASCII):
            value = int(words)
        case int() | float() if re.fullmatch(r"-?\d*\.\d+", words, re.ASCII):
            value = float(words)
        case tuple() if re.fullmatch(r"(\d{1,9}(, *\d{1,9})*)?", words, re.ASCII):
            value = [int(one) for one in words.split(",")] if words else []
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


def is_path(model: str) -> bool:
    """Say whether a model is given by its path, not by its name."""
    return "/" in model


def _from_environment(variables: Mapping[str, str]) -> list[SettingsLayer]:
    """Return one layer for each variable; an empty variable is ignored."""
    found = []
    names = {f"DGEDIT_{key.upper()}": key for key in CHECKS if key not in _TABLES}
    for name in sorted(variables):
        if name.startswith("DGEDIT_") and variables[name] and name not in _OTHER_VARIABLES:
            if name not in names:
                raise UsageError(f"the environment: {unknown('setting', name, names)}")
            key = names[name]
            found.append(SettingsLayer(name, {key: read_value(key, variables[name], name)}))
    return found


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
