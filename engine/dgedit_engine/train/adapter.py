"""A LoRA adapter under training: low-rank changes of projections, and rows of the special tokens.

Put on a `Model` in place of its matrices, kept in PEFT's file format: `adapter_config.json` beside
`adapter_model.safetensors`, named as Hugging Face's class of the base names its modules. That of
both readings of a DiffusionGemma is written under the names of either (`weights/pairs.py`). Knows
nothing of losses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dgedit_engine.model.adapted import Adapted, LowRank, Matrix
from dgedit_engine.model.layer import Layer
from dgedit_engine.model.model import Model
from dgedit_engine.weights.adapters import CONFIG, ROWS, WEIGHTS
from dgedit_engine.weights.pairs import DECODER, ENCODER

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The projections that may be changed, as PEFT's `target_modules` names them, but for those of
`OTHERS`.
"""

OTHERS = {"c_fc": "up_proj", "c_proj": "down_proj"}
"""StarCoder2's names of two of them; it has no `gate_proj`."""

ATTENTION = PROJECTIONS[:4]
"""The projections of attention."""

SPECIALS = 16
"""The first rows of the embedding, those of special tokens, may be trained."""


@dataclass(frozen=True, slots=True)
class AdapterSettings:
    """The rank, the scale and the places of an adapter. Raises ValueError, naming the value, for
    unusable ones.
    """

    rank: int = 8
    """Rank of each change."""
    alpha: float = 16.0
    """The changes are multiplied by alpha / rank."""
    projections: tuple[str, ...] = ATTENTION
    """Which matrices are changed."""
    tokens: int = SPECIALS
    """The first rows of the embedding that are trained too; none for the canvas's reading, which
    shares the embedding with the causal one.
    """

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank must be at least 1, not {self.rank}")
        if unknown := set(self.projections) - set(PROJECTIONS):
            known = ", ".join(PROJECTIONS)
            raise ValueError(f"no such projection: {min(unknown)} (known: {known})")


class TrainedAdapter(nn.Module):
    """The trained parts of a model whose other weights stay as they are."""

    def __init__(
        self,
        model: Model,
        settings: AdapterSettings,
        *,
        seed: int = 0,
        causal: bool | None = True,
    ) -> None:
        """`causal` says for which reading: the causal one, the canvas's, or None for both of a
        DiffusionGemma.
        """
        super().__init__()
        assert causal is not None or model.config.diffusion, "both readings, with one adapter"
        self.settings, self.causal = settings, causal
        self._stem = DECODER if causal is None else "base_model.model.model."
        self.matrices: list[Adapted] = []
        self.parts = nn.ParameterDict()
        """By PEFT's name, dots as slashes: A (r, m) and B (n, r)."""
        rows = min(settings.tokens, model.config.vocab)
        self.rows = nn.Parameter(torch.zeros(rows, model.config.dim))
        """Added to the embedding's first rows, and so to the tied head's, (rows, D)."""
        self._base_rows = model.embedding.detach()[:rows]
        generator = torch.Generator().manual_seed(seed)
        for index, layer in enumerate(model.stack()):
            for attribute, places in _places(layer):
                wanted = [one for one in places if _projection(one[0]) in settings.projections]
                if wanted:
                    self._adapt(layer, attribute, index, wanted, generator)

    def _adapt(
        self,
        layer: Layer,
        attribute: str,
        index: int,
        places: Iterable[tuple[str, int, int]],
        generator: torch.Generator,
    ) -> None:
        """Put changes beside one of the layer's matrices."""
        weight: Matrix = getattr(layer, attribute)
        weight = weight.detach() if isinstance(weight, Tensor) else weight
        rank, width = self.settings.rank, weight.shape[1]
        changes = []
        for name, first, last in places:
            key = f"{self._stem}layers.{index}.{name}".replace(".", "/")
            a = torch.randn(rank, width, generator=generator) * width**-0.5
            place = self._base_rows.device
            self.parts[f"{key}/lora_A"] = nn.Parameter(a.to(place))
            self.parts[f"{key}/lora_B"] = nn.Parameter(
                torch.zeros(last - first, rank, device=place)
            )
            changes.append(
                LowRank((first, last), self.parts[f"{key}/lora_A"], self.parts[f"{key}/lora_B"])
            )
        scale = self.settings.alpha / rank
        adapted = Adapted(weight, tuple(changes), scale, causal=self.causal)
        delattr(layer, attribute)
        setattr(layer, attribute, adapted)
        self.matrices.append(adapted)

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of what is trained, which `load_state_dict` puts back."""
        return {name: one.detach().clone() for name, one in self.state_dict().items()}

    @contextmanager
    def blended(self, share: float) -> Iterator[None]:
        """Take a share of the changes meanwhile: with half of them the model is half-way between
        the base's weights and the changed ones; with none it is the base.
        """
        whole = self.weights()
        self.load_state_dict(
            {
                name: one * share if name.endswith("lora_B") or name == "rows" else one
                for name, one in whole.items()
            }
        )
        try:
            yield
        finally:
            self.load_state_dict(whole)

    def switch(self, active: bool) -> None:
        """Add the changes where `active`, else let the base be as it was."""
        for one in self.matrices:
            one.active = active

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights by PEFT's names; for the tokens whole rows of the embedding, not what
        is added to it.
        """
        found = {
            f"{name.replace('/', '.')}.weight": part.detach().cpu().contiguous()
            for name, part in self.parts.items()
        }
        if self.causal is None:
            others = {ENCODER + name.removeprefix(DECODER): one for name, one in found.items()}
            found |= {name: one.clone() for name, one in others.items()}
        if not len(self.rows):
            return found
        rows = self._base_rows.float().cpu() + self.rows.detach().float().cpu()
        return {**found, ROWS: rows.contiguous()}

    def save(
        self, folder: Path, *, base: str, layout: str = "", dtype: torch.dtype = torch.float32
    ) -> None:
        """Write both files into `folder`, numbers in `dtype`; each file is complete or as
        it was.
        """
        folder.mkdir(parents=True, exist_ok=True)
        settings = self.settings
        config: dict[str, Any] = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": settings.rank,
            "lora_alpha": settings.alpha,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": False,
            "inference_mode": True,
            "target_modules": list(dict.fromkeys(name.split("/")[-2] for name in self.parts)),
        }
        if self.causal is None:
            config |= {"task_type": None, "target_modules": modules_of(settings.projections)}
        if rows := len(self.rows):
            config["trainable_token_indices"] = {"embed_tokens": list(range(rows))}
        new = folder / f"{WEIGHTS}.new"
        tensors = {name: one.to(dtype) for name, one in self.tensors().items()}
        save_file(tensors, new, metadata={"format": "pt", "layout": layout})
        new.chmod(0o644)  # the library leaves it to its owner alone
        new.replace(folder / WEIGHTS)
        new = folder / f"{CONFIG}.new"
        new.write_text(json.dumps(config, indent=1) + "\n")
        new.replace(folder / CONFIG)

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Load the weights of a folder. Raises ValueError, naming the tensor, where they do not
        fit.
        """
        given = load_file(folder / WEIGHTS)
        own = self.tensors()
        for name in own.keys() ^ given.keys():
            raise ValueError(f"{folder / WEIGHTS}: {name} is in one of file and model alone")
        for name in own if self.causal is None else ():
            twin = ENCODER + name.removeprefix(DECODER)
            if name.startswith(DECODER) and not torch.equal(given[name], given[twin]):
                raise ValueError(f"{folder / WEIGHTS}: {twin} is not as {name}, but one for both")
        for name, place in self._named():
            if given[name].shape != place.shape:
                raise ValueError(f"{folder / WEIGHTS}: {name} is {list(given[name].shape)}")
            value = given[name].float()
            place.copy_(value - self._base_rows.float().cpu() if name == ROWS else value)

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        for name, part in self.parts.items():
            yield f"{name.replace('/', '.')}.weight", part
        if len(self.rows):
            yield ROWS, self.rows


def count(model: Model, settings: AdapterSettings) -> int:
    """Count the numbers of an adapter's changes."""
    return sum(
        settings.rank * (getattr(layer, attribute).shape[1] + last - first)
        for layer in model.stack()
        for attribute, places in _places(layer)
        for name, first, last in places
        if _projection(name) in settings.projections
    )


def modules_of(projections: Iterable[str]) -> str:
    """Return the regular expression of the modules that an adapter of both readings changes, as TRL
    has it for all projections.
    """
    letters = "".join(name[0] for name in PROJECTIONS[:4] if name in projections)
    parts = "|".join(name[:-5] for name in PROJECTIONS[4:] if name in projections)
    places = [rf"self_attn\.[{letters}]_proj"] if letters else []
    places += [rf"mlp\.({parts})_proj"] if parts else []
    return rf"model\.(encoder\.language_model|decoder)\.layers\.\d+\.({'|'.join(places)})"


def settings_of(folder: Path) -> AdapterSettings:
    """Read the settings of the adapter in a folder."""
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    named = config["target_modules"]
    if isinstance(named, str):
        inside = {one: "self_attn" if one in ATTENTION else "mlp" for one in PROJECTIONS}
        named = [
            one
            for one in PROJECTIONS
            if re.fullmatch(named, f"model.decoder.layers.0.{inside[one]}.{one}")
        ]
    known = {OTHERS.get(one, one) for one in named}
    projections = tuple(name for name in PROJECTIONS if name in known)
    rows = (config.get("trainable_token_indices") or {}).get("embed_tokens", ())
    return AdapterSettings(config["r"], float(config["lora_alpha"]), projections, len(rows))


def _projection(name: str) -> str:
    """Return which of the projections a module is."""
    last = name.rsplit(".", 1)[-1]
    return OTHERS.get(last, last)


def _places(layer: Layer) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
    """Yield a layer's matrices, and which rows of each are which projection."""
    config, shape = layer.config, layer.shape
    queries, keys = config.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    joined = [("self_attn.q_proj", 0, queries), ("self_attn.k_proj", queries, queries + keys)]
    if not layer.shared:
        joined.append(("self_attn.v_proj", queries + keys, queries + 2 * keys))
    yield "qkv", joined
    yield "out", [("self_attn.o_proj", 0, config.dim)]
    if config.family == "starcoder2":
        yield "gate_up", [("mlp.c_fc", 0, config.mlp)]
        yield "down", [("mlp.c_proj", 0, config.dim)]
        return
    yield (
        "gate_up",
        [
            ("mlp.gate_proj", 0, config.mlp),
            ("mlp.up_proj", config.mlp, 2 * config.mlp),
        ],
    )
    yield "down", [("mlp.down_proj", 0, config.dim)]
