"""The commands with models of Llama's shape: `fill` by a GGUF file, `model …` by a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from byte_base import fields, write
from dgedit import cli
from dgedit.errors import Exit
from dgedit.models import store as models
from dgedit_engine.formats import vocabulary
from dgedit_engine.model.config import load_config
from dgedit_engine.model.model import Model
from llama import KINDS, random_llama

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgedit_engine.decode.search.LONGEST", 12)


def run(capfd: Capture, *words: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = cli.run([*words])
    return code, *capfd.readouterr()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_those_of_the_model(tmp_path: Path, kind: str, tied: bool) -> None:
    random_llama(tmp_path, kind, tie_word_embeddings=tied)
    shape = load_config(tmp_path)
    with torch.device("meta"):
        right = sum(part.numel() for part in Model(shape).parameters())
    assert models.Facts("", shape, ()).parameters == right


@pytest.mark.parametrize("kind", KINDS)
def test_gguf_file_fills_a_hole(folder: Path, capfd: Capture, kind: str) -> None:
    write(folder / "one.gguf", kind, "qwen2")
    (folder / "a.py").write_text("def add(a, b):\n    <FILL>\n\n\nprint(add(1, 2))\n")
    code, out, err = run(capfd, "fill", "a.py", "--model", "one.gguf", "--device", "cpu")
    # random weights may write what is no Python
    assert code in (Exit.OK, Exit.UNSETTLED), err
    assert (out + err).strip() and "Traceback" not in err


def test_folder_is_described_and_quantised(folder: Path, capfd: Capture) -> None:
    place = folder / "small"
    random_llama(place, "qwen2", vocab_size=1024)
    vocabulary.made(fields("qwen2")).save(str(place / "tokenizer.json"))
    home = models.folder()
    home.mkdir(parents=True)
    shutil.copytree(place, home / "small")
    said = json.loads(run(capfd, "model", "info", "small", "--json")[1])
    assert (said["experts"], said["layers"], said["error"]) == (0, 3, None)
    code, out, err = run(capfd, "model", "quantize", "small", "narrow", "--rest", "int8")
    assert (code, err) == (0, "") and out.startswith("narrow: dgedit int8, ")
    assert models.fault(models.installed("narrow")) is None
