"""Experts that a card has no room for: which stay on the host, what it costs, and that it loads."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_engine.bench.shapes import released, small
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.loop_cuda import DenoiseStep
from dgedit_engine.memory import plan
from dgedit_engine.memory.counted import Counted, setting_of
from dgedit_engine.memory.hosting import hosting
from dgedit_engine.memory.plan import check, hosted, need, usual
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.config import load_config
from dgedit_engine.model.hosted import AHEAD
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from dgedit_engine.weights.hosting import host, last_layers
from every_format import SHAPE, made
from headers import header_only

GB = 10**9


def test_fewest_layers_are_left_out_and_buffers_count() -> None:
    found = hosting([10] * 6, 15, 100)
    assert found is not None and (found.layers, found.copied, found.buffers) == (5, 50, 30)
    assert found.saved == 20, "of five layers' 50 bytes, 30 are buffers"
    assert hosting([10] * 6, 31, 100) is None, "three layers are on the device in any case"
    assert hosting([10] * 6, 15, 49) is None, "the host has too little"
    assert hosting([0] * 6, 1, 100) is None, "no experts"
    mixed = hosting([4, 4, 4, 6, 6], 5, 100)
    assert mixed is not None and (mixed.layers, mixed.copied) == (5, 24)


def test_released_shape_in_4_bits_on_a_card_of_12_gb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experts = (429_391_872,) * 30
    counted = Counted(setting_of(released(), "cuda", Decoding()), 15_300_000_000, experts=experts)
    monkeypatch.setattr(Counted, "of", lambda *_: counted)
    monkeypatch.setattr(plan, "narrowings", lambda _: [])
    context, free = usual(released()), int(0.96 * 12 * GB)
    fit = check(tmp_path, free, device="cuda", host=16 * GB)
    assert fit.hosting is not None and fit.hosting.layers == 16
    assert fit.need.total <= free and fit.context == context
    assert fit.need.weights == counted.weights - fit.hosting.saved
    assert fit.note == (
        "the experts of 16 of 30 layers stay in host memory: a step copies 6.9 GB of them,"
        " 0.27 s on PCIe 4, 0.14 s on PCIe 5"
    )
    with pytest.raises(ModelError, match=r"11\.5 GB free; nothing fits"):
        check(tmp_path, free, device="cuda", host=2 * GB)
    assert hosted(tmp_path, counted.need(context, "bf16").total, context=context) is None


def test_fewest_bytes_are_copied_of_a_file_that_can_be_narrowed(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    header_only(file, small(), "Q8_0", vocabulary=False)
    context = usual(small())
    least = need(file, context=context, kv="bf16", device="cuda", narrow="layers").total
    fit = check(file, least - 9, context=context, kv="bf16", device="cuda", host=sys.maxsize)
    assert fit.narrow == "layers" and fit.hosting is not None
    assert fit.hosting.layers == AHEAD + 2, "as many as there are buffers free nothing"


def test_what_quantise_would_make_fit_is_told_instead(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    made("plain", folder)
    whole = need(folder, context=SHAPE.context, device="cuda")
    options: dict[str, Any] = {"context": SHAPE.context, "kv": "bf16", "device": "cuda"}
    with pytest.raises(ModelError, match="dgedit model quantize"):
        check(folder, whole.total - 2000, host=GB, **options)


class Direct:
    """Lanes of one queue."""

    def mark(self, *, copying: bool) -> None:
        return None

    def wait(self, mark: None, *, copying: bool) -> None:
        pass

    def copy(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        for to, of in pairs:
            to.copy_(of)


@pytest.mark.parametrize("name", ["w4a16", "mlx", "q8_0"])
def test_model_is_loaded_with_experts_on_the_host_and_takes_the_same_steps(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    made(name, folder)
    config = load_config(folder)
    count = AHEAD
    shown = []
    for left in (0, count):
        model = checkpoint.load(config, folder, hosted=last_layers(len(config.layers), left))
        if left:
            assert host(model, left, Direct())
            assert [layer.hosted is not None for layer in model.stack()] == [False, True, True]
        cache = DeviceCache(config, device="cpu", dtype=model.embedding.dtype)
        with torch.inference_mode():
            model.encode(torch.arange(12)[None], cache)
            step = DenoiseStep(model, cache, rows=1, slots=16)
            step.settings.copy_(torch.tensor([0.1, 0.5, 1.0]))
            shown.append([step.run().clone() for _ in range(3)])
    assert all(one.equal(two) for one, two in zip(*shown, strict=True))


def test_room_for_them_is_made_on_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device that is none: all but the experts of the last two layers."""
    folder = tmp_path / "mlx"
    made("mlx", folder)
    places: dict[Any, str] = {}

    def noted(moves: Any, device: Any, *more: Any) -> None:
        real(moves, "meta", *more)
        places.update({move.slot: move.slot.weight.device.type for move in moves})
        raise ModelError("enough")

    real = checkpoint.make_room
    monkeypatch.setattr(checkpoint, "make_room", noted)
    with pytest.raises(ModelError, match="enough"):
        checkpoint.load(load_config(folder), folder, hosted=(1, 2))
    there = {(slot.layer, place) for slot, place in places.items() if slot.layer is not None}
    assert there == {(0, "meta"), (1, "cpu"), (2, "cpu")}
    assert {place for slot, place in places.items() if slot.layer is None} == {"meta"}
