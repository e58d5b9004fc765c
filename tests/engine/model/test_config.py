"""What is read off a checkpoint's config files, and what is refused."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dgedit_engine.model.config import (
    Config,
    LayerConfig,
    Sampling,
    load_config,
    load_sampling,
    save_config,
)
from dgedit_engine.types import ModelError

FULL = {5, 11, 17, 23, 29}
SLIDING_LAYER = LayerConfig(True, 8, 256, 10_000.0, 128)
FULL_LAYER = LayerConfig(False, 2, 512, 1_000_000.0, 64)
RELEASED: dict[str, Any] = {
    "architectures": ["DiffusionGemmaForBlockDiffusion"],
    "model_type": "diffusion_gemma",
    "canvas_length": 256,
    "dtype": "bfloat16",
    "tie_word_embeddings": True,
    "eos_token_id": [1, 106],
    "image_token_id": 258880,
    "text_config": {
        "model_type": "diffusion_gemma_text",
        "hidden_size": 2816,
        "intermediate_size": 2112,
        "num_hidden_layers": 30,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 256,
        "global_head_dim": 512,
        "num_global_key_value_heads": 2,
        "layer_types": [
            "full_attention" if index in FULL else "sliding_attention" for index in range(30)
        ],
        "num_experts": 128,
        "top_k_experts": 8,
        "moe_intermediate_size": 704,
        "sliding_window": 1024,
        "vocab_size": 262144,
        "max_position_embeddings": 262144,
        "rms_norm_eps": 1e-06,
        "final_logit_softcapping": 30.0,
        "hidden_activation": "gelu_pytorch_tanh",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "use_bidirectional_attention": "vision",
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            "full_attention": {
                "rope_type": "proportional",
                "rope_theta": 1000000.0,
                "partial_rotary_factor": 0.25,
            },
        },
        "bos_token_id": 2,
        "eos_token_id": 1,
        "pad_token_id": 0,
    },
    "vision_config": {"model_type": "gemma4_vision", "hidden_size": 1152},
}
GENERATION = {
    "max_new_tokens": 256,
    "max_denoising_steps": 48,
    "sampler_config": {"_cls_name": "EntropyBoundSamplerConfig", "entropy_bound": 0.1},
    "t_min": 0.4,
    "t_max": 0.8,
    "stability_threshold": 1,
    "confidence_threshold": 0.005,
    "eos_token_id": [1, 106, 50],
    "pad_token_id": 0,
}


def released(**text: Any) -> dict[str, Any]:
    raw = copy.deepcopy(RELEASED)
    raw["text_config"] |= text
    return raw


def load(folder: Path, raw: dict[str, Any]) -> Config:
    (folder / "config.json").write_text(json.dumps(raw))
    return load_config(folder)


def refused(folder: Path, raw: dict[str, Any]) -> str:
    with pytest.raises(ModelError) as caught:
        load(folder, raw)
    words = str(caught.value)
    assert "\n" not in words
    return words


def test_released_config_is_read(tmp_path: Path) -> None:
    config = load(tmp_path, RELEASED)
    assert config == Config(
        vocab=262144,
        dim=2816,
        heads=16,
        layers=tuple(FULL_LAYER if index in FULL else SLIDING_LAYER for index in range(30)),
        window=1024,
        mlp=2112,
        experts=128,
        active=8,
        expert_width=704,
        canvas=256,
        context=262144,
        eps=1e-6,
        softcap=30.0,
        bos=2,
        eos=(1, 106),
        pad=0,
    )
    assert config.embed_scale == pytest.approx(53.0660, abs=1e-4)


def test_per_layer_config_says_the_same_as_the_global_keys(tmp_path: Path) -> None:
    raw = released()
    del raw["text_config"]["global_head_dim"], raw["text_config"]["num_global_key_value_heads"]
    shape = {"head_dim": 512, "num_key_value_heads": 2}
    raw["text_config"]["per_layer_config"] = {str(index): shape for index in FULL}
    assert load(tmp_path, raw) == load(tmp_path, RELEASED)


def test_per_layer_config_is_read_by_number(tmp_path: Path) -> None:
    """Since ten layers and more are written "05", as transformers 5 saves them."""
    raw = released()
    del raw["text_config"]["global_head_dim"], raw["text_config"]["num_global_key_value_heads"]
    shape = {"head_dim": 512, "num_key_value_heads": 2}
    raw["text_config"]["per_layer_config"] = {f"{index:02}": shape for index in FULL}
    assert load(tmp_path, raw).layers[5] == FULL_LAYER
    raw["text_config"]["per_layer_config"] = {"five": shape}
    assert "five" in refused(tmp_path, raw)


def test_model_type_alone_names_the_architecture(tmp_path: Path) -> None:
    raw = released()
    del raw["architectures"]
    assert load(tmp_path, raw).dim == 2816


def test_last_layer_is_full_as_in_the_reference(tmp_path: Path) -> None:
    raw = released(layer_types=["sliding_attention"] * 30)
    assert [layer.sliding for layer in load(tmp_path, raw).layers] == [True] * 29 + [False]


@pytest.mark.parametrize("experts", [(4, 2), (1, 1)])
@pytest.mark.parametrize("eos", [(1,), (1, 106, 50)])
def test_saved_config_is_read_back(
    tmp_path: Path, experts: tuple[int, int], eos: tuple[int, ...]
) -> None:
    sliding, full = LayerConfig(True, 2, 16, 1e4, 8), LayerConfig(False, 1, 24, 1e5, 3)
    config = Config(
        vocab=99,
        dim=32,
        heads=4,
        layers=(sliding, full, sliding, full),
        window=8,
        mlp=48,
        experts=experts[0],
        active=experts[1],
        expert_width=20,
        canvas=64,
        context=777,
        eps=1e-5,
        softcap=20.0,
        eos=eos,
        pad=3,
    )
    sampling = Sampling(
        steps=7, entropy_bound=0.3, t_min=0.1, t_max=0.9, stability=2, confidence=0.1
    )
    save_config(config, sampling, tmp_path)
    assert load_config(tmp_path) == config
    assert load_sampling(tmp_path) == sampling
    only_full = replace(config, layers=(full, full))
    save_config(only_full, sampling, tmp_path)
    assert load_config(tmp_path) == only_full


def test_released_sampling_is_read_and_is_the_default(tmp_path: Path) -> None:
    assert load_sampling(tmp_path) == Sampling(48, 0.1, 0.4, 0.8, 1, 0.005)
    (tmp_path / "generation_config.json").write_text(json.dumps(GENERATION))
    assert load_sampling(tmp_path) == Sampling()
    (tmp_path / "generation_config.json").write_text('{"t_max": 0.7, "sampler_config": null}')
    assert load_sampling(tmp_path) == Sampling(t_max=0.7)


def test_fault_22_config_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(RELEASED), encoding="utf-8")
    plain = load_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(RELEASED), encoding="utf-8-sig")
    assert load_config(tmp_path) == plain


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        load_config(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "\x00\x01", "[1]", '"x"'])
def test_file_that_is_no_json_object_is_named(tmp_path: Path, text: str) -> None:
    for name, function in (
        ("config.json", load_config),
        ("generation_config.json", load_sampling),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(ModelError) as caught:
            function(tmp_path)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def test_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ModelError, match=r"config\.json"):
        load_config(tmp_path)


def test_another_architecture_is_named(tmp_path: Path) -> None:
    raw = released() | {"architectures": ["MistralForCausalLM"], "model_type": "mistral"}
    words = refused(tmp_path, raw)
    assert "MistralForCausalLM" in words and str(tmp_path / "config.json") in words


@pytest.mark.parametrize(
    "key",
    ["vocab_size", "hidden_size", "sliding_window", "layer_types", "rope_parameters", "head_dim"],
)
def test_missing_key_is_named(tmp_path: Path, key: str) -> None:
    raw = released()
    del raw["text_config"][key]
    words = refused(tmp_path, raw)
    assert key in words and "config.json" in words


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ({"hidden_activation": "silu"}, "silu"),
        ({"attention_bias": True}, "attention_bias"),
        ({"layer_types": ["full_attention", "linear_attention", "full_attention"]}, "linear"),
        ({"layer_types": []}, "config.json"),
        ({"top_k_experts": 129}, "129"),
        ({"num_key_value_heads": 3}, "3 kv heads"),
        ({"num_key_value_heads": 0}, "kv_heads must be positive and whole, not 0"),
        ({"vocab_size": "many"}, "vocab must be positive and whole, not 'many'"),
        ({"hidden_size": -1}, "dim must be positive and whole, not -1"),
        ({"intermediate_size": 2.5}, "not 2.5"),
        ({"sliding_window": 0}, "window must be"),
        ({"max_position_embeddings": None}, "context must be"),
        ({"head_dim": 255}, "head of 255"),
        ({"rms_norm_eps": -1e-6}, "eps must be positive, not -1e-06"),
        ({"final_logit_softcapping": None}, "softcap must be positive, not None"),
        ({"final_logit_softcapping": float("nan")}, "softcap must be positive, not nan"),
    ],
)
def test_unusable_value_is_named(tmp_path: Path, text: dict[str, Any], named: str) -> None:
    assert named in refused(tmp_path, released(**text))


@pytest.mark.parametrize("eos", [[], [None], ["x"], [-1], 262144, 2.5])
def test_unusable_end_tokens_are_named(tmp_path: Path, eos: Any) -> None:
    words = refused(tmp_path, released() | {"eos_token_id": eos})
    assert "end token" in words and "config.json" in words


@pytest.mark.parametrize("names", [5, {}, {"a": 1}])
def test_architectures_that_are_no_list_are_refused(tmp_path: Path, names: Any) -> None:
    words = refused(tmp_path, released() | {"architectures": names, "model_type": "mistral"})
    assert "architecture mistral" in words


@pytest.mark.parametrize(
    "values",
    [
        {"max_denoising_steps": 0},
        {"max_denoising_steps": "x"},
        {"t_min": -0.1},
        {"t_min": 0.9},
        {"t_min": 0, "t_max": 0},
        {"t_max": "hot"},
        {"t_max": float("nan")},
        {"stability_threshold": 1.5},
        {"confidence_threshold": []},
        {"sampler_config": "x"},
        {"sampler_config": {"entropy_bound": float("inf")}},
    ],
    ids=str,
)
def test_sampling_that_no_sampler_can_use_is_named(tmp_path: Path, values: dict[str, Any]) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps(GENERATION | values))
    with pytest.raises(ModelError) as caught:
        load_sampling(tmp_path)
    assert "generation_config.json" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "proportional", "rope_theta": 0},
        {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 9},
        {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 1e999},
    ],
    ids=str,
)
def test_rope_that_cannot_turn_is_refused(tmp_path: Path, rope: dict[str, Any]) -> None:
    raw = released()
    raw["text_config"]["rope_parameters"]["full_attention"] = rope
    assert "config.json" in refused(tmp_path, raw)


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0},
        {"rope_type": "proportional", "rope_theta": 1e6, "factor": 8.0},
        {"rope_type": "default", "rope_theta": 1e6, "partial_rotary_factor": 0.25},
    ],
)
def test_another_rope_is_named(tmp_path: Path, rope: dict[str, Any]) -> None:
    raw = released()
    raw["text_config"]["rope_parameters"]["full_attention"] = rope
    words = refused(tmp_path, raw)
    assert "rope" in words and rope["rope_type"] in words
