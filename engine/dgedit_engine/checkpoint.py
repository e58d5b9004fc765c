"""Weights between our modules and Hugging Face's safetensors files, by their names.

Loads one file or a sharded index, on the meta device first, tensor by tensor, reopening the map now
and then: pages of a map that were read count as this process's memory until it is closed, and the
peak must stay near the weights' size.

Matrices may be stored as int8: `NAME` holds whole numbers from -127 to 127, and its companion
`NAME.scale`, fp32 of NAME's shape without the last dimension, what one of them is worth in each
row. Half the size of bfloat16, and never off by more than half a scale.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dgedit_engine.config import Config
from dgedit_engine.model import Model
from dgedit_engine.types import ModelError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
"""The file that holds all weights, and the one that says which shard holds which."""

_SHARD_BYTES = 15 << 20  # and a header: a shard travels where 16 MiB do
_MAP_BYTES = 16 << 20  # reopen the map after reading this much
_SKIPPED = ("model.encoder.vision_tower.", "model.encoder.embed_vision.", "lm_head.")
_SCALE = ".scale"  # also how the router's own vector ends, which is no companion
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
    missing = set(wanted) - _fill(wanted, files, folder)
    for name in [name for name in missing if name.startswith(_SHARED)]:
        wanted[name].copy_(wanted[name.replace(_SHARED, "model.decoder.")])
        missing.discard(name)
    if missing:
        raise ModelError(f"{folder}: no tensor {min(missing)} ({len(missing)} missing)")
    return model.requires_grad_(False).eval()


def save(
    model: Model, path: Path, *, dtype: torch.dtype = torch.bfloat16, int8: bool = False
) -> None:
    """Write all weights under Hugging Face's names: to one safetensors file, or to an existing
    folder, in shards under 16 MiB with their index, instead of the weights that were there.

    With `int8` every matrix is stored as such, and `dtype` is that of the rest.
    """
    tensors = _stored(model, dtype, int8=int8)
    if not path.is_dir():
        _write(path.parent, {path.name: dict(tensors)})
        return
    shards = list(_shards(tensors))
    files = {
        f"model-{number:05}-of-{len(shards):05}.safetensors": shard
        for number, shard in enumerate(shards, 1)
    }
    _write(path, files)
    index = {
        "metadata": {"total_size": sum(one.nbytes for part in shards for one in part.values())},
        "weight_map": {name: file for file, part in files.items() for name in part},
    }
    (path / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    for old in (path / SINGLE, *path.glob("model-*-of-*.safetensors")):
        if old.name not in files:  # a single file would be read before the index
            old.unlink(missing_ok=True)


def _write(folder: Path, files: dict[str, dict[str, Tensor]]) -> None:
    """Write all files, then put them in place, so that a stop on the way leaves what was there."""
    for name, tensors in files.items():
        new = folder / f"{name}.new"
        save_file(tensors, new, metadata={"format": "pt"})
        new.chmod(0o644)  # the library leaves it to its owner alone
    for name in files:
        (folder / f"{name}.new").replace(folder / name)


def _fill(wanted: dict[str, Tensor], files: list[Path], folder: Path) -> set[str]:
    """Copy the files' tensors to their places, int8 ones by their scales; returns the names."""
    scales = {name: one for name, one in _scales(files) if name.removesuffix(_SCALE) in wanted}
    unused, found = set(scales), set()
    for name, tensor in _tensors(files):
        if name not in wanted:
            if name in scales or name.startswith((*_SKIPPED, _SHARED)):
                continue
            raise ModelError(f"{folder}: unexpected tensor {name}")
        place = wanted[name]
        if tensor.shape != place.shape:
            raise ModelError(f"{folder}: {name} is {list(tensor.shape)}, not {list(place.shape)}")
        if tensor.dtype == torch.int8:
            tensor = _widened(name, tensor, scales.get(name + _SCALE), folder)
            unused.discard(name + _SCALE)
        place.copy_(tensor)
        found.add(name)
    if unused:
        raise ModelError(f"{folder}: {min(unused)} belongs to no int8 tensor")
    return found


def _stored(model: Model, dtype: torch.dtype, *, int8: bool) -> Iterator[tuple[str, Tensor]]:
    """Each tensor of the file, on the host; a scale behind its matrix."""
    for name, part in _places(model):
        if int8 and part.dim() > 1:
            numbers, scale = _narrowed(part.detach().to("cpu", torch.float32))
            yield name, numbers
            yield name + _SCALE, scale
        else:
            yield name, part.detach().to("cpu", dtype).contiguous().clone()


def _narrowed(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest int8 numbers (…, m, n) and the scale of each row (…, m)."""
    scale = matrix.abs().amax(-1).clamp(min=1e-30) / 127
    return (matrix / scale[..., None]).round().clamp(-127, 127).to(torch.int8), scale


def _widened(name: str, numbers: Tensor, scale: Tensor | None, folder: Path) -> Tensor:
    """What the int8 numbers stand for, fp32."""
    if scale is None:
        raise ModelError(f"{folder}: {name} is int8 and has no {name + _SCALE}")
    if scale.shape != numbers.shape[:-1]:
        found, right = list(scale.shape), list(numbers.shape[:-1])
        raise ModelError(f"{folder}: {name + _SCALE} is {found}, not {right}")
    return numbers * scale[..., None].float()


def _shards(tensors: Iterable[tuple[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    """The tensors in order, dealt into as few shards as hold them; none is cut."""
    shard: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors:
        if shard and size + tensor.nbytes > _SHARD_BYTES:
            yield shard
            shard, size = {}, 0
        shard[name] = tensor
        size += tensor.nbytes
    yield shard


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
    index, single = folder / INDEX, folder / SINGLE
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


def _scales(files: list[Path]) -> Iterator[tuple[str, Tensor]]:
    """What may be companions of int8 matrices: small, and perhaps in another shard than theirs."""
    for file in files:
        try:
            with safe_open(file, "pt") as opened:
                for name in opened.keys():  # noqa: SIM118
                    if name.endswith(_SCALE):
                        yield name, opened.get_tensor(name).clone()  # outlives the map
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelError(f"{file}: {error}") from error


def _stored_dtype(files: list[Path]) -> torch.dtype:
    """For the width of the first floating tensor, the dtype that the model computes in; scales are
    wider than what they scale.
    """
    for name, tensor in _tensors(files):
        if tensor.is_floating_point() and not name.endswith(_SCALE):
            return torch.bfloat16 if tensor.itemsize <= 2 else torch.float32
    raise ModelError(f"{files[0]}: no floating-point tensor")
