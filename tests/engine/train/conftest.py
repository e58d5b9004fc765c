"""A small corpus that no change of ours changes, and a vocabulary learnt from it."""

from __future__ import annotations

import inspect
import shlex
import shutil
import textwrap
from json import decoder
from pathlib import Path

import numpy as np
import pytest
import torch

from dgedit_engine.train.vocabulary import learn

MODULES = (decoder, shlex, textwrap)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus of the standard library's source, held out too, and a vocabulary."""
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


@pytest.fixture(scope="session")
def base(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Gemma 3, as transformers writes it, and the vocabulary."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = transformers.Gemma3TextConfig(
        vocab_size=400,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=512,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    )
    transformers.Gemma3ForCausalLM(config).save_pretrained(folder)
    shutil.copy(data / "tokenizer.json", folder / "tokenizer.json")
    return folder
