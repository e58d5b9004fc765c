"""Shapes to measure and test without a checkpoint, and random weights in them.

`26b` is google/diffusiongemma-26B-A4B-it, its text model (values of the released config.json);
`small` has the same parts with 9 million parameters, for machines without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from dgedit_engine.model.config import Config, LayerConfig
from dgedit_engine.model.model import Model
from dgedit_kernels.quantised import Kind, Quantised

Quant = Literal["bf16", "e4m3", "e2m1", "int4"]
"""The kind of the experts' weights. Those of attention and the dense MLP are e4m3 beside e4m3, and
int8 by rows beside 4 bits: in bfloat16 they are 1.7 GB more, and an 8k prompt does not fit 18 GB.
"""

_CODED = ("qkv", "out", "gate_up", "down", "experts_gate_up", "experts_down")
_GROUPS: dict[Kind, int] = {"e2m1": 16, "int4": 32}


def released() -> Config:
    """Return the shape of DiffusionGemma 26B-A4B: 25.2 billion parameters of text model, 3.8 of
    them active.
    """
    sliding = LayerConfig(True, 8, 256, 10_000.0, 128)
    full = LayerConfig(False, 2, 512, 1_000_000.0, 64)
    return Config(
        vocab=262_144,
        dim=2816,
        heads=16,
        layers=tuple(full if index % 6 == 5 else sliding for index in range(30)),
        window=1024,
        mlp=2112,
        experts=128,
        active=8,
        expert_width=704,
        canvas=256,
        context=262_144,
        eos=(1, 106, 50),
    )


def small() -> Config:
    """Return a shape with the same parts and 9.3 million parameters."""
    sliding = LayerConfig(True, 2, 64, 10_000.0, 32)
    full = LayerConfig(False, 1, 128, 1_000_000.0, 16)
    return Config(
        vocab=8192,
        dim=256,
        heads=4,
        layers=tuple(full if index % 3 == 2 else sliding for index in range(6)),
        window=128,
        mlp=192,
        experts=16,
        active=4,
        expert_width=64,
        canvas=64,
        context=4096,
        eos=(1, 106, 50),
    )


SHAPES: dict[str, Callable[[], Config]] = {"26b": released, "small": small}
"""The shapes by their names."""


@torch.no_grad()
def random_model(
    config: Config, quant: Quant, *, device: torch.device | str, seed: int = 0
) -> Model:
    """Make a model whose weights are noise of a trained model's size, on `device`; in bfloat16, but
    for what `quant` says.
    """
    generator = torch.Generator(device).manual_seed(seed)
    with torch.device("meta"):
        model = Model(config).to(torch.bfloat16)
    for module, name, shape in list(_weights(model)):
        kind: Kind | None = None if quant == "bf16" or name not in _CODED else quant
        if kind in _GROUPS and not name.startswith("experts"):
            kind = "int8"
        if kind is None:
            made = torch.empty(shape, dtype=torch.bfloat16, device=device)
            vector = len(shape) == 1
            made.fill_(1.0) if vector else made.normal_(0, shape[-1] ** -0.5, generator=generator)
            _put(module, name, made)
        else:
            del module._parameters[name]
            setattr(module, name, _noise(kind, shape, device, generator))
    return model.requires_grad_(False).eval()


def _weights(model: Model) -> Iterator[tuple[nn.Module, str, torch.Size]]:
    for module in model.modules():
        for name, one in (*module._parameters.items(), *module._buffers.items()):
            if one is not None:
                yield module, name, one.shape


def _put(module: nn.Module, name: str, made: Tensor) -> None:
    if name in module._buffers:
        module._buffers[name] = made
    else:
        module._parameters[name] = nn.Parameter(made, requires_grad=False)


def _noise(
    kind: Kind, shape: torch.Size, device: torch.device | str, generator: torch.Generator
) -> Quantised:
    """Random codes whose values have a matrix's usual spread."""
    *rest, columns = shape
    spread = columns**-0.5
    if kind in ("int8", "e4m3"):
        codes = torch.empty(shape, dtype=torch.int8, device=device)
        codes.random_(-128, 128, generator=generator)
        if kind == "int8":
            return Quantised(kind, codes, row=torch.full(rest, spread / 74, device=device))
        codes.bitwise_and_(-0x31)  # no NaN: exponents from the middle
        row = torch.full(rest, spread / 3, dtype=torch.float32, device=device)
        return Quantised(kind, codes.view(torch.float8_e4m3fn), row=row)
    codes = torch.empty((*rest, columns // 2), dtype=torch.uint8, device=device)
    codes.random_(0, 256, generator=generator)
    groups = (*rest, columns // _GROUPS[kind])
    if kind == "int4":
        scale = torch.full(groups, spread / 4, dtype=torch.float16, device=device)
        return Quantised(kind, codes, scale)
    scale = torch.ones(groups, device=device).to(torch.float8_e4m3fn)
    row = torch.full(rest, spread / 3, dtype=torch.float32, device=device)
    return Quantised(kind, codes, scale, row=row)
