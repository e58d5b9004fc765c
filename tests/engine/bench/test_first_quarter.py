"""The script that runs first on a GPU: every part has its clock, and none stops the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "engine/first_quarter.sh"


def ran(out: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    given = {"OUT": str(out), "SHAPE": "small", "MINUTES": "0", "PYTHON": sys.executable}
    environment = {**os.environ, "TRITON_CACHE_DIR": str(out / "triton"), **given, **more}
    command = ["bash", str(SCRIPT), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_parts_run_here_and_say_how_they_ended(tmp_path: Path) -> None:
    done = ran(tmp_path, "1", DEVICE="cpu", SKIP="tests bench")
    *_, tests, bench, whole = done.stdout.splitlines()
    assert (tests, bench) == ("tests: left out", "bench: left out")
    assert whole.startswith("end-to-end: code 0 after ") and whole.endswith(" of 150 s")
    assert '"left_out": 16' in (tmp_path / "end-to-end.txt").read_text()
    assert (tmp_path / "ended-1.txt").read_text().splitlines() == [tests, bench, whole]


@pytest.mark.slow
def test_a_part_that_fails_stops_no_other(tmp_path: Path) -> None:
    done = ran(tmp_path, "2", DEVICE="moon")
    ended = done.stdout.splitlines()[-3:]
    names = [line.partition(" after")[0] for line in ended]
    assert names == [f"bench-{quant}: code 5" for quant in ("bf16", "e4m3", "int4")]


def test_a_wrong_word_is_one_line(tmp_path: Path) -> None:
    done = ran(tmp_path, "3")
    assert done.returncode == 2 and done.stderr == "first_quarter.sh: say 1 or 2\n"
