"""The command line with Gemma 4: as a model, by the causal reading alone, and as a verifier."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from dgedit import cli
from dgedit.engines.connect import connect
from dgedit.errors import Exit
from gemma4 import random_gemma4
from scripted import Scripted

Capture = pytest.CaptureFixture[str]
TEXT = "def add(a, b):\n    <FILL>\n\n\nprint(add(1, 2))\n"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, folder: Path, relatives: Path) -> None:
    monkeypatch.setattr("dgedit_engine.decode.phases.CANVASES", 1)
    monkeypatch.setattr("dgedit_engine.decode.causal.LONGEST", 12)
    for name in ("diffusion", "causal", "other"):
        (folder / name).symlink_to(relatives / name)
    (folder / "a.py").write_text(TEXT)


def run(capfd: Capture, *words: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = cli.run([*words])
    return code, *capfd.readouterr()


def last_step(capfd: Capture, *options: str) -> dict[str, object]:
    """The step that ends a fill, of which random weights may make no Python."""
    options = ("--device", "cpu", "--events", "--steps", "3", *options)
    code, out, err = run(capfd, "fill", "a.py", *options)
    assert code in (Exit.OK, Exit.UNSETTLED) and "Traceback" not in err, err
    found: dict[str, object] = json.loads(out.splitlines()[-1])
    assert found["last"]
    return found


def test_gemma_4_fills_a_hole(capfd: Capture) -> None:
    found = last_step(capfd, "--model", "./causal")
    same = last_step(capfd, "--model", "./diffusion", "--reading", "causal")
    assert found["drafts"] == same["drafts"] and found["phase"] == same["phase"] == "draft"
    last_step(capfd, "--model", "./causal", "--exact")
    code, _, err = run(capfd, "fill", "a.py:2", "--strength", "0.5", "--model", "./causal")
    assert code == Exit.USAGE and "the causal reading writes from scratch" in err


def test_verifier_marks_what_is_drafted(capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = last_step(capfd, "--model", "./diffusion")
    judged = last_step(capfd, "--model", "./diffusion", "--verifier", "./other")
    settled = [
        [piece for draft in one["drafts"] for piece in draft["settled"]]  # type: ignore[attr-defined]
        for one in (plain, judged)
    ]
    assert all(settled[0]) and not all(settled[1]) and len(settled[0]) == len(settled[1])
    monkeypatch.setenv("DGEDIT_MODEL", "./diffusion")
    monkeypatch.setenv("DGEDIT_VERIFIER", "./other")
    assert last_step(capfd)["drafts"] == judged["drafts"]
    assert last_step(capfd, "--verifier", "")["drafts"] == plain["drafts"]


def test_other_vocabulary_is_a_line_and_an_exit_code(capfd: Capture, folder: Path) -> None:
    options = ("--model", "./diffusion", "--device", "cpu", "--verifier")
    code, out, err = run(capfd, "fill", "a.py", *options, "tiny")
    assert code == Exit.ENGINE and not out and len(err.splitlines()) == 1
    assert "has not the vocabulary of diffusion: " in err and "differ)" in err
    code, _, err = run(capfd, "fill", "a.py", *options, "./nowhere")
    assert code == Exit.ENGINE and "nowhere" in err and len(err.splitlines()) == 1
    shutil.copytree(folder / "other", folder / "layered")
    random_gemma4(folder / "layered", vocab_size=320)
    file = folder / "layered" / "config.json"
    raw = json.loads(file.read_text()) | {"hidden_size_per_layer_input": 256}
    file.write_text(json.dumps(raw))
    code, _, err = run(capfd, "fill", "a.py", *options, "./layered")
    assert code == Exit.ENGINE and "embeddings for each layer" in err
    assert len(err.splitlines()) == 1
    code, _, err = run(capfd, "fill", "a.py", "--engine", "http://127.0.0.1:9", "--verifier", "x")
    assert code == Exit.USAGE and "--verifier reads what a model here writes" in err


def test_change_of_another_model_cannot_verify(
    capfd: Capture, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "dgedit.models.tuned.base_of", lambda path: "tiny" if path.name == "mine" else None
    )
    (folder / "mine").mkdir()
    code, _, err = run(capfd, "fill", "a.py", "--model", "tiny", "--verifier", "./mine")
    assert code == Exit.ENGINE and "mine is a change of another model" in err


@pytest.mark.parametrize("command", ["fill a.py", "pipe"])
def test_both_options_are_passed_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    backend = Scripted()
    given: list[object] = []

    def opened(*which: object, **more: object) -> Scripted:
        given.append(more["verifier"])
        return backend

    monkeypatch.setattr("dgedit.engines.connect.connect", opened)
    monkeypatch.setattr("dgedit.commands.pipe._stdin", lambda: TEXT.encode())
    assert cli.run([*command.split(), "--reading", "causal", "--verifier", "other"]) == Exit.OK
    assert backend.requests[0].reading == "causal" and given == ["other"]
    assert cli.run([*command.split(), "--reading", "both"]) == Exit.USAGE


def test_verifier_reaches_what_opens_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr("dgedit.engines.connect.open_here", lambda *given: seen.append(given))
    monkeypatch.setattr("dgedit.engines.warm.client.Daemon.open", lambda *given: seen.append(given))
    monkeypatch.setenv("DGEDIT_VERIFIER", "./other")
    connect("./causal", "cpu", "local", None, "./other")
    connect("./causal", "cpu", "warm", None, "./other")
    connect("./causal", "cpu")  # the settings' verifier goes with their model
    connect(None, "cpu")
    assert [os.path.basename(str(one[3])) for one in seen[:2]] == ["other", "other"]  # type: ignore[index]
    assert [one[3] for one in seen[2:]] == [None, "./other"]  # type: ignore[index]
