"""Open a pretrained base for training an adapter: model, tokenizer, shortlist, held-out texts.

Knows files and the command's common options; no reading and no loss.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, processors
from torch import nn

from dgedit_engine.engine import open_tokenizer
from dgedit_engine.model.config import load_config
from dgedit_engine.model.model import Model
from dgedit_engine.prompt import fim
from dgedit_engine.prompt.tokenizer import Tokenizer as OpenTokenizer
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.excerpts import Excerpts, Texts
from dgedit_engine.train.infill_examples import BaseFormat
from dgedit_engine.weights import checkpoint
from dgedit_kernels.quantised import Quantised

SHORTLIST = "shortlist.npy"
"""The file in a run's folder with the tokens that its head has logits for."""

EXCERPTS = Path(__file__).parents[1] / "eval" / "heldout.jsonl.xz"
"""The held-out Python that ships."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that trains an adapter, beside its recipe's."""
    add = parser.add_argument
    add("--base", type=Path, required=True, help="folder or GGUF file of the base")
    add("--corpus", type=Path, required=True, help="folder made by dgedit_engine.train.corpus")
    add("--out", type=Path, required=True, help="folder of the adapter")
    add("--name", default="google/gemma-3-270m", help="what the adapter says of its base")
    add("--resume", action="store_true", help="continue the run in --out")
    add("--device", default="cpu", help="cpu or cuda")
    add("--threads", type=int, help="threads for the CPU")
    add("--workers", type=int, default=0, help="processes that make batches; 0: this one (0)")
    add("--compile", action="store_true", help="compile the layers: a minute, then faster")
    add("--fp32", action="store_true", help="the base in float32, not bfloat16")
    add("--save-every", type=float, default=2, help="minutes between checkpoints (2)")
    add("--measure-every", type=float, default=10, help="minutes between held-out losses (10)")


def opened(options: argparse.Namespace) -> Model:
    """Open the base that `add_options` asks for: its matrices as numbers, the residual stream in
    fp32.

    Sets this process to the threads that are asked for.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    model = checkpoint.load(
        load_config(options.base),
        options.base,
        device=options.device,
        dtype=torch.float32 if options.fp32 else torch.bfloat16,
        activations=torch.float32,
    )
    widen(model)
    return model


def widen(model: Model) -> None:
    """Replace quantised matrices by numbers: products with codes have no gradient here."""
    dtype = model.embedding.dtype
    for layer in model.stack():
        for name in ("qkv", "out", "gate_up", "down"):
            if isinstance(codes := getattr(layer, name), Quantised):
                delattr(layer, name)
                value = codes.dequantised(dtype)
                setattr(layer, name, nn.Parameter(value, requires_grad=False))


def tokenizer_of(base: Path) -> Tokenizer:
    """Load the base's tokenizer, which reads special tokens in a text as the characters they are.
    Raises ModelError where there is none.
    """
    opened = open_tokenizer(base)
    if opened.of_bytes:  # else a word's offsets may lack the space before it
        opened.inner.post_processor = processors.Sequence([])
    return opened.inner


def format_of(base: Path, tokenizer: Tokenizer) -> BaseFormat:
    """Return what the base's vocabulary says of its examples."""
    words, config = OpenTokenizer(tokenizer), load_config(base)
    if config.masks is not None:
        return BaseFormat(mask=config.masks.mask)
    return BaseFormat(config.bos, fim.marks(words), joins=words.of_bytes)


def shortlist(options: argparse.Namespace) -> list[int]:
    """Return the tokens that a run's head has logits for, found once and kept in the run's
    folder.
    """
    file = options.out / SHORTLIST
    if not file.exists():
        found = occurring(Corpus(options.corpus), tokenizer_of(options.base))
        np.save(file, np.array(found, dtype=np.int32))
    ids: list[int] = np.load(file).tolist()
    return ids


def occurring(
    corpus: Texts, tokenizer: Tokenizer, *, least: int = 2, most: int = 8000
) -> list[int]:
    """Return the tokens that occur in the corpus at least `least` times, in at most `most` of its
    documents, and all of one character.
    """
    order = np.random.default_rng(0).permutation(len(corpus))[:most].tolist()
    count: Counter[int] = Counter()
    for start in range(0, len(order), 64):
        texts = [corpus.text(index) for index in order[start : start + 64]]
        for read in tokenizer.encode_batch_fast(texts, add_special_tokens=False):
            count.update(read.ids)
    found = {token for token, number in count.items() if number >= least}
    single = {i for text, i in tokenizer.get_vocab().items() if len(text) == 1 or _byte(text)}
    return sorted(found | single)


def held_out(corpus: Path) -> dict[str, Texts]:
    """Open the texts that a run is measured on: those that ship, which are Python, and the corpus's
    held-out split.
    """
    return {"python": Excerpts(EXCERPTS), "corpus": Corpus(corpus, "heldout")}


def _byte(text: str) -> bool:
    return len(text) == 6 and text.startswith("<0x")
