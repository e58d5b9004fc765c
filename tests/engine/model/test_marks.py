"""Marks: embeddings of what a slot belongs to, absent by default, kept through files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from dgedit_engine.domains.domain import shape
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import Config, Sampling, load_config, save_config
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.weights import checkpoint

PLAIN = shape(vocab=20, dim=32, layers=2, mlp=32, heads=2, canvas=16)
MARKED = replace(PLAIN, marks=7)
IDS = torch.arange(12)[None] % 20


def made(config: Config) -> Model:
    model = Model(config)
    init_weights(model, seed=3)
    return model.eval()


@torch.inference_mode()
def read(model: Model, marks: torch.Tensor | None = None) -> torch.Tensor:
    cache = KVCache(model.config, dtype=torch.float32)
    model.encode(torch.tensor([[2]]), cache)
    return model.denoise(IDS, cache, marks=marks)


def test_model_without_marks_is_what_it_was() -> None:
    plain, marked = made(PLAIN), made(MARKED)
    assert plain.mark_embedding is None
    shared = {name: one for name, one in marked.state_dict().items() if name != "mark_embedding"}
    assert shared.keys() == plain.state_dict().keys()
    plain.load_state_dict(shared)
    assert torch.equal(read(plain), read(marked))
    none = torch.zeros(1, 12, 3, dtype=torch.long)
    assert torch.equal(read(plain), read(marked, none))


def test_marks_are_added_slot_by_slot() -> None:
    model = made(MARKED)
    marks = torch.zeros(1, 12, 2, dtype=torch.long)
    marks[0, 5] = torch.tensor([4, 6])
    assert not torch.equal(read(model), read(model, marks))
    assert torch.equal(read(model, marks), read(model, marks.flip(-1)))
    model.train()
    model.denoise(IDS, _cache(model), marks=marks).sum().backward()
    assert model.mark_embedding is not None
    assert model.mark_embedding.grad is not None
    touched = model.mark_embedding.grad.abs().sum(-1) > 0
    assert touched.tolist() == [False, False, False, False, True, False, True]


def _cache(model: Model) -> KVCache:
    cache = KVCache(model.config, dtype=torch.float32)
    with torch.no_grad():
        model.encode(torch.tensor([[2]]), cache)
    return cache


def test_marks_are_written_and_read(tmp_path: Path) -> None:
    model = made(MARKED)
    checkpoint.save(model, tmp_path / checkpoint.SINGLE, dtype=torch.float32)
    save_config(MARKED, Sampling(), tmp_path)
    config = load_config(tmp_path)
    assert config.marks == 7
    loaded = checkpoint.load(config, tmp_path)
    assert loaded.mark_embedding is not None
    assert torch.equal(loaded.mark_embedding, model.mark_embedding)
    save_config(PLAIN, Sampling(), tmp_path)
    assert "canvas_marks" not in (tmp_path / "config.json").read_text()
