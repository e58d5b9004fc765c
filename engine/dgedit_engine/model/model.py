"""The text model, of Gemma's shape or of Llama's: one set of weights, read in three ways.

`encode` reads tokens causally and writes their keys and values to a cache; `denoise` reads a canvas
bidirectionally behind that cache and writes nothing; `window` reads a whole text so. Knows neither
files nor sampling. Fast because projections that share an input are one matrix, because a canvas
never copies the prompt's keys, and because weights and activations may differ in dtype: on a CPU
bfloat16 matrices halve a step while the residual stream stays fp32.

Shapes: B batch, T prompt, n new tokens, C canvas, D model, H heads, K kv heads, E head width, N
experts, A active experts, F expert width, V vocabulary.

Sources: transformers 5.23, models/diffusion_gemma, gemma4, gemma3, llama, qwen2 and qwen3, which
the tests hold this file to.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dgedit_engine.model.cache import Cache, ModelPass, PromptCache
from dgedit_engine.model.conditioning import SelfConditioning
from dgedit_engine.model.config import Config, LayerConfig
from dgedit_engine.model.head import Head
from dgedit_engine.model.hosted import HostedExperts
from dgedit_engine.model.masks import Beside, Reading
from dgedit_engine.model.products import Weight, feed, linear, product
from dgedit_kernels.geglu import geglu
from dgedit_kernels.moe import experts
from dgedit_kernels.norm import residual_norm, rms_norm
from dgedit_kernels.rope import Rope, qk_norm_rope, rope_at
from dgedit_kernels.router import choose
from dgedit_kernels.swiglu import swiglu


class Model(nn.Module):
    """The whole text model. Weights are undefined until `checkpoint.load` or `init_weights` fills
    them.
    """

    def __init__(self, config: Config, *, activations: torch.dtype | None = None) -> None:
        """`activations` is the dtype of the residual stream, where it is not the weights'."""
        super().__init__()
        self.config, self.activations = config, activations
        self.embedding = nn.Parameter(torch.empty(config.vocab, config.dim))  # (V, D)
        self.output = None if config.tied else nn.Parameter(torch.empty(config.vocab, config.dim))
        self.layers = nn.ModuleList(Layer(config, index) for index in range(len(config.layers)))
        self.norm = nn.Parameter(torch.empty(config.dim))
        self.conditioning = SelfConditioning(config) if config.conditioned else None
        self.mark_embedding = (
            nn.Parameter(torch.empty(config.marks, config.dim)) if config.marks else None
        )  # (M, D)
        self.head: Head | None = None
        """The head, where it is not simply `unembedding`."""
        self.canvas = config.conditioned or config.masks is not None
        """Whether the model was trained on canvases."""
        self.shifted = False
        """Whether a slot is predicted at the token before it, as a base was trained."""
        self.forwards = 0
        """Forward passes so far."""
        self.hosted: HostedExperts | None = None  # some layers', which have it too
        self._ropes: dict[LayerConfig, Rope] = {}
        self._rope_places: tuple[object, ...] = ()

    @property
    def unembedding(self) -> Weight:
        """The head's matrix, (V, D): the embedding, or one of its own."""
        return self.embedding if self.output is None else self.output

    def stack(self) -> Iterator[Layer]:
        """Yield the layers in order."""
        for layer in self.layers:
            assert isinstance(layer, Layer)
            yield layer

    def encode(
        self,
        ids: Tensor,
        cache: Cache,
        *,
        beside: Beside | None = None,
        singly: bool = False,
    ) -> Tensor:
        """Read ids (B, n) causally behind the cache and append them to it -> hidden (B, n, D).

        Sequences side by side (`beside`) are not appended. Tokens read `singly` are the same, on a
        CPU bit for bit, however many a pass has.
        """
        reading = Reading(True, beside, singly)
        hidden = self.run(self.embed(ids), cache, reading)
        if reading.kept:
            cache.commit(ids)
        return hidden

    def denoise(
        self,
        ids: Tensor,
        cache: Cache,
        soft: Tensor | None = None,
        *,
        beside: Beside | None = None,
        marks: Tensor | None = None,
    ) -> Tensor:
        """Read a canvas of ids (B, C) bidirectionally behind the cache -> hidden (B, C, D); the
        cache stays.

        `soft` (B, C, D) is the self-conditioning signal, the expected embedding of the last step's
        prediction (`soft_embed`); None is the first step, exactly no signal. Canvases may stand
        `beside` each other. A model without self-conditioning takes no signal. Of the `marks` that
        each slot bears, (B, C, any number), the embeddings are added to its token's; only a model
        with marks takes them.
        """
        x = self.embed(ids)
        if marks is not None:
            assert self.mark_embedding is not None, "marks for a model that has none"
            table = self.mark_embedding  # mark 0 is none, and stays zero
            x = x + F.embedding(marks, table, padding_idx=0).sum(2).to(x.dtype)
        if self.conditioning is not None:
            x = self.conditioning(x, soft)
        return self.run(x, cache, Reading(False, beside))

    def window(self, ids: Tensor, cache: PromptCache, *, saved: int = 0) -> Tensor:
        """Read a window of ids (1, n) bidirectionally -> hidden (1, n, D); empties the cache, but
        for what the first `saved` tokens leave there, which `commit` may count.
        """
        cache.truncate(0)
        return self.run(self.embed(ids), cache, Reading(False, saved=saved))

    def embed(self, ids: Tensor) -> Tensor:
        """Look up the embeddings of ids (B, n) -> (B, n, D), scaled as the family has it."""
        table, head = self.embedding, self.head
        x = (F.embedding(ids, table) if head is None else head.look_up(ids, table)) * self.scale
        return x if self.activations is None else x.to(self.activations)

    def soft_embed(self, probs: Tensor) -> Tensor:
        """Return the expected embedding under probs (…, V) -> (…, D), scaled by sqrt(D)."""
        table, head = self.embedding, self.head
        soft = probs.to(table.dtype) @ table if head is None else head.expected(probs)
        return (soft * self.scale).to(self.activations or table.dtype)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the logits of hidden (…, D) -> fp32 (…, V), within plus and minus the soft cap.
        With a shortlist, V are its tokens' places (`tokens`, `places`).
        """
        cap = self.config.softcap
        head = self.head
        raw = linear(hidden, self.unembedding).float() if head is None else head.raw(hidden)
        if cap is None:
            return raw
        if raw.requires_grad:
            return (raw / cap).tanh() * cap
        # in place: fresh memory costs more than the maths
        return raw.div_(cap).tanh_().mul_(cap)

    def tokens(self, places: Tensor) -> Tensor:
        """Return the tokens at places of the logits."""
        return places if self.head is None else self.head.tokens(places)

    def places(self, tokens: Tensor) -> Tensor:
        """Return the tokens' places in the logits; -1 for one that cannot be written."""
        return tokens if self.head is None else self.head.places(tokens)

    def losses(self, hidden: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy of target (…) under hidden (…, D), in nats -> fp32 (…)."""
        logits = self.logits(hidden).flatten(0, -2)
        return F.cross_entropy(logits, target.flatten(), reduction="none").view(target.shape)

    def read(self, hidden: Tensor, heat: Tensor) -> Tensor:
        """Return the probabilities (…, V) that hidden (…, D) gives at temperatures heat (…)."""
        return (self.logits(hidden) / heat[..., None]).softmax(-1)

    @property
    def scale(self) -> float:
        """What embeddings are multiplied by, rounded."""
        # rounded to the weights' dtype, as the released model was trained: sqrt(2816) is 53.0 in
        # bfloat16; a number, since a tensor would be a copy to the device in every step
        return float(torch.tensor(self.config.embed_scale, dtype=self.embedding.dtype))

    def run(self, x: Tensor, cache: Cache, reading: Reading) -> Tensor:
        """Run x (B, n, D) through all layers and the last norm -> (B, n, D)."""
        self.forwards += 1
        if self.hosted is not None:
            self.hosted.begin()
        view = cache.open(x.shape[1], reading)
        ropes = self.ropes(view, x.dtype)
        layers = list(self.stack())
        normed = rms_norm(x, layers[0].attention_in, self.config.eps)
        for layer, following in zip(layers, [*layers[1:], None], strict=True):
            norm = self.norm if following is None else following.attention_in
            x, normed = layer(x, normed, ropes[layer.shape], view, norm)
        return normed

    def ropes(self, view: ModelPass, dtype: torch.dtype) -> dict[LayerConfig, Rope]:
        """Return the rotations (RoPE) of the tokens for each kind of layer; kept for tokens right
        behind the cache, as every step of a canvas needs them.
        """
        narrow = torch.bfloat16 if torch.bfloat16 in (dtype, self.embedding.dtype) else dtype
        places = (view.place, view.n, narrow, self.embedding.device)
        if view.place is not None and self._rope_places == places:
            return self._ropes
        ropes = {
            shape: rope_at(
                view.positions,
                head_dim=shape.head_dim,
                theta=shape.rope_theta,
                rotated=shape.rotated,
                dtype=narrow,
                stretch=shape.stretch,
            )
            for shape in set(self.config.layers)
        }
        if view.place is not None:
            self._rope_places, self._ropes = places, ropes
        return ropes


class Layer(nn.Module):
    """Attention, then a dense MLP, beside routed experts where there are any; every part behind a
    norm, and before another but in a Llama; the sum times a scalar where the family has one.
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
        self.attention_in, self.mlp_in = _norm(dim), _norm(dim)
        closed = config.family != "llama"
        self.attention_out = _norm(dim) if closed else None
        self.feed_out = _norm(dim) if closed else None
        self.gated = geglu if closed else swiglu
        self.gate_up = nn.Parameter(torch.empty(2 * config.mlp, dim))
        self.down = nn.Parameter(torch.empty(dim, config.mlp))
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
        following: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Run x (B, n, D), and the same `normed`, through the layer -> the new x, and it normed
        with the weight `following`.
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
        joined = product(normed, self.qkv, exact=exact, causal=causal)
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
        following: Tensor,
        *,
        exact: bool = False,
        causal: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Run the rest of the layer on x (B, n, D) and attention's result (B, n, H E) -> as
        `forward`.
        """
        eps, one = self.config.eps, self.config.experts == 1
        attended = product(attended, self.out, exact=exact, causal=causal).to(x.dtype)
        if not self.config.experts:
            x, (own,) = residual_norm(x, attended, self.attention_out, eps, weights=(self.mlp_in,))
            gates = self.gate_up, self.down
            dense = feed(own, *gates, exact=exact, causal=causal, gated=self.gated)
            x, (normed,) = residual_norm(
                x, dense, self.feed_out, eps, scalar=scalar, weights=(following,)
            )
            return x, normed
        readers = (self.mlp_in, self.experts_in) + (() if one else (self.router_scale,))
        x, inputs = residual_norm(x, attended, self.attention_out, eps, weights=readers)
        dense = feed(inputs[0], self.gate_up, self.down, exact=exact, causal=causal)
        routed = self._only(inputs[1], exact=exact) if one else self.route(*inputs[1:])
        x, (normed,) = residual_norm(
            x,
            (dense, routed),
            self.feed_out,
            eps,
            inner=(self.mlp_out, self.experts_out),
            scalar=scalar,
            weights=(following,),
        )
        return x, normed

    def _only(self, x: Tensor, *, exact: bool) -> Tensor:
        """The lone expert's output for x (B, n, D): nothing to choose, the softmax of one is 1."""
        routed = feed(x, self.experts_gate_up[0], self.experts_down[0], exact=exact)
        return routed * _as(self.expert_scale, x)

    def route(self, x: Tensor, scaled: Tensor) -> Tensor:
        """Return the weighted sum of the experts that the router chooses from `scaled`, for x (B,
        n, D).
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
        routed = experts(flat, index, _as(weight, flat), gate_up, down)
        if hosted is not None:
            hosted.give(self.index)
        return routed.view_as(x).to(x.dtype)


@torch.no_grad()
def init_weights(model: Model, *, seed: int) -> None:
    """Fill the model with random weights, from which to train.

    Residual branches start at about 1/sqrt(2 layers) through their closing norm, or in a Llama
    through their last matrix, as zero-initialised ones do elsewhere; queries and keys at E^-1/4, so
    that attention at scale 1 starts as usual.
    """
    generator = torch.Generator().manual_seed(seed)
    config = model.config
    branch = (2 * len(config.layers)) ** -0.5
    for name, parameter in model.named_parameters():
        leaf = name.rsplit(".", 1)[-1]
        if leaf in ("attention_out", "feed_out"):
            parameter.fill_(branch)
        elif leaf in ("q_norm", "k_norm"):
            parameter.fill_(parameter.shape[0] ** -0.25)
        elif leaf == "qkv_bias":
            parameter.fill_(0.0)
        elif parameter.dim() == 1:
            parameter.fill_(1.0)
        else:
            parameter.copy_(
                torch.randn(parameter.shape, generator=generator) * parameter.shape[-1] ** -0.5
            )
            if config.family == "llama" and leaf in ("out", "down"):
                parameter.mul_(branch)
            if leaf == "mark_embedding":
                parameter[0] = 0.0
    for layer in model.stack():
        for scalar in (layer.encode_scalar, layer.denoise_scalar):
            if scalar is not None:
                scalar.fill_(1.0)


def _norm(dim: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(dim))


def _as(weight: Tensor, x: Tensor) -> Tensor:
    """The weight in x's dtype; asking first costs a fifth of a `to` that does nothing."""
    return weight if weight.dtype == x.dtype else weight.to(x.dtype)
