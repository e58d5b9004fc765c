"""Plain values are taken as they are, and come out as typer would have made them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.core import TyperCommand

from dgedit.commands import coercion
from dgedit.commands.coercion import Quick

Color = Literal["auto", "never"]


def call(cls: type[TyperCommand], words: list[str], settings: dict[str, Any]) -> str:
    """What a command of every kind of option gets, or what is said to whoever called it so."""
    app, got = typer.Typer(add_completion=False), []

    @app.command(cls=cls)
    def command(
        names: Annotated[list[str] | None, typer.Argument()] = None,
        share: float = 0.5,
        time: Annotated[float | None, typer.Option(min=0.1)] = None,
        count: int | None = None,
        word: str = "",
        path: Path | None = None,
        paths: Annotated[list[Path] | None, typer.Option()] = None,
        there: Annotated[Path | None, typer.Option(exists=True)] = None,
        color: Color = "auto",
        flag: bool = False,
    ) -> None:
        got.append((names, share, time, count, word, path, paths, there, color, flag))
        got.append([type(one) for one in got[0]])

    one = typer.main.get_command(app)
    try:
        with one.make_context("command", [*words], default_map=settings) as context:
            one.invoke(context)
    except typer.TyperException as error:
        return error.format_message()
    return repr(got)  # numbers that are none differ from themselves


@pytest.mark.parametrize(
    "words",
    [
        "",
        "a b",
        "--share=1 --count=-3 --word=x --path=a/../b --flag --color=never",
        "--share=-0.25 --count=007 --path= --paths=a --paths=b",
        "--share=1e-2",
        "--share=nan",
        "--share=x",
        "--share= 1",
        "--share=٣",
        "--count=1.0",
        "--count=1_000",
        "--count=99999999999999999999999",
        "--time=0.5",
        "--time=0",
        "--there=/nowhere",
        "--there=/",
        "--color=red",
        "--color=NEVER",
        "--nothing=1",
    ],
)
def test_values_come_out_as_typers_own(words: str) -> None:
    split = words.replace("= ", "=\0").split(" ")
    given = [word.replace("\0", " ") for word in split if word]
    assert call(Quick, given, {}) == call(TyperCommand, given, {})


@pytest.mark.parametrize(
    "settings",
    [
        {"share": 1, "color": "never", "word": "w"},
        {"share": "0.25", "count": "3"},
        {"share": True},
        {"color": "red"},
        {"word": 3},
        {"paths": ["a"]},
    ],
)
def test_settings_come_out_as_typers_own(settings: dict[str, Any]) -> None:
    assert call(Quick, [], dict(settings)) == call(TyperCommand, [], dict(settings))


def test_comparison_is_of_two_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is plain does not come to typer, or the tests above would compare it with itself."""

    def never(self: object) -> None:
        raise AssertionError("asked typer")

    monkeypatch.setattr("typer.core._TyperParameter.get_runtime_param", never)
    with pytest.raises(AssertionError):
        call(TyperCommand, ["--share=1"], {})
    monkeypatch.undo()
    monkeypatch.setattr(coercion, "_plain", lambda value, kind: None)
    assert call(Quick, ["--share=1"], {}) == call(TyperCommand, ["--share=1"], {})


@pytest.mark.parametrize("words", ["fill nowhere.py:1 --effort 0.5", "pipe --stdin-filename a.py"])
def test_commands_that_fill_load_no_pydantic(words: str) -> None:
    code = "import sys; from dgedit import cli; cli.run(sys.argv[1:])\n"
    code += "assert 'pydantic' not in sys.modules and 'rich' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", code, *words.split()],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert (done.returncode, "AssertionError" in done.stderr) == (0, False), done.stderr
