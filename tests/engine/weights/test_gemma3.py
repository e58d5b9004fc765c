"""Gemma 3's files: other keys and names, what is saved of it, fewer bits, and its memory."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dgedit_engine.memory.plan import check, fitting, need
from dgedit_engine.model import products
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import Config, Sampling, load_config, load_sampling, save_config
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from dgedit_engine.weights.cpu_int8 import pack
from dgedit_engine.weights.quantize import quantize
from dgedit_engine.weights.slots import slots
from dgedit_kernels.packed import Packed, available
from dgedit_kernels.quantised import Quantised
from gemma3 import SHAPE, TEXT, filled, random_model, stored
from published import numbers, write

pytestmark = pytest.mark.oracle
IDS = torch.arange(3, 32)[None]
OLD = {"sliding_window_pattern": 6, "rope_theta": 1e6, "rope_local_base_freq": 1e4}


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        if not isinstance(model, Model):
            found: Tensor = model(IDS).logits
            return found
        cache = KVCache(model.config, dtype=model.embedding.dtype)
        return model.logits(model.encode(IDS, cache))


def loaded(path: Path, **options: Any) -> Model:
    return checkpoint.load(load_config(path), path, **options)


def gap(one: Any, other: Any) -> float:
    return float((logits(one) - logits(other)).abs().max())


def change(folder: Path, **values: Any) -> dict[str, Any]:
    """Rewrite config.json; None takes a key away."""
    raw: dict[str, Any] = json.loads((folder / "config.json").read_text()) | values
    raw = {key: value for key, value in raw.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(raw))
    return raw


@pytest.mark.parametrize("scaling", [{"rope_type": "linear"}, {"type": "linear"}, None])
def test_older_keys_say_the_same(tmp_path: Path, scaling: dict[str, str] | None) -> None:
    theirs = random_model(tmp_path)
    new = load_config(tmp_path)
    rope = scaling and scaling | {"factor": 8.0}
    none = dict.fromkeys(("rope_parameters", "layer_types", "_sliding_window_pattern"))
    change(tmp_path, **none, **OLD, rope_scaling=rope)
    if scaling is None:
        assert {layer.stretch for layer in load_config(tmp_path).layers} == {1.0}
        return
    assert load_config(tmp_path) == new
    assert gap(loaded(tmp_path), theirs) < 1e-3
    if "rope_type" in scaling:  # transformers reads them too
        assert gap(type(theirs).from_pretrained(tmp_path), theirs) < 1e-4


@pytest.fixture(scope="module")
def with_images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A model that looks at images, as transformers saves it, and its text part."""
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3TextConfig,
        SiglipVisionConfig,
    )

    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    vision = SiglipVisionConfig(**small, num_attention_heads=1, image_size=28, patch_size=14)
    config = Gemma3Config(
        text_config=Gemma3TextConfig(**TEXT), vision_config=vision, mm_tokens_per_image=4
    )
    folder = tmp_path_factory.mktemp("images")
    model = filled(Gemma3ForConditionalGeneration(config).eval())
    model.save_pretrained(folder)
    return folder, model


@pytest.mark.parametrize("prefix", ["language_model.model.", "model.language_model."])
def test_text_part_of_a_model_with_images_is_read(
    with_images: tuple[Path, Any], tmp_path: Path, prefix: str
) -> None:
    folder, theirs = with_images
    text = [name for name in theirs.state_dict() if name.startswith("model.language_model.")]
    tensors = {
        name.replace("model.language_model.", prefix) if name in text else name: one.clone()
        for name, one in theirs.state_dict().items()
        if name != "lm_head.weight"
    }
    if prefix == "language_model.model.":  # as released, images without "model." too
        tensors = {
            name.removeprefix("model.") if "language" not in name else name: one
            for name, one in tensors.items()
        }
        tensors["language_model.lm_head.weight"] = torch.zeros(128, 64)
    assert any("vision_tower" in name for name in tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    ours = loaded(tmp_path)
    assert ours.embedding.dtype == torch.float32
    assert gap(ours, theirs) < 1e-3


def test_saved_model_with_images_is_read(with_images: tuple[Path, Any]) -> None:
    folder, theirs = with_images
    assert gap(loaded(folder), theirs) < 1e-3


def test_what_released_files_leave_out_is_the_4b_models(tmp_path: Path) -> None:
    """The text part of google/gemma-3-4b's config.json, whole."""
    text = {
        **{"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text"},
        **{"num_hidden_layers": 34, "sliding_window": 1024},
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    }
    names = ["Gemma3ForConditionalGeneration"]
    raw = {"architectures": names, "model_type": "gemma3", "text_config": text}
    (tmp_path / "config.json").write_text(json.dumps(raw | {"eos_token_id": [1, 106]}))
    found = load_config(tmp_path)
    sliding, full = found.layers[4:6]
    assert (found.vocab, found.heads, found.context, found.eos) == (262_208, 8, 131_072, (1, 106))
    assert (sliding.kv_heads, sliding.head_dim, found.query_scale) == (4, 256, 1 / 16)
    assert (sliding.rope_theta, full.rope_theta, full.stretch) == (1e4, 1e6, 8.0)
    assert (sliding.sliding, full.sliding, found.layers[-1].sliding) == (True, False, True)
    from transformers import AutoConfig

    theirs = AutoConfig.from_pretrained(tmp_path).text_config
    assert (theirs.vocab_size, theirs.num_attention_heads) == (found.vocab, found.heads)
    assert (theirs.num_key_value_heads, theirs.head_dim) == (sliding.kv_heads, sliding.head_dim)
    assert theirs.query_pre_attn_scalar**-0.5 == found.query_scale


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping 50.0"),
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention True"),
        ({"attention_bias": True}, "attention_bias True"),
        ({"hidden_activation": "silu"}, "hidden_activation silu"),
        ({"rope_parameters": None, **OLD, "rope_scaling": {"rope_type": "yarn"}}, "yarn"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1e6}}}, "sliding_attention"),
        ({"layer_types": ["full_attention"]}, "7 layers, but 1"),
        ({"query_pre_attn_scalar": 0}, "config.json"),
        ({"query_pre_attn_scalar": None}, "query_pre_attn_scalar"),
        ({"head_dim": None}, "head_dim"),
    ],
)
def test_what_is_not_known_is_named(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    random_model(tmp_path)
    change(tmp_path, **values)
    with pytest.raises(ModelError) as caught:
        load_config(tmp_path)
    assert words in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("sharded", [True, False])
def test_saved_weights_are_read_by_transformers(tmp_path: Path, sharded: bool) -> None:
    theirs = random_model(tmp_path / "in")
    ours, out = loaded(tmp_path / "in"), tmp_path / "out"
    out.mkdir()
    save_config(ours.config, Sampling(steps=7), out)
    place = out if sharded else out / "model.safetensors"
    checkpoint.save(ours, place, dtype=torch.float32)
    again = type(theirs).from_pretrained(out, dtype=torch.float32, attn_implementation="eager")
    mine, right = stored(again), stored(theirs)
    assert mine.keys() == right.keys()
    for name, one in right.items():
        torch.testing.assert_close(mine[name], one, rtol=0, atol=1e-6 if "norm" in name else 0)
    assert gap(again.eval(), theirs) < 1e-4
    assert load_config(out) == ours.config and load_sampling(out).steps == 7


def test_round_trip_of_bfloat16_is_exact(tmp_path: Path) -> None:
    theirs = random_model().bfloat16()
    theirs.save_pretrained(tmp_path / "in")
    ours, out = loaded(tmp_path / "in"), tmp_path / "out"
    assert (ours.embedding.dtype, ours.norm.dtype) == (torch.bfloat16, torch.float32)
    out.mkdir()
    save_config(ours.config, Sampling(), out)
    checkpoint.save(ours, out / "model.safetensors")
    found = load_file(out / "model.safetensors")
    right = stored(theirs)
    assert found.keys() == right.keys()
    assert all(torch.equal(found[name], one) for name, one in right.items())


@pytest.mark.parametrize(
    "shape",
    [
        {"conditioned": True, "canvas": 64},
        {"eos": (1, 106), "softcap": 30.0, "query_scale": 168**-0.5},
        {"query_scale": 0.3},
    ],
)
def test_config_is_read_back(tmp_path: Path, shape: dict[str, Any]) -> None:
    random_model(tmp_path)
    config = replace(load_config(tmp_path), **shape)
    save_config(config, Sampling(), tmp_path)
    found = load_config(tmp_path)
    assert found.query_scale == pytest.approx(config.query_scale, abs=1e-12)
    assert replace(found, query_scale=config.query_scale) == config
    raw = json.loads((tmp_path / "config.json").read_text())
    assert raw["architectures"] == ["Gemma3ForCausalLM"]
    assert raw.get("self_conditioning") is (True if config.conditioned else None)


def test_conditioned_model_is_saved_whole(tmp_path: Path) -> None:
    random_model(tmp_path)
    config = replace(load_config(tmp_path), conditioned=True)
    model = Model(config)
    init_weights(model, seed=1)
    save_config(config, Sampling(), tmp_path)
    checkpoint.save(model, tmp_path / "model.safetensors", dtype=torch.float32)
    again = loaded(tmp_path)
    assert again.conditioning is not None and model.conditioning is not None
    assert torch.equal(again.conditioning.gate_up, model.conditioning.gate_up)
    soft = torch.randn(1, 29, config.dim)
    with torch.no_grad():
        one, other = (
            each.logits(each.denoise(IDS, KVCache(config, dtype=torch.float32), soft))
            for each in (model, again)
        )
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rest", ["int8", "e4m3"])
def test_quantised_model_reads_as_its_twin(tmp_path: Path, rest: Any) -> None:
    theirs = random_model(tmp_path / "in")
    for _ in quantize(tmp_path / "in", tmp_path / "out", rest=rest):
        pass
    ours, twin = (loaded(tmp_path / "out", dtype=torch.float32) for _ in range(2))
    for slot in slots(twin):
        if isinstance(slot.weight, Quantised):
            slot.fill(slot.weight.dequantised())
    assert gap(ours, twin) < 1e-3
    coded = [slot for slot in slots(ours) if isinstance(slot.weight, Quantised)]
    assert len(coded) == 4 * 7 and {slot.weight.kind for slot in coded} == {rest}
    assert gap(ours, theirs) < (0.1 if rest == "int8" else 0.5)
    wide = loaded(tmp_path / "in")
    norms = dict(wide.named_parameters())
    for name, one in ours.named_parameters():
        if "norm" in name:
            torch.testing.assert_close(one, norms[name], rtol=1e-2, atol=1e-2)


def test_nothing_to_quantise_is_said(tmp_path: Path) -> None:
    random_model(tmp_path / "in")
    with pytest.raises(ModelError, match="no experts"):
        next(quantize(tmp_path / "in", tmp_path / "out", experts="e2m1"))
    assert not (tmp_path / "out").exists()


def test_memory_is_that_of_what_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgedit_engine.weights.cpu_int8.available", lambda: False)
    random_model(tmp_path / "in").bfloat16().save_pretrained(tmp_path / "in")
    for _ in quantize(tmp_path / "in", tmp_path / "out", rest="int8"):
        pass
    for folder in (tmp_path / "in", tmp_path / "out"):
        found = need(folder, context=64, device="cuda")
        model = loaded(folder, dtype=torch.bfloat16)
        assert found.weights == sum(slot.weight.nbytes for slot in slots(model))


def test_choices_have_no_experts(tmp_path: Path) -> None:
    random_model(tmp_path)
    config: Config = load_config(tmp_path)
    found = fitting(config, 10**10)
    assert [(one.experts, one.rest) for one in found] == [
        *((None, None), (None, "int8"), (None, "e4m3"), (None, "int4")),
    ]
    assert found[0].fit.need.weights > found[1].fit.need.weights


def test_too_little_memory_says_what_would_fit(tmp_path: Path) -> None:
    large = replace(SHAPE, dim=512, mlp=4096)
    write(tmp_path, {k: one.bfloat16() for k, one in numbers(large).items()}, None, config=large)
    needed = need(tmp_path, context=1600, device="cuda")
    free = needed.total - needed.weights // 3
    with pytest.raises(ModelError) as caught:
        check(tmp_path, free, context=1600, device="cuda")
    words = str(caught.value)
    assert " with matrices in int8 needs " in words
    assert words.endswith("NAME --rest int8") and "\n" not in words


@pytest.mark.skipif(not available(), reason="this CPU has no such products")
@pytest.mark.parametrize("native", [True, False])
def test_packed_model_says_nearly_the_same(
    native: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "has_bfloat16", lambda: native)
    random_model(tmp_path)
    plain, small = loaded(tmp_path), loaded(tmp_path)
    pack(small)
    found = [value for one in small.modules() for value in vars(one).values()]
    assert len([one for one in found if isinstance(one, Packed)]) == 4 * 7
    assert small.head is not None and isinstance(small.head.weight, Packed)
    ids, said = torch.arange(40, 52)[None], []
    with torch.inference_mode():
        for model in (plain, small):
            cache = KVCache(model.config, dtype=torch.float32)
            model.encode(IDS, cache)
            drafts = model.logits(model.encode(ids[:, :4], cache.fork(1, 29)))
            canvas = model.logits(model.denoise(ids, cache))
            said.append(torch.cat((drafts, canvas), 1).log_softmax(-1))
    gap = torch.nn.functional.kl_div(said[1], said[0], log_target=True, reduction="batchmean")
    assert 0 < gap / 16 < 0.02  # nats a token


@pytest.mark.skipif(not available(), reason="this CPU has no such products")
def test_packed_weights_that_are_not_finite_are_named(tmp_path: Path) -> None:
    random_model(tmp_path)
    model = loaded(tmp_path)
    model.embedding[3, 5] = torch.nan
    with pytest.raises(ModelError, match=r"^model\.embed_tokens\.weight: not all numbers"):
        pack(model)
