"""compressed-tensors: each format as it is stored, and against the library where there is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dgedit_engine.formats.compressed import pieces
from dgedit_engine.formats.source import TensorSource
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from dgedit_kernels.quantised import E2M1, Quantised
from published import CONFIG, Coded, is_expert, is_matrix, numbers, publish, weights, write

Parts = tuple[dict[str, Tensor], Tensor]


def settings(name: str, bits: int, **more: Any) -> dict[str, Any]:
    """A quantization_config of one group."""
    weights = {"num_bits": bits, "type": "int" if name == "pack-quantized" else "float"}
    group = {"targets": ["Linear"], "weights": weights | {"strategy": "channel"}}
    return {
        "quant_method": "compressed-tensors",
        "format": name,
        "config_groups": {"group_0": group},
        "ignore": ["lm_head"],
        **more,
    }


FP8, INT8 = settings("float-quantized", 8), settings("int-quantized", 8)
NVFP4, W4A16 = settings("nvfp4-pack-quantized", 4), settings("pack-quantized", 4)


def scales(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator) + 0.1


def fp8(shape: tuple[int, ...], generator: torch.Generator) -> Parts:
    codes = torch.randn(shape, generator=generator).to(torch.float8_e4m3fn)
    scale = scales(*shape[:-1], 1, generator=generator).bfloat16()
    return {"weight": codes, "weight_scale": scale}, codes.float() * scale.float()


def fp8_of_the_whole(shape: tuple[int, ...], generator: torch.Generator) -> Parts:
    codes = torch.randn(shape, generator=generator).to(torch.float8_e4m3fn)
    scale = scales(1, generator=generator)
    more = {"input_scale": torch.ones(1)}
    return {"weight": codes, "weight_scale": scale, **more}, codes.float() * scale


def fp8_of_groups(shape: tuple[int, ...], generator: torch.Generator) -> Parts:
    codes = torch.randn(shape, generator=generator).to(torch.float8_e4m3fn)
    scale = scales(*shape[:-1], shape[-1] // 16, generator=generator)
    return {"weight": codes, "weight_scale": scale}, codes.float() * scale.repeat_interleave(16, -1)


def int8(shape: tuple[int, ...], generator: torch.Generator) -> Parts:
    codes = torch.randint(-127, 128, shape, generator=generator).to(torch.int8)
    scale = scales(*shape[:-1], 1, generator=generator)
    return {"weight": codes, "weight_scale": scale}, codes.float() * scale


def nvfp4(shape: tuple[int, ...], generator: torch.Generator) -> Parts:
    *rows, columns = shape
    codes = torch.randint(256, (*rows, columns // 2), generator=generator).byte()
    scale = scales(*rows, columns // 16, generator=generator).to(torch.float8_e4m3fn)
    whole = torch.rand(1, generator=generator) * 1000 + 1
    table = torch.tensor((*E2M1, *(-one for one in E2M1)))
    pairs = torch.stack((table[codes.int() % 16], table[codes.int() // 16]), -1).flatten(-2)
    worth = pairs * scale.float().repeat_interleave(16, -1) / whole
    parts = {"weight_packed": codes, "weight_scale": scale, "weight_global_scale": whole}
    return parts | {"input_global_scale": torch.ones(())}, worth


def in_words(codes: Tensor) -> Tensor:
    """Codes 0 to 15 (…, m), eight to an int32, the first lowest."""
    shifts = torch.arange(0, 32, 4)
    words = (codes.long().unflatten(-1, (-1, 8)) << shifts).sum(-1)
    return (words - ((words >> 31) << 32)).int()


def packed(shape: tuple[int, ...], generator: torch.Generator, *, group: int, zero: bool) -> Parts:
    *rows, columns = shape
    codes = torch.randint(16, shape, generator=generator)
    scale = scales(*rows, columns // group, generator=generator).bfloat16()
    offset = torch.full((*rows, columns // group), 8)
    parts = {"weight_packed": in_words(codes), "weight_scale": scale}
    if zero:
        offset = torch.randint(16, offset.shape, generator=generator)
        along = in_words(offset.transpose(-1, -2)).transpose(-1, -2)
        parts["weight_zero_point"] = along.contiguous()
    parts["weight_shape"] = torch.tensor(shape)
    steps = codes - offset.repeat_interleave(group, -1)
    return parts, steps * scale.float().repeat_interleave(group, -1)


def w4a16(shape: tuple[int, ...], generator: torch.Generator) -> Parts:
    return packed(shape, generator, group=16, zero=False)


def w4a16_by_rows(shape: tuple[int, ...], generator: torch.Generator) -> Parts:
    return packed(shape, generator, group=shape[-1], zero=False)


def w4a16_with_zero(shape: tuple[int, ...], generator: torch.Generator) -> Parts:
    return packed(shape, generator, group=16, zero=True)


CASES = [
    (fp8, FP8, "e4m3", None),
    (fp8_of_the_whole, FP8, "e4m3", None),
    (fp8_of_groups, FP8, "e4m3", 16),
    (int8, INT8, "int8", None),
    (nvfp4, NVFP4, "e2m1", 16),
    (w4a16, W4A16, "int4", 16),
    (w4a16_by_rows, W4A16, "int4", None),
    (w4a16_with_zero, W4A16, "int4", 16),
]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("which", [is_expert, is_matrix])
@pytest.mark.parametrize(("coded", "said", "kind", "group"), CASES)
def test_weights_are_worth_what_is_stored(
    tmp_path: Path,
    coded: Coded,
    said: dict[str, Any],
    kind: str,
    group: int | None,
    which: Callable[[str], bool],
    fused: bool,
) -> None:
    worth = publish(tmp_path, coded, which, said, fused=fused)
    model = checkpoint.load(CONFIG, tmp_path)
    found = weights(model)
    for name, value in worth.items():
        if coded is w4a16_with_zero:  # scale · zero, rounded to fp16
            assert ((found[name] - value).abs() <= 2e-3 * value.abs().max()).all(), name
        else:
            torch.testing.assert_close(found[name], value, rtol=3e-7, atol=0, msg=name)
    layer = next(model.stack())
    for one in (layer.experts_gate_up, layer.experts_down):
        assert isinstance(one, Quantised) and one.kind == kind
        assert (one.scale is None) == (group is None) and one.group in (group, one.shape[-1])
    for one in (layer.qkv, layer.out, layer.gate_up, layer.down, model.conditioning.gate_up):
        assert isinstance(one, Quantised) == (which is is_matrix)


def is_attention(name: str) -> bool:
    return is_matrix(name) and "self_attn" in name


def test_formats_may_be_mixed(tmp_path: Path) -> None:
    groups = {
        "group_0": NVFP4["config_groups"]["group_0"] | {"format": "nvfp4-pack-quantized"},
        "group_1": FP8["config_groups"]["group_0"] | {"format": "float-quantized"},
    }
    said = settings("mixed-precision", 4, config_groups=groups)
    experts = publish(tmp_path / "experts", nvfp4, is_expert, NVFP4)
    rest = publish(tmp_path / "rest", fp8, is_attention, FP8)
    tensors = load_file(tmp_path / "experts" / "model.safetensors")
    for name, tensor in load_file(tmp_path / "rest" / "model.safetensors").items():
        if not is_expert(name):
            tensors[name] = tensor
    write(tmp_path / "both", tensors, said)
    model = checkpoint.load(CONFIG, tmp_path / "both")
    kinds = {one.kind for layer in model.stack() for one in (layer.qkv, layer.experts_down)}
    assert kinds == {"e4m3", "e2m1"}
    for name, value in weights(model).items():
        right = experts[name] if is_expert(name) else rest[name]
        torch.testing.assert_close(value, right, rtol=3e-7, atol=0, msg=name)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (settings("marlin-24", 4), "'marlin-24'; known are float-quantized,"),
        (settings("mxfp4-pack-quantized", 4), "'mxfp4-pack-quantized'; known are"),
        (settings("pack-quantized", 8), "pack-quantized of 8 bits, not 4"),
        (settings("float-quantized", 4), "float-quantized of 4 bits, not 8"),
        (FP8 | {"config_groups": {}}, "config_groups {}"),
        (FP8 | {"config_groups": 3}, "config_groups 3"),
        (FP8 | {"config_groups": {"group_0": 3}}, "group 3"),
    ],
)
def test_unknown_formats_list_the_known(tmp_path: Path, said: dict[str, Any], words: str) -> None:
    write(tmp_path, numbers(), said)
    with pytest.raises(ModelError) as caught:
        checkpoint.load(CONFIG, tmp_path)
    assert words in str(caught.value) and str(tmp_path) in str(caught.value)


GATE = "model.decoder.layers.1.experts.2.gate_proj"


@pytest.mark.parametrize(
    ("coded", "said", "part", "put", "words"),
    [
        (nvfp4, NVFP4, "weight_global_scale", None, f"no tensor {GATE}.weight_global_scale"),
        (nvfp4, NVFP4, "weight_scale", None, f"no tensor {GATE}.weight_scale"),
        (w4a16, W4A16, "weight_packed", torch.ones(32, 8).long(), "packed codes of torch.int64"),
        (w4a16, W4A16, "weight_g_idx", torch.ones(64).int(), "columns in another order"),
        (fp8, FP8, "weight_scale", torch.ones(2, 2), f"{GATE}.weight: "),
        (fp8, FP8, "weight", torch.ones(32, 64).to(torch.float8_e5m2), "codes of torch.float8_e5"),
        (fp8, FP8, "weight_zero_point", torch.ones(32, 1).int(), f"{GATE}.weight: "),
    ],
)
def test_damage_is_named(
    tmp_path: Path, coded: Coded, said: dict[str, Any], part: str, put: Tensor | None, words: str
) -> None:
    publish(tmp_path, coded, is_expert, said)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors.pop(f"{GATE}.{part}", None)
    if put is not None:
        tensors[f"{GATE}.{part}"] = put
    write(tmp_path, tensors, said)
    with pytest.raises(ModelError) as caught:
        checkpoint.load(CONFIG, tmp_path)
    message = str(caught.value)
    assert words in message and str(tmp_path) in message and "\n" not in message


def library(name: str, **arguments: Any) -> Parts:
    """A matrix as the library itself stores and reads it, by its quantiser of that name."""
    pytest.importorskip("compressed_tensors")
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

    args = QuantizationArgs(**arguments)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    matrix = torch.randn(24, 64, generator=torch.Generator().manual_seed(0))
    whole = generate_gparam(matrix.min(), matrix.max()) if args.num_bits == 4 else None
    whole = whole if args.type == "float" else None
    grouped = matrix.unflatten(-1, (-1, args.group_size or 64))
    scale, zero = calculate_qparams(grouped.amin(-1), grouped.amax(-1), args, global_scale=whole)
    state = {"weight": matrix, "weight_scale": scale, "weight_zero_point": zero}
    if whole is not None:
        state["weight_global_scale"] = whole
    compressor = BaseCompressor.get_value_from_registry(name)
    stored = compressor.compress(state, scheme)
    return stored, compressor.decompress(dict(stored), scheme)["weight"].float()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("float-quantized", {"num_bits": 8, "type": "float", "strategy": "channel"}),
        ("int-quantized", {"num_bits": 8, "type": "int", "strategy": "channel"}),
        (
            "nvfp4-pack-quantized",
            {
                **{"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16},
                **{"scale_dtype": torch.float8_e4m3fn, "zp_dtype": torch.float8_e4m3fn},
            },
        ),
        ("pack-quantized", {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32}),
        (
            "pack-quantized",
            {
                **{"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32},
                "symmetric": False,
            },
        ),
    ],
)
def test_library_reads_the_same(name: str, arguments: dict[str, Any]) -> None:
    stored, worth = library(name, **arguments)
    tensors = {f"x.{end}": tensor for end, tensor in stored.items()}
    headers = {one: tensor.to("meta") for one, tensor in tensors.items()}
    found = tuple(pieces(headers, settings(name, arguments["num_bits"])))
    assert [piece.name for piece in found] == ["x.weight"]
    value = TensorSource(headers, tensors.__getitem__, found, torch.bfloat16).value(found[0])
    assert isinstance(value, Quantised)
    if name == "nvfp4-pack-quantized":  # the library computes in bfloat16
        torch.testing.assert_close(value.dequantised(), worth, rtol=2**-8, atol=0)
    elif arguments.get("symmetric", True):
        torch.testing.assert_close(value.dequantised(), worth, rtol=1e-6, atol=0)
    else:  # scale · zero, rounded to fp16
        atol = 2e-3 * float(worth.max())
        torch.testing.assert_close(value.dequantised(), worth, rtol=0, atol=atol)
