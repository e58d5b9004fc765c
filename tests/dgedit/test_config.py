"""Settings come from several places in a known order, and every mistake in them is one line."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from dgedit import cli, config
from dgedit.config import Settings, config_path, load, project_path
from dgedit.errors import DgeditError, Exit, UsageError

Capture = pytest.CaptureFixture[str]

OTHERS: dict[str, Any] = {
    "model": "big",
    "adapter": "tuned",
    "verifier": "larger",
    "drafter": "smaller",
    "device": "cuda",
    "engine": "local",
    "idle": 3.5,
    "effort": 0.25,
    "caution": 0.5,
    "color": "never",
    "theme": "nord",
    "live": "settle",
    "reduced_motion": True,
    "tab_width": 8,
    "soft_wrap": True,
    "line_numbers": "relative",
    "rulers": [80, 100],
    "whitespace": "all",
    "scroll_margin": 3,
    "sessions": False,
    "auto_pairs": False,
    "trim": True,
    "final_newline": True,
    "editorconfig_indent": False,
    "editorconfig_trim": False,
    "editorconfig_final_newline": False,
    "editorconfig_end_of_line": "all",
    "editorconfig_charset": "off",
    "editorconfig_max_line_length": False,
    "auto_save": 1.5,
    "git": False,
    "themes": {"mine": {"base": "nord", "primary": "#012345"}},
    "lsp": {"python": {"command": ["pylsp", "-v"]}},
    "keys": {"save": "f4,ctrl+s"},
}

TABLES = """
[themes.mine]
base = "nord"
primary = "#012345"
[lsp.python]
command = ["pylsp", "-v"]
[keys]
save = "f4,ctrl+s"
"""


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DGEDIT_ENGINE", "DGEDIT_MODEL"):
        monkeypatch.delenv(name)


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def run(capfd: Capture, *args: str) -> tuple[int, str, str]:
    code = cli.run(["config", *args])
    return code, *capfd.readouterr()


def test_no_file_means_the_defaults(folder: Path) -> None:
    assert load(folder / "none.toml") == {}
    assert config.current() == Settings()


def test_every_field_may_be_set(folder: Path) -> None:
    table = {key: value for key, value in OTHERS.items() if key not in ("keys", "lsp", "themes")}
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in table.items()]
    written(config_path(), "".join(lines) + TABLES)
    assert config.current() == Settings(**OTHERS)
    assert list(OTHERS) == [one.name for one in dataclasses.fields(Settings)]
    assert all(getattr(Settings(), key) != value for key, value in OTHERS.items())


def test_variables_go_before_the_project_before_the_user(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(config_path(), "tab_width = 2\neffort = 0.1\nsoft_wrap = true\n")
    written(folder / ".dgedit.toml", "tab_width = 3\neffort = 0.2\n")
    monkeypatch.setenv("DGEDIT_TAB_WIDTH", "4")
    monkeypatch.setenv("DGEDIT_THEME", "")
    settings = config.current()
    assert (settings.tab_width, settings.effort, settings.soft_wrap) == (4, 0.2, True)
    places = [layer.where for layer in config.layers()]
    assert places == [str(config_path()), str(folder / ".dgedit.toml"), "DGEDIT_TAB_WIDTH"]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("REDUCED_MOTION", "true", True),
        ("REDUCED_MOTION", "0", False),
        ("TAB_WIDTH", "8", 8),
        ("EFFORT", "1", 1),
        ("EFFORT", ".75", 0.75),
        ("CAUTION", "0.9", 0.9),
        ("ENGINE", "https://models.example:8000/v1", "https://models.example:8000/v1"),
        ("MODEL", "1", "1"),
    ],
)
def test_variables_are_read_by_what_they_set(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object
) -> None:
    monkeypatch.setenv(f"DGEDIT_{name}", text)
    assert getattr(config.current(), name.lower()) == value


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "DGEDIT_EFORT",
            "1",
            "the environment: no setting 'DGEDIT_EFORT'; did you mean 'DGEDIT_EFFORT'?",
        ),
        ("DGEDIT_EFFORT", "2", "DGEDIT_EFFORT: effort must be a number from 0 to 1, not 2"),
        ("DGEDIT_EFFORT", "nan", "must be a number from 0 to 1, not 'nan'"),
        ("DGEDIT_CAUTION", "2", "DGEDIT_CAUTION: caution must be a number from 0 to 1, not 2"),
        (
            "DGEDIT_ENGINE",
            "hot",
            "engine must be 'auto', 'local', 'warm' or a server's http address",
        ),
        ("DGEDIT_KEYS", "x", "no setting 'DGEDIT_KEYS'"),
    ],
)
def test_mistake_in_a_variable_names_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, said: str
) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(UsageError) as raised:
        config.current()
    assert said in str(raised.value)


def test_variables_that_are_no_settings_are_let_be(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DGEDIT_DEBUG", "1")
    monkeypatch.setenv("DGEDIT_API_KEY", "secret")
    assert config.current() == Settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('them = "nord"', "no key 'them'; did you mean 'theme'?"),
        ("reduced-motion = true", "no key 'reduced-motion'; did you mean 'reduced_motion'?"),
        ("zzzzzz = 1", "no key 'zzzzzz'"),
        ("tab_width = 0", "tab_width must be a number from 1 to 16, not 0"),
        ("tab_width = 17", "not 17"),
        ("tab_width = true", "not true"),
        ("scroll_margin = -1", "scroll_margin must be a number from 0 to 100, not -1"),
        ("effort = true", "effort must be a number from 0 to 1, not true"),
        ("effort = nan", "effort must be a number from 0 to 1, not nan"),
        ("idle = 0", "idle must be a number from 0.1 to 1440, not 0"),
        ('editorconfig_charset = "a"', "editorconfig_charset must be 'new', 'all' or 'off'"),
        ('live = "fast"', "live must be 'full', 'settle' or 'off', not 'fast'"),
        ('color = "red"', "color must be 'auto', 'always' or 'never', not 'red'"),
        ('engine = "ftp://x"', "engine must be"),
        ("soft_wrap = 1", "soft_wrap must be true or false, not 1"),
        ("line_numbers = 1", "line_numbers must be true, false or 'relative', not 1"),
        ("rulers = 0", "rulers must be a column from 1 to 1000, or a list of such, not 0"),
        ("rulers = [80, true]", "rulers must be a column from 1 to 1000"),
        ('whitespace = "some"', "whitespace must be 'none', 'trailing' or 'all', not 'some'"),
        ("theme = 3", "theme must be a text"),
        ("themes = 3", "themes must be a table [themes.NAME] with base"),
        ("[themes.a]\nbase = 3", "themes must be a table [themes.NAME] with base"),
        ('[themes.a]\nprimry = "#012345"', "no colour 'primry'; did you mean 'primary'?"),
        ('[themes.a]\nprimary = "red"', "primary is none"),
        ("lsp = 3", "lsp must be a table [lsp.LANGUAGE] with command"),
        ("[lsp.python]", "lsp must be a table [lsp.LANGUAGE] with command"),
        ("[lsp.python]\ncommand = []", "lsp must be a table [lsp.LANGUAGE] with command"),
        ('[lsp.python]\ncommand = "pylsp"', "lsp must be a table [lsp.LANGUAGE] with command"),
        ('[lsp.pyton]\ncommand = ["x"]', "no language 'pyton'; did you mean 'python'?"),
        ("keys = 3", "keys must be a table of texts"),
        ("[keys]\nsave = 3", "keys must be a table of texts"),
        ("theme = ", "is not TOML"),
        ('theme = "a"\ntheme = "b"', "is not TOML"),
        ("theme = " + "[" * 5000, "is not TOML"),
    ],
)
def test_mistake_in_a_file_is_one_line_that_names_it(folder: Path, text: str, said: str) -> None:
    path = written(folder / "config.toml", text)
    with pytest.raises(UsageError) as raised:
        load(path)
    words = str(raised.value)
    assert said in words and str(path) in words and "\n" not in words


def test_file_that_cannot_be_read_is_one_line(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*: Is a directory"):
        load(folder)
    (folder / "bytes.toml").write_bytes(b'theme = "\xff"')
    with pytest.raises(UsageError, match="is not UTF-8: byte 10"):
        load(folder / "bytes.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('engine = "http://elsewhere.example"', "engine can only be set in"),
        ('model = "./weights"', "a model's path can only be set in"),
        ('device = "cuda"', "device can only be set in"),
        ('editorconfig_charset = "all"', "editorconfig_charset can only be set in"),
        ('[lsp.python]\ncommand = ["x"]', "lsp can only be set in"),
        ("auto_save = 1", "auto_save can only be set in"),
        ('[keys]\nsave = "f4"', "keys can only be set in"),
    ],
)
def test_projects_file_says_nothing_that_is_the_users_own(
    folder: Path, text: str, said: str
) -> None:
    written(folder / ".dgedit.toml", text)
    with pytest.raises(UsageError) as raised:
        config.current()
    assert said in str(raised.value) and str(config_path()) in str(raised.value)


def test_project_may_name_a_model_by_its_name(folder: Path) -> None:
    written(folder / ".dgedit.toml", 'model = "big"')
    assert config.current().model == "big"


def test_nearest_project_file_is_taken_up_to_the_root(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = folder / "repo" / "a" / "b"
    inner.mkdir(parents=True)
    written(folder / ".dgedit.toml", "tab_width = 2")
    assert project_path(inner) == folder / ".dgedit.toml"
    (folder / "repo" / ".git").mkdir()
    assert project_path(inner) is None
    written(folder / "repo" / ".dgedit.toml", "tab_width = 3")
    assert config.current(inner).tab_width == 3
    monkeypatch.setenv("HOME", str(inner))
    assert project_path(inner) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_project_file_of_another_user_is_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(folder / ".dgedit.toml", "tab_width = 2")
    os.chown(path, 12345, 12345)
    assert project_path(folder) is None


def test_place_follows_xdg(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    assert config_path() == folder / "dgedit" / "config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(folder))
    assert config_path() == folder / ".config" / "dgedit" / "config.toml"


def test_set_keeps_the_rest_of_the_file(folder: Path, capfd: Capture) -> None:
    before = '# mine\ntheme = "nord"  # dark\n\n[keys] # mine too\nsave = "f4"\n'
    written(config_path(), before)
    assert run(capfd, "set", "effort", "0.5") == (0, "", "")
    assert config_path().read_text() == "effort = 0.5\n" + before
    assert run(capfd, "set", "theme", "gruvbox") == (0, "", "")
    assert run(capfd, "set", "effort") == (0, "", "")
    assert config_path().read_text() == before.replace("nord", "gruvbox")


def test_set_makes_the_file_and_the_projects(folder: Path, capfd: Capture) -> None:
    assert run(capfd, "set", "soft_wrap", "yes") == (0, "", "")
    assert config_path().read_text() == "soft_wrap = true\n"
    assert run(capfd, "set", "tab_width", "2", "--project") == (0, "", "")
    assert (folder / ".dgedit.toml").read_text() == "tab_width = 2\n"
    assert run(capfd, "set", "rulers", "80, 100") == (0, "", "")
    assert config_path().read_text() == "soft_wrap = true\nrulers = [80, 100]\n"
    assert run(capfd, "set", "line_numbers", "relative") == (0, "", "")
    assert config.current(folder).line_numbers == "relative"
    assert run(capfd, "path") == (0, f"{config_path()}\n", "")
    assert run(capfd, "path", "--project") == (0, f"{folder / '.dgedit.toml'}\n", "")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["efort", "1"], "no key 'efort'; did you mean 'effort'?"),
        (["efort"], "no key 'efort'; did you mean 'effort'?"),
        (["effort", "3"], "effort must be a number from 0 to 1, not 3"),
        (["keys", "x"], "keys is a table: write it into the file"),
        (["theme", "gruvbx"], "no theme 'gruvbx'; did you mean 'gruvbox'?"),
        (["engine", "local", "--project"], "engine can only be set in"),
    ],
)
def test_set_refuses_what_cannot_be_and_changes_nothing(
    folder: Path, capfd: Capture, args: list[str], said: str
) -> None:
    code, out, err = run(capfd, "set", *args)
    assert (code, out, err.count("\n")) == (Exit.USAGE, "", 1) and said in err
    assert not config_path().exists() and not (folder / ".dgedit.toml").exists()


def test_set_refuses_a_file_that_is_wrong_already(folder: Path, capfd: Capture) -> None:
    written(config_path(), "them = 1")
    code, _, err = run(capfd, "set", "effort", "0.5")
    assert code == Exit.USAGE and "no key 'them'" in err
    assert config_path().read_text() == "them = 1"


def test_set_says_what_cannot_be_written(folder: Path) -> None:
    written(folder / "file", "")
    for path in (folder / "file" / "config.toml", folder / "file" / "deeper" / "config.toml"):
        with pytest.raises(DgeditError, match=r"cannot (read|change) .*: Not a directory"):
            config.change("effort", 0.5, path)


def test_show_says_where_each_setting_comes_from(
    folder: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(config_path(), 'theme = "no\\u001brd"\n[keys]\nsave = "f4"')
    monkeypatch.setenv("DGEDIT_EFFORT", "0.25")
    code, out, _ = run(capfd, "show")
    rows = {line.split()[0]: line.split() for line in out.splitlines()}
    assert code == 0 and list(rows) == list(OTHERS)
    assert rows["effort"][1:] == ["0.25", "DGEDIT_EFFORT"]
    assert rows["tab_width"][1:] == ["4", "default"]
    assert rows["keys"][-1] == str(config_path()) and "\x1b" not in out
    code, out, _ = run(capfd, "show", "--json")
    table = json.loads(out)
    assert table["keys"] == {"value": {"save": "f4"}, "from": str(config_path())}
    assert table["theme"]["value"] == "no\x1brd"


def test_settings_are_the_options_defaults(
    folder: Path, capfd: Capture, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.py").write_text("x = <FILL>\n")
    written(folder / ".dgedit.toml", "effort = 0.25")
    assert cli.run(["fill", "a.py"]) == Exit.OK
    assert cli.run(["fill", "a.py", "--effort", "0.75"]) == Exit.OK
    monkeypatch.setenv("DGEDIT_EFFORT", "1")
    assert cli.run(["fill", "a.py"]) == Exit.OK
    assert [request.effort for request in scripted.requests] == [0.25, 0.75, 1.0]


def test_wrong_settings_end_a_command_but_not_help_and_config(
    folder: Path, capfd: Capture, scripted: Any
) -> None:
    (folder / "a.py").write_text("x = <FILL>\n")
    written(config_path(), "efort = 1")
    assert cli.run(["fill", "a.py"]) == Exit.USAGE
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1) and "'efort'; did you mean 'effort'?" in err
    for args in (["--help"], ["fill", "--help"], ["config", "path"], ["--version"]):
        assert cli.run(args) == Exit.OK
    assert scripted.requests == []


def test_settings_load_no_large_library() -> None:
    import subprocess

    code = "import sys, dgedit.config; print(sorted(set(sys.modules) & set(sys.argv[1:])))"
    heavy = ["pydantic", "tomlkit", "torch", "textual", "typer"]
    found = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True)
    assert found.stdout == "[]\n"


def test_value_that_is_no_utf_8_is_not_stored(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("effort = 0.5\n")
    with pytest.raises(UsageError, match=r"theme cannot be .*no UTF-8"):
        config.change("theme", "\udce9", path)
    assert path.read_text() == "effort = 0.5\n"


def test_fault_22_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xef\xbb\xbfeffort = 0.25\n")
    assert config.load(tmp_path / "config.toml") == {"effort": 0.25}
