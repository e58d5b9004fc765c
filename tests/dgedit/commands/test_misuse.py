"""Command lines that cannot be: one line, with what was given, where, and whose help says more."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from dgedit import cli
from dgedit.errors import Exit
from scripted import Scripted

Capture = pytest.CaptureFixture[str]
FILL = " (try dgedit fill --help)"


@pytest.fixture(autouse=True)
def file(folder: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = folder / "a.py"
    path.write_text("<FILL>\ndef f():\n    return 1\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x")))
    return path


def said(args: str, capfd: Capture, code: Exit = Exit.USAGE) -> str:
    assert cli.run(args.split(" ")) == code
    err = capfd.readouterr().err
    assert err.startswith("dgedit: ") and err.count("\n") == 1
    return err.removeprefix("dgedit: ").removesuffix("\n")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("fill a.py --effort high", "--effort must be a number, not 'high'" + FILL),
        ("fill a.py --effort=", "--effort must be a number, not ''" + FILL),
        ("fill a.py --steps 1.5", "--steps must be a whole number, not '1.5'" + FILL),
        (
            "fill a.py --color blue",
            "--color must be 'auto', 'always' or 'never', not 'blue'" + FILL,
        ),
        ("fill a.py --effort", "--effort needs a value" + FILL),
        ("fill a.py -m", "-m needs a value" + FILL),
        ("fill a.py --quiet=3", "--quiet takes no value" + FILL),
        ("fill a.py --efort 1", "no option --efort; did you mean --effort?" + FILL),
        ("fill a.py --nope", "no option --nope" + FILL),
        ("fill a.py -qz", "no option -z" + FILL),
        ("fill", "no FILE is given" + FILL),
        ("fill a.py --time 0", "--time must be more than 0, not 0"),
        ("fill a.py --candidates 65", "candidates must be at most 64, not 65"),
        ("fill a.py --steps 10001", "steps must be at most 10000, not 10001"),
        ("watch --debounce -5", "--debounce must be a whole number of at least 0, not '-5'"),
        ("bench --minutes x", "--minutes must be a number of at least 0.01, not 'x'"),
        ("bench --weights x", "--weights must be random, not 'x'"),
        ("bench --quant x", "--quant must be 'bf16', 'e4m3', 'e2m1' or 'int4', not 'x'"),
        ("eval --limit x", "--limit must be a whole number, not 'x' (try dgedit eval --help)"),
        ("a.py --nope", "no option --nope (try dgedit edit --help)"),
        ("edit", "no FILE is given (try dgedit edit --help)"),
        ("doctor x", "unexpected 'x' (try dgedit doctor --help)"),
        ("pipe a.py", "unexpected 'a.py' (try dgedit pipe --help)"),
        ("model info", "no NAME is given (try dgedit model info --help)"),
        ("model info nano --kv x", "--kv must be 'bf16' or 'fp8', not 'x' (try dgedit model info"),
        ("model use", "no NAME is given (try dgedit model use --help)"),
        ("model inof", "no command 'inof'; did you mean 'info'? (try dgedit model --help)"),
        ("config -", "no command '-' (try dgedit config --help)"),
        ("config --", "no COMMAND is given (try dgedit config --help)"),
        ("config set", "no KEY is given (try dgedit config set --help)"),
        ("config set keys x", "keys is a table: write it into the file"),
        ("engine strat", "no command 'strat'; did you mean 'start'? (try dgedit engine --help)"),
        ("engine run --idle 0", "--idle must be a number of at least 0.1, not '0' (try dgedit eng"),
        ("--version x", "no command 'x' (try dgedit --help)"),
        ("fill -", "no such file: - (dgedit pipe fills standard input)"),
    ],
)
def test_misuse_is_one_line_with_the_value_and_the_help(
    capfd: Capture, args: str, words: str
) -> None:
    assert words in said(args, capfd)


@pytest.mark.parametrize("group", ["model", "config", "engine"])
def test_group_alone_says_what_is_in_it(capfd: Capture, group: str) -> None:
    assert cli.run([group]) == Exit.OK
    out, err = capfd.readouterr()
    assert (out.startswith(f"Usage: dgedit {group} "), err) == (True, "")
    assert "\nCommands:\n" in out


def test_word_that_is_nearly_a_command_opens_no_empty_file(
    capfd: Capture, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[list[Path]] = []
    monkeypatch.setattr("dgedit.tui.start.run", lambda files, **more: opened.append(files) or 0)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    words = "no command and no file 'fil'; did you mean 'fill'? ./fil makes the file"
    assert said("fil a.py", capfd) == words
    for args in ("./fil", "fil.py", "notes"):
        assert cli.run([args]) == Exit.OK
    file.rename("fil")
    assert cli.run(["fil"]) == Exit.OK
    assert opened == [[Path(one)] for one in ("fil", "fil.py", "notes", "fil")]


@pytest.mark.parametrize(
    "args", ["config.py", "edit.c", "--model nano config.py", "--engine local config.py"]
)
def test_file_and_option_named_nearly_like_a_command_are_no_slip(
    folder: Path, monkeypatch: pytest.MonkeyPatch, args: str
) -> None:
    opened: list[list[Path]] = []
    monkeypatch.setattr("dgedit.tui.start.run", lambda files, **more: opened.append(files) or 0)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    assert cli.run(args.split()) == Exit.OK
    assert opened == [[Path(args.split()[-1])]]


@pytest.mark.parametrize(
    "args",
    [
        *("fill a.py --device gpu", "a.py --device gpu", "model info nano --device gpu"),
        *("engine start --device gpu", "bench --device gpu", "eval --device gpu"),
        *("engine run --device gpu", "watch --device gpu", "pipe --device gpu"),
    ],
)
def test_device_that_there_is_nowhere_is_named(capfd: Capture, args: str) -> None:
    assert said(args, capfd) == "no device 'gpu': auto, cpu, cuda, cuda:0 … or mps"


def test_device_in_a_setting_is_checked_as_in_an_option(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    words = "device must be auto, cpu, cuda, cuda:0 … or mps, not 'gpu'"
    assert said("config set device gpu", capfd).endswith(f"config.toml: {words}")
    place = folder / "config" / "dgedit" / "config.toml"
    place.parent.mkdir(parents=True)
    place.write_text('device = "gpu"\n')
    monkeypatch.setenv("DGEDIT_DEVICE", "gpu")
    assert said("fill a.py", capfd) == f"DGEDIT_DEVICE: {words}"
    monkeypatch.delenv("DGEDIT_DEVICE")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    assert said("fill a.py", capfd) == f"{place}: {words}"


@pytest.mark.parametrize(
    ("option", "setting", "device"),
    [
        ("", "", None),
        ("", "auto", ""),
        ("", "cuda:1", "cuda:1"),
        ("auto", "cuda", ""),
        ("mps", "auto", "mps"),
    ],
)
def test_engine_chooses_the_device_for_auto(
    monkeypatch: pytest.MonkeyPatch, option: str, setting: str, device: str | None
) -> None:
    asked: list[str | None] = []

    def connect(model: str | None, device: str | None, **more: object) -> Scripted:
        asked.append(device)
        return Scripted()

    monkeypatch.setattr("dgedit.engines.connect.connect", connect)
    monkeypatch.setenv("DGEDIT_DEVICE", setting)
    assert cli.run(["fill", "a.py", *(["--device", option] if option else [])]) == Exit.OK
    assert asked == [device]


def test_name_in_a_text_without_one_asks_for_the_files(capfd: Capture) -> None:
    words = "--range ::f needs --stdin-filename, which tells the language"
    assert said("pipe --range ::f", capfd) == words


@pytest.mark.parametrize("text", ["<FILL: what\nis>", "<FILL: a < b>", "<FILL: not at its end"])
def test_marker_that_is_not_closed_is_told_with_its_line(
    capfd: Capture, file: Path, text: str
) -> None:
    file.write_text(f"x = 1\n{text}\n")
    words = "<FILL: at line 2 of a.py is not closed by a >"
    assert said("fill a.py", capfd, Exit.INPUT) == words


def test_marker_of_one_sign_has_no_beginning(capfd: Capture, file: Path) -> None:
    file.write_text("x: y\n")
    assert "a.py has no >" in said("fill a.py --marker >", capfd, Exit.INPUT)
