"""Routed experts: each token goes through its A chosen gated MLPs, weighted and summed."""

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_kernels.geglu import geglu
from dgedit_kernels.qmatmul import qmatmul
from dgedit_kernels.quantised import Quantised


def experts(
    x: Tensor,
    index: Tensor,
    weight: Tensor,
    gate_up: Tensor | Quantised,
    down: Tensor | Quantised,
) -> Tensor:
    """x (n, D), index and weight (n, A), gate_up (N, 2F, D), down (N, D, F) -> (n, D). Stacks of
    weights may be quantised.

    Tokens are sorted by expert, so that each expert is one matrix product over its own tokens.
    """
    if gate_up.shape[0] == 1:  # one expert takes every token: nothing to sort
        return _linear(geglu(_linear(x, gate_up[0])), down[0]) * weight
    order = index.flatten().argsort(stable=True)  # (n A,)
    token = order // index.shape[1]
    counts = torch.bincount(index.flatten(), minlength=gate_up.shape[0]).tolist()
    outputs = [
        _linear(geglu(_linear(part, gate_up[expert])), down[expert])
        for expert, part in enumerate(x[token].split(counts))
        if len(part)
    ]
    joined = torch.cat(outputs) * weight.flatten()[order, None]
    return torch.zeros_like(x).index_add_(0, token, joined.to(x.dtype))


def _linear(x: Tensor, weight: Tensor | Quantised) -> Tensor:
    return qmatmul(x, weight) if isinstance(weight, Quantised) else F.linear(x, weight)
