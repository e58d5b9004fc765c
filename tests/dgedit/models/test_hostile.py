"""A stranger's model on the command line: one line and exit code 5, whatever is wrong with it."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

import every_format
from dgedit import cli
from dgedit.models import store
from fuzzed import ended_after

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4000000000\n"


def endless(model: Path) -> None:
    file = model / "tokenizer.json"
    raw = json.loads(file.read_text())
    split = {"type": "Split", "pattern": {"Regex": "(a+)+b"}, "behavior": "Isolated"}
    file.write_text(json.dumps(raw | {"pre_tokenizer": split | {"invert": False}}))


def experts(model: Path) -> None:
    file = model / "config.json"
    raw = json.loads(file.read_text())
    raw["text_config"]["num_experts"] = 10**7
    file.write_text(json.dumps(raw))


def shape(model: Path) -> None:
    one = {"dtype": "F32", "shape": [2**63, 0], "data_offsets": [0, 0]}
    header = json.dumps({"model.x": one}).encode()
    (model / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)


def brackets(model: Path) -> None:
    (model / "decoding.json").write_text("[" * 1_000_000)


def elsewhere(model: Path) -> None:
    (model / "model.safetensors").unlink()
    index = {"weight_map": {"model.x": "../../../etc/passwd"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))


def pointer(model: Path) -> None:
    (model / "model.safetensors").write_text(POINTER)


def pipe(model: Path) -> None:
    (model / "model.safetensors").unlink()
    os.mkfifo(model / "model.safetensors")


@pytest.mark.parametrize(
    ("number", "harm", "words"),
    [
        (14, experts, "more than any model has"),
        (15, endless, "may take for ever"),
        (16, shape, "model.safetensors"),
        (16, brackets, "decoding.json: brackets in brackets without end"),
        (17, elsewhere, "is not a file of this folder"),
        (18, pointer, "git lfs pull"),
        (10, pipe, "is not a regular file"),
    ],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_fault_of_a_model_is_a_line_and_exit_code_5(
    number: int,
    harm: Callable[[Path], None],
    words: str,
    folder: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    every_format.made("plain", folder / "m")
    harm(folder / "m")
    (folder / "a.py").write_text("x = <FILL>\n")
    with ended_after(60):
        assert cli.run(["fill", "a.py", "--model", "./m", "--engine", "local", "--quiet"]) == 5
    said = capfd.readouterr()
    assert said.err.startswith("dgedit: ") and said.err.count("\n") == 1 and words in said.err
    assert said.out == ""


def test_fault_19_split_model_has_facts_by_its_folder_and_by_its_first_file(folder: Path) -> None:
    (folder / "m").mkdir()
    every_format.q8_0(folder / "m", each=20)
    files = sorted((folder / "m").iterdir())
    whole, first = store.facts(folder / "m"), store.facts(files[0])
    assert whole == first
    assert first.bytes == sum(file.stat().st_size for file in files)
