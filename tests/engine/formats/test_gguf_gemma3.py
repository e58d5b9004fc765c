"""Gemma 3 in GGUF files, against transformers' model with what their weights are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import MODEL_ARCH, GGMLQuantizationType, GGUFWriter, get_tensor_name_map, quants
from safetensors.torch import load_file
from torch import Tensor

from blocks import TOLERANCES, coded
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import load_config
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from dgedit_engine.weights.quantize import quantize
from dgedit_kernels.quantised import Quantised
from gemma3 import TEXT, canvas_mask, random_model, stored

pytestmark = pytest.mark.oracle
WIDE: dict[str, Any] = {
    **{"hidden_size": 256, "intermediate_size": 512, "num_key_value_heads": 1, "head_dim": 64},
    **{"num_hidden_layers": 2, "query_pre_attn_scalar": 64},
    "layer_types": ["sliding_attention", "full_attention"],
}
"""Blocks of 256 divide its widths."""


def publish(file: Path, theirs: Any, kind: str = "F32", **keys: Any) -> None:
    """Write a model as llama.cpp's converter does, its matrices of a type; theirs gets their worth.

    `keys` are what is said beside what every file says; None leaves a key out.
    """
    config = theirs.config
    writer = GGUFWriter(file, "gemma3")
    said: dict[str, Any] = {
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "attention.sliding_window": config.sliding_window,
        "rope.freq_base": 1e6,
        "rope.scaling.type": "linear",
        "rope.scaling.factor": 8.0,
    }
    adders = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    for key, value in (said | keys).items():
        if value is not None:
            adders.get(type(value), writer.add_array)(f"gemma3.{key}", value)
    for name, token in (("bos", 2), ("eos", 1), ("padding", 0)):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", token)
    names = get_tensor_name_map(MODEL_ARCH.GEMMA3, config.num_hidden_layers)
    for seed, (name, place) in enumerate(stored(theirs).items()):
        stem, end = name.rsplit(".", 1)
        called = f"{names.get_name(stem)}.{end}"
        if place.dim() == 1:
            writer.add_tensor(called, place.numpy() + 1)
            continue
        type_ = GGMLQuantizationType[kind]
        raw = coded(tuple(place.shape), type_, seed)
        numbers = torch.from_numpy(quants.dequantize(raw, type_))
        theirs.get_parameter(name).data.copy_(numbers)
        writer.add_tensor(called, raw, raw_dtype=None if kind == "F32" else type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gap(theirs: Any, file: Path, **options: Any) -> float:
    """The largest difference of logits, of a text and of a canvas behind it."""
    ours = checkpoint.load(load_config(file), file, **options)
    generator = torch.Generator().manual_seed(0)
    prompt, canvas = (torch.randint(128, (1, size), generator=generator) for size in (23, 9))
    with torch.no_grad():
        cache = KVCache(ours.config, dtype=ours.embedding.dtype)
        found = [ours.logits(ours.encode(prompt, cache)), ours.logits(ours.denoise(canvas, cache))]
        whole = torch.cat((prompt, canvas), 1)
        right: Tensor = theirs(whole, attention_mask=canvas_mask(theirs, 23, 9)).logits
    assert right.std() > 0.3
    return float((torch.cat(found, 1) - right).abs().max())


@pytest.mark.parametrize("kind", TOLERANCES)
def test_file_reads_as_its_dequantised_twin(tmp_path: Path, kind: str) -> None:
    theirs, file = random_model(**WIDE), tmp_path / "one.gguf"
    publish(file, theirs, kind, **{"attention.sliding_window_pattern": 2})
    assert gap(theirs, file, dtype=torch.float32) < TOLERANCES[kind]
    layer = next(checkpoint.load(load_config(file), file).stack())
    assert isinstance(layer.qkv, Quantised) == isinstance(layer.down, Quantised) == (kind != "F32")


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({}, {}),
        ({"attention.sliding_window_pattern": 6, "rope.freq_base_swa": 1e4}, {}),
        ({"attention.sliding_window_pattern": [True] * 5 + [False, True]}, {}),
        ({"attention.sliding_window": None}, {"layer_types": ["full_attention"] * 7}),
        (
            {"rope.scaling.type": "none", "rope.freq_base_swa": 5e4},
            {
                "rope_parameters": {
                    "sliding_attention": {"rope_type": "default", "rope_theta": 5e4},
                    "full_attention": {"rope_type": "default", "rope_theta": 1e6},
                }
            },
        ),
        ({"final_logit_softcapping": 3.0}, {"final_logit_softcapping": 3.0}),
    ],
)
def test_header_says_what_the_config_would(
    tmp_path: Path, keys: dict[str, Any], text: dict[str, Any]
) -> None:
    theirs, file = random_model(**{"query_pre_attn_scalar": 16, **text}), tmp_path / "one.gguf"
    publish(file, theirs, **keys)
    assert gap(theirs, file) < 1e-3
    theirs.save_pretrained(tmp_path / "folder")
    found, right = load_config(file), load_config(tmp_path / "folder")
    assert found.layers == right.layers and found.query_scale == right.query_scale
    assert (found.bos, found.eos, found.pad) == (2, (1,), 0)


def test_largest_model_scales_its_queries_by_another_width(tmp_path: Path) -> None:
    """llama.cpp tells the 27B model by its layers."""
    shape = {"num_hidden_layers": 62, "head_dim": 4, "intermediate_size": 8, "hidden_size": 48}
    theirs = random_model(**shape, query_pre_attn_scalar=12)
    publish(tmp_path / "one.gguf", theirs)
    assert gap(theirs, tmp_path / "one.gguf") < 1e-3


def test_config_json_beside_it_is_preferred(tmp_path: Path) -> None:
    """Norms are whole in the file all the same."""
    theirs = random_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    publish(tmp_path / "one.gguf", theirs)
    assert load_config(tmp_path).query_scale == TEXT["query_pre_attn_scalar"] ** -0.5
    assert gap(theirs, tmp_path) < 1e-3


def test_file_is_quantised_by_the_config_json_beside_it(tmp_path: Path) -> None:
    """Norms lose there what the file has added."""
    theirs = random_model(tmp_path / "in")
    (tmp_path / "in" / "model.safetensors").unlink()
    publish(tmp_path / "in" / "one.gguf", theirs, "Q8_0")
    for _ in quantize(tmp_path / "in" / "one.gguf", tmp_path / "out", rest="int8"):
        pass
    assert gap(theirs, tmp_path / "out", dtype=torch.float32) < 0.1
    found = load_file(tmp_path / "out" / "model-00001.safetensors")
    norms = {name: one for name, one in stored(theirs).items() if one.dim() == 1}
    assert len(norms) == 6 * 7 + 1
    for name, one in norms.items():
        torch.testing.assert_close(found[name].float(), one, rtol=2**-8, atol=1e-6)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"rope.scaling.type": "yarn"}, "yarn"),
        ({"rope.scaling.factor": 0.5}, "rope"),
        ({"attention.sliding_window_pattern": [True, False]}, "7 layers, but 2"),
        ({"attention.key_length": None}, "attention.key_length"),
    ],
)
def test_header_that_cannot_be_used_is_named(
    tmp_path: Path, keys: dict[str, Any], words: str
) -> None:
    file = tmp_path / "one.gguf"
    publish(file, random_model(), **keys)
    with pytest.raises(ModelError) as caught:
        load_config(file)
    assert words in str(caught.value) and str(file) in str(caught.value)
