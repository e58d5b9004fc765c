"""The command `dgedit bench`: its options, and what is handed on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dgedit import cli
from dgedit_engine.bench import __main__ as bench


def test_bench_hands_its_options_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(bench, "main", lambda words: seen.append(words) or 0)
    assert cli.run(["bench", "--shape", "26b", "--weights", "random", "--quant", "e2m1"]) == 0
    assert cli.run(["bench", "--model", "tiny", "--rounds", "3", "--threads", "2"]) == 0
    assert cli.run(["bench", "--model", "tiny", "--adapter", str(tmp_path)]) == 0
    assert cli.run(["bench", "--model", "tiny", "--adapter", "none/there"]) == 5
    for words in seen:
        bench._parser().parse_args(words)
    assert {"--shape=26b", "--quant=e2m1"} <= set(seen[0])
    assert {"--model=tiny", "--rounds=3", "--threads=2"} <= set(seen[1])
    assert f"--adapter={tmp_path}" in seen[2] and len(seen) == 3


def test_bench_hands_its_exit_code_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "main", lambda words: 5)
    assert cli.run(["bench", "--shape", "small"]) == 5


@pytest.mark.parametrize(
    "words",
    [("--weights", "trained"), ("--shape", "27b"), ("--quant", "int3")],
)
def test_unusable_options_are_named(
    words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["bench", "--shape", "small", *words]) == 2
    assert words[1] in capsys.readouterr().err


def test_bench_ends_in_json(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--shape", "small", "--prompt", "128", "--minutes", "0.01", "--device", "cpu"]
    assert cli.run(["bench", *words]) == 0
    assert json.loads(capfd.readouterr().out.splitlines()[-1])["shape"] == "small"
