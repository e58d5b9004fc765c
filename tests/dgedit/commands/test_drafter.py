"""The command line with two models, of which one drafts and the other corrects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dgedit import cli
from dgedit.errors import Exit
from masked import dcoder, pair

Capture = pytest.CaptureFixture[str]
MODELS = ("--model", "./masked", "--drafter", "./drafter")


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    pair(folder)
    dcoder(folder / "other")
    return folder


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, folder: Path, twins: Path) -> None:
    monkeypatch.setattr("dgedit_engine.decode.search.LONGEST", 12)
    monkeypatch.setattr("dgedit_engine.decode.window.LENGTHS", (4,))
    # random weights hardly end an infill by a mark: here they may end it anywhere
    monkeypatch.setattr("dgedit_engine.prompt.fim.FAMILIES", {})
    for name in ("masked", "drafter", "other"):
        (folder / name).symlink_to(twins / name)
    (folder / "a.py").write_text("x = [1, <FILL>]\n")


def run(capfd: Capture, *words: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = cli.run([*words])
    return code, *capfd.readouterr()


def steps(capfd: Capture, *options: str) -> list[dict[str, Any]]:
    """The steps of a fill, of which random weights may make no Python."""
    options = ("--device", "cpu", "--events", "--seed", "3", *options)
    code, out, err = run(capfd, "fill", "a.py", *options)
    assert code in (Exit.OK, Exit.UNSETTLED) and "Traceback" not in err, err
    return [json.loads(line) for line in out.splitlines()]


def test_one_drafts_and_the_other_corrects(capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    found = steps(capfd, *MODELS, "--candidates", "2")
    phases = [one["phase"] for one in found]
    assert phases[0] == "draft" and phases == sorted(phases) and found[-1]["last"]
    last = [one for one in found if one["phase"] == "draft"][-1]
    drafted = ["".join(one["draft"]["pieces"]) for one in last["candidates"][0]]
    assert "".join(last["drafts"][0]["pieces"]) == drafted[0]
    offered: dict[str, list[str]] = {"draft": [], "revised": []}
    for one in found[-1]["candidates"][0]:
        offered[one["origin"]].append("".join(one["draft"]["pieces"]))
    assert offered["draft"] and set(offered["draft"]) <= set(drafted)
    assert offered["revised"] and not {*offered["revised"]} & {*drafted}
    plain = steps(capfd, "--model", "./masked")
    assert all(one["phase"] == "refine" for one in plain)
    monkeypatch.setenv("DGEDIT_MODEL", "./masked")
    monkeypatch.setenv("DGEDIT_DRAFTER", "./drafter")
    assert steps(capfd, "--candidates", "2")[-1]["drafts"] == found[-1]["drafts"]
    assert steps(capfd, "--drafter", "")[-1]["drafts"] == plain[-1]["drafts"]


def test_time_ends_what_would_never_settle(capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgedit_engine.decode.correcting._ROUNDS", 1 << 40)
    found = steps(capfd, *MODELS, "--time", "0.2")
    assert found[-1]["last"]  # the best so far, which was never ranked beside its correction
    assert all(one["origin"] != "revised" for some in found[-1]["candidates"] for one in some)


def test_what_cannot_draft_is_a_line_and_an_exit_code(capfd: Capture) -> None:
    options = ("--device", "cpu", "--model", "./masked", "--drafter")
    for name, words in {
        "tiny": "a drafter reads from left to right",
        "./other": "a drafter reads from left to right",
        "./nowhere": "nowhere",
    }.items():
        code, out, err = run(capfd, "fill", "a.py", *options, name)
        assert code == Exit.ENGINE and not out and words in err and len(err.splitlines()) == 1
    options = ("--device", "cpu", "--model", "./drafter", "--drafter", "./drafter")
    code, _, err = run(capfd, "fill", "a.py", *options)
    assert code == Exit.ENGINE and "drafter drafts by itself" in err and err.count("\n") == 1
    code, _, err = run(capfd, "fill", "a.py", "--engine", "http://127.0.0.1:9", "--drafter", "x")
    assert code == Exit.USAGE and "--drafter writes for a model here" in err
