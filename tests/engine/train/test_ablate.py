"""The list of ablations, run with a tiny model for a few steps each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dgedit_engine.train import __main__ as trainer
from dgedit_engine.train.ablate import VARIATIONS, main, table


def arguments(data: Path, out: Path, *more: str) -> list[str]:
    paths = ["--work", str(out), "--log", str(out / "log.md"), "--corpus", str(data)]
    paths += ["--tokenizer", str(data / "tokenizer.json"), "--shape", "64x16", "--size", "tiny"]
    return [*paths, "--steps", "1", "--tokens", "128", "--batches", "1", "--fp32", *more]


def test_every_variation_runs_and_is_measured(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(data, tmp_path)) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["run"] for row in rows] == [variation.name for variation in VARIATIONS]
    assert all(set(row) >= {"causal", "canvas", "text", "from_noise"} for row in rows)
    assert all(row["steps"] == 1 and row["tokens"] > 128 for row in rows)


def test_results_are_appended_to_the_log(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(arguments(data, tmp_path, "--only", "recipe")) == 0
    log = (tmp_path / "log.md").read_text().splitlines()
    assert len(log) == 2 * 4 and log[:4] == log[4:]
    assert json.loads(log[-1])[0]["run"] == "recipe"


def test_only_some_variations_and_further_tokenizers(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    other.write_bytes((data / "tokenizer.json").read_bytes())
    command = arguments(data, tmp_path, "--only", "recipe", "tokenizer-other")
    command.insert(command.index("--tokenizer") + 2, str(other))
    assert main(command) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["run"] for row in rows] == ["recipe", "tokenizer-other"]


def test_unknown_variation_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(data, tmp_path, "--only", "clean-2")) == 2
    assert capsys.readouterr().err.startswith("ablate: no variation clean-2; there are recipe,")


def test_failed_run_has_a_row_and_the_list_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train = trainer.main

    def sometimes(given: list[str]) -> int:
        return trainer.NO_ROOM if "--clean" in given else train(given)

    monkeypatch.setattr(trainer, "main", sometimes)
    assert main(arguments(data, tmp_path, "--only", "clean-0.15", "recipe")) == 1
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "failed" not in rows[0] and rows[1] == {"run": "clean-0.15", "failed": "exit code 4"}
    shown = table(rows).splitlines()[-1]
    assert (
        shown.endswith("| exit code 4 |")
        and shown.count("|") == table(rows[:1] + rows).count("|") // 5
    )
