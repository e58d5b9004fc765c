"""The text model, of Gemma's shape or of Llama's: one set of weights, read in three ways.

`encode` reads tokens causally and writes their keys and values to a cache; `denoise` reads a canvas
bidirectionally behind that cache and writes nothing; `window` reads a whole text so. Knows neither
files nor sampling. Fast because projections that share an input are one matrix, because a canvas
never copies the prompt's keys, and because weights and activations may differ in dtype: on a CPU
bfloat16 matrices halve a step while the residual stream stays fp32.

Shapes: B batch, T prompt, n new tokens, C canvas, D model, H heads, K kv heads, E head width, N
experts, A active experts, F expert width, V vocabulary.

Sources: transformers 5.23, models/diffusion_gemma, gemma4, gemma3, llama, qwen2, qwen3 and
starcoder2, which the tests hold this file to.
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
from dgedit_engine.model.layer import Layer
from dgedit_engine.model.masks import Beside, Reading
from dgedit_engine.model.products import Weight, linear, order
from dgedit_kernels.layer_norm import layer_norm
from dgedit_kernels.norm import rms_norm
from dgedit_kernels.rope import Rope, rope_at, rope_turn


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
        self.centred = config.family == "starcoder2"
        """Whether its norms are LayerNorms, whose biases are behind their factors."""
        self.norm = nn.Parameter(torch.empty(config.dim * (2 if self.centred else 1)))
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
        self._turns: dict[LayerConfig, Tensor] = {}

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
        norms = [*((one.attention_in, order(x, one.qkv)) for one in layers), (self.norm, 1)]
        norm = layer_norm if self.centred else rms_norm
        normed = norm(x, norms[0][0], self.config.eps, planes=norms[0][1])
        for layer, following in zip(layers, norms[1:], strict=True):
            x, normed = layer(x, normed, ropes[layer.shape], view, following)
        return normed

    def ropes(self, view: ModelPass, dtype: torch.dtype) -> dict[LayerConfig, Rope]:
        """Return the rotations (RoPE) of the tokens for each kind of layer; kept for tokens right
        behind the cache, as every step of a canvas needs them.
        """
        narrow = torch.bfloat16 if torch.bfloat16 in (dtype, self.embedding.dtype) else dtype
        training = torch.is_grad_enabled()  # whose rotations are tables on a GPU too
        places = (view.place, view.n, narrow, self.embedding.device, training)
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
                turn=self._turn(shape, view.positions.device),
            )
            for shape in set(self.config.layers)
        }
        if view.place is not None:
            self._rope_places, self._ropes = places, ropes
        return ropes

    def _turn(self, shape: LayerConfig, device: torch.device) -> Tensor:
        """Return `rope_turn` of a kind of layer, copied to the device once: captured passes read
        it there.
        """
        known = self._turns.get(shape)
        if known is None or known.device != device:
            made = rope_turn(shape.head_dim, shape.rope_theta, shape.rotated, shape.stretch)
            self._turns[shape] = known = made.to(device)
        return known


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
        elif leaf.endswith("_bias"):
            parameter.fill_(0.0)
        elif parameter.dim() == 1:
            parameter.fill_(1.0)
            if model.centred:
                parameter[config.dim :] = 0.0
        else:
            parameter.copy_(
                torch.randn(parameter.shape, generator=generator) * parameter.shape[-1] ** -0.5
            )
            if not config.closed and leaf in ("out", "down"):
                parameter.mul_(branch)
            if leaf == "mark_embedding":
                parameter[0] = 0.0
    for layer in model.stack():
        for scalar in (layer.encode_scalar, layer.denoise_scalar):
            if scalar is not None:
                scalar.fill_(1.0)
