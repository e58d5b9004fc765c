"""Gemma 4 against transformers on the same weights: fp32, same ids, logits within 1e-3."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dgedit_engine.memory.plan import need
from dgedit_engine.model.config import Sampling, load_config, save_config
from dgedit_engine.model.config_gemma4 import configured
from dgedit_engine.model.masks import side_by_side
from dgedit_engine.model.model import Model
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from dgedit_engine.weights.quantize import Experts, Rest, quantize
from dgedit_kernels.quantised import Quantised
from gemma4 import A4B, EXPERTS, PUBLISHED, filled, random_gemma4, write_gguf
from oracle import random_model
from parity import assert_close, assert_reads_alike, cache_of, ids

pytestmark = pytest.mark.oracle
SHAPES: dict[str, dict[str, Any]] = {
    "26B-A4B": EXPERTS,
    "31B": {},
    "values of their own": {"attention_k_eq_v": False},
    "no soft cap": {"final_logit_softcapping": None},
    "forced last layer": {"layer_types": ["full_attention", *["sliding_attention"] * 2]},
    "layers by rule": {"num_hidden_layers": 7, "layer_types": None},
    "other rotary share": {
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 5e3},
            "full_attention": {
                **{"rope_type": "proportional", "rope_theta": 2e5, "partial_rotary_factor": 0.5}
            },
        }
    },
}


@pytest.fixture(params=SHAPES, scope="module")
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Model, Path]:
    folder = tmp_path_factory.mktemp("model")
    theirs = random_gemma4(folder, **SHAPES[request.param])
    return theirs, checkpoint.load(load_config(folder), folder), folder


@pytest.fixture(autouse=True)
def no_gradients() -> Any:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("length", [1, 29])
def test_encode_gives_the_references_logits_and_keys(
    pair: tuple[Any, Model, Path], length: int
) -> None:
    theirs, ours, _ = pair
    assert_reads_alike(theirs, ours, length)


def test_drafts_side_by_side_are_as_if_alone(pair: tuple[Any, Model, Path]) -> None:
    theirs, ours, _ = pair
    cache, text = cache_of(ours), ids(29, seed=1)
    parts = [ours.encode(part, cache) for part in text.split([3, 26], 1)]
    assert_close(ours.logits(torch.cat(parts, 1)), theirs(text).logits)
    one, two = ids(4, seed=3), ids(6, seed=4)
    beside = side_by_side([4, 6], one.device)
    both = ours.logits(ours.encode(torch.cat((one, two), 1), cache, beside=beside))
    assert_close(both[:, :4], theirs(torch.cat((text, one), 1)).logits[:, 29:])
    assert_close(both[:, 4:], theirs(torch.cat((text, two), 1)).logits[:, 29:])


def test_it_has_no_canvas_and_its_own_words(pair: tuple[Any, Model, Path]) -> None:
    theirs, ours, folder = pair
    config = ours.config
    assert not (ours.canvas or config.diffusion or config.left_to_right)
    kinds = ["sliding_attention" if one.sliding else "full_attention" for one in config.layers]
    assert kinds == theirs.config.layer_types and kinds[-1] == "full_attention"
    assert need(folder, context=4096).weights > sum(one.nbytes for one in ours.parameters()) / 2


def test_what_is_written_is_read_by_both(pair: tuple[Any, Model, Path], tmp_path: Path) -> None:
    theirs, ours, folder = pair
    checkpoint.save(ours, tmp_path / "model.safetensors", dtype=torch.float32)
    save_config(ours.config, Sampling(), tmp_path)
    assert load_config(tmp_path) == ours.config
    names = load_file(tmp_path / "model.safetensors").keys()
    assert names == load_file(folder / "model.safetensors").keys()
    text = ids(9, seed=5)
    again = type(theirs).from_pretrained(tmp_path, dtype=torch.float32)
    assert_close(again(text).logits, theirs(text).logits)


def test_published_keys_of_the_whole_model_say_the_same(tmp_path: Path) -> None:
    theirs = random_gemma4(tmp_path, images=True, **EXPERTS)
    raw = json.loads((tmp_path / "config.json").read_text())
    assert raw["architectures"] == ["Gemma4ForConditionalGeneration"]
    found = load_config(tmp_path)
    ours = checkpoint.load(found, tmp_path)
    text = ids(12, seed=2)
    assert_close(ours.logits(ours.encode(text, cache_of(ours))), theirs(text).logits)
    inner = raw["text_config"]
    del inner["per_layer_config"]  # as the released files have it
    inner |= {"global_head_dim": 24, "num_global_key_value_heads": 1, "head_dim": 16}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    assert load_config(tmp_path) == found
    inner["attention_k_eq_v"] = False  # then full layers have as many key heads as others
    (tmp_path / "config.json").write_text(json.dumps(raw))
    assert load_config(tmp_path).layers[-1].kv_heads == 2


def test_unified_model_is_read_by_the_same_words(tmp_path: Path) -> None:
    from transformers import Gemma4UnifiedForCausalLM, Gemma4UnifiedTextConfig

    from gemma4 import DENSE

    shape = {key: value for key, value in DENSE.items() if "per_layer" not in key}
    config = Gemma4UnifiedTextConfig(**shape, attn_implementation="eager")
    torch.manual_seed(0)
    theirs = filled(Gemma4UnifiedForCausalLM(config).eval())
    theirs.save_pretrained(tmp_path)
    ours = checkpoint.load(load_config(tmp_path), tmp_path)
    text = ids(12, seed=2)
    assert_close(ours.logits(ours.encode(text, cache_of(ours))), theirs(text).logits)


def test_diffusion_gemmas_causal_reading_is_a_gemma_4(tmp_path: Path) -> None:
    random_model(tmp_path / "diffusion")
    both = checkpoint.load(load_config(tmp_path / "diffusion"), tmp_path / "diffusion")
    alone = Model(replace(both.config, conditioned=False))
    for mine, other in zip(alone.stack(), both.stack(), strict=True):
        mine.denoise_scalar = other.encode_scalar  # the only one that a file of it has
    state = {name: one for name, one in both.state_dict().items() if "condition" not in name}
    for scalar in [name for name in state if name.endswith("denoise_scalar")]:
        state[scalar] = state[scalar.replace("denoise", "encode")]
    alone.load_state_dict(state)
    folder = tmp_path / "alone"
    folder.mkdir()
    checkpoint.save(alone, folder / "model.safetensors", dtype=torch.float32)
    save_config(alone.config, Sampling(), folder)
    again = checkpoint.load(load_config(folder), folder)
    text = ids(17, seed=6)
    expected = both.logits(both.encode(text, cache_of(both)))
    assert torch.equal(again.logits(again.encode(text, cache_of(again))), expected)


@pytest.mark.parametrize(("experts", "rest"), [("e4m3", "int8"), ("int4", "int8"), (None, "int8")])
def test_quantised_it_is_nearly_the_same(
    tmp_path: Path, experts: Experts | None, rest: Rest | None
) -> None:
    wide = {"hidden_size": 64, "intermediate_size": 64, "moe_intermediate_size": 64}
    theirs = random_gemma4(tmp_path / "whole", images=True, **(EXPERTS | wide))
    list(quantize(tmp_path / "whole", tmp_path / "narrow", experts=experts, rest=rest))
    config = load_config(tmp_path / "narrow")
    assert config == load_config(tmp_path / "whole")
    ours = checkpoint.load(config, tmp_path / "narrow", dtype=torch.float32)
    assert isinstance(ours.layers[0].out, Quantised) == (rest is not None)
    assert isinstance(ours.layers[0].experts_down, Quantised) == (experts is not None)
    text = ids(40, seed=2)
    mine = ours.logits(ours.encode(text, cache_of(ours)))
    both = torch.stack((mine.flatten(), theirs(text).logits.flatten()))
    assert float(torch.corrcoef(both)[0, 1]) > (0.9 if experts else 0.99)


@pytest.mark.parametrize(
    ("shape", "billions", "kept"),
    [
        (
            A4B,
            25.23,
            (25, 5),
        ),
        (
            {
                **{"hidden_size": 5376, "num_hidden_layers": 60, "intermediate_size": 21504},
                **{"num_attention_heads": 32, "num_key_value_heads": 16},
                "num_global_key_value_heads": 4,
            },
            30.70,
            (50, 10),
        ),
    ],
)
def test_published_shapes_have_their_parameters(
    shape: dict[str, Any], billions: float, kept: tuple[int, int]
) -> None:
    config = configured(PUBLISHED | shape)
    with torch.device("meta"):
        model = Model(config)
    count = sum(one.numel() for one in model.parameters())
    assert count / 1e9 == pytest.approx(billions, abs=0.01)
    sliding = sum(one.sliding for one in config.layers)
    assert (sliding, len(config.layers) - sliding) == kept
    assert {(one.head_dim, one.rotated) for one in config.layers} == {(256, 128), (512, 64)}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hidden_size_per_layer_input": 8}, "embeddings for each layer"),
        ({"num_kv_shared_layers": 1}, "share others' keys and values"),
        ({"use_double_wide_mlp": True}, "layers of two widths"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings"),
        ({"attention_bias": True}, "attention_bias"),
        ({"use_bidirectional_attention": "all"}, "bidirectional"),
        ({"hidden_activation": "silu"}, "hidden_activation silu"),
        ({"num_hidden_layers": 10**9, "layer_types": None}, "more than any model has"),
        ({"num_hidden_layers": 5}, "5 layers, but 3 layer_types"),
    ],
)
def test_what_the_layers_do_not_cover_is_named(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    random_gemma4(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    with pytest.raises(ModelError, match=said) as caught:
        load_config(tmp_path)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)


def test_gguf_file_is_read_as_transformers_reads_the_weights(
    pair: tuple[Any, Model, Path], tmp_path: Path
) -> None:
    theirs, ours, _ = pair
    file = tmp_path / "one.gguf"
    write_gguf(file, theirs, ours.config)
    assert load_config(file) == replace(ours.config, eos=(1,))
    again = checkpoint.load(load_config(file), file)
    text = ids(17, seed=6)
    assert_close(again.logits(again.encode(text, cache_of(again))), theirs(text).logits)


@pytest.mark.parametrize("key", ["embedding_length_per_layer_input", "attention.shared_kv_layers"])
def test_gguf_file_of_a_small_one_is_refused(
    pair: tuple[Any, Model, Path], tmp_path: Path, key: str
) -> None:
    theirs, ours, _ = pair
    write_gguf(tmp_path / "one.gguf", theirs, ours.config, **{key: 7})
    with pytest.raises(ModelError, match=f"{key} 7: .*, which this engine does not know"):
        load_config(tmp_path / "one.gguf")
