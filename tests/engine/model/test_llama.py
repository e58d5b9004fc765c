"""Models of Llama's shape against transformers on the same weights: fp32, logits within 1e-3."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from as_on_a_card import through_kernels
from dgedit_engine.decode.causal import encode
from dgedit_engine.model.cache import GradientCache
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.config import load_config
from dgedit_engine.model.masks import Reading, side_by_side
from dgedit_engine.model.model import Model
from dgedit_engine.weights import checkpoint
from llama import BIASED, LLAMA3, canvas_mask, random_llama
from parity import assert_close, assert_reads_alike, cache_of, ids

pytestmark = pytest.mark.oracle
SHAPES: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama, own head, one kv head": {"tie_word_embeddings": False, "num_key_value_heads": 1},
    "llama 3": {"rope_parameters": LLAMA3},
    "qwen2": {"kind": "qwen2"},
    "qwen2, own head, linear rope": {
        **{"kind": "qwen2", "tie_word_embeddings": False},
        "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e6},
    },
    "qwen2 with windows": {
        **{"kind": "qwen2", "use_sliding_window": True, "sliding_window": 6},
        "max_window_layers": 1,
    },
    "qwen3": {"kind": "qwen3"},
    "starcoder2": {"kind": "starcoder2"},
    "starcoder2 with windows": {"kind": "starcoder2", "sliding_window": 6},
    "starcoder2, own head": {"kind": "starcoder2", "tie_word_embeddings": False},
    "qwen2 0.5B's heads": {
        **{"kind": "qwen2", "head_dim": 64, "num_attention_heads": 14, "num_key_value_heads": 2},
        **{"num_hidden_layers": 2, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
    },
}


@pytest.fixture(params=SHAPES, scope="module")
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Model]:
    folder = tmp_path_factory.mktemp("model")
    theirs = random_llama(folder, **SHAPES[request.param])
    return theirs, checkpoint.load(load_config(folder), folder)


@pytest.fixture(autouse=True)
def no_gradients() -> Any:
    with torch.no_grad():
        yield


def test_shape_is_the_files(pair: tuple[Any, Model]) -> None:
    theirs, ours = pair
    kind, config = theirs.config.model_type, ours.config
    assert (config.qkv_bias, config.qk_norm) == (kind in BIASED, kind == "qwen3")
    assert (ours.output is None) == config.tied == theirs.config.tie_word_embeddings
    slides = [layer.sliding for layer in config.layers]
    windows = {"qwen2": [False, True, True], "starcoder2": [True] * 3}
    assert slides == (windows[kind] if config.window == 6 else [False] * len(slides))
    assert not ours.canvas and ours.scale == 1


@pytest.mark.parametrize("length", [1, 5, 61])
def test_encode_gives_the_references_logits_and_keys(pair: tuple[Any, Model], length: int) -> None:
    theirs, ours = pair
    assert_reads_alike(theirs, ours, length)


def test_encode_in_chunks_behind_a_kept_prefix_gives_the_same(pair: tuple[Any, Model]) -> None:
    theirs, ours = pair
    cache, text = cache_of(ours), ids(29, seed=1)
    ours.encode(torch.cat((text[:, :20], ids(9, seed=4)), 1), cache)
    assert cache.match(text[0].tolist()) == 20
    parts = [ours.encode(part, cache) for part in text[:, 20:].split([3, 1, 5], 1)]
    assert_close(ours.logits(torch.cat(parts, 1)), theirs(text).logits[:, 20:])


def test_sequences_side_by_side_read_as_if_alone(pair: tuple[Any, Model]) -> None:
    theirs, ours = pair
    cache, prompt, sizes = cache_of(ours), ids(20, seed=1), [9, 4]
    parts = [ids(size, seed=size) for size in sizes]
    ours.encode(prompt, cache)
    beside = side_by_side(sizes, "cpu")
    drafts = ours.logits(ours.encode(torch.cat(parts, 1), cache, beside=beside)).split(sizes, 1)
    for part, draft in zip(parts, drafts, strict=True):
        assert_close(draft, theirs(torch.cat((prompt, part), 1)).logits[:, 20:])
    assert len(cache) == 20


def test_forked_sequences_read_as_if_alone(pair: tuple[Any, Model]) -> None:
    theirs, ours = pair
    cache, prompt = cache_of(ours), ids(20, seed=1)
    ours.encode(prompt, cache)
    rows = torch.cat((ids(5, seed=2), ids(5, seed=3)))
    found = ours.logits(ours.encode(rows, cache.fork(2, 20)))
    whole = torch.cat((prompt.expand(2, -1), rows), 1)
    assert_close(found, theirs(whole).logits[:, 20:])


def test_canvas_sees_all_of_itself(pair: tuple[Any, Model]) -> None:
    theirs, ours = pair
    if any(layer.sliding for layer in ours.config.layers):
        pytest.skip("the reference has a mask for each kind of layer")
    cache, prompt, canvas = cache_of(ours), ids(20, seed=1), ids(9, seed=2)
    ours.encode(prompt, cache)
    mask = canvas_mask(20, 9)
    expected = theirs(torch.cat((prompt, canvas), 1), attention_mask=mask).logits[:, 20:]
    assert_close(ours.logits(ours.denoise(canvas, cache)), expected)
    training = GradientCache(ours.config)
    ours.encode(torch.cat((prompt, canvas), 1), training)
    training.truncate(20)
    assert_close(ours.logits(ours.denoise(canvas, training)), expected)


def test_device_cache_gives_the_same(pair: tuple[Any, Model]) -> None:
    theirs, ours = pair
    cache = DeviceCache(ours.config, device="cpu", dtype=torch.float32)
    prompt = ids(29, seed=1)
    encode(ours, cache, prompt[0, :17].tolist())
    encode(ours, cache, prompt[0].tolist())
    rows = torch.cat((ids(5, seed=2), ids(5, seed=3)))
    drafts = ours.logits(ours.encode(rows, cache.fork(2, 29)))
    assert_close(drafts, theirs(torch.cat((prompt.expand(2, -1), rows), 1)).logits[:, 29:])


def test_kernels_give_the_same(pair: tuple[Any, Model], monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = pair
    prompt, more = ids(9, seed=1), ids(3, seed=2)
    right = theirs(torch.cat((prompt, more), 1)).logits
    through_kernels(monkeypatch)
    cache = DeviceCache(ours.config, device="cpu", dtype=torch.float32)
    assert_close(ours.logits(ours.encode(prompt, cache)), right[:, :9])
    assert_close(ours.logits(ours.encode(more, cache)), right[:, 9:])


def test_gradients_are_the_references(pair: tuple[Any, Model]) -> None:
    theirs, ours = pair
    text = ids(12, seed=1)
    with torch.enable_grad():
        given = theirs.model.embed_tokens(text).detach().requires_grad_(True)
        theirs(inputs_embeds=given).logits.square().sum().backward()
        own = given.detach().clone().requires_grad_(True)
        cache = GradientCache(ours.config)
        ours.logits(ours.run(own, cache, Reading(True))).square().sum().backward()
    assert given.grad is not None and own.grad is not None
    scale = float(given.grad.abs().max())
    assert float((own.grad - given.grad).abs().max()) < 1e-4 * scale
