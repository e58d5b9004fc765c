"""`python -m dgedit_engine.train.travel`: carry a base to another machine in few bytes.

    python -m dgedit_engine.train.travel --base FILE.gguf --out FOLDER [--megabytes 56]
    python -m dgedit_engine.train.travel --join FOLDER --out FILE.gguf

Two thirds of a small base are the embedding of words that no program has. The rows of tokens beyond
a shortlist become zeros, which take no space once they are compressed, and the file's layout stays:
a GGUF with every tensor in its place, in parts that are joined and checked at the other end. Knows
nothing of layers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dgedit_engine.formats import gguf
from dgedit_engine.model.head import shortlist
from dgedit_engine.train.adapter import SPECIALS
from dgedit_engine.types import ModelError

SHORTLIST = Path(__file__).parents[1] / "nano" / "shortlist.bin"
"""The bitmap of the tokens that nano's head has logits for."""

_EMBEDDING = "token_embd.weight"
_SUM = "base.sha256"
_PIECE = 1 << 22  # bytes read at a time


def main(arguments: Sequence[str] | None = None) -> int:
    """Pack or join, and print what came out. Returns the exit code: 0, 2 for unusable files."""
    parser = argparse.ArgumentParser(
        prog="python -m dgedit_engine.train.travel", description=__doc__
    )
    add = parser.add_argument
    add("--base", type=Path, help="GGUF file to pack")
    add("--shortlist", type=Path, default=SHORTLIST, help="bitmap of the tokens to keep (nano's)")
    add("--join", type=Path, help="folder of parts")
    add("--out", type=Path, required=True, help="folder to write, or file")
    add("--megabytes", type=float, default=56, help="size of a part (56)")
    options = parser.parse_args(arguments)
    try:
        if (options.base is None) == (options.join is None):
            raise ValueError("one of --base and --join is needed")
        if options.base:
            kept = shortlist(options.shortlist.read_bytes())
            found = pack(options.base, kept, options.out, nbytes=int(options.megabytes * 1e6))
        else:
            found = join(options.join, options.out)
    except (OSError, EOFError, ValueError, ModelError, lzma.LZMAError) as error:
        print(f"travel: {error}", file=sys.stderr)
        return 2
    print(json.dumps(found))
    return 0


def pack(base: Path, kept: Sequence[int], out: Path, *, nbytes: int) -> dict[str, int]:
    """Write `base`, with only the embedding's rows of `kept` and of special tokens, as parts of at
    most `nbytes`. Raises ModelError for a file without an embedding by rows.
    """
    if nbytes < 1:
        raise ValueError(f"a part must have a byte at least, not {nbytes}")
    out.mkdir(parents=True, exist_ok=True)
    for old in _parts(out):
        old.unlink()
    compressor, digest = lzma.LZMACompressor(preset=1), hashlib.sha256()
    waiting, parts, size = bytearray(), 0, 0
    for piece in _cut(base, kept):
        digest.update(piece)
        size += len(piece)
        waiting += compressor.compress(piece)
        while len(waiting) >= nbytes:
            (out / f"base.xz.{parts:02d}").write_bytes(waiting[:nbytes])
            del waiting[:nbytes]
            parts += 1
    waiting += compressor.flush()
    for start in range(0, len(waiting), nbytes):
        (out / f"base.xz.{parts:02d}").write_bytes(waiting[start : start + nbytes])
        parts += 1
    (out / _SUM).write_text(digest.hexdigest() + "\n", encoding="ascii")
    packed = sum(part.stat().st_size for part in _parts(out))
    return {"bytes": size, "packed": packed, "parts": parts}


def join(folder: Path, out: Path) -> dict[str, int]:
    """Write the file whose parts are in `folder`; returns its size. Raises ValueError where a part
    is missing or changed.
    """
    expected = (folder / _SUM).read_text(encoding="ascii").strip()
    decompressor, digest, size = lzma.LZMADecompressor(), hashlib.sha256(), 0
    new = out.with_name(f"{out.name}.new")
    try:
        with new.open("wb") as file:
            for part in _parts(folder):
                piece = decompressor.decompress(part.read_bytes())
                digest.update(piece)
                size += file.write(piece)
        if not decompressor.eof or digest.hexdigest() != expected:
            raise ValueError(f"{folder}: the parts give {digest.hexdigest()}, not {expected}")
        new.replace(out)
    finally:
        new.unlink(missing_ok=True)
    return {"bytes": size}


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("base.xz.[0-9][0-9]"))


def _cut(base: Path, kept: Sequence[int]) -> Iterator[bytes]:
    """Yield the file, piece by piece, the other rows zeroed."""
    entries = gguf.header(base)[1]
    if (entry := entries.get(_EMBEDDING)) is None:
        raise ModelError(f"{base}: no {_EMBEDDING}")
    rows, width = math.prod(entry.bytes[:-1]), entry.bytes[-1]
    wanted = np.zeros(rows, dtype=bool)
    wanted[: min(SPECIALS, rows)] = True
    wanted[[token for token in kept if token < rows]] = True
    with base.open("rb") as file:
        yield file.read(entry.start)
        for start in range(0, rows, _PIECE // width + 1):
            some = wanted[start : start + _PIECE // width + 1]
            table = np.frombuffer(bytearray(file.read(len(some) * width)), dtype=np.uint8)
            table = table.reshape(len(some), width)
            table[~some] = 0
            yield table.tobytes()
        while piece := file.read(_PIECE):
            yield piece


if __name__ == "__main__":
    sys.exit(main())
