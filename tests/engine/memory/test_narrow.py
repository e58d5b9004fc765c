"""GGUF files of the released shape: planned from headers, and narrowed where a card is small."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dgedit_engine.bench.shapes import released, small
from dgedit_engine.engine import open_engine
from dgedit_engine.formats import gguf, narrowings, opened
from dgedit_engine.memory.plan import check, need, usual
from dgedit_engine.model.config import load_config
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from dgedit_engine.weights.slots import slots
from dgedit_kernels.quantised import Quantised
from every_format import q8_0
from headers import header_only

GB = 10**9
CARD = 23 * GB
"""Free on a card of 24 GB."""


@pytest.mark.parametrize(
    ("recipe", "weights", "narrowed"),
    [
        ("Q4_K_M", 20.5, None),  # not what was published as such, whose mixture is another
        ("MXFP4_MOE", 16.1, None),
        ("Q5_K_M", 27.6, "experts"),
        ("Q6_K", 28.6, "experts"),
        ("Q8_0", 27.5, "experts"),
        ("IQ2_S", 28.6, "experts"),
        ("IQ4_XS", 27.5, "experts"),
    ],
)
def test_what_is_published_fits_a_card_of_24_gb(
    tmp_path: Path, recipe: str, weights: float, narrowed: str | None
) -> None:
    file = tmp_path / "model.gguf"
    header_only(file, released(), recipe, vocabulary=False)
    whole = need(file, context=8192, device="cuda")
    assert round(whole.weights / GB, 1) == weights
    fit = check(file, CARD, device="cuda")
    assert fit.need.total <= CARD and fit.context >= usual(fit.setting.config)
    assert fit.narrow == narrowed and bool(fit.note) == bool(narrowed)
    assert "\n" not in fit.note
    assert check(file, 80 * GB, device="cuda").narrow is None


def test_a_card_that_holds_it_whole_gets_it_whole_and_no_card_is_told_less(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    header_only(file, released(), "Q6_K", vocabulary=False)
    assert narrowings(file) == ["experts", "layers"]
    both = check(file, int(18.3 * GB), device="cuda")
    assert both.narrow == "layers"
    assert both.note == (
        "its matrices take 4 bits, fewer than the file has: whole it needs 30.1 GB,"
        " cuda has 18.3 GB free"
    )
    with pytest.raises(ModelError, match=r"needs 30\.\d GB .*, cuda has 12\.0 GB free; in 4 bits"):
        check(file, 12 * GB, device="cuda")
    with pytest.raises(ModelError, match="possible"):
        check(file, CARD, context=5, device="cuda")
    asked = check(file, CARD, context=32_768, device="cuda")
    assert (asked.context, asked.narrow) == (32_768, "experts")


def test_what_has_4_bits_is_not_narrowed(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    header_only(file, small(), "Q4_0", vocabulary=False)
    assert narrowings(file) == []


def test_the_released_file_is_planned_in_a_second_and_no_weight_is_touched(tmp_path: Path) -> None:
    """It took 46 s. The file is a header with nothing behind it, and still has its size; reading a
    tensor is refused.
    """
    file = tmp_path / "model.gguf"
    size = header_only(file, released(), "Q4_K_M")
    assert size > 18 * GB and file.stat().st_blocks * 512 < 64 << 20
    source = opened(file)

    def refused(name: str) -> None:
        raise AssertionError(f"read {name}")

    object.__setattr__(source, "read", refused)
    gguf.forget()
    best = 9.0
    for _ in range(3):
        start = time.process_time()
        need(file, context=8192, device="cuda")
        best = min(best, time.process_time() - start)
    assert best < 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dgedit_engine.memory.counted.opened", lambda *_: source)
        assert need(file, context=8192, device="cuda").weights > 20 * GB


@pytest.mark.parametrize("narrow", ["experts", "layers"])
def test_narrowed_weights_are_counted_to_the_byte(tmp_path: Path, narrow: str) -> None:
    q8_0(tmp_path)
    config = load_config(tmp_path)
    assert narrowings(tmp_path) == ["experts", "layers"]
    model = checkpoint.load(config, tmp_path, narrow=narrow)  # type: ignore[arg-type]
    found = need(tmp_path, context=128, device="cuda", narrow=narrow)  # type: ignore[arg-type]
    assert found.weights == sum(slot.weight.nbytes for slot in slots(model))
    layer = next(model.stack())
    kinds = {name: getattr(layer, name) for name in ("experts_gate_up", "qkv", "out")}
    assert isinstance(kinds["experts_gate_up"], Quantised)
    assert kinds["experts_gate_up"].kind == "int4"
    assert {kinds["qkv"].kind, kinds["out"].kind} == {"int8" if narrow == "experts" else "int4"}


def test_an_engine_says_that_it_was_opened_narrowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    q8_0(tmp_path)
    monkeypatch.setattr("dgedit_engine.memory.counted.packs", lambda *_: False)
    whole = need(tmp_path, context=4096).total
    assert open_engine(str(tmp_path), "cpu", context=4096).ability.note == ""
    monkeypatch.setattr("dgedit_engine.engine.free_bytes", lambda _: whole - 1)
    engine = open_engine(str(tmp_path), "cpu", context=4096)
    assert "take 4 bits, fewer than the file has" in engine.ability.note
