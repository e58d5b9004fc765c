"""Learn tiny's vocabulary: a byte-level BPE over Python source.

    python -m dgedit_engine.train.vocabulary --corpus FOLDER --size 4096 --out tokenizer.json

A newline and the indentation behind it are one piece, so that one token can hold both; digits stay
single, and no token crosses a line. Special tokens cannot come out of ordinary text: `load` takes
care of that, since the file format has no setting for it. Knows nothing of prompts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from dgedit_engine.prompt.layout import SPECIALS
from dgedit_engine.train.corpus import Corpus

PIECES = "|".join(
    (
        r"\r?\n[ \t]*",  # a line's end with the next line's indentation
        r"\A[ \t]{2,}",  # the indentation at the start of a text: a hole may begin there
        r" ?[\p{L}\p{M}_]+",
        r" ?\p{N}",
        r" ?[^\s\p{L}\p{M}\p{N}_]{1,4}",
        r"[ \t]+(?!\S)",  # a run of spaces leaves the last one to what follows
        r"\s",
    )
)


def learn(texts: Iterable[str], size: int) -> Tokenizer:
    """Learn a tokenizer of `size` tokens, the special ones first."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.encode_special_tokens = True
    return tokenizer


def load(path: Path) -> Tokenizer:
    """Load a saved tokenizer that reads `<eos>` in a text as the five characters it is."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    return tokenizer


def save(tokenizer: Tokenizer, path: Path) -> None:
    """Write the tokenizer as compact JSON."""
    raw = json.loads(tokenizer.to_str())
    path.write_text(json.dumps(raw, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def sample(corpus: Corpus, nbytes: int, seed: int = 0) -> Iterator[str]:
    """Yield about `nbytes` of text in excerpts that start at a line, as holes do."""
    rng = np.random.default_rng(seed)
    for index in rng.permutation(len(corpus)).tolist():
        lines = corpus.text(index).splitlines(keepends=True)
        start = 0
        while start < len(lines):
            end = start + int(rng.integers(4, 40))
            excerpt = "".join(lines[start:end])
            yield excerpt
            nbytes -= len(excerpt)
            start = end
        if nbytes <= 0:
            return


def main() -> None:
    """Learn a vocabulary from the command line."""
    parser = argparse.ArgumentParser(description="Learn a byte-level BPE from a corpus.")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of a built corpus")
    parser.add_argument("--size", type=int, default=4096, help="tokens")
    parser.add_argument("--megabytes", type=float, default=50, help="text to learn from")
    parser.add_argument("--out", type=Path, required=True, help="tokenizer.json to write")
    arguments = parser.parse_args()
    corpus = Corpus(arguments.corpus)
    save(learn(sample(corpus, int(arguments.megabytes * 1e6)), arguments.size), arguments.out)
    tokenizer = load(arguments.out)
    held = Corpus(arguments.corpus, "heldout")
    texts = [held.text(index) for index in range(min(len(held), 500))]
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(texts))
    print(f"{sum(map(len, texts)) / tokens:.3f} characters a token on held-out text")


if __name__ == "__main__":
    main()
