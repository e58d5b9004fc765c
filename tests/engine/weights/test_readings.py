"""Adapters of both readings in a folder: opened, held to PEFT, and what does not fit is named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.formats import vocabulary
from dgedit_engine.model.adapted import Adapted
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.canvases import behind, restored
from dgedit_engine.model.conditioning import SelfConditioning
from dgedit_engine.model.config import load_config
from dgedit_engine.model.model import Model
from dgedit_engine.train.adapter import PROJECTIONS, AdapterSettings, TrainedAdapter
from dgedit_engine.types import ModelError
from dgedit_engine.weights import adapters, checkpoint, readings
from dgedit_engine.weights.cpu_int8 import pack
from dgedit_kernels.packed import Packed, available
from gemma3 import canvas_mask, random_model
from small_base import VOCAB, fields

PROMPT, SLOTS = torch.arange(20, 33)[None], torch.tensor([[40, 7, 99, 100, 3, 21]])


@pytest.fixture(autouse=True)
def no_gradients() -> Any:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("base")
    random_model(folder)
    return folder


def opened(folder: Path) -> Model:
    return checkpoint.load(load_config(folder), folder, dtype=torch.float32)


def written(base: Path, folder: Path, *, tokens: int, seed: int, rank: int = 3) -> Path:
    """An adapter of ours in which every part counts."""
    adapter = TrainedAdapter(opened(base), AdapterSettings(rank, 5.0, PROJECTIONS, tokens))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in adapter.parameters():
            part.copy_(torch.randn(part.shape, generator=generator) * 0.1)
    adapter.save(folder, base=str(base))
    return folder


def conditioned(base: Path, folder: Path, *, shifted: bool = False) -> SelfConditioning:
    """The block that is written beside the canvas's adapter."""
    block = SelfConditioning(load_config(base))
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for part in block.parameters():
            part.copy_((torch.randn(part.shape, generator=generator) * 0.2).bfloat16())
    readings.save_conditioning(block, folder, shifted=shifted)
    return block


@pytest.fixture(scope="module")
def both(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    written(base, folder / "encode", tokens=16, seed=1)
    written(base, folder / "denoise", tokens=0, seed=2)
    conditioned(base, folder / "denoise")
    return folder


def put(model: Model, folder: Path) -> Model:
    found = readings.load(folder)
    if found.encode is not None:
        adapters.merge(model, found.encode)
    if found.denoise is not None:
        readings.let_refine(model, found.denoise)
    return model


def cache_of(model: Model, prompt: Tensor = PROMPT) -> KVCache:
    cache = KVCache(model.config, dtype=torch.float32)
    if prompt.shape[1]:
        model.encode(prompt, cache)
    return cache


def close(mine: Tensor, theirs: Tensor, tolerance: float = 1e-3) -> None:
    torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.oracle
def test_canvas_reads_as_peft_has_it(base: Path, both: Path) -> None:
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    kind = transformers.AutoModelForCausalLM
    theirs = kind.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    theirs = peft.PeftModel.from_pretrained(theirs, both / "encode").merge_and_unload()
    mask = canvas_mask(theirs, 0, SLOTS.shape[1])
    before = theirs(SLOTS, attention_mask=mask).logits
    theirs = peft.PeftModel.from_pretrained(theirs, both / "denoise").eval()
    expected = theirs(SLOTS, attention_mask=mask).logits
    model = put(opened(base), both)
    found = model.logits(model.denoise(SLOTS, cache_of(model, PROMPT[:, :0])))
    close(found, expected)
    assert float((found - before).abs().max()) > 0.1


def test_each_reading_has_its_own_changes(base: Path, both: Path) -> None:
    model, causal = put(opened(base), both), opened(base)
    adapters.merge(causal, adapters.load(both / "encode"))
    cache, plain = cache_of(model), cache_of(causal)
    for mine, theirs in zip(cache.keys, plain.keys, strict=True):
        assert torch.equal(mine, theirs)
    close(model.encode(SLOTS, cache), causal.encode(SLOTS, plain))
    # the canvas reads the causal reading's keys with matrices in which both are merged
    adapters.merge(causal, adapters.load(both / "denoise"))
    cache.truncate(PROMPT.shape[1])
    plain.truncate(PROMPT.shape[1])
    close(model.denoise(SLOTS, cache), causal.denoise(SLOTS, plain))


def test_signal_is_added_to_embeddings_as_they_are(base: Path, both: Path) -> None:
    model = put(opened(base), both)
    block = conditioned(base, both / "denoise")
    assert model.conditioning is not None and model.canvas and not model.shifted
    x, soft = torch.randn(2, 1, 6, model.config.dim).unbind(0)
    close(model.conditioning(x, soft), block(x, soft), 1e-6)
    assert torch.equal(model.conditioning(x, None), x)
    assert torch.equal(model.conditioning(x, torch.zeros_like(soft)), x)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_canvases_side_by_side_are_read_as_if_alone(
    base: Path, both: Path, tmp_path: Path, shifted: bool, count: int
) -> None:
    written(base, tmp_path / "denoise", tokens=0, seed=2)
    conditioned(base, tmp_path / "denoise", shifted=shifted)
    model = put(opened(base), tmp_path)
    assert model.shifted == shifted
    cache = cache_of(model)
    cache.truncate(behind(model, PROMPT.shape[1]))
    ids = torch.randint(128, (1, count, 6), generator=torch.Generator().manual_seed(4))
    soft = torch.randn(1, count, 6, model.config.dim)
    found = restored(model, ids, PROMPT[:, -1], cache, soft)
    assert found.shape == (1, count, 6, model.config.dim)
    assert len(cache) == PROMPT.shape[1] - shifted
    for one in range(count):
        alone, signal = ids[:, one], soft[:, one]
        if shifted:  # the prompt's last token leads, and has no signal
            alone = torch.cat((PROMPT[:, -1:], alone), 1)
            signal = torch.cat((torch.zeros_like(signal[:, :1]), signal), 1)
        close(found[:, one], model.denoise(alone, cache, signal)[:, :6])


@pytest.mark.skipif(not available(), reason="this CPU has no such products")
def test_packed_matrices_keep_their_codes(base: Path, both: Path) -> None:
    model, plain = put(opened(base), both), opened(base)
    adapters.merge(plain, adapters.load(both / "encode"))
    pack(plain)
    found = readings.load(both).denoise
    assert found is not None
    readings.let_refine(plain, found)
    down = plain.layers[0].down
    assert isinstance(down, Adapted) and isinstance(down.weight, Packed)
    mine = model.denoise(SLOTS, cache_of(model))
    theirs = plain.denoise(SLOTS, cache_of(plain))
    assert float((mine - theirs).norm() / mine.norm()) < 0.1
    assert float((mine - opened(base).denoise(SLOTS, cache_of(model))).norm() / mine.norm()) > 0.3


def test_lone_adapter_is_the_causal_readings(base: Path, both: Path) -> None:
    found = readings.load(both / "encode")
    assert found.encode is not None and found.denoise is None
    model = put(opened(base), both / "encode")
    assert not model.canvas and model.conditioning is None


def test_folders_that_are_none_are_named(base: Path, both: Path, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            ModelError, match=r"no adapter: .* has neither adapter_config\.json nor"
        ):
            readings.load(place)
    (tmp_path / "encode").mkdir()
    with pytest.raises(ModelError, match=r"encode/adapter_config\.json does not exist"):
        readings.load(tmp_path)
    written(base, tmp_path / "denoise", tokens=0, seed=2)
    with pytest.raises(ModelError, match=r"conditioning\.safetensors: "):
        readings.canvas(tmp_path)


def test_canvas_that_does_not_fit_is_named(base: Path, both: Path, tmp_path: Path) -> None:
    written(base, tmp_path / "denoise", tokens=0, seed=2)
    file = tmp_path / "denoise" / readings.CONDITIONING
    given = load_file(both / "denoise" / readings.CONDITIONING)

    def refined(tensors: dict[str, Tensor], **metadata: str) -> None:
        save_file(tensors, file, metadata=metadata)
        found = readings.canvas(tmp_path)
        assert found is not None
        readings.let_refine(opened(base), found)

    refined(given)
    with pytest.raises(ModelError, match=r"down_proj\.weight is missing"):
        refined({name: one for name, one in given.items() if "down" not in name})
    with pytest.raises(ModelError, match="nose is not known"):
        refined(given | {"nose": torch.zeros(1)})
    with pytest.raises(ModelError, match=r"up_proj\.weight is \[2, 64\], not \[96, 64\]"):
        refined(given | {"up_proj.weight": torch.zeros(2, 64)})
    with pytest.raises(ModelError, match="slot read at 'noon', not 'the slot' or"):
        refined(given, **{"slot read at": "noon"})
    written(base, tmp_path / "denoise", tokens=16, seed=2)
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors: token rows"):
        refined(given)


def test_engine_opens_adapters_and_a_models_own_canvas(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "base"
    random_model(folder, vocab_size=VOCAB, max_position_embeddings=2048)
    words = vocabulary.made(fields())
    words.save(str(folder / "tokenizer.json"))
    plain = open_engine(str(folder), "cpu")
    assert not plain.model.canvas and not plain.decoding.canvas and plain.name == "base"
    given = tmp_path / "mine"
    written(folder, given / "encode", tokens=16, seed=1)
    written(folder, given / "denoise", tokens=0, seed=2)
    conditioned(folder, given / "denoise", shifted=True)
    engine = open_engine(str(folder), "cpu", adapter=given, canvas=True)
    assert engine.name == "base+mine" and engine.decoding.canvas
    assert engine.model.canvas and engine.model.shifted
    before, after = (one.model.encode(PROMPT, cache_for(one)) for one in (plain, engine))
    assert float((before - after).norm() / before.norm()) > 0.1
    shutil.copytree(given / "denoise", folder / "denoise")
    own = open_engine(str(folder), "cpu")
    assert own.model.canvas and own.model.shifted and not own.decoding.canvas
    assert torch.equal(own.model.encode(PROMPT, cache_for(own)), before)
    with pytest.raises(ModelError, match="no adapter"):
        open_engine(str(folder), "cpu", adapter=tmp_path)


def cache_for(engine: Engine) -> KVCache:
    return KVCache(engine.model.config, dtype=engine.model.embedding.dtype)
