"""Small models of Llama's shape open by their paths and fill holes, from GGUF and safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer as Inner

from as_on_a_card import through_kernels
from byte_base import VOCAB, fields, write
from dgedit_engine.decode.decoding import DRAFTS
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.formats import vocabulary
from dgedit_engine.memory.plan import check, fitting, need, usual
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.config import Sampling, load_config, save_config
from dgedit_engine.model.config_llama import configured, kind_of
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.train.head_loss import Shortlist
from dgedit_engine.types import Hole, ModelError
from dgedit_engine.weights import adapters, checkpoint
from dgedit_engine.weights.cpu_int8 import pack
from dgedit_engine.weights.quantize import Rest, quantize
from dgedit_engine.weights.slots import slots
from dgedit_kernels.packed import Packed, available
from dgedit_kernels.quantised import Quantised
from llama import KINDS, LLAMA3, random_llama, stored
from small_base import request

CUTS = {"llama": "smollm", "qwen2": "qwen2", "qwen3": "qwen2", "starcoder2": "starcoder"}
PARTS = [("def f(a):\n    ", Hole(), "\n\nb = 2\n"), ("x = [1, ", Hole(), "]\n"), ("", Hole(), "")]
IDS = torch.arange(40, 69)[None]
STARCODER2 = {"architectures": ["Starcoder2ForCausalLM"], "hidden_act": "gelu_pytorch_tanh"}
GROUPED = {"hidden_size": 96, "intermediate_size": 128}
"""Widths that groups of 32 divide."""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgedit_engine.decode.search.LONGEST", 12)


def folder_of(path: Path, kind: str, **text: Any) -> Any:
    """The same model and tokenizer as a folder -> transformers' model."""
    shape = {"vocab_size": VOCAB, "max_position_embeddings": 2048, "bos_token_id": 0}
    theirs = random_llama(path, kind, **(shape | text))
    inner: Inner = vocabulary.made(fields(CUTS[kind]))
    inner.save(str(path / "tokenizer.json"))
    return theirs


def drafts(engine: Engine) -> list[tuple[str, ...]]:
    found = []
    for parts in PARTS:
        steps = list(engine.infill(request(*parts)))
        assert steps[-1].last and steps[-1].forwards > 2
        found.append(tuple(draft.text for draft in steps[-1].drafts))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tied", [True, False])
def test_file_and_folder_fill_the_same(tmp_path: Path, kind: str, tied: bool) -> None:
    write(tmp_path / "one.gguf", kind, CUTS[kind], tie_word_embeddings=tied)
    folder_of(tmp_path / "one", kind, tie_word_embeddings=tied)
    engines = [open_engine(str(tmp_path / name), "cpu") for name in ("one.gguf", "one")]
    for engine in engines:
        assert engine.decoding.candidates == DRAFTS and not engine.ability.canvas
        assert (engine.ability.instructions, engine.ability.languages) == (False, None)
    first, second = map(drafts, engines)
    assert first == second


def test_several_holes_are_filled_one_after_the_other(tmp_path: Path) -> None:
    folder_of(tmp_path, "qwen2")
    steps = list(
        open_engine(str(tmp_path), "cpu").infill(request("a = ", Hole(), "\nb = ", Hole(), "\n"))
    )
    assert len(steps[-1].drafts) == 2 and steps[-1].last


@pytest.mark.parametrize("kind", KINDS)
def test_saved_model_is_read_by_transformers(tmp_path: Path, kind: str) -> None:
    theirs = random_llama(tmp_path / "in", kind, tie_word_embeddings=False)
    ours = checkpoint.load(load_config(tmp_path / "in"), tmp_path / "in")
    (tmp_path / "out").mkdir()
    save_config(ours.config, Sampling(), tmp_path / "out")
    checkpoint.save(ours, tmp_path / "out" / "model.safetensors", dtype=torch.float32)
    again = type(theirs).from_pretrained(tmp_path / "out", dtype=torch.float32)
    mine, right = stored(again), stored(theirs)
    assert mine.keys() == right.keys()
    assert all(torch.allclose(mine[name], one, atol=1e-6) for name, one in right.items())
    assert load_config(tmp_path / "out") == ours.config
    with torch.no_grad():
        assert torch.allclose(again.eval()(IDS).logits, theirs(IDS).logits, atol=1e-4)


def test_published_configuration_of_starcoder2_is_read() -> None:
    """bigcode/starcoder2-3b's, which leaves the tied head out."""
    raw = {
        **{"architectures": ["Starcoder2ForCausalLM"], "model_type": "starcoder2"},
        **{"attention_dropout": 0.1, "bos_token_id": 0, "eos_token_id": 0, "use_bias": True},
        **{"embedding_dropout": 0.1, "hidden_act": "gelu_pytorch_tanh", "hidden_size": 3072},
        **{"initializer_range": 0.018042, "intermediate_size": 12288, "mlp_type": "default"},
        **{"max_position_embeddings": 16384, "norm_epsilon": 1e-5, "num_attention_heads": 24},
        **{"num_hidden_layers": 30, "num_key_value_heads": 2, "residual_dropout": 0.1},
        **{"rope_theta": 999999.4420358813, "sliding_window": 4096, "vocab_size": 49152},
    }
    kind = kind_of(raw)
    assert kind == "starcoder2"
    config = configured(raw, kind)
    (layer,) = set(config.layers)
    assert (layer.sliding, layer.kv_heads, layer.head_dim, layer.rotated) == (True, 2, 128, 64)
    assert layer.rope_theta == 999999.4420358813
    assert (config.window, config.context, config.tied, config.eps) == (4096, 16384, True, 1e-5)
    assert (config.bos, config.eos) == (0, (0,))


def test_tensors_that_nobody_reads_are_passed_over(tmp_path: Path) -> None:
    """A tied head, and the table of angles, which older files have."""
    theirs = random_llama(tmp_path)
    file = tmp_path / "model.safetensors"
    more = {f"model.layers.{at}.self_attn.rotary_emb.inv_freq": torch.ones(8) for at in range(3)}
    save_file(stored(theirs) | more | {"lm_head.weight": torch.zeros(128, 48)}, file)
    ours = checkpoint.load(load_config(tmp_path), tmp_path)
    with torch.no_grad():
        found = ours.logits(ours.encode(IDS, KVCache(ours.config, dtype=torch.float32)))
        assert torch.allclose(found, theirs(IDS).logits, atol=1e-3)
    save_file(stored(theirs) | {"model.layers.0.mlp.gate_proj.bias": torch.ones(80)}, file)
    with pytest.raises(ModelError, match=r"unexpected tensor .*gate_proj\.bias"):
        checkpoint.load(load_config(tmp_path), tmp_path)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "starcoder2"])
def test_adapter_is_merged_as_peft_does(tmp_path: Path, kind: str) -> None:
    import peft

    theirs = random_llama(tmp_path / "base", kind)
    parts = [f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")]
    parts = [*parts[:4], "c_fc", "c_proj"] if kind == "starcoder2" else parts
    settings = peft.LoraConfig(r=2, target_modules=parts, init_lora_weights=False)
    adapted = peft.get_peft_model(theirs, settings)
    adapted.save_pretrained(tmp_path / "adapter")
    ours = checkpoint.load(load_config(tmp_path / "base"), tmp_path / "base")
    adapters.merge(ours, adapters.load(tmp_path / "adapter"))
    with torch.no_grad():
        found = ours.logits(ours.encode(IDS, KVCache(ours.config, dtype=torch.float32)))
        assert torch.allclose(found, adapted(IDS).logits, atol=1e-3)


@pytest.mark.parametrize("tied", [True, False])
def test_shortlist_is_of_the_head(tmp_path: Path, tied: bool) -> None:
    theirs = random_llama(tmp_path, tie_word_embeddings=tied)
    ours = checkpoint.load(load_config(tmp_path), tmp_path)
    known, hidden = Shortlist.of(ours, range(20, 60, 2)), torch.randn(3, 48)
    right = theirs.lm_head(hidden)[:, 20:60:2]
    torch.testing.assert_close(known.logits(hidden), right.detach())
    assert known.places[24] == 2 and known.places[25] == -1


def test_rope_without_words_is_not_written(tmp_path: Path) -> None:
    random_llama(tmp_path, rope_parameters=LLAMA3)
    with pytest.raises(ModelError, match="no words in config"):
        save_config(load_config(tmp_path), Sampling(), tmp_path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"attention_bias": True}, "attention_bias True"),
        ({"mlp_bias": True}, "mlp_bias True"),
        ({"hidden_act": "gelu"}, "hidden_act gelu"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}}, "yarn"),
        ({"rope_parameters": LLAMA3 | {"low_freq_factor": 4.0}}, "low_freq_factor"),
        ({"layer_types": ["full_attention"], "use_sliding_window": True, "sliding_window": 8}, "1"),
        ({"num_hidden_layers": 5000}, "5000 layers"),
        ({"head_dim": 1 << 40, "rope_parameters": LLAMA3}, f"head_dim {1 << 40}"),
        ({"num_attention_heads": 0, "head_dim": None}, "ZeroDivisionError"),
        ({"eos_token_id": []}, "IndexError"),
        ({"num_key_value_heads": 4}, "6 heads cannot be shared by 4"),
        ({"hidden_size": None}, "dim"),
        (STARCODER2 | {"use_bias": False}, "use_bias False"),
        (STARCODER2 | {"hidden_act": "gelu"}, "hidden_act gelu"),
        (STARCODER2 | {"mask_token_id": 3}, "mask_token_id 3 in a starcoder2"),
    ],
)
def test_what_is_not_known_is_named(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    random_llama(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    with pytest.raises(ModelError) as caught:
        load_config(tmp_path)
    assert words in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("scaling", [{"type": "linear", "factor": 4.0}, LLAMA3, None])
def test_older_files_describe_the_rope_in_keys_of_their_own(tmp_path: Path, scaling: Any) -> None:
    random_llama(tmp_path)
    path = tmp_path / "config.json"
    raw = json.loads(path.read_text())
    del raw["rope_parameters"]
    old = None if scaling is None else {k: v for k, v in scaling.items() if k != "rope_theta"}
    path.write_text(json.dumps(raw | {"rope_theta": 5e5, "rope_scaling": old}))
    layer = load_config(tmp_path).layers[0]
    assert layer.rope_theta == 5e5
    assert isinstance(layer.stretch, tuple) == (scaling is LLAMA3)
    assert layer.stretch == (4.0 if scaling and scaling is not LLAMA3 else layer.stretch)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rest", ["int8", "int4"])
def test_quantised_model_reads_nearly_the_same(tmp_path: Path, kind: str, rest: Rest) -> None:
    theirs = random_llama(tmp_path / "in", kind, tie_word_embeddings=False, **GROUPED)
    for _ in quantize(tmp_path / "in", tmp_path / "out", rest=rest):
        pass
    ours = checkpoint.load(load_config(tmp_path / "out"), tmp_path / "out", dtype=torch.float32)
    coded = [slot for slot in slots(ours) if isinstance(slot.weight, Quantised)]
    assert len(coded) == 4 * 3 + 1 and isinstance(ours.output, Quantised)
    assert {slot.weight.kind for slot in coded[1:]} == {rest} and ours.output.kind == "int8"
    choices = fitting(ours.config, 10**10, device="cuda")
    planned = next(one.fit.need.weights for one in choices if one.rest == rest)
    wide = checkpoint.load(load_config(tmp_path / "out"), tmp_path / "out", dtype=torch.bfloat16)
    assert planned == sum(slot.weight.nbytes for slot in slots(wide))
    with torch.no_grad():
        found = ours.logits(ours.encode(IDS, KVCache(ours.config, dtype=torch.float32)))
        right = theirs(IDS).logits
    most = 0.2 if rest == "int8" else 2
    assert 0 < float((found - right).abs().max()) < most * float(right.std())


def test_codes_of_a_starcoder2_are_read_alike_by_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose products are in parts, their columns in planes."""
    random_llama(tmp_path / "in", "starcoder2", num_hidden_layers=1, **GROUPED)
    for _ in quantize(tmp_path / "in", tmp_path / "out", rest="int4"):
        pass
    ours = checkpoint.load(load_config(tmp_path / "out"), tmp_path / "out", dtype=torch.float32)
    with torch.inference_mode():
        ids = IDS[:, :5]
        right = ours.logits(ours.encode(ids, KVCache(ours.config, dtype=torch.float32)))
        through_kernels(monkeypatch, processors=8)
        cache = DeviceCache(ours.config, device="cpu", dtype=torch.float32)
        found = ours.logits(ours.encode(ids, cache))
    assert 0 < float((found - right).abs().max()) < 0.02 * float(right.std())


@pytest.mark.skipif(not available(), reason="this CPU has no such products")
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("coded", "kind"), [(True, "qwen2"), (False, "qwen2"), (True, "starcoder2")]
)
def test_packed_model_says_nearly_the_same(
    tmp_path: Path, tied: bool, coded: bool, kind: str
) -> None:
    random_llama(tmp_path / "in", kind, tie_word_embeddings=tied)
    if coded:
        for _ in quantize(tmp_path / "in", tmp_path / "out", rest="int8"):
            pass
    place = tmp_path / ("out" if coded else "in")
    plain, small = (checkpoint.load(load_config(place), place, dtype=torch.float32) for _ in "ab")
    pack(small)
    found = [value for one in small.modules() for value in vars(one).values()]
    assert len([one for one in found if isinstance(one, Packed)]) == 4 * 3 + (not tied)
    head = small.unembedding if small.head is None else small.head.weight
    assert isinstance(head, Packed) and (small.head is None) == (not tied)
    said = []
    with torch.inference_mode():
        for model in (plain, small):
            cache = KVCache(model.config, dtype=torch.float32)
            model.encode(IDS, cache)
            said.append(model.logits(model.encode(IDS[:, :4], cache.fork(1, 29))).log_softmax(-1))
    gap = torch.nn.functional.kl_div(said[1], said[0], log_target=True, reduction="batchmean")
    assert 0 < gap / 4 < 0.02  # nats a token


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_memory_is_that_of_what_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tied: bool, packed: bool
) -> None:
    if not packed:
        monkeypatch.setattr("dgedit_engine.weights.cpu_int8.available", lambda: False)
    elif not available():
        pytest.skip("this CPU has no such products")
    file = tmp_path / "one.gguf"
    write(file, "qwen2", "qwen2", tie_word_embeddings=tied)
    fit = check(file, 1 << 30)
    model = checkpoint.load(load_config(file), file, dtype=fit.setting.matrices)
    bytes_ = sum(slot.weight.nbytes for slot in slots(model))
    if packed:
        pack(model)
        coded = [slot.weight for slot in slots(model) if isinstance(slot.weight, Packed)]
        counted = [slot for slot in slots(model) if isinstance(slot.weight, Packed)]
        assert len(coded) == len(counted) == 4 * 3 + (not tied)
        bytes_ += sum(one.shape.numel() for one in coded) + (VOCAB * 48 if tied else 0)
    assert need(file, context=1024).weights == pytest.approx(bytes_, rel=0.5 if packed else 0)
    assert usual(fit.setting.config) < 2048


def test_choices_are_those_of_a_model_without_experts(tmp_path: Path) -> None:
    random_llama(tmp_path, "qwen3", tie_word_embeddings=False, **GROUPED)
    found = fitting(load_config(tmp_path), 10**10)
    assert [(one.experts, one.rest) for one in found] == [
        (None, kind) for kind in (None, "int8", "e4m3", "int4")
    ]


@pytest.mark.parametrize("kind", ["qwen2", "starcoder2"])
def test_training_starts_near_uniform(tmp_path: Path, kind: str) -> None:
    random_llama(tmp_path, kind, num_hidden_layers=12)
    model = Model(load_config(tmp_path))
    init_weights(model, seed=1)
    cache = KVCache(model.config, dtype=torch.float32)
    with torch.no_grad():
        hidden = model.encode(IDS, cache)
    assert 0.5 < float(hidden.std()) < 2 and bool(hidden.isfinite().all())
