"""Load a folder's adapters, one for each reading of a model, and let a model refine canvases.

    FOLDER/adapter_config.json …   a lone adapter in PEFT's format: the causal reading's, or where
                                   its names are a DiffusionGemma's, those of both (`pairs.py`)
    FOLDER/encode/…                the same, where the folder has more than one
    FOLDER/denoise/…               the canvas's, and beside it `conditioning.safetensors`

The causal reading's changes are merged into the matrices; the canvas's stand beside them, and are
relative to the merged ones. `conditioning.safetensors` has the self-conditioning block, which a
base lacks, by Hugging Face's names, and says whether a slot is predicted at the token before it.

Knows files and a model's parts; `adapters.py` knows PEFT's format.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dgedit_engine.model.conditioning import SelfConditioning
from dgedit_engine.model.model import Model
from dgedit_engine.types import ModelError
from dgedit_engine.weights import adapters
from dgedit_engine.weights.adapters import Adapter
from dgedit_engine.weights.pairs import AdapterPair, pair_of

ENCODE, DENOISE = "encode", "denoise"
"""The folders of the two readings."""
CONDITIONING = "conditioning.safetensors"
"""Name of the file beside the canvas's adapter."""

_READ, _BEFORE, _AT = "slot read at", "the token before", "the slot"  # its metadata
_MATRICES = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class CanvasAdapter:
    """All that makes a base read canvases."""

    adapter: Adapter
    """Its changes."""
    conditioning: dict[str, Tensor]
    """The self-conditioning block: `pre_norm` (D,), `gate_proj` and `up_proj` (F, D), `down_proj`
    (D, F), each with `.weight` behind it.
    """
    shifted: bool
    """Whether a slot is predicted at the token before it."""

    @property
    def nbytes(self) -> int:
        """Bytes of all its tensors, which a model takes beside its own weights."""
        tensors = (*self.adapter.tensors.values(), *self.conditioning.values())
        return sum(one.nbytes for one in tensors)


@dataclass(frozen=True, slots=True)
class Readings:
    """The adapters in a folder: at least one."""

    encode: Adapter | None
    """The causal reading's."""
    denoise: CanvasAdapter | None
    """The canvas's."""
    pair: AdapterPair | None = None
    """Both of a DiffusionGemma's, which needs no part of its own to refine canvases."""

    @property
    def nbytes(self) -> int:
        """Bytes that stand beside a model's own weights, at most."""
        return sum(one.nbytes for one in (self.denoise, self.pair) if one is not None)


def load(folder: Path) -> Readings:
    """Load the adapters in a folder. Raises ModelError, in one line that names the file, where
    there are none, and for what is no adapter or is damaged.
    """
    alone = (folder / adapters.CONFIG).is_file()
    causal = folder if alone else folder / ENCODE
    encode = adapters.load(causal) if alone or causal.is_dir() else None
    denoise = canvas(folder)
    if alone and encode is not None and (pair := pair_of(encode)) is not None:
        return Readings(None, denoise, pair)
    if encode is None and denoise is None:
        parts = f"neither {adapters.CONFIG} nor a folder {ENCODE} or {DENOISE}"
        raise ModelError(f"no adapter: {folder} has {parts}")
    return Readings(encode, denoise)


def canvas(folder: Path) -> CanvasAdapter | None:
    """Load the canvas's part of a folder, an adapter's or a model's own; None where it has none.
    Raises ModelError as `load` does.
    """
    place = folder / DENOISE
    if not place.is_dir():
        return None
    file = place / CONDITIONING
    try:
        with safe_open(file, "pt") as tensors:
            read = (tensors.metadata() or {}).get(_READ, _AT)
            conditioning = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{file}: {error}") from error
    if read not in (_AT, _BEFORE):
        raise ModelError(f"{file}: {_READ} {read!r}, not {_AT!r} or {_BEFORE!r}")
    return CanvasAdapter(adapters.load(place), conditioning, read == _BEFORE)


@torch.no_grad()
def let_refine(model: Model, found: CanvasAdapter) -> None:
    """Make an open model, which is packed already if it is to be, read canvases. Raises ModelError,
    naming the tensor, for one that does not fit.
    """
    block = SelfConditioning(model.config)
    file = found.adapter.folder / CONDITIONING
    names = {f"{name}.weight" for name in ("pre_norm", *_MATRICES)}
    for name in names ^ found.conditioning.keys():
        raise ModelError(f"{file}: {name} is {'missing' if name in names else 'not known'}")
    norm = found.conditioning["pre_norm.weight"]
    gate, up, down = (found.conditioning[f"{name}.weight"] for name in _MATRICES)
    width, dim = len(gate), model.config.dim
    for name, tensor, shape in (
        *(("pre_norm", norm, [dim]), ("gate_proj", gate, [width, dim])),
        *(("up_proj", up, [width, dim]), ("down_proj", down, [dim, width])),
    ):
        if list(tensor.shape) != shape:
            raise ModelError(f"{file}: {name}.weight is {list(tensor.shape)}, not {shape}")
    device, dtype = model.embedding.device, model.embedding.dtype
    block.pre_norm = nn.Parameter(norm.to(device, torch.float32))
    block.gate_up = nn.Parameter(torch.cat((gate, up)).to(device, dtype))
    block.down = nn.Parameter(down.to(device, dtype))
    model.conditioning = block.requires_grad_(False)
    adapters.stand_beside(model, found.adapter)
    model.shifted, model.canvas = found.shifted, True


def save_conditioning(block: SelfConditioning, folder: Path, *, shifted: bool) -> None:
    """Write a trained self-conditioning block, in bfloat16, beside the canvas's adapter in
    `folder`; the file is complete or as it was.
    """
    gate, up = block.gate_up.detach().chunk(2)
    parts = {"pre_norm": block.pre_norm, "gate_proj": gate, "up_proj": up, "down_proj": block.down}
    tensors = {
        f"{name}.weight": one.detach().to("cpu", torch.bfloat16).contiguous().clone()
        for name, one in parts.items()
    }
    new = folder / f"{CONDITIONING}.new"
    save_file(tensors, new, metadata={"format": "pt", _READ: _BEFORE if shifted else _AT})
    new.chmod(0o644)  # the library leaves it to its owner alone
    new.replace(folder / CONDITIONING)
