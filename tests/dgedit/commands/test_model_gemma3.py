"""The commands `dgedit model …` with a model that has no experts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dgedit import cli
from dgedit.errors import Exit
from dgedit.models import store as models
from dgedit_engine.model.model import Model
from fakehub import Hub, serving
from gemma3 import SHAPE
from published import numbers, write

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "small"
    write(
        folder, {name: one.bfloat16() for name, one in numbers(SHAPE).items()}, None, config=SHAPE
    )
    (folder / "tokenizer.json").write_text("{}")
    return folder


@pytest.fixture(autouse=True)
def server(published: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Hub]:
    with serving(
        {path.name: path.read_bytes() for path in published.iterdir()}, "someone/small"
    ) as server:
        server.become_the_hub(monkeypatch)
        yield server


def run(capfd: Capture, *words: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = cli.run(["model", *words])
    return code, *capfd.readouterr()


@pytest.mark.parametrize("shape", [SHAPE, replace(SHAPE, conditioned=True)])
def test_parameters_are_those_of_the_model(shape: object) -> None:
    with torch.device("meta"):
        right = sum(part.numel() for part in Model(shape).parameters())  # type: ignore[arg-type]
    found = models.Facts("", shape, ())  # type: ignore[arg-type]
    assert found.parameters == found.active == right


def test_model_is_pulled_listed_and_described(capfd: Capture) -> None:
    assert run(capfd, "pull", "someone/small")[0] == 0
    _, out, _ = run(capfd, "list")
    assert "small" in out and "BF16" in out.splitlines()[2]
    code, out, err = run(capfd, "info", "small")
    assert (code, err) == (0, "") and "experts" not in out and "memory" in out
    said = json.loads(run(capfd, "info", "small", "--json")[1])
    assert (said["experts"], said["layers"], said["error"]) == (0, 7, None)


def test_model_without_experts_is_quantised_by_its_rest(capfd: Capture) -> None:
    run(capfd, "pull", "someone/small")
    code, out, err = run(capfd, "quantize", "small", "narrow")
    assert (code, out) == (Exit.USAGE, "") and "no experts: --rest says" in err
    code, out, err = run(capfd, "quantize", "small", "narrow", "--rest", "int8")
    assert (code, err) == (0, "") and out.startswith("narrow: dgedit int8, ")
    assert models.fault(models.installed("narrow")) is None
