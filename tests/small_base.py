"""A small base that reads from left to right alone: its vocabulary in Gemma's way, random weights,
and an open reader of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dgedit_engine.decode.search import Reader
from dgedit_engine.formats import vocabulary
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import Config
from dgedit_engine.model.model import Model, PromptCache, init_weights
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Hole, InfillRequest, Passage
from gemma3 import SHAPE

SPECIAL = [
    *("<pad>", "<eos>", "<bos>", "<unk>", "<mask>"),
    *(f"<unused{number}>" for number in range(11)),
]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
RUNS = ["\n", "\n\n", "\n\n\n", "\n\n\n\n", "\t", "\t\t", "▁▁", "▁▁▁▁"]
WORDS = ("return", "▁return", "retry", "total", "items", "self", "▁a", "▁b", "▁+", "日本", "本")
VOCAB = 512
CONFIG = replace(SHAPE, vocab=VOCAB, context=2048)
BOS, EOS = 2, 1


def fields(**changed: Any) -> dict[str, Any]:
    """The tokenizer's part of a GGUF file's header: each word, and all that it begins with."""
    letters = ["▁", *map(chr, range(33, 127))]
    starts = [word[:end] for word in WORDS for end in range(1, len(word) + 1)]
    tokens = list(dict.fromkeys([*SPECIAL, *BYTES, *RUNS, *letters, *starts]))
    kinds = {**dict.fromkeys(SPECIAL, 3), **dict.fromkeys(BYTES, 6), **dict.fromkeys(RUNS, 4)}
    found = {
        "model": "llama",
        "tokens": tokens,
        "scores": [-float(place) for place in range(len(tokens))],
        "token_type": [kinds.get(token, 1) for token in tokens],
    }
    return {f"tokenizer.ggml.{name}": value for name, value in (found | changed).items()}


def tokenizer() -> Tokenizer:
    return Tokenizer(vocabulary.made(fields()))


class Leaning(Model):
    """A random model that leans towards some tokens: lines must end."""

    bias: Tensor | None = None

    def logits(self, hidden: Tensor) -> Tensor:
        found = super().logits(hidden)
        if self.bias is None:
            return found
        found = 0.3 * found  # random weights are too sure
        places = self.tokens(torch.arange(found.shape[-1]))
        return found + self.bias[places]


def leaning(words: Tokenizer) -> Tensor:
    """Towards line ends, and away from marks and bytes."""
    bias = torch.zeros(VOCAB)
    bias[: len(SPECIAL)] = -30.0
    bias[len(words) :] = -30.0
    bias[words.byte_tokens()] = -30.0
    bias[words.encode("\n")] = 5.0
    bias[EOS] = 3.0
    return bias


def model(config: Config = CONFIG, *, bias: Tensor | None = None, seed: int = 3) -> Leaning:
    """Random weights, in fp32 and without codes."""
    made = Leaning(config)
    init_weights(made, seed=seed)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)
    made.bias = bias
    return made.requires_grad_(False).eval()


def reader(made: Model | None = None, cache: PromptCache | None = None) -> Reader:
    """An open one, cold."""
    words = tokenizer()
    made = made or model(bias=leaning(words))
    cache = cache or KVCache(made.config, dtype=torch.float32)
    return Reader(made, words, cache, cache.fresh())


def request(*parts: str | Hole, path: str = "", **options: Any) -> InfillRequest:
    """One passage."""
    return InfillRequest((Passage(path, parts),), **options)


def plainly(made: Model, prompt: Sequence[int], text: Sequence[int]) -> list[float]:
    """The log-probabilities of a text's tokens behind a prompt, in one causal pass over both."""
    whole = torch.tensor([[*prompt, *text]])
    with torch.inference_mode():
        cache = KVCache(made.config, dtype=torch.float32)
        said = made.logits(made.encode(whole, cache))[0].log_softmax(-1)
    places = made.places(whole[0])
    return [float(said[place - 1, places[place]]) for place in range(len(prompt), whole.shape[1])]
