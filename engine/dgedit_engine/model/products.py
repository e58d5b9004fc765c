"""Products of activations with matrices: plain, quantised, packed, or with low-rank changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dgedit_engine.model.adapted import Adapted, Matrix
from dgedit_kernels.decode import Product, planes
from dgedit_kernels.geglu import geglu
from dgedit_kernels.packed import Packed, by_codes, packed_product
from dgedit_kernels.qmatmul import qmatmul, qmatmul_parts, whole
from dgedit_kernels.quantised import Quantised

__all__ = ["Matrix", "Weight", "feed", "has_bfloat16", "linear", "product"]

Weight = Matrix | Adapted


def linear(x: Tensor, weight: Weight, *, exact: bool = False, causal: bool = True) -> Tensor:
    """Multiply x (…, m) by weight (n, m) -> (…, n) in x's dtype."""
    y = product(x, weight, exact=exact, causal=causal)
    return y if y.dtype == x.dtype else y.to(x.dtype)


def product(
    x: Tensor, weight: Weight, *, exact: bool = False, causal: bool = True, laid: bool = False
) -> Tensor:
    """Multiply as `linear` does -> (…, n) in the dtype of the product: bfloat16 where either
    operand is. A quantised weight takes x as it is. `exact` does not use the int8 codes of a packed
    one. `causal` says which reading this is, since low-rank changes are of one. `laid`: x's columns
    lie as `order` says of the weight.
    """
    if isinstance(weight, Adapted):
        if weight.changes_reading(causal):
            return _changed(x, weight, exact=exact, causal=causal)
        return product(x, weight.weight, exact=exact, causal=causal)
    if isinstance(weight, Quantised):
        return qmatmul(x, weight, laid=laid)
    if isinstance(weight, Packed):
        return packed_product(x, weight, exact=exact)
    if x.dtype == weight.dtype:
        return F.linear(x, weight)
    return F.linear(x.bfloat16(), weight.bfloat16())


def parts(x: Tensor, weight: Weight, dtype: torch.dtype, **how: Any) -> Product:
    """Multiply as `product` does, into `dtype`, and leave sums of a few parts to who reads it."""
    if isinstance(weight, Quantised):
        found = qmatmul_parts(x, weight, laid=how.get("laid", False))
        return whole(found, dtype) if isinstance(found, Tensor) else found
    return whole(product(x, weight, **how), dtype)


def order(x: Tensor, *weights: Weight) -> int:
    """Return the planes in which x's columns best lie for the first of these weights, where kernels
    take all of them (`decode.planes`); 1: as they are.
    """
    return planes(x, *weights)


def _changed(x: Tensor, weight: Adapted, *, exact: bool, causal: bool) -> Tensor:
    """The product with a matrix and its changes."""
    matrix = weight.weight
    if isinstance(matrix, Adapted) and not matrix.changes_reading(causal):
        matrix = matrix.weight
    if isinstance(matrix, Packed) and not by_codes(x, matrix, exact=exact):
        x = x.to(matrix.weight.dtype)
        return weight.added(F.linear(x, matrix.weight), x).float()
    if isinstance(matrix, Tensor) and torch.bfloat16 in (x.dtype, matrix.dtype):
        x = x.bfloat16()  # once for both
    return weight.added(product(x, matrix, exact=exact, causal=causal), x)


def feed(x: Tensor, gate_up: Weight, down: Weight, **how: Any) -> Tensor:
    """Run x (…, D) through a gated MLP: gate_up (2F, D), down (D, F) -> (…, D)."""
    return whole(feed_parts(x, gate_up, down, **how), x.dtype)


def feed_parts(
    x: Tensor,
    gate_up: Weight,
    down: Weight,
    *,
    exact: bool = False,
    causal: bool = True,
    laid: bool = False,
    gated: Callable[..., Tensor] = geglu,
) -> Product:
    """Run x through a gated MLP as `feed` does, and leave the last sums to who reads them."""
    inner = parts(x, gate_up, x.dtype, exact=exact, causal=causal, laid=laid)
    own = gated(inner, dtype=x.dtype, planes=order(x, down))
    return parts(own, down, x.dtype, exact=exact, causal=causal, laid=True)


def has_bfloat16() -> bool:
    """Say whether this CPU multiplies bfloat16 matrices itself; emulated, they are slower than
    fp32.
    """
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
