"""`python -m dgedit_engine.train.shortlist`: choose the tokens that a model's head has logits for.

    python -m dgedit_engine.train.shortlist --corpus FOLDER --tokenizer FILE --out FILE

They are the tokens that a corpus has at least twice, every token of up to two ASCII characters, the
bytes that spell what has no token, and the special ones: a bitmap of the vocabulary, which
`model/head.py` reads. Prints what share of the held-out text's tokens is among them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dgedit_engine.model.head import bitmap
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.types import ModelError

SPECIAL = 16
"""Tokens at the start of the vocabulary that are always kept: ends, marks, unused ones."""
LEAST = 2
"""Times that another token must occur to be kept."""

_TOGETHER = 512  # documents


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, write the bitmap and print the shares. Returns the exit code: 0, 2 for bad folders."""
    parser = argparse.ArgumentParser(
        prog="python -m dgedit_engine.train.shortlist", description=__doc__
    )
    add = parser.add_argument
    add("--corpus", type=Path, required=True, help="folder of the corpus")
    add("--tokenizer", type=Path, required=True, help="the model's tokenizer.json")
    add("--out", type=Path, required=True, help="the bitmap to write")
    options = parser.parse_args(arguments)
    try:
        tokenizer = Tokenizer(options.tokenizer)
        counts = counted(Corpus(options.corpus, "train"), tokenizer)
        held = counted(Corpus(options.corpus, "heldout"), tokenizer)
        chosen = chose(counts, tokenizer)
        options.out.write_bytes(bitmap(chosen, len(counts)))
    except (OSError, ValueError, ModelError) as error:
        print(f"shortlist: {error}", file=sys.stderr)
        return 2
    share = float(held[chosen].sum() / max(1, held.sum()))
    print(
        json.dumps({"tokens": len(chosen), "vocabulary": len(counts), "heldout": round(share, 5)})
    )
    return 0


def counted(corpus: Corpus, tokenizer: Tokenizer) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Count how often each token occurs in a corpus, (V,)."""
    counts = np.zeros(len(tokenizer), np.int64)
    for start in range(0, len(corpus), _TOGETHER):
        some = range(start, min(start + _TOGETHER, len(corpus)))
        for ids in tokenizer.encode_all([corpus.text(place) for place in some]):
            counts += np.bincount(ids, minlength=len(counts))
    return counts


def chose(counts: np.ndarray[tuple[int], np.dtype[np.int64]], tokenizer: Tokenizer) -> list[int]:
    """Return the tokens that are kept, ascending."""
    kept = {*range(SPECIAL), *np.flatnonzero(counts >= LEAST).tolist(), *tokenizer.byte_tokens()}
    kept.update(token for text, token in tokenizer.texts() if len(text) <= 2 and text.isascii())
    return sorted(kept)


if __name__ == "__main__":
    sys.exit(main())
