"""Completion: a shell asks the program how a line may go on, and how to ask it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dgedit import cli
from dgedit.errors import Exit

Capture = pytest.CaptureFixture[bytes]


def completed(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture, shell: str, line: str
) -> list[str]:
    monkeypatch.setenv("_DGEDIT_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", line.replace(" ", "\n"))
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    assert cli.run([]) == Exit.OK
    out, err = capfdbinary.readouterr()
    assert err == b""
    return out.decode().splitlines()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("dgedit fi", ["fill"]),
        ("dgedit fill --int", ["--interactive"]),
        ("dgedit model pu", ["pull"]),
        ("dgedit some.py --mo", ["--model"]),
        ("dgedit som", []),  # bash goes on with files
        ("dgedit fill som", []),
    ],
)
def test_bash_is_told_commands_and_options(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture, line: str, words: list[str]
) -> None:
    assert [word for word in completed(monkeypatch, capfdbinary, "bash", line) if word] == words


def test_other_shells_are_told_what_options_do(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: Capture
) -> None:
    line = "dgedit fill --w"
    assert completed(monkeypatch, capfdbinary, "fish", line) == ["--write\tChange the files."]
    assert completed(monkeypatch, capfdbinary, "zsh", line) == [
        """_arguments '*: :(("--write":"Change the files."))'"""
    ]


def test_bash_completes_with_the_script_that_is_shown(tmp_path: Path) -> None:
    program = tmp_path / "dgedit"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dgedit "$@"\n')
    program.chmod(0o755)
    script = """
eval "$(dgedit --show-completion)"
COMP_WORDS=(dgedit fill --inter) COMP_CWORD=2
_dgedit_completion dgedit
echo "${COMPREPLY[@]}"
dgedit --install-completion > said
"""
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        cwd=tmp_path,
        env=os.environ
        | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
        | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"--interactive\n", b"")
    installed = tmp_path / ".bash_completions" / "dgedit.sh"
    assert str(installed) in (tmp_path / ".bashrc").read_text()
    assert "complete -o default -F _dgedit_completion dgedit" in installed.read_text()
