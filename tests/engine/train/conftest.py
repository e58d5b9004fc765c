"""A small corpus of our own source, and a vocabulary learnt from it."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

from dgedit_engine.train import examples, loop, spans
from dgedit_engine.train.vocabulary import learn

MODULES = (examples, loop, spans)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus of our own source, the held-out half the same, and a vocabulary."""
    folder = tmp_path_factory.mktemp("data")
    texts = [inspect.getsource(module) for module in MODULES]
    learn(texts, 400).save(str(folder / "tokenizer.json"))
    encoded = [text.encode() for text in texts]
    for split in ("train", "heldout"):
        (folder / f"{split}.txt").write_bytes(b"".join(encoded))
        np.save(folder / f"{split}.idx.npy", np.cumsum([0, *map(len, encoded)], dtype=np.int64))
        paths = "".join(f"p/m{number}.py\n" for number in range(len(texts)))
        (folder / f"{split}.paths").write_text(paths)
    return folder
