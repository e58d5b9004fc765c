"""A tokenizer of bytes out of a GGUF file's header reads as the published one of its kind."""

from __future__ import annotations

import inspect
import random
from typing import Any

import numpy as np
import pytest
from tokenizers import Regex, pre_tokenizers
from tokenizers import Tokenizer as Inner
from tokenizers.models import BPE
from transformers.convert_slow_tokenizer import TikTokenConverter
from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer

from byte_base import SPECIAL, fields, learnt, tokenizer
from dgedit_engine.formats import vocabulary
from dgedit_engine.types import ModelError

CUTS = ("gpt-2", "smollm", "starcoder", "qwen2", "llama-bpe", "deepseek-coder")
TEXTS = (
    *("", " ", "  x", "\n", "\n\n\n", "a \n  b\n\n", "\t\r\n x", "\x00\x01\x7f"),
    *("def f(x):\n    return x + 12345\n", "if a:\n\n\n        b = 'c'\n    d += 1.5e3\n"),
    *("naïve café — “quoted” 東京 Ω 日本語", "👩\u200d👩\u200d👧 \u200b\u00a0", "don't they'LL"),
    *("<|endoftext|><|im_start|>user", "x" * 300),
)


def published(cut: str) -> Inner:
    """What transformers makes of the same vocabulary, or by the published tokenizer.json."""
    tokens, merges = learnt()
    vocab = {token: place for place, token in enumerate(tokens)}
    pairs = [tuple(one.split(" ")) for one in merges]
    if cut == "qwen2":
        return Qwen2Tokenizer(vocab=vocab, merges=pairs)._tokenizer
    inner = Inner(BPE(vocab, pairs, ignore_merges=cut == "llama-bpe"))
    parts: list[Any] = [pre_tokenizers.Digits(individual_digits=True)]
    if cut == "llama-bpe":
        pattern = inspect.signature(TikTokenConverter.__init__).parameters["pattern"].default
        parts = [pre_tokenizers.Split(Regex(pattern), "isolated")]
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=cut == "smollm")
    inner.pre_tokenizer = pre_tokenizers.Sequence([*parts, last])
    return inner


@pytest.mark.parametrize("cut", ["smollm", "qwen2", "llama-bpe"])
def test_header_reads_as_the_published_tokenizer(cut: str) -> None:
    ours, theirs = tokenizer(cut), published(cut)
    generator = random.Random(0)
    letters = "ab_ \n\t()=.:'09é日"
    drawn = ["".join(generator.choices(letters, k=40)) for _ in range(300)]
    theirs.encode_special_tokens = True
    for text in (*TEXTS, *drawn):
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids, text


@pytest.mark.parametrize("cut", CUTS)
def test_text_comes_back(cut: str) -> None:
    words = tokenizer(cut)
    assert words.of_bytes and len(words) == len(learnt()[0])
    for text in TEXTS:
        pieces = words.pieces(words.encode(text))
        assert "".join(piece.text for piece in pieces) == text
        assert not {words.id(one) for one in SPECIAL} & set(words.encode(text))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"pre": "viking"}, "text cut as 'viking'"),
        ({"pre": None}, "text cut as None"),
        ({"pre": ["smollm"]}, "put the model's tokenizer.json beside the file"),
        ({"merges": []}, "with 0 merges"),
        ({"merges": ["a b", "qq zz"]}, "merges that do not fit"),
        ({"token_type": [1]}, "but 1 types"),
        ({"merges": np.arange(3)}, "merges are no texts"),
        ({"tokens": np.arange(3)}, "tokens are no vocabulary"),
    ],
)
def test_header_without_a_tokenizer_says_so(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError) as caught:
        vocabulary.made(fields(**changed))
    assert words in str(caught.value)


def test_two_tokens_of_one_text_are_refused() -> None:
    tokens, _ = learnt()
    with pytest.raises(ModelError, match="tokens differ"):
        vocabulary.made(fields(tokens=[*tokens[:-1], tokens[-2]]))
