"""Gated linear unit with the tanh approximation of GELU."""

from torch import Tensor
from torch.nn import functional as F


def geglu(gate_up: Tensor) -> Tensor:
    """`gelu_tanh(gate) · up` from the two joined, (…, 2F) -> (…, F). Source: Shazeer, arXiv
    2002.05202.
    """
    gate, up = gate_up.chunk(2, -1)
    return F.gelu(gate, approximate="tanh") * up
