"""Capture work on fixed buffers as a CUDA graph, and say for which models that is possible.

Knows neither what the work is nor where its buffers are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from dgedit_engine.model.model import Model
from dgedit_kernels.decode import suits


def captured(run: Callable[[], object], pool: Any) -> torch.cuda.CUDAGraph:
    """Capture what `run` does on a GPU. `pool` is the memory that graphs share: only one of them
    runs at a time, and what it leaves is in buffers of its own.

    It is run twice before, which compiles the kernels and lets libraries allocate.
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        run()
    return graph


def replays(model: Model) -> bool:
    """Say whether a pass of the model can be captured: it is on a GPU, none of its experts are in
    host memory, and kernels take them; PyTorch's way waits for how many tokens each has.
    """
    if not model.embedding.is_cuda or model.hosted is not None:
        return False
    if model.config.experts < 2:
        return True
    return all(suits(one.experts_gate_up) and suits(one.experts_down) for one in model.stack())
