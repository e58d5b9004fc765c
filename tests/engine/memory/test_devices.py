"""How much of a device's memory is free."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dgedit_engine.memory import available as room
from dgedit_engine.memory.devices import free_bytes


def test_free_memory_is_what_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "meminfo"
    monkeypatch.setattr(room, "_GROUPS", tmp_path / "none")
    said.write_text("MemTotal:       24000000 kB\nMemAvailable:   1000 kB\n")
    monkeypatch.setattr(room, "_MEMORY", said)
    assert free_bytes(torch.device("cpu")) == 1_024_000
    monkeypatch.setattr(room, "left", lambda: 5)  # a control group's
    assert free_bytes(torch.device("cpu")) == 5
    monkeypatch.setattr(room, "left", lambda: None)
    said.write_text("MemTotal: 1 kB\n")
    assert free_bytes(torch.device("cpu")) > 1 << 60
    said.unlink()
    assert free_bytes(torch.device("cpu")) > 1 << 60
    card = {"mem_get_info": (5, 10), "memory_reserved": 3, "memory_allocated": 2}
    for name, value in card.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert free_bytes(torch.device("cuda")) == 6
