"""What `dgedit fill` and `dgedit pipe` do with an infill that is in doubt."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from dgedit import cli
from dgedit.errors import Exit
from scripted import Scripted

Capture = pytest.CaptureFixture[bytes]

CODE = b"def f(x):\r\n    return x\r\n\r\n\r\ny = f(1)\r\n"
"""It compiles; `BREAKING` in the place of its second line does not."""
BREAKING = "return (x"

DOUBTS = {
    "breaks the syntax (1 error)": {"faults": (1,), "certainty": (0.9,)},
    "unsure (12%)": {"faults": (0,), "certainty": (0.12,)},
    "did not settle": {"stopped": "cap"},
}


@pytest.fixture
def file(folder: Path) -> Path:
    path = folder / "a.py"
    path.write_bytes(CODE)
    return path


@pytest.fixture(params=DOUBTS)
def doubt(request: pytest.FixtureRequest, scripted: Scripted) -> str:
    """The words for what is wrong with the infill."""
    for name, value in DOUBTS[request.param].items():
        setattr(scripted, name, value)
    return str(request.param)


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


# fill


def test_write_leaves_every_file_as_it_is_and_says_why(
    file: Path, doubt: str, capfdbinary: Capture
) -> None:
    (file.parent / "b.py").write_text("b = <FILL>\n")
    assert cli.run(["fill", "-w", "a.py:2", "b.py"]) == Exit.UNSETTLED
    out, err = capfdbinary.readouterr()
    why = f"a.py:2: {doubt}, b.py:1: {doubt}; nothing was written"
    assert err.decode() == f"dgedit: {why} (--accept-unsettled writes all the same)\n"
    assert (out, file.read_bytes()) == (b"", CODE)
    assert (file.parent / "b.py").read_text() == "b = <FILL>\n"


def test_one_hole_in_doubt_keeps_the_others_from_being_written(
    file: Path, scripted: Scripted, capfdbinary: Capture
) -> None:
    scripted.certainty = (0.9, 0.2)
    assert cli.run(["fill", "-w", "a.py:2", "a.py:5"]) == Exit.UNSETTLED
    assert file.read_bytes() == CODE
    assert b"a.py:5: unsure (20%); nothing" in capfdbinary.readouterr().err


def test_write_writes_what_is_in_doubt_where_it_is_told_to(
    file: Path, doubt: str, capfdbinary: Capture
) -> None:
    assert cli.run(["fill", "-w", "a.py:5", "--accept-unsettled"]) == Exit.OK
    assert file.read_bytes() == CODE.replace(b"y = f(1)", b"filled")
    assert capfdbinary.readouterr() == (b"", b"")


@pytest.mark.parametrize("output", ["--diff", "--print", "--json", "--events", "--span-only"])
def test_what_only_shows_shows_it_and_says_the_doubt(
    file: Path, doubt: str, capfdbinary: Capture, output: str
) -> None:
    assert cli.run(["fill", output, "a.py:2"]) == Exit.UNSETTLED
    out, err = capfdbinary.readouterr()
    why = f"dgedit: a.py:2: {doubt} (--write needs --accept-unsettled to write it)\n"
    assert b"filled" in out and err.decode() == why
    assert cli.run(["fill", output, "a.py:2", "--quiet"]) == Exit.UNSETTLED
    assert capfdbinary.readouterr().err == b""
    assert cli.run(["fill", output, "a.py:2", "--accept-unsettled"]) == Exit.OK
    assert capfdbinary.readouterr().err == b""
    assert file.read_bytes() == CODE


def test_check_tells_a_change_before_it_tells_a_doubt(
    file: Path, doubt: str, scripted: Scripted, capfdbinary: Capture
) -> None:
    assert cli.run(["fill", "--check", "a.py:2"]) == Exit.NO
    assert capfdbinary.readouterr().err.decode().startswith(f"dgedit: a.py:2: {doubt}")
    assert cli.run(["fill", "--check", "--quiet", "a.py:2"]) == Exit.NO
    assert capfdbinary.readouterr() == (b"", b"")
    scripted.texts = ("y = f(1)",)
    assert cli.run(["fill", "--check", "a.py:5"]) == Exit.OK


def test_hole_that_stays_as_it_is_may_be_in_doubt(
    file: Path, doubt: str, scripted: Scripted, capfdbinary: Capture
) -> None:
    scripted.texts = ("def f(x):\n    return x",)
    assert cli.run(["fill", "-w", "a.py:1-2"]) == Exit.OK
    assert (file.read_bytes(), capfdbinary.readouterr()) == (CODE, (b"", b""))


def test_json_has_the_doubt_of_each_hole(
    file: Path, scripted: Scripted, capfdbinary: Capture
) -> None:
    scripted.certainty, scripted.faults = (0.9, 0.2), (0,)
    assert cli.run(["fill", "--json", "a.py:2", "a.py:5"]) == Exit.UNSETTLED
    holes = json.loads(capfdbinary.readouterr().out)["holes"]
    assert [hole["doubt"] for hole in holes] == [None, "unsure (20%)"]
    assert [hole["candidates"][0]["certainty"] for hole in holes] == [0.9, 0.2]


@pytest.mark.parametrize("way", ["option", "variable", "file"])
def test_caution_comes_from_an_option_or_a_setting(
    file: Path,
    scripted: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: Capture,
    way: str,
) -> None:
    scripted.certainty = (0.6,)
    assert cli.run(["fill", "a.py:2"]) == Exit.OK
    args = ["fill", "a.py:2"]
    if way == "option":
        args += ["--caution", "0.61"]
    elif way == "variable":
        monkeypatch.setenv("DGEDIT_CAUTION", "0.61")
    else:
        assert cli.run(["config", "set", "caution", "0.61"]) == Exit.OK
    assert cli.run(args) == Exit.UNSETTLED
    assert b"unsure (60%)" in capfdbinary.readouterr().err


@pytest.mark.parametrize("command", ["fill a.py:2", "pipe", "watch --once"])
@pytest.mark.parametrize("value", ["2", "-0.1", "nan"])
def test_caution_that_cannot_be_is_one_line(
    file: Path,
    scripted: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: Capture,
    command: str,
    value: str,
) -> None:
    feed(monkeypatch, b"<FILL>")
    assert cli.run([*command.split(), "--caution", value]) == Exit.USAGE
    assert capfdbinary.readouterr().err.decode() == (
        f"dgedit: --caution must be between 0 and 1, not {value}\n"
    )
    assert not scripted.requests


# pipe


def test_pipe_gives_the_text_back_and_says_why(
    doubt: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    for args, name in (([], "stdin"), (["--stdin-filename", "b.py"], "b.py")):
        feed(monkeypatch, CODE)
        assert cli.run(["pipe", "--range", "2", *args]) == Exit.UNSETTLED
        out, err = capfdbinary.readouterr()
        why = f"dgedit: {name}:2: {doubt}; nothing was written"
        assert out == CODE
        assert err.decode() == f"{why} (--accept-unsettled writes all the same)\n"


def test_pipe_gives_nothing_back_where_it_is_to_fail(
    doubt: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    feed(monkeypatch, CODE)
    assert cli.run(["pipe", "--range", "2", "--on-error", "fail"]) == Exit.UNSETTLED
    assert capfdbinary.readouterr().out == b""


def test_pipe_gives_what_is_in_doubt_where_it_is_told_to(
    doubt: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    feed(monkeypatch, CODE)
    assert cli.run(["pipe", "--range", "5", "--accept-unsettled"]) == Exit.OK
    assert capfdbinary.readouterr() == (CODE.replace(b"y = f(1)", b"filled"), b"")


# All that write


def test_infill_that_breaks_a_file_that_compiles_is_written_by_nobody(
    file: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    scripted.texts, scripted.faults, scripted.certainty = (BREAKING,), (1,), (0.99,)
    compile(file.read_bytes(), "a.py", "exec")
    with pytest.raises(SyntaxError):
        compile(CODE.replace(b"return x", BREAKING.encode()), "a.py", "exec")
    assert cli.run(["fill", "-w", "a.py:2"]) == Exit.UNSETTLED
    assert file.read_bytes() == CODE
    feed(monkeypatch, CODE)
    capfdbinary.readouterr()
    assert cli.run(["pipe", "--range", "2"]) == Exit.UNSETTLED
    assert capfdbinary.readouterr().out == CODE
    marked = CODE.replace(b"return x", b"return x  # MARK")
    file.write_bytes(marked)
    compile(marked, "a.py", "exec")
    assert cli.run(["watch", "--once", "--marker", "# MARK"]) == Exit.UNSETTLED
    assert file.read_bytes() == marked
