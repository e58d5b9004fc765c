"""`dgedit model list --available`, `pull` by short names, and what the doctor says of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dgedit import cli
from dgedit.doctor import fitting
from dgedit.errors import Exit
from dgedit.models import store as models
from dgedit.models.known import KNOWN, known
from fakehub import serving

Capture = pytest.CaptureFixture[str]


def run(capfd: Capture, *words: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = cli.run([*words])
    return code, *capfd.readouterr()


def test_table_has_a_line_for_each(capfd: Capture) -> None:
    code, out, _ = run(capfd, "model", "list", "--available")
    assert code == Exit.OK
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1 : len(KNOWN) + 1]] == [one.name for one in KNOWN]
    assert "for research alone" in next(line for line in lines if line.startswith("diffucoder"))
    assert all(len(line) <= 110 for line in lines)
    code, out, _ = run(capfd, "model", "list", "--available", "--json")
    found = json.loads(out)
    assert {one["source"] for one in found if one["score"]} and len(found) == len(KNOWN)


def test_short_name_is_pulled_under_it(capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    one = known("diffucoder")
    assert one is not None
    with serving({"config.json": b"{}", "model.safetensors": b"x"}, one.repo) as hub:
        hub.become_the_hub(monkeypatch)
        code, _, err = run(capfd, "model", "pull", "diffucoder")
    # the hub has something else in its place: it was asked, and refused by its configuration
    assert code == Exit.ENGINE and "architecture" in err
    assert "licence Apple's, for research alone: read it before you use it" in err
    assert not models.placed("diffucoder").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [("dreamo", "did you mean dreamon? "), ("zzz", "no short name zzz: dgedit model list")],
)
def test_other_names_are_refused(capfd: Capture, name: str, words: str) -> None:
    code, _, err = run(capfd, "model", "pull", name)
    assert code == Exit.USAGE and words in err


@pytest.mark.parametrize(
    ("gpus", "free", "words"),
    [
        ([{"free": 11e9}], 1, "dreamon fits the GPU best, 9.5 GB at 8 bits: 90.8% of single lines"),
        ([], 16e9, "qwen-coder-0.5b fits the CPU best, 2.2 GB at 8 bits"),
        ([], 1e9, "none of the larger ones fits 1.0 GB: nano"),
    ],
)
def test_doctor_names_what_fits(
    monkeypatch: pytest.MonkeyPatch, gpus: list[Any], free: float, words: str
) -> None:
    monkeypatch.setattr("dgedit_engine.memory.available.least", lambda: int(free))
    finding = fitting.models({"gpus": gpus})
    assert (finding.name, finding.state) == ("models", "ok") and words in finding.what
    assert fitting.models({"late": "not known"}).state == "ok"
