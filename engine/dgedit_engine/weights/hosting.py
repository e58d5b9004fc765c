"""Leave the experts of a model's last layers in host memory, pinned where the system lets us."""

from __future__ import annotations

import torch

from dgedit_engine.model.hosted import CudaLanes, HostedExperts, Lanes, Stacks, parts, pinned
from dgedit_engine.model.model import Model


def last_layers(model_layers: int, count: int) -> range:
    """Return the layers whose experts are on the host, where those of `count` are: the last ones,
    since the first ones are computed while these are copied.
    """
    return range(model_layers - count, model_layers)


def host(model: Model, count: int, lanes: Lanes | None = None) -> bool:
    """Have the experts of the last `count` layers, which were loaded to host memory, brought to the
    device of the others as they are read; return whether they could be pinned. `lanes` None: those
    of a GPU.
    """
    device = model.embedding.device
    wanted = last_layers(len(model.config.layers), count)
    layers = [layer for layer in model.stack() if layer.index in wanted]
    stacks: dict[int, Stacks] = {
        one.index: (one.experts_gate_up, one.experts_down) for one in layers
    }
    sure = True
    if device.type == "cuda":
        for part in (part for one in stacks.values() for part in parts(one)):
            sure = pinned(part) and sure
    hosted = HostedExperts(stacks, device, lanes or CudaLanes(torch.device(device)))
    model.hosted = hosted
    for layer in layers:
        layer.hosted = hosted
    return sure
