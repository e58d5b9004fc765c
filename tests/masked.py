"""Small masked diffusion models of Qwen2's shape with random weights, as their authors publish
them: folders with Dream's or Open-dCoder's files, or a GGUF file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from byte_base import VOCAB, learnt
from llama import random_llama

DREAM = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *("<|beginoftext|>", "<|mask|>", "<|expand|>"),
)
END, BEGINNING, MASK, EXPAND = 0, 3, 4, 5
SHAPE: dict[str, Any] = {
    **{"vocab_size": VOCAB, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6},
    **{"bos_token_id": END, "eos_token_id": END, "tie_word_embeddings": False},
}


def dream(folder: Path, *, expands: bool = True, **text: Any) -> Any:
    """A folder with the files of Dream-Coder, or of DreamOn where it `expands`: the vocabulary in
    parts, the architecture's name unknown to transformers -> transformers' Qwen2.
    """
    special = DREAM if expands else DREAM[:-1]
    theirs = random_llama(folder, "qwen2", **(SHAPE | text))
    _change(folder / "config.json", model_type="Dream", architectures=["DreamModel"])
    _change(folder / "config.json", mask_token_id=MASK, full_attn_mask=True)
    tokens, merges = learnt(special)
    added = {str(at): {"content": one, "special": True} for at, one in enumerate(special)}
    own = {token: at for at, token in enumerate(tokens) if at >= len(special)}
    (folder / "vocab.json").write_text(json.dumps(own))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    settings = {"tokenizer_class": "DreamTokenizer", "mask_token": "<|mask|>"}
    settings |= {"added_tokens_decoder": added, "bos_token": "<|beginoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return theirs


def dcoder(folder: Path, **text: Any) -> Any:
    """A folder with Open-dCoder's files: a plain Qwen2 but for the mask in the tokenizer's
    settings.
    """
    from dgedit_engine.formats import vocabulary

    special = (*DREAM[:3], "<M>")
    theirs = random_llama(folder, "qwen2", **(SHAPE | {"tie_word_embeddings": True} | text))
    tokens, merges = learnt(special)
    fields = {
        **{"model": "gpt2", "pre": "qwen2", "tokens": tokens, "merges": merges},
        "token_type": [3 if token in special else 1 for token in tokens],
    }
    inner = vocabulary.made({f"tokenizer.ggml.{key}": one for key, one in fields.items()})
    inner.save(str(folder / "tokenizer.json"))
    mask = {"content": "<M>", "special": True}
    (folder / "tokenizer_config.json").write_text(json.dumps({"mask_token": mask}))
    return theirs


def full(theirs: Any, ids: Tensor) -> Tensor:
    """transformers' logits of ids (1, n) that all see each other -> (1, n, V)."""
    mask = torch.zeros(1, 1, ids.shape[1], ids.shape[1])
    with torch.no_grad():
        found: Tensor = theirs(ids, attention_mask=mask).logits
    return found


def _change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
