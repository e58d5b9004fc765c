"""`python -m dgedit_engine.eval.contamination`: find text that a corpus shares with a benchmark.

Says how many documents of each split share a run of ten words with the given files, names them, and
gives one JSON line last. `dgedit_engine.train.corpus --without` keeps such documents out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.grams import Hashes, known, shares, texts

SPLITS = ("train", "heldout")


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print. Returns the exit code: 0, or 3 for files that cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        grams = known(text for path in options.files for text in texts(path))
        found = {
            split: (split_read, contaminated(split_read, grams))
            for split in SPLITS
            if (options.corpus / f"{split}.txt").exists()
            for split_read in [Corpus(options.corpus, split)]
        }
        if not found:
            raise OSError(f"{options.corpus}: no corpus")
    except (OSError, ValueError, EOFError) as error:
        print(f"contamination: {str(error).splitlines()[0]}", file=sys.stderr)
        return 3
    for split, (corpus, shared) in found.items():
        for index in shared:
            print(f"{split}  {corpus.path(index)}")
    report = {
        split: {"files": len(c), "shared": len(shared)} for split, (c, shared) in found.items()
    }
    print(json.dumps({"grams": len(grams), **report}))
    return 0


def contaminated(corpus: Corpus, grams: Hashes) -> list[int]:
    """Return the indices of the documents that share one of the grams."""
    return [index for index in range(len(corpus)) if shares(corpus.text(index), grams)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dgedit_engine.eval.contamination", description=__doc__
    )
    parser.add_argument("--corpus", type=Path, required=True, help="folder of a built corpus")
    parser.add_argument(
        "files", type=Path, nargs="+", help="texts or benchmarks (.jsonl, .jsonl.gz, .parquet)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
