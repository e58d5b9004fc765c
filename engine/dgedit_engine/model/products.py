"""Products of activations with a model's matrices, in whatever form those are."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from dgedit_engine.model.adapted import Adapted
from dgedit_kernels.geglu import geglu
from dgedit_kernels.packed import Packed, packed_product
from dgedit_kernels.qmatmul import qmatmul
from dgedit_kernels.quantised import Quantised

Matrix = Tensor | Quantised | Packed
Trained = Matrix | Adapted


def linear(x: Tensor, weight: Trained, *, exact: bool = False) -> Tensor:
    """x (…, m) by weight (n, m) -> (…, n) in x's dtype."""
    y = product(x, weight, exact=exact)
    return y if y.dtype == x.dtype else y.to(x.dtype)


def product(x: Tensor, weight: Trained, *, exact: bool = False) -> Tensor:
    """The same, in the dtype in which it is taken: bfloat16 where either of the two is. A quantised
    weight takes x as it is. `exact` is without the codes of one that is packed.
    """
    if isinstance(weight, Quantised):
        return qmatmul(x, weight)
    if isinstance(weight, Packed):
        return packed_product(x, weight, exact=exact)
    if isinstance(weight, Adapted):
        return weight.product(x)
    if x.dtype == weight.dtype:
        return F.linear(x, weight)
    return F.linear(x.bfloat16(), weight.bfloat16())


def feed(x: Tensor, gate_up: Trained, down: Trained, *, exact: bool = False) -> Tensor:
    """x (…, D) through a gated MLP: gate_up (2F, D), down (D, F) -> (…, D)."""
    return linear(geglu(linear(x, gate_up, exact=exact)), down, exact=exact)
