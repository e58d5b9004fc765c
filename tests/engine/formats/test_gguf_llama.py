"""Models of Llama's shape in GGUF files, against transformers with what their weights are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import MODEL_ARCH, GGMLQuantizationType, GGUFWriter, get_tensor_name_map, quants
from torch import Tensor

from blocks import TOLERANCES, coded
from dgedit_engine.formats import opened
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import load_config
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from dgedit_kernels.quantised import Quantised
from llama import BIASED, KINDS, LLAMA3, random_llama, stored

pytestmark = pytest.mark.oracle
WIDE: dict[str, Any] = {
    **{"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "head_dim": 64},
    **{"num_hidden_layers": 2, "rms_norm_eps": 1e-6},
}
"""Blocks of 256 divide its widths."""
IDS = torch.arange(40, 69)[None]


def turned(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of queries or keys as llama.cpp's converter has them (`permute`)."""
    parts = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(parts.swapaxes(1, 2).reshape(rows.shape))


def publish(file: Path, theirs: Any, kind: str = "F32", **keys: Any) -> None:
    """Write a model as llama.cpp's converter does, its matrices of a type; theirs gets their worth.

    `keys` are what is said beside what every file says; None leaves a key out.
    """
    config, arch = theirs.config, theirs.config.model_type
    writer = GGUFWriter(file, arch)
    said: dict[str, Any] = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": config.head_dim,
        "rope.freq_base": 1e4,
        **epsilon(config),
    }
    adders = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    for key, value in (said | keys).items():
        if value is not None:
            adders[type(value)](f"{arch}.{key}", value)
    writer.add_tokenizer_model("gpt2")
    for name, token in (("bos", 1), ("eos", 2)):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)
    writer.add_add_bos_token(True)
    names = get_tensor_name_map(getattr(MODEL_ARCH, arch.upper()), config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    type_ = GGMLQuantizationType[kind]
    for seed, (name, place) in enumerate(stored(theirs).items()):
        stem, end = name.rsplit(".", 1)
        count = heads.get(stem.rsplit(".", 1)[-1]) if arch == "llama" else None
        called = f"{names.get_name(stem)}.{end}"
        if place.dim() == 1:
            writer.add_tensor(called, place.numpy())
            continue
        raw = coded(tuple(place.shape), type_, seed)
        numbers = torch.from_numpy(quants.dequantize(raw, type_))
        theirs.get_parameter(name).data.copy_(numbers)
        raw = raw if count is None else turned(raw, count)
        writer.add_tensor(called, raw, raw_dtype=None if kind == "F32" else type_)
    if isinstance(rope := config.rope_parameters, dict) and rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", divisors(config.head_dim))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def epsilon(config: Any) -> dict[str, float]:
    """What a header says of the norms of transformers' configuration."""
    if config.model_type == "starcoder2":
        return {"attention.layer_norm_epsilon": config.norm_epsilon}
    return {"attention.layer_norm_rms_epsilon": config.rms_norm_eps}


def divisors(head_dim: int) -> np.ndarray:
    """What LLAMA3 divides frequencies by, computed as llama.cpp's converter does."""
    found = []
    for pair in range(head_dim // 2):
        wave = 2 * np.pi * LLAMA3["rope_theta"] ** (2 * pair / head_dim)
        old, low, high = LLAMA3["original_max_position_embeddings"], 1.0, 4.0
        if wave < old / high:
            found.append(1.0)
        elif wave > old / low:
            found.append(LLAMA3["factor"])
        else:
            smooth = (old / wave - low) / (high - low)
            found.append(1 / ((1 - smooth) / LLAMA3["factor"] + smooth))
    return np.array(found, np.float32)


def logits(file: Path, **options: Any) -> Tensor:
    ours = checkpoint.load(load_config(file), file, **options)
    with torch.no_grad():
        hidden = ours.encode(IDS, KVCache(ours.config, dtype=ours.embedding.dtype))
        return ours.logits(hidden).float()


def gap(theirs: Any, file: Path, **options: Any) -> float:
    with torch.no_grad():
        right = theirs(IDS).logits
    return float((logits(file, **options) - right).abs().max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tied", [True, False])
def test_file_reads_as_the_reference(tmp_path: Path, kind: str, tied: bool) -> None:
    theirs = random_llama(kind=kind, tie_word_embeddings=tied)
    publish(tmp_path / "one.gguf", theirs)
    assert gap(theirs, tmp_path / "one.gguf") < 1e-3
    config = load_config(tmp_path / "one.gguf")
    assert (config.qkv_bias, config.qk_norm) == (kind in BIASED, kind == "qwen3")
    assert (config.tied, config.bos, config.eos) == (tied, 1, (2,))


def test_starcoder2_has_its_window_though_no_header_says_it(tmp_path: Path) -> None:
    theirs = random_llama(kind="starcoder2", sliding_window=6)
    publish(tmp_path / "one.gguf", theirs)
    config = load_config(tmp_path / "one.gguf")
    assert all(layer.sliding for layer in config.layers) and config.window == 4096
    assert gap(theirs, tmp_path / "one.gguf") > 0.03
    publish(tmp_path / "said.gguf", theirs, **{"attention.sliding_window": 6})
    assert gap(theirs, tmp_path / "said.gguf") < 1e-3


def test_turned_rows_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = random_llama()
    publish(tmp_path / "one.gguf", theirs)
    monkeypatch.setattr("dgedit_engine.formats.gguf_fields.turned_heads", lambda fields: {})
    assert gap(theirs, tmp_path / "one.gguf") > 0.03


@pytest.mark.parametrize("type_", [name for name in TOLERANCES if name != "F32"])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "starcoder2"])
def test_quantised_file_reads_as_its_worth(tmp_path: Path, kind: str, type_: str) -> None:
    theirs = random_llama(kind=kind, tie_word_embeddings=False, **WIDE)
    publish(tmp_path / "one.gguf", theirs, type_)
    file = tmp_path / "one.gguf"
    ours = checkpoint.load(load_config(file), file, dtype=torch.float32)
    assert isinstance(next(ours.stack()).qkv, Quantised) and isinstance(ours.output, Quantised)
    assert gap(theirs, file, dtype=torch.float32) < 1.5 * TOLERANCES[type_]  # the head's is too


def test_large_rows_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgedit_engine.formats.gguf._CHUNK_BYTES", 5000)
    theirs = random_llama(**WIDE)
    publish(tmp_path / "one.gguf", theirs, "Q8_0")
    assert gap(theirs, tmp_path / "one.gguf", dtype=torch.float32) < 1e-3


def test_llama_3s_rope_is_read_from_its_tensor(tmp_path: Path) -> None:
    theirs = random_llama(rope_parameters=LLAMA3)
    publish(tmp_path / "one.gguf", theirs)
    assert gap(theirs, tmp_path / "one.gguf") < 1e-3
    found = load_config(tmp_path / "one.gguf").layers[0].stretch
    random_llama(tmp_path / "safe", rope_parameters=LLAMA3)
    assert found == pytest.approx(load_config(tmp_path / "safe").layers[0].stretch)
    assert isinstance(found, tuple) and {found[0], found[-1]} == {1.0, 8.0}


def test_heads_that_are_not_said_are_named(tmp_path: Path) -> None:
    """Beside a config.json, where nobody else looks for them."""
    publish(tmp_path / "one.gguf", random_llama(), **{"attention.head_count": None})
    with pytest.raises(ModelError, match=r"one\.gguf.*None heads"):
        opened(tmp_path / "one.gguf")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0}, "yarn"),
        ({"rope.dimension_count": 8}, "8 of 16 columns rotate"),
        ({"expert_count": 8}, "8 experts"),
        ({"context_length": None}, "context_length"),
        ({"attention.head_count": 0}, "0"),
        ({"attention.key_length": 1 << 20}, "head_dim 1048576"),
        ({"block_count": 5000}, "5000 layers"),
    ],
)
def test_header_that_cannot_be_used_is_named(
    tmp_path: Path, keys: dict[str, Any], words: str
) -> None:
    file = tmp_path / "one.gguf"
    publish(file, random_llama(), **keys)
    with pytest.raises(ModelError) as caught:
        load_config(file)
    assert words in str(caught.value) and str(file) in str(caught.value)
