"""Small masked diffusion models of Qwen2's shape with random weights, as their authors publish
them: folders with Dream's or Open-dCoder's files, or a GGUF file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken
from torch import Tensor

from byte_base import VOCAB, fields, learnt
from llama import random_llama, stored

DREAM = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *("<|beginoftext|>", "<|mask|>", "<|expand|>"),
)
MARKS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_suffix|>"),
    *("<|fim_middle|>", "<|fim_pad|>", "<|file_sep|>", "<|repo_name|>"),
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
    inner = vocabulary.made(fields("qwen2", special))
    inner.save(str(folder / "tokenizer.json"))
    mask = {"content": "<M>", "special": True}
    (folder / "tokenizer_config.json").write_text(json.dumps({"mask_token": mask}))
    return theirs


def pair(folder: Path) -> Any:
    """The folders `drafter`, with Qwen2.5-Coder's marks, and `masked`, whose vocabulary has a mask
    behind the same tokens, as Open-dCoder's has -> transformers' model of the latter.
    """
    from dgedit_engine.formats import vocabulary

    shape: dict[str, Any] = {"vocab_size": VOCAB, "max_position_embeddings": 2048}
    random_llama(folder / "drafter", "qwen2", **shape)
    theirs = random_llama(folder / "masked", "qwen2", num_hidden_layers=2, **shape)
    inner = vocabulary.made(fields("qwen2", MARKS))
    inner.save(str(folder / "drafter" / "tokenizer.json"))
    inner.add_special_tokens([AddedToken("<M>", special=True, normalized=False)])
    inner.save(str(folder / "masked" / "tokenizer.json"))
    (folder / "masked" / "tokenizer_config.json").write_text('{"mask_token": "<M>"}')
    return theirs


def llada(folder: Path, **own: Any) -> Any:
    """A folder with LLaDA's files, keys and names of its own -> transformers' Llama."""
    from dgedit_engine.formats import vocabulary

    text = {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}, "rms_norm_eps": 1e-5}
    theirs = random_llama(kind="llama", **(SHAPE | text))
    config = theirs.config
    raw = {
        **{"architectures": ["LLaDAModelLM"], "model_type": "llada", "block_type": "llama"},
        **{"d_model": config.hidden_size, "n_layers": config.num_hidden_layers, "alibi": False},
        **{"n_heads": config.num_attention_heads, "n_kv_heads": config.num_key_value_heads},
        **{"head_dim": config.head_dim, "mlp_hidden_size": config.intermediate_size},
        **{"vocab_size": VOCAB - 8, "embedding_size": VOCAB, "max_sequence_length": 2048},
        **{"rope": True, "rope_theta": 5e5, "rms_norm_eps": 1e-5, "activation_type": "silu"},
        **{"layer_norm_type": "rms", "weight_tying": False, "include_bias": False},
        **{"mask_token_id": MASK, "eos_token_id": END, "pad_token_id": END},
    }
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(raw | own))
    swapped = {"embed_tokens": "wte", "norm": "ln_f", "lm_head": "ff_out"}
    layer = {
        **{"input_layernorm": "attn_norm", "post_attention_layernorm": "ff_norm"},
        **{"self_attn.o_proj": "attn_out", "mlp.gate_proj": "ff_proj", "mlp.up_proj": "up_proj"},
        **{"mlp.down_proj": "ff_out", **{f"self_attn.{one}_proj": f"{one}_proj" for one in "qkv"}},
    }
    tensors = {}
    for name, tensor in stored(theirs).items():
        stem = name.removeprefix("model.").removesuffix(".weight")
        if stem.startswith("layers."):
            _, at, part = stem.split(".", 2)
            stem = f"blocks.{at}.{layer[part]}"
        tensors[f"model.transformer.{swapped.get(stem, stem)}.weight"] = tensor
    save_file(tensors, folder / "model.safetensors")
    special = ("<|endoftext|>", "<|startoftext|>", "<|im_end|>", "<x>", "<|mdm_mask|>")
    vocabulary.made(fields("qwen2", special)).save(str(folder / "tokenizer.json"))
    return theirs


def full(theirs: Any, ids: Tensor) -> Tensor:
    """transformers' logits of ids (1, n) that all see each other -> (1, n, V)."""
    mask = torch.zeros(1, 1, ids.shape[1], ids.shape[1])
    with torch.no_grad():
        found: Tensor = theirs(ids, attention_mask=mask).logits
    return found


def _change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def write(file: Path, kind: str) -> Any:
    """A GGUF file of DreamOn as a converter writes it, numbers in fp32 -> transformers' Qwen2."""
    from gguf import MODEL_ARCH, GGUFWriter, get_tensor_name_map

    theirs = random_llama(kind="llama" if kind == "llada" else "qwen2", **SHAPE)
    config, header = theirs.config, fields("qwen2", DREAM)
    writer = GGUFWriter(file, kind)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(1e4)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(header["tokenizer.ggml.tokens"])
    writer.add_token_merges(header["tokenizer.ggml.merges"])
    writer.add_token_types(header["tokenizer.ggml.token_type"])
    writer.add_bos_token_id(END)
    writer.add_eos_token_id(END)
    writer.add_mask_token_id(MASK)
    writer.add_add_bos_token(False)
    names = get_tensor_name_map(getattr(MODEL_ARCH, kind.upper()), config.num_hidden_layers)
    for name, tensor in stored(theirs).items():
        stem, end = name.rsplit(".", 1)
        if kind == "llada" and stem.endswith(("q_proj", "k_proj")):
            halves = tensor.view(-1, 2, config.head_dim // 2, tensor.shape[-1])
            tensor = halves.transpose(1, 2).reshape(tensor.shape)
        writer.add_tensor(f"{names.get_name(stem)}.{end}", tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return theirs
