"""Weights between our modules and Hugging Face's safetensors files, by their names.

Loads one file or a sharded index, on the meta device first, tensor by tensor, reopening the map now
and then: pages of a map that were read count as this process's memory until it is closed, and the
peak must stay near the weights' size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dgedit_engine.config import Config
from dgedit_engine.model import Model
from dgedit_engine.types import ModelError

_MAP_BYTES = 16 << 20  # reopen the map after reading this much
_SKIPPED = ("model.encoder.vision_tower.", "model.encoder.embed_vision.", "lm_head.")
_SHARED = "model.encoder.language_model."  # tied to the decoder's, if present at all
_NAMES = {
    "attention_in": "input_layernorm.weight",
    "attention_out": "post_attention_layernorm.weight",
    "mlp_in": "pre_feedforward_layernorm.weight",
    "mlp_out": "post_feedforward_layernorm_1.weight",
    "experts_in": "pre_feedforward_layernorm_2.weight",
    "experts_out": "post_feedforward_layernorm_2.weight",
    "feed_out": "post_feedforward_layernorm.weight",
    "q_norm": "self_attn.q_norm.weight",
    "k_norm": "self_attn.k_norm.weight",
    "out": "self_attn.o_proj.weight",
    "down": "mlp.down_proj.weight",
    "router": "router.proj.weight",
    "router_scale": "router.scale",
    "expert_scale": "router.per_expert_scale",
    "experts_gate_up": "experts.gate_up_proj",
    "experts_down": "experts.down_proj",
    "denoise_scalar": "layer_scalar",
}


def load(
    config: Config,
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    activations: torch.dtype | None = None,
) -> Model:
    """The model in `folder`, ready for inference; `dtype` None keeps the file's width: bfloat16 for
    up to 16 bits, else fp32.

    With `activations` in another dtype, vectors (norms, scales) take that one: they meet no matrix
    product.

    Raises ModelError, naming file and tensor, for missing or corrupt files, absent tensors and
    wrong shapes.
    """
    files = _files(folder)
    try:
        model = _empty(config, device, dtype or _stored_dtype(files), activations)
    except (RuntimeError, MemoryError) as error:  # above all, a device out of memory
        reason = (str(error) or type(error).__name__).split("\n", 1)[0]
        raise ModelError(f"{folder}: {reason}") from error
    wanted = dict(_places(model))
    missing = set(wanted)
    for name, tensor in _tensors(files):
        if name not in wanted:
            if name.startswith(_SKIPPED) or name.startswith(_SHARED):
                continue
            raise ModelError(f"{folder}: unexpected tensor {name}")
        place = wanted[name]
        if tensor.shape != place.shape:
            raise ModelError(f"{folder}: {name} is {list(tensor.shape)}, not {list(place.shape)}")
        place.copy_(tensor)
        missing.discard(name)
    for name in [name for name in missing if name.startswith(_SHARED)]:
        wanted[name].copy_(wanted[name.replace(_SHARED, "model.decoder.")])
        missing.discard(name)
    if missing:
        raise ModelError(f"{folder}: no tensor {min(missing)} ({len(missing)} missing)")
    return model.requires_grad_(False).eval()


def save(model: Model, path: Path, *, dtype: torch.dtype = torch.bfloat16) -> None:
    """Write all weights to one safetensors file under Hugging Face's names."""
    tensors = {
        name: part.detach().to("cpu", dtype).contiguous().clone() for name, part in _places(model)
    }
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)  # the library leaves it to its owner alone


def _empty(
    config: Config,
    device: torch.device | str,
    dtype: torch.dtype,
    activations: torch.dtype | None,
) -> Model:
    """A model with room for its weights."""
    with torch.device("meta"):
        model = Model(config, activations=activations)
    model = model.to(dtype)
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.dim() == 1 and activations is not None:
            tensor.data = tensor.data.to(activations)
    return model.to_empty(device=device)


def _places(model: Model) -> Iterator[tuple[str, Tensor]]:
    """Each tensor's name in a file, and the (part of a) weight that it fills."""
    yield "model.decoder.embed_tokens.weight", model.embedding.data
    yield "model.decoder.norm.weight", model.norm.data
    block = "model.decoder.self_conditioning."
    yield block + "pre_norm.weight", model.conditioning.pre_norm.data
    yield block + "down_proj.weight", model.conditioning.down.data
    yield from _parts(block, ("gate_proj", "up_proj"), model.conditioning.gate_up.data, None)
    for index, layer in enumerate(model.stack()):
        prefix = f"model.decoder.layers.{index}."
        for ours, theirs in _NAMES.items():
            yield prefix + theirs, getattr(layer, ours).data
        yield from _parts(prefix + "mlp.", ("gate_proj", "up_proj"), layer.gate_up.data, None)
        shape = layer.shape
        rows = [model.config.heads * shape.head_dim, shape.kv_heads * shape.head_dim]
        names = ["q_proj", "k_proj"]
        if shape.sliding:
            names, rows = [*names, "v_proj"], [*rows, rows[1]]
        yield from _parts(prefix + "self_attn.", names, layer.qkv.data, rows)
        yield f"{_SHARED}layers.{index}.layer_scalar", layer.encode_scalar.data


def _parts(
    prefix: str, names: tuple[str, ...] | list[str], joined: Tensor, rows: list[int] | None
) -> Iterator[tuple[str, Tensor]]:
    """The row ranges of a joined weight, named apart; equal ones unless `rows` says."""
    parts = torch.split(joined, rows or joined.shape[0] // len(names))
    for name, part in zip(names, parts, strict=True):
        yield f"{prefix}{name}.weight", part


def _files(folder: Path) -> list[Path]:
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if single.is_file():
        return [single]
    if not index.is_file():
        raise ModelError(f"no weights: {single} does not exist")
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        files = [folder / name for name in names]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{index}: {error!r}") from error
    for file in files:
        if not file.is_file():
            raise ModelError(f"no weights: {file} does not exist")
    return files


def _tensors(files: list[Path]) -> Iterator[tuple[str, Tensor]]:
    """Every text tensor of the files in turn, mapped, valid until the next is asked for."""
    for file in files:
        try:
            with safe_open(file, "pt") as opened:
                names = [name for name in opened.keys() if not name.startswith(_SKIPPED)]  # noqa: SIM118
            while names:
                read = 0
                with safe_open(file, "pt") as opened:
                    while names and read < _MAP_BYTES:
                        tensor = opened.get_tensor(names[0])
                        read += tensor.nbytes
                        yield names.pop(0), tensor
                        del tensor
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelError(f"{file}: {error}") from error


def _stored_dtype(files: list[Path]) -> torch.dtype:
    """For the width of the first floating tensor, the dtype that the model computes in."""
    for _, tensor in _tensors(files):
        if tensor.is_floating_point():
            return torch.bfloat16 if tensor.itemsize <= 2 else torch.float32
    raise ModelError(f"{files[0]}: no floating-point tensor")
