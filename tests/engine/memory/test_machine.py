"""What a machine has: JSON lines, one for each part, whatever is broken."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dgedit_engine.memory import available as room
from dgedit_engine.memory import machine

Capture = pytest.CaptureFixture[str]


def told(capsys: Capture, **asked: Any) -> dict[str, dict[str, Any]]:
    """What is printed, in the order of the parts."""
    given = {"model": "tiny", "device": "cpu"} | asked
    assert machine.main([json.dumps(given)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(line) for line in lines] == [["torch"], ["kernels"], ["model"]]
    return lines[0] | lines[1] | lines[2]


def test_this_machine_opens_tiny(capsys: Capture) -> None:
    found = told(capsys)
    assert found["torch"]["version"] == torch.__version__
    model = found["model"]
    assert (model["format"], model["device"], model["context"]) == ("BF16", "cpu", 4096)
    assert 10**8 < model["needs"] < model["free"]


def test_model_that_does_not_fit_says_what_it_needs(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "least", lambda: 10**8)
    assert "needs 0.5 GB" in told(capsys)["model"]["error"]
    assert "device nowhere" in told(capsys, device="nowhere")["model"]["error"]


def test_torch_that_cannot_be_loaded_is_one_line_and_the_rest_goes_on(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = builtins.__import__

    def refuse(name: str, *args: Any, **more: Any) -> Any:
        if name in ("torch", "triton"):
            raise OSError(f"lib{name}.so: no such file\nand more")
        return given(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    found = told(capsys)
    assert found["torch"] == {"error": "libtorch.so: no such file"}
    assert found["kernels"] == {"error": "libtriton.so: no such file"}


def test_gpus_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 2,
        mem_get_info=lambda index: (index, 10),
        get_device_capability=lambda index: (9, index),
        get_device_name=lambda index: f"card {index}",
    )
    monkeypatch.setattr(torch, "cuda", cuda)
    assert machine.torch_facts()["gpus"] == [
        {"name": "card 0", "free": 0, "total": 10, "capability": "9.0"},
        {"name": "card 1", "free": 1, "total": 10, "capability": "9.1"},
    ]


def test_nothing_that_torch_does_is_needed_to_begin() -> None:
    code = "import sys, dgedit_engine.memory.machine; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=90, check=False).returncode == 0
