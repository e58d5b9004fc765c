"""A tokenizer whose tokens are special ones and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from dgedit_engine.prompt.tokenizer import Tokenizer

CHAT = ("<pad>", "<eos>", "<bos>", "<|turn>", "<turn|>", "<|channel>", "<channel|>")
"""The special tokens of a model with chat turns."""


def byte_level(folder: Path, specials: Sequence[str]) -> Tokenizer:
    """Save it, and read it as a model's."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {name: index for index, name in enumerate([*specials, *alphabet])}
    inner = tokenizers.Tokenizer(models.BPE(vocab, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(list(specials))
    inner.save(str(folder / "tokenizer.json"))
    return Tokenizer(folder / "tokenizer.json")
