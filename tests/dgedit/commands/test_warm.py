"""`dgedit model warm`: what it says, what is compiled, and how it refuses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dgedit import cli
from dgedit.commands import warm
from dgedit.errors import Exit
from dgedit_engine.warming import compiling, prepare
from dgedit_engine.warming.compiling import Compiled
from fakebase import without_base

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    without_base(monkeypatch)


def run(capfd: Capture, *words: str) -> tuple[int, str, str]:
    code = cli.run(["model", "warm", *words])
    out, err = capfd.readouterr()
    return code, out, err


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is compiled, which is not: the last kernel fails."""
    seen: list[Any] = []

    def compile_all(launches: Any, target: int, *, failed: list[str]) -> Iterator[Compiled]:
        seen.append((launches, target))
        yield Compiled(0, len(launches))
        failed.append(launches[-1].kernel)
        yield Compiled(len(launches), len(launches))

    monkeypatch.setattr(compiling, "compile_all", compile_all)
    return seen


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("gone --target 90", Exit.ENGINE, "no such model: gone"),
        ("gone", Exit.ENGINE, "no such model: gone"),
        ("tiny", Exit.ENGINE, "no GPU is here, and on a CPU no kernel is compiled"),
        ("tiny --device cpu", Exit.ENGINE, "no GPU is here, and on a CPU no kernel is compiled"),
        ("tiny --device cuda:9", Exit.ENGINE, "device cuda:9"),
        ("tiny --target 70", Exit.USAGE, "--target must be '80', '89', '90' or '120'"),
        ("", Exit.USAGE, "NAME"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_code(
    capfd: Capture, asked: list[Any], words: str, code: int, said: str
) -> None:
    found, out, err = run(capfd, *words.split())
    assert (found, out, asked) == (code, "", [])
    assert said in err and err.startswith("dgedit: ") and err.count("\n") == 1


@pytest.mark.parametrize("words", ["tiny", "tiny --target 90"])
def test_without_triton_it_says_what_to_install(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    code, out, err = run(capfd, *words.split())
    assert (code, out) == (Exit.ENGINE, "")
    assert err == "dgedit: triton is not installed, so no kernel is compiled: pip install triton\n"


def test_a_card_that_is_not_here_is_compiled_for(
    capfd: Capture, asked: list[Any], tmp_path: Path
) -> None:
    code, out, err = run(capfd, "tiny", "--target", "89")
    ((launches, target),) = asked
    assert (code, target) == (0, 89) and len(launches) > 50
    assert out == f"tiny: {len(launches) - 1} kernels for sm_89, kept in {tmp_path / 'cache'}\n"
    name = launches[-1].kernel
    assert err == f"dgedit: 1 did not compile, and are tried again when used: {name}\n"


def test_it_is_offered_where_there_is_a_card(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm.offer("little")
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(prepare, "refusal", lambda: "")
    warm.offer("little")
    words = "dgedit: dgedit model warm little compiles its kernels; the first fill would\n"
    assert capfd.readouterr() == ("", words)
    made: list[str] = []
    monkeypatch.setattr(warm, "warm", made.append)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    for answer in (True, False):
        monkeypatch.setattr("typer.confirm", lambda *_, answer=answer, **__: answer)
        warm.offer("little")
    assert made == ["little"]
