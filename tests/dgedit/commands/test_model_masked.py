"""The commands with masked diffusion models: `fill` by a folder, `model …`, one that was pulled."""

from __future__ import annotations

from pathlib import Path

import pytest

from dgedit import cli
from dgedit.errors import Exit
from dgedit.models import store as models
from dgedit_engine.model.config import load_config
from fakehub import serving
from masked import dcoder, dream

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgedit_engine.decode.window.LENGTHS", (4, 8))


def run(capfd: Capture, *words: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = cli.run([*words])
    return code, *capfd.readouterr()


@pytest.mark.parametrize("made", [dream, dcoder])
def test_folder_fills_a_hole(
    folder: Path, capfd: Capture, made: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(folder / "small")  # type: ignore[operator]
    (folder / "a.py").write_text("def add(a, b):\n    <FILL>\n\n\nprint(add(1, 2))\n")
    options = ("--model", "./small", "--device", "cpu", "--engine", "local")
    code, out, err = run(capfd, "fill", "a.py", *options)
    # random weights may write what is no Python
    assert code in (Exit.OK, Exit.UNSETTLED), err
    assert (out + err).strip() and "Traceback" not in err
    code, out, err = run(capfd, "fill", "a.py", "--exact", *options)
    assert code == Exit.USAGE and "no causal reading" in err


def test_pulled_and_quantised_it_is_masked_still(
    folder: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    dream(folder / "small")
    files = {one.name: one.read_bytes() for one in (folder / "small").iterdir()}
    with serving(files, "Dream-org/DreamOn-v0-7B") as hub:
        hub.become_the_hub(monkeypatch)
        code, out, err = run(capfd, "model", "pull", "Dream-org/DreamOn-v0-7B")
        assert code == Exit.OK, err
    place = models.folder() / "DreamOn-v0-7B"
    whole = load_config(place)
    assert whole.masks is not None and whole.masks.expand is not None
    assert models.missing(place) is None
    code, _, err = run(capfd, "model", "quantize", "DreamOn-v0-7B", "narrow", "--rest", "int8")
    assert code == Exit.OK, err
    assert load_config(models.folder() / "narrow") == whole
    code, out, err = run(capfd, "model", "info", "narrow")
    assert code == Exit.OK and "does not load" not in out
