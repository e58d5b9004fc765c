"""Masked diffusion models open by their paths, read as transformers' Qwen2 does with a full mask,
and fill holes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from byte_base import fields
from dgedit_engine.decode.masking import Masking
from dgedit_engine.decode.unmask import MaskedHole, Unmasking
from dgedit_engine.engine import open_engine
from dgedit_engine.formats import vocabulary, vocabulary_parts
from dgedit_engine.memory.plan import check, usual
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.config import Sampling, load_config, save_config
from dgedit_engine.model.shape import MaskTokens
from dgedit_engine.types import Hole, ModelError, collect
from dgedit_engine.weights import checkpoint
from llama import random_llama
from masked import BEGINNING, DREAM, END, EXPAND, MASK, dcoder, dream, full, llada, write
from small_base import request

IDS = torch.arange(300, 340)[None]
PARTS = ("def f(a):\n    return ", Hole(), "\n\nb = ", Hole("x + 1"), "\n")


@pytest.mark.parametrize("made", [dream, dcoder, llada])
def test_window_is_read_as_transformers_does_with_a_full_mask(tmp_path: Path, made: Any) -> None:
    theirs = made(tmp_path)
    ours = checkpoint.load(load_config(tmp_path), tmp_path)
    cache = KVCache(ours.config, dtype=torch.float32)
    with torch.inference_mode():
        ours.encode(IDS[:, :7], cache)  # whatever was there before
        found = ours.logits(ours.window(IDS, cache))
    assert (found - full(theirs, IDS)).abs().max() < 1e-3
    causal = theirs(IDS).logits
    assert (found - causal).abs().max() > 0.1


def test_the_mask_tells_and_not_the_name(tmp_path: Path) -> None:
    theirs = dcoder(tmp_path / "masked")
    assert theirs.config.model_type == "qwen2"
    config = load_config(tmp_path / "masked")
    assert config.masks == MaskTokens(3) and not config.left_to_right
    (tmp_path / "masked" / "tokenizer_config.json").write_text('{"mask_token": null}')
    assert load_config(tmp_path / "masked").masks is None
    dream(tmp_path / "on")
    assert load_config(tmp_path / "on").masks == MaskTokens(MASK, EXPAND)
    dream(tmp_path / "coder", expands=False)
    assert load_config(tmp_path / "coder").masks == MaskTokens(MASK)
    llada(tmp_path / "llada")
    assert load_config(tmp_path / "llada").masks == MaskTokens(MASK, aligned=True)


@pytest.mark.parametrize(
    ("kind", "files", "words"),
    [
        ("llama", {"config.json": {"mask_token_id": 3}}, "in a llama: one that reads block by"),
        ("qwen3", {"config.json": {"mask_token_id": 3}}, "in a qwen3"),
        ("qwen2", {"config.json": {"model_type": "Dream"}}, "a Dream without mask_token_id"),
        ("qwen2", {"config.json": {"mask_token_id": 4096}}, "mask token 4096 of a vocabulary"),
        ("qwen2", {"config.json": {"mask_token_id": "x"}}, "mask token must be"),
        ("qwen2", {"config.json": {"mask_token_id": 3, "expand_token_id": []}}, "mask token must"),
        ("qwen2", {"tokenizer_config.json": {"mask_token": "<M>"}}, "'<M>', which the tokenizer"),
    ],
)
def test_what_cannot_be_is_named(
    tmp_path: Path, kind: str, files: dict[str, dict[str, Any]], words: str
) -> None:
    random_llama(tmp_path, kind)
    for name, values in files.items():
        path = tmp_path / name
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(before | values))
    with pytest.raises(ModelError) as caught:
        load_config(tmp_path)
    assert words in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("expands", [True, False])
def test_vocabulary_in_parts_is_that_of_the_whole(tmp_path: Path, expands: bool) -> None:
    dream(tmp_path, expands=expands)
    special = DREAM if expands else DREAM[:-1]
    whole = vocabulary.made(fields("qwen2", special))
    parts = vocabulary_parts.read(tmp_path)
    text = "def f(a):\n\treturn 'x' + str(12)  # 日本語 <|mask|>\n\n"
    assert parts.encode(text).ids == whole.encode(text).ids
    assert parts.token_to_id("<|mask|>") == MASK
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": "GPT2Tokenizer"}))
    with pytest.raises(ModelError, match="GPT2Tokenizer"):
        vocabulary_parts.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "tokenizer_config.json",
            '{"tokenizer_class": "DreamTokenizer", "added_tokens_decoder": 3}',
        ),
        ("tokenizer_config.json", '{"tokenizer_class": ["DreamTokenizer"]}'),
        ("tokenizer_config.json", "[1]"),
        ("vocab.json", '{"a": [1]}'),
        ("vocab.json", '{"a": 99999999999}'),
        ("vocab.json", "{}"),
        ("merges.txt", "a\nb c d\n"),
        ("merges.txt", "\udcff"),
    ],
)
def test_damaged_vocabulary_is_named(tmp_path: Path, name: str, text: str) -> None:
    dream(tmp_path)
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    if name == "vocab.json" and text == "{}":
        (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "DreamTokenizer"}')
    with pytest.raises(ModelError) as caught:
        vocabulary_parts.read(tmp_path)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_more_holes_than_a_window_has_room_for_are_refused(tmp_path: Path) -> None:
    dream(tmp_path)
    many = [part for at in range(40) for part in (f"a{at} = ", Hole(), "\n")]
    with pytest.raises(ValueError, match="40 holes and their text are "):
        list(open_engine(str(tmp_path), "cpu").infill(request(*many)))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("block_type", "sequential", "block_type 'sequential', where 'llama' is known"),
        ("include_qkv_bias", True, "include_qkv_bias True"),
        ("layer_norm_type", "default", "layer_norm_type 'default'"),
        ("mask_token_id", None, "a llada without mask_token_id"),
        ("activation_type", "gelu", "hidden_act gelu"),
    ],
)
def test_other_layers_of_a_llada_are_refused(
    tmp_path: Path, key: str, value: Any, words: str
) -> None:
    llada(tmp_path, **{key: value})
    with pytest.raises(ModelError) as caught:
        load_config(tmp_path)
    assert words in str(caught.value)


def test_masks_of_a_llada_are_predicted_in_their_places(tmp_path: Path) -> None:
    theirs = llada(tmp_path)
    ours = checkpoint.load(load_config(tmp_path), tmp_path)
    cache = KVCache(ours.config, dtype=torch.float32)
    hole = MaskedHole.of([MASK] * 3, MASK)
    work = Unmasking(ours, cache, [[300, 301], [302, 303]], [hole])
    right = full(theirs, torch.tensor([work.ids]))[0, 2:5]
    assert (work.logits(work.masked()) - right).abs().max() < 1e-3


@pytest.mark.parametrize("made", ["dreamon", "dream", "dcoder", "llada"])
@pytest.mark.parametrize("seed", [0, 3])
def test_folder_fills_holes_step_by_step(tmp_path: Path, made: str, seed: int) -> None:
    if made in ("dcoder", "llada"):
        (dcoder if made == "dcoder" else llada)(tmp_path)
    else:
        dream(tmp_path, expands=made == "dreamon")
    engine = open_engine(str(tmp_path), "cpu")
    assert engine.masking is not None
    usual_ = {"dreamon": (0.2, "entropy"), "dream": (0.1, "entropy"), "dcoder": (0.6, "p2")}
    usual_ |= {"llada": (0.0, "maskgit_plus")}
    assert (engine.masking.temperature, engine.masking.alg) == usual_[made]
    engine.masking = replace(engine.masking, slots=8)
    assert engine.ability.canvas and not engine.ability.instructions
    asked = request(*PARTS, seed=seed)
    steps = list(engine.infill(asked))
    assert len(steps) > 2 and steps[-1].last and not any(one.last for one in steps[:-1])
    for step in steps:
        assert len(step.drafts) == 2 and step.index <= step.total
        assert all("<|" not in draft.text for draft in step.drafts)
    settled = [sum(sum(draft.settled) for draft in step.drafts) for step in steps]
    assert settled[0] < max(settled)
    assert all(all(draft.settled) for draft in steps[-1].drafts)
    assert [one.draft for (one,) in steps[-1].candidates] == list(steps[-1].drafts)
    assert steps[-1].forwards >= len(steps) - 1
    again = collect(engine.infill(asked))
    assert again.texts == tuple(draft.text for draft in steps[-1].drafts)
    with pytest.raises(ValueError, match="no causal reading to be exact"):
        list(engine.infill(request(*PARTS, exact=True)))


@pytest.mark.parametrize("kind", ["dream", "qwen2", "llada"])
def test_gguf_file_is_read_by_its_mask(tmp_path: Path, kind: str) -> None:
    """Whichever architecture its converter wrote."""
    theirs = write(tmp_path / "one.gguf", kind)
    config = load_config(tmp_path / "one.gguf")
    assert config.masks == MaskTokens(MASK, EXPAND, aligned=kind == "llada")
    assert config.qkv_bias == (kind != "llada")
    ours = checkpoint.load(config, tmp_path / "one.gguf")
    cache = KVCache(ours.config, dtype=torch.float32)
    with torch.inference_mode():
        found = ours.logits(ours.window(IDS, cache))
    assert (found - full(theirs, IDS)).abs().max() < 1e-3
    engine = open_engine(str(tmp_path / "one.gguf"), "cpu")
    assert engine.masking == Masking(temperature=0.2, top_p=0.9)
    engine.masking = replace(engine.masking, slots=4)
    assert len(collect(engine.infill(request(*PARTS))).texts) == 2


def test_candidates_differ_and_the_likeliest_leads(tmp_path: Path) -> None:
    dream(tmp_path, expands=False)
    engine = open_engine(str(tmp_path), "cpu")
    found = collect(engine.infill(request("x = ", Hole(), "\n", candidates=3)))
    (some,) = found.candidates
    assert 1 < len(some) <= 3 and found.texts == (some[0].draft.text,)
    sound = [one for one in some if not one.faults]
    assert sound in ([], sorted(sound, key=lambda one: -one.score))


def test_present_text_stays_but_for_the_least_likely_part(tmp_path: Path) -> None:
    dream(tmp_path)
    engine = open_engine(str(tmp_path), "cpu")
    text = "total + items[0] - self.value"
    pieces = engine.tokenizer.encode(text)
    found = collect(engine.infill(request("x = ", Hole(text), "\n", strength=0.25)))
    now = engine.tokenizer.encode(found.texts[0])
    assert now != pieces
    same = sum(one in now for one in pieces)
    assert same >= len(pieces) - round(0.25 * len(pieces)) - 1


def test_line_ends_are_the_files(tmp_path: Path) -> None:
    dream(tmp_path, expands=False)
    engine = open_engine(str(tmp_path), "cpu")
    asked = request("a = 1\r\nb = 2\r\n", Hole("c\r\n"), "d = 4\r\n", strength=0.0001)
    assert collect(engine.infill(asked)).texts == ("c\r\n",)


@pytest.mark.parametrize("made", [dream, llada])
def test_saved_model_is_masked_still(tmp_path: Path, made: Any) -> None:
    made(tmp_path / "in")
    ours = checkpoint.load(load_config(tmp_path / "in"), tmp_path / "in")
    (tmp_path / "out").mkdir()
    save_config(ours.config, Sampling(), tmp_path / "out")
    assert load_config(tmp_path / "out") == ours.config


def test_settings_of_the_authors_are_taken(tmp_path: Path) -> None:
    dream(tmp_path)
    file = tmp_path / "generation_config.json"
    file.write_text('{"temperature": 0.7, "top_p": 0.8, "top_k": 20}')  # an ancestor's
    assert open_engine(str(tmp_path), "cpu").masking == Masking(temperature=0.2, top_p=0.9)
    file.write_text('{"alg": "topk_margin", "temperature": 0.5, "steps": 9, "alg_temp": 0.1}')
    wanted = Masking("topk_margin", 0.5, 0.95, None, 0.1, 9)
    assert open_engine(str(tmp_path), "cpu").masking == wanted
    for said, words in (
        ('{"alg": "best"}', "alg must be one of"),
        ('{"alg": "p2", "steps": 0}', "steps"),
    ):
        file.write_text(said)
        with pytest.raises(ModelError, match=words):
            open_engine(str(tmp_path), "cpu")


def test_memory_is_planned_for_a_window(tmp_path: Path) -> None:
    dream(tmp_path)
    fit = check(tmp_path, 1 << 30)
    assert usual(fit.setting.config) == 2048


def test_window_is_read_alike_in_a_gpu_s_cache(tmp_path: Path) -> None:
    dream(tmp_path)
    ours = checkpoint.load(load_config(tmp_path), tmp_path)
    caches = [
        KVCache(ours.config, dtype=torch.float32),
        DeviceCache(ours.config, device=torch.device("cpu"), dtype=torch.float32),
    ]
    found = []
    with torch.inference_mode():
        for cache in caches:
            ours.encode(IDS, cache)
            for length in (9, 1500, 40):
                ids = (torch.arange(length) * 7 % 900 + 20)[None]
                found.append(ours.logits(ours.window(ids, cache)))
    for one, other in zip(found[:3], found[3:], strict=True):
        assert (one - other).abs().max() < 1e-4


def test_marks_of_the_text_are_those_of_dream(tmp_path: Path) -> None:
    from dgedit_engine.prompt.window import windows

    dream(tmp_path)
    words = open_engine(str(tmp_path), "cpu").tokenizer
    (one,) = windows(request(*PARTS), words, context=900)
    assert one.fixed[0] == [BEGINNING, *words.encode(PARTS[0])]
    assert one.fixed[1] == words.encode("\n\nb = ")
    assert one.fixed[2] == [*words.encode("\n"), END] and one.present[1] == words.encode("x + 1")
    long = request("a = 1\n" * 900 + "b = ", Hole(), "c = 2\n" * 900)
    (cut,) = windows(long, words, context=300)
    assert 200 < sum(map(len, cut.fixed)) <= 300 and len(cut.fixed[1]) > 90
    assert cut.fixed[0][0] == BEGINNING and cut.fixed[1][-1] == END
    with pytest.raises(ValueError, match="the holes leave -"):
        windows(request("", Hole(), "a = 1\n" * 900, Hole(), ""), words, context=300)
