"""The whole path with the embedded model: a masked range through the engine, back into the file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dgedit.cli import run
from dgedit_engine.nano.names import TINY

CODE = "def mean(values):\n    total = sum(values)\n    return total / len(values)\n"
HOLED = CODE.replace("total / len(values)", "<FILL>")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mean.py"
    path.write_text(HOLED)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the embedded model, to be spoilt."""
    folder = tmp_path / "model"
    shutil.copytree(TINY, folder)
    return folder


def test_fill_prints_a_diff_that_applies_and_writes_nothing(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert (code := run(["fill", "mean.py", "--seed", "3"])) in (0, 6)
    diff, said = capfd.readouterr()
    assert said.count("\n") == (code == 6) and file.read_text() == HOLED
    subprocess.run(["git", "apply"], input=diff, text=True, check=True)
    text = file.read_text()
    assert text != HOLED and "<FILL>" not in text
    before, after = HOLED.split("<FILL>")
    assert text.startswith(before) and text.endswith(after)


def test_fill_of_the_same_seed_is_the_same(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    answers = []
    for seed in ("1", "1", "2"):
        assert run(["fill", "mean.py:3", "--span-only", "--seed", seed]) in (0, 6)
        answers.append(capfd.readouterr().out)
    assert answers[0] == answers[1] != answers[2]


def test_events_end_in_the_infill_that_json_reports(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = run(["fill", "mean.py", "--json"])
    report = json.loads(capfd.readouterr().out)
    assert code == (6 if any(hole["doubt"] for hole in report["holes"]) else 0)
    run(["fill", "mean.py", "--events"])
    steps = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [step["last"] for step in steps] == [False] * (len(steps) - 1) + [True]
    assert len(steps) == report["steps"]
    assert "".join(steps[-1]["drafts"][0]["pieces"]) == report["holes"][0]["text"]


def test_several_holes_of_two_files_are_filled_together(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = file.with_name("other.py")
    other.write_text("x = <FILL>\ny = <FILL>\n")
    assert run(["fill", "mean.py", "other.py", "-w", "--accept-unsettled"]) == 0
    assert "<FILL>" not in file.read_text() + other.read_text()
    assert capfd.readouterr().out == ""


def test_strength_zero_changes_nothing(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = file.read_bytes()
    assert run(["fill", "mean.py:1-2", "--strength", "0", "--check"]) == 0
    assert run(["fill", "mean.py", "--strength", "0", "-w"]) == 0  # a marker stays
    assert capfd.readouterr().out == "" and file.read_bytes() == before


def test_pipe_fills_stdin_and_keeps_stderr_empty(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dgedit", "pipe", "--stdin-filename", "mean.py"]
    command.append("--accept-unsettled")
    text = HOLED.replace("\n", "\r\n").encode()
    started = time.monotonic()
    done = subprocess.run(command, input=text, capture_output=True, cwd=tmp_path, check=False)
    assert done.returncode == 0 and done.stderr == b""
    before, after = text.split(b"<FILL>")
    assert done.stdout.startswith(before) and done.stdout.endswith(after)
    assert time.monotonic() - started < 60  # a hang; speed is the bench's business


def spoil_weights(folder: Path) -> str:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    return "model.safetensors"


def remove_weights(folder: Path) -> str:
    (folder / "model.safetensors").unlink()
    return "model.safetensors does not exist"


def change_architecture(folder: Path) -> str:
    config = json.loads((folder / "config.json").read_text())
    config |= {"architectures": ["MistralForCausalLM"], "model_type": "mistral"}
    (folder / "config.json").write_text(json.dumps(config))
    return "MistralForCausalLM"


@pytest.mark.parametrize("spoil", [spoil_weights, remove_weights, change_architecture])
def test_unusable_model_is_one_line_and_exit_5(
    spoil: object, file: Path, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert callable(spoil)
    named = spoil(model)
    assert run(["fill", "mean.py", "-w", "--model", str(model)]) == 5
    out, said = capfd.readouterr()
    assert out == "" and said.count("\n") == 1 and named in said
    assert file.read_text() == HOLED


def test_interrupt_in_the_middle_leaves_the_file(file: Path) -> None:
    command = [sys.executable, "-m", "dgedit", "fill", "mean.py", "--events", "--steps", "500"]
    process = subprocess.Popen(
        [*command, "--entropy-bound", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["index"] == 1  # the engine is at work
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said == b""
    assert file.read_text() == HOLED
