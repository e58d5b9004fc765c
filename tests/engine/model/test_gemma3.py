"""Gemma 3 against transformers on the same weights: fp32, same ids, logits within 1e-3."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_engine.decode.causal import encode
from dgedit_engine.model.cache import GradientCache
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.config import load_config
from dgedit_engine.model.masks import side_by_side
from dgedit_engine.model.model import Model
from dgedit_engine.weights import checkpoint
from gemma3 import canvas_mask, random_model
from parity import assert_close, assert_reads_alike, cache_of, ids

pytestmark = pytest.mark.oracle
SHAPES: dict[str, dict[str, Any]] = {
    "two kv heads": {},
    "one kv head": {"num_key_value_heads": 1},
    "soft cap": {"final_logit_softcapping": 3.0},
    "last of 34 slides": {
        **{"num_hidden_layers": 34, "hidden_size": 32, "intermediate_size": 24},
        "query_pre_attn_scalar": 16,
    },
}


@pytest.fixture(params=SHAPES, scope="module")
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Model]:
    folder = tmp_path_factory.mktemp("model")
    theirs = random_model(folder, **SHAPES[request.param])
    return theirs, checkpoint.load(load_config(folder), folder)


@pytest.fixture(autouse=True)
def no_gradients() -> Any:
    with torch.no_grad():
        yield


def canvas_logits(theirs: Any, prompt: Tensor, canvas: Tensor) -> Tensor:
    mask = canvas_mask(theirs, prompt.shape[1], canvas.shape[1])
    logits: Tensor = theirs(torch.cat((prompt, canvas), 1), attention_mask=mask).logits
    return logits[:, prompt.shape[1] :]


def test_last_layer_slides_and_norms_are_fp32(pair: tuple[Any, Model]) -> None:
    theirs, ours = pair
    kinds = ["sliding_attention" if one.sliding else "full_attention" for one in ours.config.layers]
    assert kinds == theirs.config.layer_types and kinds[-1] == "sliding_attention"
    assert ours.conditioning is None and ours.norm.dtype == torch.float32


@pytest.mark.parametrize("length", [1, 5, 29])
def test_encode_gives_the_references_logits_and_keys(pair: tuple[Any, Model], length: int) -> None:
    theirs, ours = pair
    assert_reads_alike(theirs, ours, length)


def test_encode_in_chunks_gives_the_same(pair: tuple[Any, Model]) -> None:
    theirs, ours = pair
    cache, text = cache_of(ours), ids(29, seed=1)
    parts = [ours.encode(part, cache) for part in text.split([3, 1, 14, 11], 1)]
    assert_close(ours.logits(torch.cat(parts, 1)), theirs(text).logits)


def test_encode_behind_a_kept_prefix_gives_the_same(pair: tuple[Any, Model]) -> None:
    theirs, ours = pair
    cache, text = cache_of(ours), ids(29, seed=1)
    ours.encode(ids(25, seed=3), cache)
    cache.truncate(0)
    ours.encode(torch.cat((text[:, :20], ids(9, seed=4)), 1), cache)
    assert cache.match(text[0].tolist()) == 20
    assert_close(ours.logits(ours.encode(text[:, 20:], cache)), theirs(text).logits[:, 20:])


@pytest.mark.parametrize("length", [3, 29])
@pytest.mark.parametrize("slots", [1, 11])
def test_denoise_gives_the_references_logits(
    pair: tuple[Any, Model], length: int, slots: int
) -> None:
    theirs, ours = pair
    cache, prompt, canvas = cache_of(ours), ids(length, seed=1), ids(slots, seed=2)
    ours.encode(prompt, cache)
    logits = ours.logits(ours.denoise(canvas, cache))
    assert_close(logits, canvas_logits(theirs, prompt, canvas))
    if slots > 1:  # which a causal reading of it is not
        assert (logits - theirs(torch.cat((prompt, canvas), 1)).logits[:, length:]).abs().max() > 1
    assert len(cache) == length
    signal = torch.randn(1, slots, ours.config.dim)  # of which such a model knows nothing
    assert torch.equal(ours.logits(ours.denoise(canvas, cache, signal)), logits)


def test_sequences_side_by_side_read_as_if_alone(pair: tuple[Any, Model]) -> None:
    theirs, ours = pair
    cache, prompt, sizes = cache_of(ours), ids(20, seed=1), [9, 4]
    parts = [ids(size, seed=size) for size in sizes]
    ours.encode(prompt, cache)
    beside = side_by_side(sizes, "cpu")
    drafts = ours.logits(ours.encode(torch.cat(parts, 1), cache, beside=beside)).split(sizes, 1)
    canvases = ours.logits(ours.denoise(torch.cat(parts, 1), cache, beside=beside)).split(sizes, 1)
    for part, draft, canvas in zip(parts, drafts, canvases, strict=True):
        assert_close(draft, theirs(torch.cat((prompt, part), 1)).logits[:, 20:])
        assert_close(canvas, canvas_logits(theirs, prompt, part))
    assert len(cache) == 20


def test_forked_sequences_read_as_if_alone(pair: tuple[Any, Model]) -> None:
    theirs, ours = pair
    cache, prompt = cache_of(ours), ids(20, seed=1)
    ours.encode(prompt, cache)
    rows = torch.cat((ids(5, seed=2), ids(5, seed=3)))
    found = ours.logits(ours.encode(rows, cache.fork(2, 20)))
    whole = torch.cat((prompt.expand(2, -1), rows), 1)
    assert_close(found, theirs(whole).logits[:, 20:])


def test_gradient_cache_gives_the_same(pair: tuple[Any, Model]) -> None:
    theirs, ours = pair
    training, prompt, canvas = GradientCache(ours.config), ids(20, seed=1), ids(8, seed=2)
    ours.encode(torch.cat((prompt, canvas), 1), training)
    training.truncate(20)
    found = ours.logits(ours.denoise(canvas, training))
    assert_close(found, canvas_logits(theirs, prompt, canvas))


def test_device_cache_gives_the_same(pair: tuple[Any, Model]) -> None:
    theirs, ours = pair
    cache = DeviceCache(ours.config, device="cpu", dtype=torch.float32)
    prompt, canvas = ids(29, seed=1), ids(11, seed=2)
    encode(ours, cache, prompt[0, :17].tolist())
    encode(ours, cache, prompt[0].tolist())
    expected = canvas_logits(theirs, prompt, canvas)
    assert_close(ours.logits(ours.denoise(canvas, cache)), expected)
    rows = torch.cat((canvas, ids(11, seed=3)))
    assert_close(ours.logits(ours.denoise(rows, cache))[:1], expected)
    drafts = ours.logits(ours.encode(rows, cache.fork(2, 29)))
    assert_close(drafts, theirs(torch.cat((prompt.expand(2, -1), rows), 1)).logits[:, 29:])
