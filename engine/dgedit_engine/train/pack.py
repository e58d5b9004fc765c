"""`python -m dgedit_engine.train.pack`: carry a corpus to another machine in few bytes.

    python -m dgedit_engine.train.pack --corpus FOLDER --out FOLDER --megabytes 48
    python -m dgedit_engine.train.pack --unpack FOLDER --out FOLDER [--with CORPUS…]

Packing takes whole packages, in an order that a hash of their names decides, while they fit:
`train.txt.xz` and `heldout.txt.xz` beside their offsets and paths. Unpacking gives the corpus back,
and joins it with corpora built there: each text once, and one that is held out anywhere trains
nowhere. Knows nothing of tokens.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from dgedit_engine.train.corpus import Corpus

SPLITS = ("heldout", "train")  # held-out first: it decides what may train
HELD_OUT = 0.1
"""The largest share of the pack for held-out text."""

_SLACK = 1 << 17  # what the compressor has read and not yet written, in packed bytes

Document = tuple[str, bytes]


def main(arguments: Sequence[str] | None = None) -> int:
    """Pack or unpack, and print what came out. Returns the exit code: 0, 2 for unusable folders."""
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.train.pack", description=__doc__)
    add = parser.add_argument
    add("--corpus", type=Path, help="folder of the corpus to pack")
    add("--unpack", type=Path, help="packed folder")
    add("--with", dest="more", type=Path, nargs="*", default=[], help="corpora to join with it")
    add("--out", type=Path, required=True, help="folder to write")
    add("--megabytes", type=float, default=48, help="size of the pack (48)")
    options = parser.parse_args(arguments)
    try:
        if (options.corpus is None) == (options.unpack is None):
            raise ValueError("one of --corpus and --unpack is needed")
        if options.corpus:
            found = pack(options.corpus, options.out, nbytes=int(options.megabytes * 1e6))
        else:
            found = unpack(options.unpack, options.out, more=options.more)
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        print(f"pack: {error}", file=sys.stderr)
        return 2
    print(json.dumps(found))
    return 0


def pack(corpus: Path, out: Path, *, nbytes: int) -> dict[str, dict[str, int]]:
    """Write as much of both splits of `corpus` as fits into `nbytes`; returns the sizes. Raises
    ValueError where no document fits.
    """
    out.mkdir(parents=True, exist_ok=True)
    left, report = nbytes, {}
    for split in SPLITS:
        room = left if split == "train" else int(nbytes * HELD_OUT)
        report[split] = _pack_split(Corpus(corpus, split), out, split, room)
        if not report[split]["files"]:
            raise ValueError(f"no {split} document fits into {nbytes} bytes")
        left -= report[split]["packed"]
    return report


def unpack(packed: Path, out: Path, *, more: Sequence[Path] = ()) -> dict[str, dict[str, int]]:
    """Write the packed corpus, joined with those in `more`, as a corpus; returns the sizes."""
    out.mkdir(parents=True, exist_ok=True)
    seen: set[bytes] = set()
    report = {}
    for split in SPLITS:
        documents = [_packed(packed, split)]
        documents += [_documents(Corpus(folder, split)) for folder in more]
        new = _new((document for source in documents for document in source), seen)
        report[split] = _write(out, split, new)
    return report


def _pack_split(corpus: Corpus, out: Path, split: str, nbytes: int) -> dict[str, int]:
    """Compress the split's packages in turn while they fit; the last one in part."""
    compressor = lzma.LZMACompressor(preset=9)
    offsets, paths, written = [0], [], _SLACK
    with (out / f"{split}.txt.xz").open("wb") as file:
        for path, text in _documents(corpus, _by_package(corpus)):
            written += file.write(compressor.compress(text)) + 8 + len(path.encode()) + 1
            if written > nbytes:
                break
            offsets.append(offsets[-1] + len(text))
            paths.append(path)
        file.write(compressor.flush())
    _list(out, split, offsets, paths)
    files = (f"{split}.txt.xz", f"{split}.idx.npy", f"{split}.paths")
    packed = sum((out / name).stat().st_size for name in files)
    return {"files": len(paths), "bytes": offsets[-1], "packed": packed}


def _by_package(corpus: Corpus) -> list[int]:
    """Sort documents by the hash of their package, then as they are: neighbours are alike, which
    packs best.
    """

    def key(index: int) -> tuple[bytes, int]:
        package = corpus.path(index).split("/", 1)[0]
        return hashlib.sha256(package.encode()).digest(), index

    return sorted(range(len(corpus)), key=key)


def _documents(corpus: Corpus, order: Iterable[int] | None = None) -> Iterator[Document]:
    for index in range(len(corpus)) if order is None else order:
        yield corpus.path(index), corpus.text(index).encode()


def _packed(folder: Path, split: str) -> Iterator[Document]:
    """Yield the documents of a packed split. The text may go on behind the last one listed."""
    offsets = np.load(folder / f"{split}.idx.npy").tolist()
    paths = (folder / f"{split}.paths").read_text(encoding="utf-8").splitlines()
    with lzma.open(folder / f"{split}.txt.xz") as file:
        for path, begin, end in zip(paths, offsets, offsets[1:], strict=False):
            text = file.read(end - begin)
            if len(text) != end - begin:
                raise ValueError(f"{folder / split}.txt.xz ends inside {path}")
            yield path, text


def _new(documents: Iterable[Document], seen: set[bytes]) -> Iterator[Document]:
    """Yield the documents whose text, spaces aside, was not seen before, in either split."""
    for path, text in documents:
        digest = hashlib.sha256(b" ".join(text.split())).digest()
        if digest not in seen:
            seen.add(digest)
            yield path, text


def _write(out: Path, split: str, documents: Iterable[Document]) -> dict[str, int]:
    offsets, paths = [0], []
    with (out / f"{split}.txt").open("wb") as file:
        for path, text in documents:
            offsets.append(offsets[-1] + file.write(text))
            paths.append(path)
    _list(out, split, offsets, paths)
    return {"files": len(paths), "bytes": offsets[-1]}


def _list(out: Path, split: str, offsets: list[int], paths: list[str]) -> None:
    np.save(out / f"{split}.idx.npy", np.array(offsets, dtype=np.int64))
    lines = "".join(f"{path}\n" for path in paths)
    (out / f"{split}.paths").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
