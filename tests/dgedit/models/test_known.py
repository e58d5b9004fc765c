"""The table of published models: what fits, and numbers that are those of the plan."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from dgedit.models.known import KNOWN, fitting, known, near, told
from dgedit_engine.decode.decoding import default
from dgedit_engine.memory import plan
from dgedit_engine.memory.counted import Counted, setting_of
from dgedit_engine.model import config_gemma4
from dgedit_engine.model.config_llama import configured
from gemma4 import A4B, PUBLISHED

SHAPES: dict[str, tuple[str, int, int, int, int, int, int, bool, dict[str, int]]] = {
    "smollm2": ("llama", 576, 30, 9, 3, 1536, 49152, True, {}),
    "qwen-coder-0.5b": ("qwen2", 896, 24, 14, 2, 4864, 151936, True, {}),
    "qwen-coder-1.5b": ("qwen2", 1536, 28, 12, 2, 8960, 151936, True, {}),
    "qwen-coder-7b": ("qwen2", 3584, 28, 28, 4, 18944, 152064, False, {}),
    "deepseek-coder-1.3b": ("llama", 2048, 24, 16, 16, 5504, 32256, False, {}),
    "seed-coder-8b": ("llama", 4096, 32, 32, 8, 14336, 155136, False, {}),
    "starcoder2-3b": ("starcoder2", 3072, 30, 24, 2, 12288, 49152, True, {"sliding_window": 4096}),
    "open-dcoder": ("qwen2", 896, 24, 14, 2, 4864, 151936, True, {"mask_token_id": 151665}),
    "cdlm": ("qwen2", 896, 24, 14, 2, 4864, 151936, True, {"mask_token_id": 151665}),
    **dict.fromkeys(
        ("dreamon", "dream-coder", "diffucoder"),
        ("qwen2", 3584, 28, 28, 4, 18944, 152064, False, {"mask_token_id": 151666}),
    ),
}
"""Published shapes: width, layers, heads, of keys, MLP, vocabulary, a tied head."""


@pytest.mark.parametrize("name", SHAPES)
def test_memory_at_four_and_eight_bits_is_what_is_planned(name: str) -> None:
    kind, width, layers, heads, keys, mlp, vocab, tied, more = SHAPES[name]
    raw: dict[str, Any] = {
        **{"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads},
        **{"num_key_value_heads": keys, "intermediate_size": mlp, "vocab_size": vocab},
        **{"tie_word_embeddings": tied, "max_position_embeddings": 32768, "rope_theta": 1e6},
        **{"bos_token_id": 0, "eos_token_id": 0},
    }
    config = configured(raw | more, kind)
    setting = setting_of(config, "cuda", default(config))

    def total(rest: Literal["int8", "int4"] | None) -> float:
        weights = plan._quantised(setting, None, rest)
        return Counted(setting, weights).need(2048, "bf16").total / 1e9

    one = known(name)
    assert one is not None and one.memory8 == pytest.approx(total("int8"), abs=0.06)
    assert one.memory4 is None or one.memory4 == pytest.approx(total("int4"), abs=0.06)
    assert total(None) < one.memory8 + one.parameters  # what it is thought to take whole


def test_memory_of_gemma_4_is_what_is_planned() -> None:
    config = config_gemma4.configured(PUBLISHED | A4B)
    setting = setting_of(config, "cuda", default(config))
    one = known("gemma-4")
    assert one is not None
    for experts, said in (("int4", one.memory4), ("e4m3", one.memory8)):
        weights = plan._quantised(setting, experts, "int8")  # type: ignore[arg-type]
        needs = Counted(setting, weights).need(2048, "bf16")
        assert said == pytest.approx(needs.total / 1e9, abs=0.06)


def test_every_model_is_whole() -> None:
    assert len({one.name for one in KNOWN}) == len({one.repo for one in KNOWN}) == len(KNOWN)
    for one in KNOWN:
        assert one.repo.count("/") == 1 and one.licence and one.languages
        assert (one.score is None) == (one.source == "")
        assert known(one.name.upper()) is one and one.repo in told(one)
        assert one.open != ("read it before" in told(one))
    assert known("gpt") is None and near("dreamom") == "dreamon" and near("zzz") == ""


@pytest.mark.parametrize(
    ("free", "gpu", "first"),
    [
        (80, True, "qwen-coder-7b"),
        (11, True, "dreamon"),
        (8, True, "dreamon"),
        (7, True, "qwen-coder-1.5b"),
        (2.5, True, "qwen-coder-0.5b"),
        (2.3, True, "qwen-coder-0.5b"),
        (64, False, "qwen-coder-0.5b"),
        (1, False, None),
    ],
)
def test_best_that_fits_comes_first(free: float, gpu: bool, first: str | None) -> None:
    found = fitting(free, gpu=gpu)
    assert (found[0].name if found else None) == first
    assert all(one.open and one.score for one in found)
    scores = [(one.score or 0) - 4 * (one.bits(free) == "int4") for one in found]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("name", "free", "bits"),
    [
        ("qwen-coder-7b", 20, "whole"),
        ("qwen-coder-7b", 12, "int8"),
        ("dreamon", 8, "int4"),
        ("qwen-coder-7b", 8, None),
        ("smollm2", 2.3, None),
        ("starcoder2-3b", 16, "whole"),
        ("starcoder2-3b", 14, "int8"),  # published in 32 bits
    ],
)
def test_how_a_model_fits(name: str, free: float, bits: str | None) -> None:
    one = known(name)
    assert one is not None and one.bits(free) == bits
