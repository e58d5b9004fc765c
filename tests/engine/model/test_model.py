"""Our model against transformers' on the same weights: fp32, same ids, logits within 1e-3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dgedit_engine.model.cache import GradientCache, KVCache
from dgedit_engine.model.config import load_config
from dgedit_engine.model.masks import Reading, side_by_side
from dgedit_engine.model.model import Model
from dgedit_engine.weights import checkpoint
from dgedit_kernels.moe import experts
from oracle import random_model
from published import CONFIG

pytestmark = pytest.mark.oracle
TOLERANCE = 1e-3
SHAPES: dict[str, dict[str, Any]] = {
    "several experts": {},
    "one expert": {"num_experts": 1, "top_k_experts": 1},
    "one kv head everywhere": {"num_key_value_heads": 1, "num_global_key_value_heads": 1},
    "only full layers": {"layer_types": ["full_attention"] * 3},
}


@pytest.fixture(params=SHAPES, scope="module")
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Model]:
    folder = tmp_path_factory.mktemp("model")
    theirs = random_model(folder, **SHAPES[request.param])
    return theirs, checkpoint.load(load_config(folder), folder)


def ids(count: int, *, seed: int) -> torch.Tensor:
    return torch.randint(128, (1, count), generator=torch.Generator().manual_seed(seed))


def cache_of(ours: Model) -> KVCache:
    return KVCache(ours.config, dtype=torch.float32)


def assert_close(mine: torch.Tensor, theirs: torch.Tensor) -> None:
    assert mine.shape == theirs.shape
    assert float((mine - theirs).detach().abs().max()) < TOLERANCE


@pytest.mark.parametrize("length", [1, 5, 29])
def test_encode_gives_the_references_hidden_states_and_keys(
    pair: tuple[Any, Model], length: int
) -> None:
    theirs, ours = pair
    cache = cache_of(ours)
    with torch.no_grad():
        expected = theirs.model.encoder(input_ids=ids(length, seed=1))
        assert_close(ours.encode(ids(length, seed=1), cache), expected.last_hidden_state)
    assert len(cache) == length
    for layer, (keys, values) in enumerate(zip(cache.keys, cache.values, strict=True)):
        kept = expected.past_key_values.layers[layer]
        tail = slice(
            length - kept.keys.shape[2], length
        )  # the reference drops what left the window
        assert_close(keys[:, :, tail], kept.keys)
        assert_close(values[:, :, tail], kept.values)


def test_encode_in_pieces_gives_the_same_as_at_once(pair: tuple[Any, Model]) -> None:
    _, ours = pair
    whole, pieces = cache_of(ours), cache_of(ours)
    with torch.no_grad():
        at_once = ours.encode(ids(29, seed=1), whole)
        parts = [ours.encode(part, pieces) for part in ids(29, seed=1).split([3, 1, 14, 11], 1)]
    assert_close(torch.cat(parts, 1), at_once)


@pytest.mark.parametrize("length", [3, 29])
def test_denoise_gives_the_references_logits(pair: tuple[Any, Model], length: int) -> None:
    theirs, ours = pair
    cache, canvas = cache_of(ours), ids(8, seed=2)
    with torch.no_grad():
        ours.encode(ids(length, seed=1), cache)
        expected = theirs(input_ids=ids(length, seed=1), decoder_input_ids=canvas)
        logits = ours.logits(ours.denoise(canvas, cache))
        assert_close(logits, expected.logits)
        again = theirs.model.decoder(
            decoder_input_ids=canvas,
            past_key_values=expected.past_key_values,
            self_conditioning_logits=expected.logits,
        ).last_hidden_state
        soft = ours.soft_embed(logits.softmax(-1))
        conditioned = ours.logits(ours.denoise(canvas, cache, soft))
    assert_close(conditioned, torch.tanh(theirs.lm_head(again) / 30) * 30)
    assert float((conditioned - logits).detach().abs().max()) > 10 * TOLERANCE  # the signal matters
    assert len(cache) == length


def test_second_canvas_reads_the_first_as_prompt(pair: tuple[Any, Model]) -> None:
    theirs, ours = pair
    cache, first, second = cache_of(ours), ids(8, seed=2), ids(8, seed=3)
    with torch.no_grad():
        past = theirs.model.encoder(input_ids=ids(29, seed=1)).past_key_values
        hidden = theirs.model.encoder(input_ids=first, past_key_values=past).last_hidden_state
        expected = theirs.model.decoder(
            decoder_input_ids=second, past_key_values=past
        ).last_hidden_state
        ours.encode(ids(29, seed=1), cache)
        assert_close(ours.encode(first, cache), hidden)
        assert_close(ours.denoise(second, cache), expected)


def test_gradient_cache_gives_what_the_inference_cache_gives(pair: tuple[Any, Model]) -> None:
    _, ours = pair
    cache, training, canvas = cache_of(ours), GradientCache(ours.config), ids(8, seed=2)
    with torch.no_grad():
        ours.encode(ids(20, seed=1), cache)
        expected = ours.denoise(canvas, cache)
        ours.encode(torch.cat((ids(20, seed=1), canvas), 1), training)
        training.truncate(20)
        assert_close(ours.denoise(canvas, training), expected)


def test_canvases_side_by_side_do_not_see_each_other(pair: tuple[Any, Model]) -> None:
    _, ours = pair
    training = GradientCache(ours.config)
    first, second = ids(8, seed=2), ids(8, seed=3)
    with torch.no_grad():
        ours.encode(ids(20, seed=1), training)
        beside = side_by_side([8, 8], "cpu")
        both = ours.denoise(torch.cat((first, second), 1), training, beside=beside)
        assert_close(both[:, :8], ours.denoise(first, training))
        assert_close(both[:, 8:], ours.denoise(second, training))


def test_tiny_is_loaded_by_transformers_and_agrees() -> None:
    from transformers import DiffusionGemmaForBlockDiffusion

    from dgedit_engine.nano.names import TINY

    theirs = DiffusionGemmaForBlockDiffusion.from_pretrained(TINY, dtype=torch.float32).eval()
    ours = checkpoint.load(load_config(TINY), TINY, dtype=torch.float32)
    vocab = ours.config.vocab
    generator = torch.Generator().manual_seed(0)
    prompt = torch.randint(vocab, (1, 300), generator=generator)
    canvas = torch.randint(vocab, (1, 32), generator=generator)
    cache = cache_of(ours)
    with torch.no_grad():
        ours.encode(prompt, cache)
        logits = ours.logits(ours.denoise(canvas, cache))
        assert_close(logits, theirs(input_ids=prompt, decoder_input_ids=canvas).logits)


def test_checkpoint_loads_shards_and_skips_vision(tmp_path: Path) -> None:
    random_model(tmp_path / "whole")
    random_model(tmp_path / "shards", shard="20KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    one, many = (
        checkpoint.load(load_config(tmp_path / kind), tmp_path / kind)
        for kind in ("whole", "shards")
    )
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, many.state_dict()[name]), name


def test_bf16_experts_are_used_as_they_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To widen all of them in every layer would cost more than the step itself."""
    random_model(tmp_path)
    config = load_config(tmp_path)
    model = checkpoint.load(config, tmp_path, dtype=torch.bfloat16, activations=torch.float32)
    seen: list[int] = []

    def watched(x: Any, index: Any, weight: Any, gate_up: Any, down: Any, **how: Any) -> Any:
        seen.append(gate_up.data_ptr())
        return experts(x, index, weight, gate_up, down, **how)

    monkeypatch.setattr("dgedit_engine.model.layer.experts", watched)
    with torch.no_grad():
        hidden = model.encode(ids(5, seed=1), KVCache(config, dtype=torch.bfloat16))
    assert hidden.dtype == torch.float32
    assert seen == [layer.experts_gate_up.data_ptr() for layer in model.stack()]


def test_rotations_of_a_pass_with_gradients_are_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU those without are the kernel's: what a first pass made is not taken for both."""
    monkeypatch.setattr("dgedit_kernels.rope.on_gpu", lambda x: True)
    model = Model(CONFIG)
    view = GradientCache(CONFIG).open(4, Reading(True))
    for training in (False, True, False):
        with torch.set_grad_enabled(training):
            ropes = model.ropes(view, torch.float32)
            assert all((rope.table is not None) == training for rope in ropes.values())
            assert model.ropes(view, torch.float32) is ropes, "made once"
