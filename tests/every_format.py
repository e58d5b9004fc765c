"""A tiny model in every format that opens, with a tokenizer of Gemma's kind, and its worth in fp32.

Codes are random, so that no writer's rounding is between a format and what its weights are worth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter, TokenType, quants
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken
from torch import Tensor
from transformers.models.gemma.tokenization_gemma import GemmaTokenizer

from dgedit_engine.formats.source import NORM
from dgedit_engine.weights.quantize import quantize
from dgedit_kernels.quantised import Quantised
from llamacpp import tensor_name, write_shape
from published import CONFIG, Coded, is_expert, is_matrix, numbers, publish, write

SHAPE = replace(CONFIG, vocab=320, context=4096)
SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>", "<|channel>", "<channel|>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
TOKENS = [*SPECIAL, *BYTES, "\n", "▁", *"abcdefghijklmnopqrstuvwxyz", "th", "the"]
MERGES = [("t", "h"), ("th", "e")]

Parts = tuple[dict[str, Tensor], Tensor]


def tokenizer(folder: Path) -> None:
    """Write a tokenizer.json."""
    vocab = {token: place for place, token in enumerate(TOKENS)}
    inner = GemmaTokenizer(vocab=vocab, merges=MERGES)._tokenizer
    inner.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL])
    inner.save(str(folder / "tokenizer.json"))


def plain(folder: Path) -> dict[str, Tensor]:
    """BF16, experts fused, as released."""
    worth = {name: _calm(name, one) for name, one in numbers(SHAPE).items()}
    bf16 = {name: one.bfloat16() for name, one in worth.items()}
    write(folder, bf16, None, config=SHAPE)
    return worth


def modelopt(folder: Path) -> dict[str, Tensor]:
    """NVFP4, expert by expert."""
    settings = {"quant_method": "modelopt", "quant_algo": "NVFP4"}
    return _publish(folder, _scale_2, is_expert, settings)


def fp8(folder: Path) -> dict[str, Tensor]:
    """compressed-tensors' FP8-dynamic: all matrices, by rows."""
    return _publish(folder, _fp8, is_matrix, _compressed("float-quantized", 8))


def nvfp4(folder: Path) -> dict[str, Tensor]:
    """The same library's NVFP4."""
    settings = _compressed("nvfp4-pack-quantized", 4)
    return _publish(folder, _global_scale, is_matrix, settings)


def w4a16(folder: Path) -> dict[str, Tensor]:
    """The same library's whole numbers of 4 bits in groups, for activations of 16."""
    return _publish(folder, _w4a16, is_expert, _compressed("pack-quantized", 4))


def mlx(folder: Path) -> dict[str, Tensor]:
    """MLX's, of 8 bits, as mlx-lm and mlx-vlm write it."""
    return _publish(folder, _mlx, is_matrix, {"group_size": 32, "bits": 8}, fused=True)


def ours(folder: Path) -> dict[str, Tensor]:
    """What `quantize` writes; its worth is measured where it is loaded."""
    plain(folder / "wide")
    for _ in quantize(folder / "wide", folder / "narrow", experts="e2m1", rest="int8"):
        pass
    for file in (folder / "narrow").iterdir():
        file.rename(folder / file.name)
    from dgedit_engine.weights import checkpoint
    from published import weights

    return {name: one.clone() for name, one in weights(checkpoint.load(SHAPE, folder)).items()}


def q8_0(folder: Path, *, each: int = 0) -> dict[str, Tensor]:
    """A GGUF file, and nothing beside it; split into some of so many tensors, if not 0."""
    writer = GGUFWriter(folder / "model.gguf", "diffusion-gemma", split_max_tensors=each)
    _describe(writer)
    worth = {name: _calm(name, one) for name, one in numbers(SHAPE).items()}
    for name, matrix in worth.items():
        stored = tensor_name(name)
        if not is_matrix(name):
            writer.add_tensor(stored, matrix.numpy())
            continue
        raw = quants.quantize(matrix.numpy(), GGMLQuantizationType.Q8_0)
        matrix.copy_(torch.from_numpy(quants.dequantize(raw, GGMLQuantizationType.Q8_0)))
        writer.add_tensor(stored, raw, raw_dtype=GGMLQuantizationType.Q8_0)
    full = SHAPE.layers[-1]
    still = [1e30] * (full.head_dim // 2 - full.rotated)
    writer.add_tensor("rope_freqs.weight", np.array([1.0] * full.rotated + still, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return worth


FORMATS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    one.__name__: one for one in (plain, modelopt, fp8, nvfp4, w4a16, mlx, ours, q8_0)
}


def made(name: str, folder: Path) -> dict[str, Tensor]:
    """Write the model of that format to `folder`, with a tokenizer where it has none itself."""
    folder.mkdir()
    worth = FORMATS[name](folder)
    if name != "q8_0":
        tokenizer(folder)
    return worth


def _calm(name: str, one: Tensor) -> Tensor:
    """Norms and scalars about 1, and less at the end and before self-conditioning, which would
    outweigh the canvas: a rounding of fp32 grows twentyfold from step to step then.
    """
    if one.dim() > 1:
        return one
    less = {NORM: 4, "model.decoder.self_conditioning.pre_norm.weight": 16}
    return ((1 + one / 8) / less.get(name, 1)).bfloat16().float()


def _publish(folder: Path, coded: Coded, *more: Any, fused: bool = False) -> dict[str, Tensor]:
    worth = publish(folder, coded, *more, config=SHAPE, fused=fused)
    stored = load_file(folder / "model.safetensors")
    for name, one in worth.items():
        if one.dim() == 1:
            worth[name] = _calm(name, one)
            stored[name] = worth[name].bfloat16()
    save_file(stored, folder / "model.safetensors")
    return worth


def _compressed(name: str, bits: int) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": {"num_bits": bits}}
    settings = {"quant_method": "compressed-tensors", "format": name}
    return settings | {"config_groups": {"group_0": group}}


def _scale_2(shape: tuple[int, ...], generator: torch.Generator) -> Parts:
    value, whole = _e2m1(shape, generator)
    assert value.scale is not None
    parts = {"weight": value.codes, "weight_scale": value.scale, "weight_scale_2": whole}
    return parts, value.dequantised()


def _global_scale(shape: tuple[int, ...], generator: torch.Generator) -> Parts:
    value, whole = _e2m1(shape, generator)
    assert value.scale is not None
    parts = {"weight_packed": value.codes, "weight_scale": value.scale}
    return parts | {"weight_global_scale": 1 / whole}, value.dequantised()


def _e2m1(shape: tuple[int, ...], generator: torch.Generator) -> tuple[Quantised, Tensor]:
    *rows, columns = shape
    codes = torch.randint(256, (*rows, columns // 2), generator=generator).byte()
    scale = (torch.rand((*rows, columns // 16), generator=generator) + 0.1).to(torch.float8_e4m3fn)
    whole = torch.tensor(0.25)  # its reciprocal is exact
    return Quantised("e2m1", codes, scale, row=whole.expand(rows)), whole


def _fp8(shape: tuple[int, ...], generator: torch.Generator) -> Parts:
    codes = torch.randn(shape, generator=generator).to(torch.float8_e4m3fn)
    scale = (torch.rand((*shape[:-1], 1), generator=generator) + 0.1).bfloat16()
    return {"weight": codes, "weight_scale": scale}, codes.float() * scale.float()


def _w4a16(shape: tuple[int, ...], generator: torch.Generator) -> Parts:
    *rows, columns = shape
    codes = torch.randint(16, shape, generator=generator)
    scale = (torch.rand((*rows, columns // 16), generator=generator) / 4).bfloat16().clamp(min=0.01)
    words = (codes.unflatten(-1, (-1, 8)) << torch.arange(0, 32, 4)).sum(-1)
    parts = {"weight_packed": (words - ((words >> 31) << 32)).int(), "weight_scale": scale}
    return parts, (codes - 8) * scale.half().float().repeat_interleave(16, -1)


def _mlx(shape: tuple[int, ...], generator: torch.Generator) -> Parts:
    *rows, columns = shape
    codes = torch.randint(256, shape, generator=generator).byte()
    scale = ((torch.rand((*rows, columns // 32), generator=generator) + 0.1) / 64).bfloat16()
    bias = -128 * scale
    wide, low = (one.float().repeat_interleave(32, -1) for one in (scale, bias))
    parts = {"weight": codes.view(torch.uint32), "scales": scale, "biases": bias}
    return parts, codes * wide + low


def _describe(writer: GGUFWriter) -> None:
    """The header's fields, tokenizer and all."""
    write_shape(writer, SHAPE)
    writer.add_uint32("diffusion-gemma.canvas_length", SHAPE.canvas)
    for key, place in (("bos", 2), ("eos", 1), ("padding", 0)):
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", place)
    kinds = dict.fromkeys(SPECIAL, TokenType.CONTROL)
    kinds |= dict.fromkeys(BYTES, TokenType.BYTE)
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list(TOKENS)
    writer.add_token_types([kinds.get(token, TokenType.NORMAL) for token in TOKENS])
    writer.add_token_merges([" ".join(pair) for pair in MERGES])
