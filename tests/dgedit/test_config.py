"""Settings come from one file, and every mistake in it is one line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from dgedit import config
from dgedit.config import Settings, config_path, load
from dgedit.errors import Exit, UsageError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path / "none.toml") == Settings()


def test_every_field_may_be_set(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'theme = "nord"\nlive = "settle"\nreduced_motion = true\ntab_width = 8\n'
        'soft_wrap = true\nline_numbers = false\n[keys]\nsave = "f4,ctrl+s"\n',
    )
    settings = load(path)
    assert settings == Settings("nord", "settle", True, 8, True, False, {"save": "f4,ctrl+s"})
    changed = [f.name for f in dataclasses.fields(Settings)]
    assert all(getattr(settings, name) != getattr(Settings(), name) for name in changed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('them = "nord"', "no key 'them'; did you mean 'theme'?"),
        ("reduced-motion = true", "no key 'reduced-motion'; did you mean 'reduced_motion'?"),
        ("zzzzzz = 1", "no key 'zzzzzz'"),
        ("tab_width = 0", "tab_width must be a number from 1 to 16, not 0"),
        ("tab_width = 17", "not 17"),
        ("tab_width = true", "not true"),
        ('live = "fast"', "live must be 'full', 'settle' or 'off', not 'fast'"),
        ("soft_wrap = 1", "soft_wrap must be true or false, not 1"),
        ("theme = 3", "theme must be a text"),
        ("keys = 3", "keys must be a table of texts"),
        ("[keys]\nsave = 3", "keys must be a table of texts"),
        ("theme = ", "is not TOML"),
        ('theme = "a"\ntheme = "b"', "is not TOML"),
    ],
)
def test_mistake_is_one_line_that_names_it(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as raised:
        load(path)
    words = str(raised.value)
    assert said in words and str(path) in words and "\n" not in words
    assert raised.value.exit is Exit.USAGE


def test_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        load(tmp_path)
    bad = tmp_path / "bad.toml"
    bad.write_bytes(b'theme = "\xff"')
    with pytest.raises(UsageError, match="not TOML"):
        load(bad)


def test_place_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert config_path() == tmp_path / "dgedit" / "config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config_path() == tmp_path / ".config" / "dgedit" / "config.toml"


def test_every_key_is_checked() -> None:
    assert set(config._CHECKS) == {field.name for field in dataclasses.fields(Settings)}
