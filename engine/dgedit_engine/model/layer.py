"""A layer of the model, of Gemma's shape or of Llama's, in whichever way it is read.

Projections that share an input are one matrix. Letters as in `model.py`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dgedit_engine.model.cache import ModelPass
from dgedit_engine.model.config import Config
from dgedit_engine.model.hosted import HostedExperts
from dgedit_engine.model.products import feed, feed_parts, linear, order, parts, product
from dgedit_kernels.decode import FEW, Product
from dgedit_kernels.geglu import geglu
from dgedit_kernels.gelu import gelu
from dgedit_kernels.layer_norm import residual_layer_norm
from dgedit_kernels.moe import experts
from dgedit_kernels.norm import residual_norm
from dgedit_kernels.rope import Rope, qk_norm_rope
from dgedit_kernels.router import choose
from dgedit_kernels.swiglu import swiglu


class Layer(nn.Module):
    """Attention, then a dense MLP, beside routed experts where there are any; every part behind a
    norm, and before another but in Llama's shape; the sum times a scalar where the family has one.
    """

    encode_scalar: Tensor | None
    denoise_scalar: Tensor | None

    def __init__(self, config: Config, index: int) -> None:
        super().__init__()
        self.index, self.config, self.shape = index, config, config.layers[index]
        shape, dim = self.shape, config.dim
        self.shared = config.family == "gemma4" and config.shared_values and not shape.sliding
        """Whether the keys are the values too."""
        joined = config.heads + shape.kv_heads * (1 if self.shared else 2)
        self.qkv = nn.Parameter(torch.empty(joined * shape.head_dim, dim))
        self.out = nn.Parameter(torch.empty(dim, config.heads * shape.head_dim))
        self.q_norm = _norm(shape.head_dim) if config.qk_norm else None
        self.k_norm = _norm(shape.head_dim) if config.qk_norm else None
        self.qkv_bias = _norm(joined * shape.head_dim) if config.qkv_bias else None
        biased = config.family == "starcoder2"
        norm = 2 * dim if biased else dim  # a LayerNorm's biases are behind its factors
        self.attention_in, self.mlp_in = _norm(norm), _norm(norm)
        self.attention_out = _norm(dim) if config.closed else None
        self.feed_out = _norm(dim) if config.closed else None
        self.gated = geglu if config.closed else swiglu
        # without a gate, this is what goes up alone
        self.gate_up = nn.Parameter(torch.empty(config.mlp if biased else 2 * config.mlp, dim))
        self.down = nn.Parameter(torch.empty(dim, config.mlp))
        self.out_bias = _norm(dim) if biased else None
        self.up_bias = _norm(config.mlp) if biased else None
        self.down_bias = _norm(dim) if biased else None
        # The only weights that the two modes do not share.
        scalar = torch.empty(1) if config.family == "gemma4" else None
        self.register_buffer("encode_scalar", scalar)
        self.register_buffer("denoise_scalar", None if scalar is None else torch.empty(1))
        if config.experts:
            self._with_experts(config)

    def _with_experts(self, config: Config) -> None:
        """Make the experts' weights, and the norms of two branches."""
        dim, many, width = config.dim, config.experts, config.expert_width
        self.mlp_out, self.experts_in, self.experts_out = _norm(dim), _norm(dim), _norm(dim)
        self.router = nn.Parameter(torch.empty(many, dim))
        self.router_scale = _norm(dim)
        self.expert_scale = nn.Parameter(torch.empty(many))
        self.experts_gate_up = nn.Parameter(torch.empty(many, 2 * width, dim))
        self.experts_down = nn.Parameter(torch.empty(many, dim, width))
        self.hosted: HostedExperts | None = None

    def forward(
        self,
        x: Tensor,
        normed: Tensor,
        rope: Rope,
        view: ModelPass,
        following: tuple[Tensor, int],
    ) -> tuple[Tensor, Tensor]:
        """Run x (B, n, D), and the same `normed`, through the layer -> the new x, and it normed
        with the weight `following`, its columns in so many planes.
        """
        causal = view.reading.causal
        q, k, v = self.project(normed, rope, exact=view.exact, causal=causal)
        attended = view.attend(self.index, self.shape, q, k, v)
        scalar = self.encode_scalar if causal else self.denoise_scalar
        return self.finish(x, attended, scalar, following, exact=view.exact, causal=causal)

    def project(
        self, normed: Tensor, rope: Rope, *, exact: bool = False, causal: bool = True
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Project normed (B, n, D) -> queries (B, H, n, E), keys and values (B, K, n, E).

        Attention stays in the product's dtype: bfloat16 keys halve the cache and its reading.
        """
        joined = product(normed, self.qkv, exact=exact, causal=causal, laid=True)
        joined = joined.view(*joined.shape[:-1], -1, self.shape.head_dim)  # (B, n, H + 2K, E)
        return qk_norm_rope(
            joined,
            self.q_norm,
            self.k_norm,
            rope,
            heads=self.config.heads,
            kv_heads=self.shape.kv_heads,
            shared=self.shared,
            eps=self.config.eps,
            normed_values=self.config.family == "gemma4",
            scale=self.config.query_scale,  # of normed queries it is in the norm
            bias=self.qkv_bias,
        )

    def finish(
        self,
        x: Tensor,
        attended: Tensor,
        scalar: Tensor | None,
        following: tuple[Tensor, int],
        *,
        exact: bool = False,
        causal: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Run the rest of the layer on x (B, n, D) and attention's result (B, n, H E) -> as
        `forward`.
        """
        eps, one = self.config.eps, self.config.experts == 1
        how: Any = {"exact": exact, "causal": causal}
        last: Any = {"scalar": scalar, "weights": following[:1], "planes": following[1:]}
        branch = parts(attended, self.out, x.dtype, **how)
        if self.up_bias is not None:
            return self._biased(x, branch, following, **how)
        norms, places, close = [self.mlp_in], [order(x, self.gate_up)], self.attention_out
        if not self.config.experts:
            x, (own,) = residual_norm(x, branch, close, eps, weights=norms, planes=places)
            dense = feed_parts(own, self.gate_up, self.down, laid=True, gated=self.gated, **how)
            x, (normed,) = residual_norm(x, dense, self.feed_out, eps, **last)
            return x, normed
        norms += [self.experts_in] if one else [self.experts_in, self.router_scale]
        places += [1] if one else [order(x, self.experts_gate_up, self.experts_down), 1]
        x, inputs = residual_norm(x, branch, close, eps, weights=norms, planes=places)
        dense = feed_parts(inputs[0], self.gate_up, self.down, laid=True, **how)
        routed = self._only(inputs[1], exact=exact) if one else self.route(*inputs[1:])
        inner = self.mlp_out, self.experts_out
        x, (normed,) = residual_norm(x, (dense, routed), self.feed_out, eps, inner=inner, **last)
        return x, normed

    def _biased(
        self, x: Tensor, branch: Product, following: tuple[Tensor, int], **how: Any
    ) -> tuple[Tensor, Tensor]:
        """Run the rest of a StarCoder2's layer, behind attention's product."""
        assert self.out_bias is not None and self.down_bias is not None, "all or none"
        assert self.up_bias is not None, "all or none"
        eps, planes = self.config.eps, order(x, self.gate_up)
        x, own = residual_layer_norm(x, branch, self.out_bias, self.mlp_in, eps, planes=planes)
        plain = partial(gelu, bias=self.up_bias)
        dense = feed_parts(own, self.gate_up, self.down, laid=True, gated=plain, **how)
        weight, planes = following
        return residual_layer_norm(x, dense, self.down_bias, weight, eps, planes=planes)

    def _only(self, x: Tensor, *, exact: bool) -> Tensor:
        """The lone expert's output for x (B, n, D): nothing to choose, the softmax of one is 1."""
        routed = feed(x, self.experts_gate_up[0], self.experts_down[0], exact=exact)
        return routed * _as(self.expert_scale, x)

    def route(self, x: Tensor, scaled: Tensor) -> Product:
        """Return the weighted sum of the experts that the router chooses from `scaled`, for x (B,
        n, D), whose columns lie in their planes.
        """
        flat, scaled = x.flatten(0, 1), scaled.flatten(0, 1)
        weight, index = choose(
            linear(scaled, self.router),
            self.expert_scale,
            active=self.config.active,
            factor=self.config.dim**-0.5,
        )  # (B n, A)
        hosted, own = self.hosted, (self.experts_gate_up, self.experts_down)
        gate_up, down = own if hosted is None else hosted.take(self.index)
        if isinstance(gate_up, Tensor) and isinstance(down, Tensor):
            if flat.dtype != gate_up.dtype:
                flat = flat.bfloat16()  # as `product`: to widen all experts would cost more
            gate_up, down = _as(gate_up, flat), _as(down, flat)
        routed = experts(flat, index, _as(weight, flat), gate_up, down, laid=True, most=FEW)
        if hosted is not None:
            hosted.give(self.index)
        return routed.view_as(x).to(x.dtype) if isinstance(routed, Tensor) else routed


def _norm(dim: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(dim))


def _as(weight: Tensor, x: Tensor) -> Tensor:
    """The weight in x's dtype; asking first costs a fifth of a `to` that does nothing."""
    return weight if weight.dtype == x.dtype else weight.to(x.dtype)
