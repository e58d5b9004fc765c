"""A small base of Llama's shape: its tokens are runs of bytes, learnt from code that is held out
for evaluation, which never changes, and its weights are random.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Regex, pre_tokenizers, trainers
from tokenizers import Tokenizer as Inner
from tokenizers.models import BPE

from dgedit_engine.eval.texts import held_out
from dgedit_engine.formats import vocabulary
from dgedit_engine.prompt.tokenizer import Tokenizer
from llama import random_llama, stored

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
VOCAB = 1024
SHAPE: dict[str, Any] = {"vocab_size": VOCAB, "max_position_embeddings": 2048, "bos_token_id": 0}


@cache
def learnt(special: tuple[str, ...] = SPECIAL) -> tuple[list[str], list[str]]:
    """Tokens in order, and merges, that all cutters have a use for."""
    inner = Inner(BPE())
    # white space apart from words, or with the last space before them, as some cut it
    cut = pre_tokenizers.Split(Regex(r"\s+(?!\S)| ?[^\s]+|\s+"), "isolated")
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB - 4,
        special_tokens=[*special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    code = held_out(None)
    texts = [code.text(at) for at in range(12)]
    inner.train_from_iterator([*texts, "日本語 " * 400], trainer)
    model = json.loads(inner.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    merges = [one if isinstance(one, str) else " ".join(one) for one in model["merges"]]
    return tokens, merges


def fields(cut: str = "smollm", special: tuple[str, ...] = SPECIAL, **changed: Any) -> Any:
    """The tokenizer's part of a GGUF file's header."""
    tokens, merges = learnt(special)
    found = {
        **{"model": "gpt2", "pre": cut, "tokens": tokens, "merges": merges},
        "token_type": [3 if token in special else 1 for token in tokens],
        **{"bos_token_id": 1, "eos_token_id": 2, "add_bos_token": False},
    }
    return {f"tokenizer.ggml.{name}": value for name, value in (found | changed).items()}


def tokenizer(cut: str = "smollm", special: tuple[str, ...] = SPECIAL) -> Tokenizer:
    return Tokenizer(vocabulary.made(fields(cut, special)))


def write(file: Path, kind: str = "llama", cut: str = "smollm", **text: Any) -> Any:
    """A GGUF file as llama.cpp's converter writes it, numbers in fp32 -> transformers' model."""
    from gguf import MODEL_ARCH, GGUFWriter, get_tensor_name_map

    theirs = random_llama(kind=kind, **(SHAPE | text))
    config, header = theirs.config, fields(cut)
    writer = GGUFWriter(file, kind)
    for key, value in {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": config.head_dim,
    }.items():
        writer.add_uint32(f"{kind}.{key}", value)
    if kind == "starcoder2":
        writer.add_layer_norm_eps(config.norm_epsilon)
    else:
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_float32(f"{kind}.rope.freq_base", 1e4)
    writer.add_tokenizer_model(header["tokenizer.ggml.model"])
    writer.add_tokenizer_pre(header["tokenizer.ggml.pre"])
    writer.add_token_list(header["tokenizer.ggml.tokens"])
    writer.add_token_merges(header["tokenizer.ggml.merges"])
    writer.add_token_types(header["tokenizer.ggml.token_type"])
    writer.add_uint32("tokenizer.ggml.bos_token_id", 1)
    writer.add_uint32("tokenizer.ggml.eos_token_id", 2)
    writer.add_add_bos_token(False)
    names = get_tensor_name_map(getattr(MODEL_ARCH, kind.upper()), config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, tensor in stored(theirs).items():
        stem, end = name.rsplit(".", 1)
        count = heads.get(stem.rsplit(".", 1)[-1]) if kind == "llama" else None
        rows = tensor.numpy()
        if count is not None:
            pairs = rows.reshape(count, 2, rows.shape[0] // count // 2, *rows.shape[1:])
            rows = pairs.swapaxes(1, 2).reshape(rows.shape)
        writer.add_tensor(f"{names.get_name(stem)}.{end}", rows)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return theirs
