"""GPTQ's packing, as AutoGPTQ and AutoRound write it, against its formula, number by number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dgedit_engine.formats import describe
from dgedit_engine.model.config import load_config
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from dgedit_kernels.quantised import Quantised
from published import CONFIG, is_expert, publish, weights

GROUP = 16
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False}
AUTOROUND = {"quant_method": "auto-round", "bits": 4, "sym": True}
AUTOROUND |= {"packing_format": "auto_round:auto_gptq"}


def words(codes: Tensor) -> Tensor:
    """Eight codes of 4 bits of a row's neighbours in an int32, the first lowest: (a, 8 b) -> (a,
    b).
    """
    found = torch.zeros(codes.shape[0], codes.shape[1] // 8, dtype=torch.int64)
    for place in range(8):
        found |= codes[:, place::8].long() << 4 * place
    return torch.where(found >= 2**31, found - 2**32, found).int()


def packed(shape: tuple[int, ...], generator: torch.Generator, *, zero: int | None = None) -> Any:
    """A matrix's parts, and what AutoGPTQ's formula makes of them."""
    rows, columns = shape
    codes = torch.randint(16, (columns, rows), generator=generator)
    zeros = torch.randint(1, 16, (columns // GROUP, rows), generator=generator)
    zeros = zeros if zero is None else torch.full_like(zeros, zero)
    scale = (torch.rand((columns // GROUP, rows), generator=generator) / 16 + 0.01).half()
    parts = {
        "qweight": words(codes.T).T.contiguous(),
        "qzeros": words(zeros - 1),
        "scales": scale,
        "g_idx": torch.arange(columns, dtype=torch.int32) // GROUP,
    }
    group = torch.arange(columns) // GROUP
    return parts, (scale[group].float() * (codes - zeros[group])).T


def symmetric(shape: tuple[int, ...], generator: torch.Generator) -> Any:
    return packed(shape, generator, zero=8)


@pytest.mark.parametrize("settings", [GPTQ, AUTOROUND])
@pytest.mark.parametrize("coded", [packed, symmetric])
def test_weights_are_worth_what_the_formula_says(tmp_path: Path, settings: Any, coded: Any) -> None:
    right = publish(tmp_path, coded, is_expert, settings)
    model = checkpoint.load(load_config(tmp_path), tmp_path)
    found = weights(model)
    for name, value in right.items():
        room = 2**-7 if is_expert(name) else 2**-8  # a bias in fp16 may be larger than what is left
        largest = float(value.abs().max())
        torch.testing.assert_close(found[name], value, rtol=2**-8, atol=room * largest, msg=name)
    layer = next(model.stack())
    assert isinstance(layer.experts_down, Quantised)
    assert (layer.experts_down.kind, layer.experts_down.group) == ("int4", GROUP)
    method = str(settings["quant_method"])
    assert describe(tmp_path) == f"INT4 ({method})"


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        checkpoint.load(CONFIG, folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"desc_act": True}, "columns in another order are not read"),
        ({"bits": 8}, "GPTQ of 8 bits, not 4"),
        ({"checkpoint_format": "gptq_v2"}, "packed as 'gptq_v2'; known are gptq, auto_round"),
        ({"checkpoint_format": "marlin"}, "packed as 'marlin'"),
    ],
)
def test_what_is_packed_in_another_way_is_named(
    tmp_path: Path, more: dict[str, Any], said: str
) -> None:
    publish(tmp_path, packed, is_expert, GPTQ | more)
    assert said in refused(tmp_path)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    def without(shape: tuple[int, ...], generator: torch.Generator) -> Any:
        parts, worth = packed(shape, generator)
        return {name: one for name, one in parts.items() if name != "scales"}, worth

    publish(tmp_path, without, is_expert, GPTQ)
    assert "no tensor " in (said := refused(tmp_path)) and ".scales" in said
