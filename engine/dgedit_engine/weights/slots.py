"""The weights of a model, one by one, with the names that files give them.

Names are Hugging Face's. Knows no file: `checkpoint.py` reads and writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from torch import Tensor, nn

from dgedit_engine.formats.source import EMBEDDING, HEAD, NORM, Weight
from dgedit_engine.model.layer import Layer
from dgedit_engine.model.model import Model
from dgedit_engine.model.shape import Config
from dgedit_kernels.quantised import Quantised

SHARED = "model.encoder.language_model."
"""Prefix of the causal reading's own weights; where one is absent, the canvas's is used."""

_NORMS = {
    "attention_in": "input_layernorm.weight",
    "attention_out": "post_attention_layernorm.weight",
    "mlp_in": "pre_feedforward_layernorm.weight",
    "feed_out": "post_feedforward_layernorm.weight",
    "q_norm": "self_attn.q_norm.weight",
    "k_norm": "self_attn.k_norm.weight",
}
_LLAMA_NORMS = {
    "attention_in": "input_layernorm.weight",
    "mlp_in": "post_attention_layernorm.weight",
}
_BIASES = {
    "out_bias": "self_attn.o_proj.bias",
    "up_bias": "mlp.c_fc.bias",
    "down_bias": "mlp.c_proj.bias",
}
_QK_NORMS = {name: _NORMS[name] for name in ("q_norm", "k_norm")}
_BESIDE_EXPERTS = {
    "mlp_out": "post_feedforward_layernorm_1.weight",
    "experts_in": "pre_feedforward_layernorm_2.weight",
    "experts_out": "post_feedforward_layernorm_2.weight",
    "router": "router.proj.weight",
    "router_scale": "router.scale",
    "expert_scale": "router.per_expert_scale",
}

_LLADA = {
    "wte.weight": "model.embed_tokens.weight",
    "ln_f.weight": "model.norm.weight",
    "ff_out.weight": HEAD,
}
_LLADA_LAYER = {
    "attn_norm": "input_layernorm",
    "ff_norm": "post_attention_layernorm",
    "attn_out": "self_attn.o_proj",
    "ff_proj": "mlp.gate_proj",
    "up_proj": "mlp.up_proj",
    "ff_out": "mlp.down_proj",
    **{f"{one}_proj": f"self_attn.{one}_proj" for one in "qkv"},
}
_OF_LLADA = "model.transformer."

Index = tuple[int | slice, ...]
Names = Mapping[str, Index]


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """A weight of the model, and the names that files give it."""

    module: nn.Module
    """The module it belongs to."""
    attribute: str
    """The name of the module's attribute."""
    names: Names
    """Hugging Face's names of its parts, and which rows or matrices they are."""
    others: tuple[Names, ...] = ()
    """Other sets of names under which files may have it."""
    coded: bool = False
    """Whether it may be quantised."""
    shift: float = 0.0
    """Added to a file's numbers: Gemma 3's files have norms less 1."""
    factor: float = 1.0
    """Multiplied with them after that: attention here divides by no square root, so the norm of the
    queries does.
    """

    @property
    def layer(self) -> int | None:
        """The layer whose experts it is; None for another weight."""
        layer, experts = self.module, self.attribute.startswith("experts_") and self.coded
        return layer.index if experts and isinstance(layer, Layer) else None

    @property
    def weight(self) -> Weight:
        """The weight that is there now."""
        value = getattr(self.module, self.attribute)
        return value.data if isinstance(value, Tensor) else value

    def read(self, value: Tensor, *, shifted: bool) -> Tensor:
        """Convert a file's numbers to ours; `shifted` where the file has added the shift."""
        shift = 0.0 if shifted else self.shift
        return (
            value if (shift, self.factor) == (0.0, 1.0) else (value.float() + shift) * self.factor
        )

    def written(self, value: Tensor) -> Tensor:
        """Convert our numbers to a file's: the inverse of `read`."""
        same = (self.shift, self.factor) == (0.0, 1.0)
        return value if same else value.float() / self.factor - self.shift

    def fill(self, value: Weight) -> None:
        """Put `value` in the weight's place."""
        vars(self.module).pop(self.attribute, None)  # codes are no parameters of a module
        if isinstance(value, Quantised):
            self.module._parameters.pop(self.attribute, None)
            setattr(self.module, self.attribute, value)
        elif self.attribute in self.module._buffers:
            self.module._buffers[self.attribute] = value
        else:
            self.module._parameters[self.attribute] = nn.Parameter(value, requires_grad=False)


def canonical(name: str) -> str:
    """Return a tensor's name as the model for text alone has it: one that looks at images too names
    its text part, and a LLaDA has names of its own.
    """
    if name.startswith(_OF_LLADA):
        whole = name.removeprefix(_OF_LLADA)
        blocks, _, rest = whole.partition(".")
        layer, _, part = rest.partition(".")
        stem, _, end = part.rpartition(".")
        if blocks == "blocks" and stem in _LLADA_LAYER:
            return f"model.layers.{layer}.{_LLADA_LAYER[stem]}.{end}"
        return _LLADA.get(whole, name)
    for prefix in ("language_model.model.", "model.language_model."):
        if name.startswith(prefix):
            return "model." + name.removeprefix(prefix)
    return name


def slots(model: Model) -> Iterator[Slot]:
    """Yield every weight of the model."""
    old = not model.config.diffusion
    top = "model." if old else "model.decoder."
    shift = 1.0 if model.config.family == "gemma3" else 0.0
    yield Slot(model, "embedding", {f"{top}embed_tokens.weight" if old else EMBEDDING: ()})
    if model.output is not None:
        yield Slot(model, "output", {HEAD: ()}, coded=True)
    last = f"{top}norm.weight" if old else NORM
    yield Slot(model, "norm", _norm(last, model.config), shift=shift)
    if model.mark_embedding is not None:
        yield Slot(model, "mark_embedding", {f"{top}mark_embedding.weight": ()})
    if (conditioning := model.conditioning) is not None:
        block = f"{top}self_conditioning."
        yield Slot(conditioning, "pre_norm", {f"{block}pre_norm.weight": ()})
        yield from _mlp(conditioning, block, model.config.mlp)
    for index, layer in enumerate(model.stack()):
        yield from _layer(layer, f"{top}layers.{index}.", model.config, shift)
        if layer.denoise_scalar is not None:
            yield Slot(layer, "denoise_scalar", {f"{top}layers.{index}.layer_scalar": ()})
        if not old:
            own = {f"{SHARED}layers.{index}.layer_scalar": ()}
            yield Slot(layer, "encode_scalar", own)


def _layer(layer: Layer, prefix: str, config: Config, shift: float) -> Iterator[Slot]:
    """A layer's weights, but for its scalars."""
    shape = layer.shape
    norms = _NORMS if config.closed else _LLAMA_NORMS
    norms = norms | _QK_NORMS if config.qk_norm else norms
    for ours, theirs in norms.items():
        factor = config.query_scale if ours == "q_norm" else 1.0
        yield Slot(layer, ours, _norm(prefix + theirs, config), shift=shift, factor=factor)
    yield Slot(layer, "out", {f"{prefix}self_attn.o_proj.weight": ()}, coded=True)
    keys = shape.kv_heads * shape.head_dim
    sizes = {"q": config.heads * shape.head_dim, "k": keys} | ({} if layer.shared else {"v": keys})
    rows = _rows([f"{prefix}self_attn.{one}_proj.weight" for one in sizes], sizes.values())
    yield Slot(layer, "qkv", rows, coded=True)
    if config.qkv_bias:
        biases = {name.removesuffix("weight") + "bias": place for name, place in rows.items()}
        yield Slot(layer, "qkv_bias", biases)
    if config.family == "starcoder2":
        yield Slot(layer, "gate_up", {f"{prefix}mlp.c_fc.weight": ()}, coded=True)
        yield Slot(layer, "down", {f"{prefix}mlp.c_proj.weight": ()}, coded=True)
        for ours, theirs in _BIASES.items():
            yield Slot(layer, ours, {prefix + theirs: ()})
    else:
        yield from _mlp(layer, f"{prefix}mlp.", config.mlp)
    if config.experts:
        for ours, theirs in _BESIDE_EXPERTS.items():
            yield Slot(layer, ours, {prefix + theirs: ()})
        yield from _experts(layer, f"{prefix}experts.", config)


def part(weight: Weight, index: Index | slice | None) -> Weight:
    """Return some rows of a matrix, or matrices of a stack; None: all."""
    if index is None:
        return weight
    if isinstance(weight, Tensor):
        return weight[index]
    return weight.with_parts({name: tensor[index] for name, tensor in weight.parts().items()})


def _norm(name: str, config: Config) -> Names:
    """Names for a norm's weight, behind whose factors a LayerNorm has its biases."""
    if config.family != "starcoder2":
        return {name: ()}
    return _rows([name, name.removesuffix("weight") + "bias"], (config.dim, config.dim))


def _mlp(module: nn.Module, prefix: str, width: int) -> Iterator[Slot]:
    names = [f"{prefix}{one}_proj.weight" for one in ("gate", "up")]
    yield Slot(module, "gate_up", _rows(names, (width, width)), coded=True)
    yield Slot(module, "down", {f"{prefix}down_proj.weight": ()}, coded=True)


def _experts(layer: nn.Module, prefix: str, config: Config) -> Iterator[Slot]:
    """Yield the experts' stacks, which files have whole, as parameters or as modules, or expert by
    expert.
    """
    both = {
        f"{prefix}{index}.{name}_proj.weight": (index, *rows)
        for index in range(config.experts)
        for name, rows in _rows(("gate", "up"), (config.expert_width,) * 2).items()
    }
    down: dict[str, Index] = {
        f"{prefix}{index}.down_proj.weight": (index,) for index in range(config.experts)
    }
    halves = _rows(("gate", "up"), (config.expert_width,) * 2)
    every = slice(None)
    stacks: dict[str, Names] = {  # as mlx-lm has them
        "gate_up": {
            f"{prefix}switch_glu.{name}_proj.weight": (every, *rows)
            for name, rows in halves.items()
        },
        "down": {f"{prefix}switch_glu.down_proj.weight": ()},
    }
    for name, apart in (("gate_up", both), ("down", down)):
        whole = f"{prefix}{name}_proj"
        others: tuple[Names, ...] = ({f"{whole}.weight": ()}, stacks[name], apart)
        yield Slot(layer, f"experts_{name}", {whole: ()}, others, coded=True)


def _rows(names: Sequence[str], sizes: Iterable[int]) -> Names:
    """Names for the row ranges of a joined weight, in order."""
    ends = accumulate(sizes, initial=0)
    return {name: (slice(*range_),) for name, range_ in zip(names, pairwise(ends), strict=True)}
