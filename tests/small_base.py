"""A small base that reads from left to right alone: its vocabulary in Gemma's way, random weights,
and an open reader of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dgedit_engine.decode.pool import Reader
from dgedit_engine.formats import vocabulary
from dgedit_engine.model.cache import KVCache, PromptCache
from dgedit_engine.model.config import Config
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Hole, InfillRequest, Passage
from gemma3 import SHAPE, random_model, stored

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
        if self.bias is None:
            return super().logits(hidden)
        # random weights are too sure, above all of the token that they have just read
        found = 0.3 * super().logits(hidden.roll(1, -1))
        places = self.tokens(torch.arange(found.shape[-1]))
        return found + self.bias[places]


def leaning(words: Tokenizer) -> Tensor:
    """Towards line ends, and away from marks and bytes."""
    bias = torch.zeros(VOCAB)
    bias[: len(SPECIAL)] = -30.0
    bias[len(words) :] = -30.0
    bias[words.byte_tokens()] = -30.0
    bias[words.encode("\n")] = 3.5
    bias[EOS] = 2.0
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
    return Reader(made, words, cache)


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


def write(file: Path) -> Any:
    """A GGUF file as llama.cpp's converter writes it, numbers in fp32 -> transformers' model."""
    from gguf import MODEL_ARCH, GGUFWriter, get_tensor_name_map

    shape = {"vocab_size": VOCAB, "max_position_embeddings": 2048, "query_pre_attn_scalar": 16}
    theirs = random_model(**shape)
    config, header = theirs.config, fields()
    writer = GGUFWriter(file, "gemma3")
    for key, value in {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        "attention.sliding_window": config.sliding_window,
    }.items():
        writer.add_uint32(f"gemma3.{key}", value)
    writer.add_float32("gemma3.attention.layer_norm_rms_epsilon", config.rms_norm_eps)
    writer.add_float32("gemma3.rope.freq_base", 1e6)
    writer.add_string("gemma3.rope.scaling.type", "linear")
    writer.add_float32("gemma3.rope.scaling.factor", 8.0)
    writer.add_tokenizer_model(header["tokenizer.ggml.model"])
    writer.add_token_list(header["tokenizer.ggml.tokens"])
    writer.add_token_scores(header["tokenizer.ggml.scores"])
    writer.add_token_types(header["tokenizer.ggml.token_type"])
    for name, token in (("bos", BOS), ("eos", EOS), ("padding", 0)):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)
    names = get_tensor_name_map(MODEL_ARCH.GEMMA3, config.num_hidden_layers)
    for name, tensor in stored(theirs).items():
        stem, end = name.rsplit(".", 1)
        writer.add_tensor(f"{names.get_name(stem)}.{end}", (tensor + (tensor.dim() == 1)).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return theirs
