"""Read and write our own format of quantised weights, which `quantize` writes.

A matrix `NAME` is stored as the parts of a `Quantised`, `NAME.codes` and, where it has them,
`NAME.scale`, `NAME.bias` and `NAME.row`, experts fused, so that to load it is to copy what is
mapped. The `quantization_config` in config.json says of which kind the codes of the experts and
those of the rest are; a head of its own may have a third kind. A weight without codes is stored as
numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from dgedit_engine.formats.source import HEAD, Piece
from dgedit_engine.types import ModelError
from dgedit_kernels.quantised import LARGEST, Kind, Quantised

METHOD, VERSION = "dgedit", 1
"""What config.json says of the format."""

_PARTS = ("codes", "scale", "bias", "row")


def settings(*, experts: Kind | None, rest: Kind | None) -> dict[str, Any]:
    """Return the `quantization_config` of a model whose experts and other matrices have these
    kinds.
    """
    said = {"quant_method": METHOD, "version": VERSION, "experts": experts, "rest": rest}
    return said if head_of(rest) == rest else said | {"head": head_of(rest)}


def head_of(rest: Kind | None) -> Kind | None:
    """Return the kind of a head's codes where the matrices of the layers have `rest`: 8 bits where
    those have 4, as llama.cpp's mixtures give a head more.
    """
    return "int8" if rest == "int4" else rest


def stored(name: str, value: Quantised) -> dict[str, Tensor]:
    """Return a matrix's tensors by their names in a file."""
    return {f"{name}.{part}": tensor for part, tensor in value.parts().items()}


def pieces(headers: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Iterator[Piece]:
    """Yield every weight. Raises ModelError for settings of another version or kind."""
    if (version := settings.get("version")) != VERSION:
        raise ModelError(f"version {version!r} of our format, not {VERSION}")
    for name in headers:
        matrix, _, part = name.rpartition(".")
        if part in _PARTS and f"{matrix}.codes" in headers:
            if part == "codes":
                kind = settings.get("experts" if ".experts." in matrix else "rest")
                kind = settings.get("head", kind) if matrix == HEAD else kind
                yield _coded(matrix, kind, headers)
        else:
            yield Piece(name, (name,))


def _coded(matrix: str, kind: Any, headers: Mapping[str, Tensor]) -> Piece:
    if kind not in tuple(LARGEST):  # it may be nothing that has a hash
        raise ModelError(f"{matrix}: codes of kind {kind!r}; known are {', '.join(LARGEST)}")
    parts = [part for part in _PARTS if f"{matrix}.{part}" in headers]

    def made(*tensors: Tensor) -> Quantised:
        named: dict[str, Any] = dict(zip(parts, tensors, strict=True))
        return Quantised(kind, **named)

    return Piece(matrix, tuple(f"{matrix}.{part}" for part in parts), made)
