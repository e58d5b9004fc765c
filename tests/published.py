"""A tiny DiffusionGemma as its publishers would store it, with what every weight is worth."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from dgedit_engine.model.config import Config, LayerConfig, Sampling, save_config
from dgedit_engine.model.model import Model
from dgedit_engine.weights import checkpoint
from dgedit_kernels.quantised import Quantised

SLIDING, FULL = LayerConfig(True, 2, 16, 1e4, 8), LayerConfig(False, 1, 32, 1e6, 4)
CONFIG = Config(
    vocab=96,
    dim=64,
    heads=4,
    layers=(SLIDING, SLIDING, FULL),
    window=8,
    mlp=96,
    experts=4,
    active=2,
    expert_width=32,
    canvas=16,
    context=128,
)
LARGE = Config(
    vocab=20_000,
    dim=1024,
    heads=8,
    layers=(LayerConfig(True, 4, 128, 1e4, 64),) * 2 + (LayerConfig(False, 2, 256, 1e5, 32),),
    window=64,
    mlp=4096,
    experts=8,
    active=2,
    expert_width=1024,
    canvas=16,
    context=128,
)
"""Large enough for the peak of memory to say something."""
Coded = Callable[[tuple[int, ...], torch.Generator], tuple[dict[str, Tensor], Tensor]]
"""Draws a matrix of a shape: its stored parts by the ends of their names, and its worth in fp32."""


def numbers(config: Config = CONFIG) -> dict[str, Tensor]:
    """Random weights by Hugging Face's names, all of which bfloat16 holds."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(weight.shape, generator=generator).bfloat16().float()
        for name, weight in checkpoint._places(Model(config))
    }


def is_matrix(name: str) -> bool:
    """Whether it is one of those that a publisher may quantise."""
    return ".experts." in name or name.endswith("_proj.weight")


def is_expert(name: str) -> bool:
    """Whether it is an expert's."""
    return ".experts." in name


def publish(
    folder: Path,
    coded: Coded,
    which: Callable[[str], bool],
    settings: dict[str, Any] | None,
    *,
    fused: bool = False,
    config: Config = CONFIG,
) -> dict[str, Tensor]:
    """Write a model whose matrices of `which` are `coded`; returns what all are worth."""
    generator = torch.Generator().manual_seed(1)
    stored: dict[str, Tensor] = {}
    worth = numbers(config)
    for name, matrix in worth.items():
        if not which(name):
            stored[name] = matrix.bfloat16()
        elif is_expert(name) and not fused:
            for expert in range(config.experts):
                parts = {"gate": config.expert_width, "up": config.expert_width}
                if name.endswith("down_proj"):
                    parts = {"down": config.dim}
                for half, (part, rows) in enumerate(parts.items()):
                    shape = (rows, matrix.shape[2])
                    one, value = coded(shape, generator)
                    prefix = f"{name.rpartition('.')[0]}.{expert}.{part}_proj"
                    stored |= {f"{prefix}.{end}": tensor for end, tensor in one.items()}
                    matrix[expert, half * rows : (half + 1) * rows] = value
        else:
            one, value = coded(tuple(matrix.shape), generator)
            prefix = name.removesuffix(".weight")
            stored |= {f"{prefix}.{end}": tensor for end, tensor in one.items()}
            matrix.copy_(value)
    write(folder, stored, settings, config=config)
    return worth


def write(
    folder: Path,
    tensors: dict[str, Tensor],
    settings: dict[str, Any] | None,
    *,
    config: Config = CONFIG,
) -> None:
    """A folder with config.json, `settings` its quantization_config, and one file of weights."""
    folder.mkdir(exist_ok=True)
    save_config(config, Sampling(), folder)
    raw = json.loads((folder / "config.json").read_text())
    if settings is not None:
        raw["quantization_config"] = settings
    (folder / "config.json").write_text(json.dumps(raw))
    whole = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    save_file(whole, folder / "model.safetensors")


def weights(model: Model) -> dict[str, Tensor]:
    """What a loaded model's weights are worth, fp32, by Hugging Face's names."""
    return {
        name: weight.dequantised() if isinstance(weight, Quantised) else weight.float()
        for name, weight in checkpoint._places(model)
    }
