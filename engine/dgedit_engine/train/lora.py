"""`python -m dgedit_engine.train.lora`: train an adapter of a base's causal reading for infilling.

    python -m dgedit_engine.train.lora --base FOLDER|FILE.gguf --corpus FOLDER --out FOLDER

Build a corpus first (`python -m dgedit_engine.train.corpus --help`). The adapter is written every
two minutes, in PEFT's file format, with its held-out losses beside the base's in `log.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from dgedit_engine.formats import gguf, vocabulary
from dgedit_engine.model.config import load_config
from dgedit_engine.model.model import Model
from dgedit_engine.train import feed
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.excerpts import Excerpts, Texts
from dgedit_engine.train.infill_examples import Batch, Draw, Weights
from dgedit_engine.train.loop import compile_layers
from dgedit_engine.train.lora_recipe import Recipe, add_options, from_options
from dgedit_engine.train.lora_run import LoraRun
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint
from dgedit_kernels.quantised import Quantised

SHORTLIST = "shortlist.npy"

EXCERPTS = Path(__file__).parents[1] / "eval" / "heldout.jsonl.xz"
"""The held-out Python that ships."""


@dataclass(frozen=True, slots=True)
class InfillFeed:
    """What decides every batch of a run."""

    corpus: Path
    """Folder of a built corpus."""
    base: Path
    """The base, for its tokenizer."""
    limit: int
    """Tokens of an example."""
    rows: int
    """Examples of a batch."""
    turned: float
    """Share of examples with the suffix first."""
    weights: Weights
    """What tokens count."""
    seed: int
    """Of the draws."""

    def open(self) -> Callable[[int], Batch]:
        """As of a source of batches."""
        draw = Draw(
            Corpus(self.corpus),
            tokenizer_of(self.base),
            limit=self.limit,
            turned=self.turned,
            weights=self.weights,
        )
        return lambda number: draw.batch(self.rows, seed=self.seed, number=number)


def main(arguments: list[str] | None = None) -> int:
    """Parse, train, save. Returns the exit code: 0, or 2 for unusable arguments and files."""
    options = _parser().parse_args(arguments)
    try:
        return _train(options)
    except (ModelError, OSError, ValueError, KeyError) as error:
        print(f"lora: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2


def _train(options: argparse.Namespace) -> int:
    if options.threads:
        torch.set_num_threads(options.threads)
    recipe: Recipe = from_options(options)
    options.out.mkdir(parents=True, exist_ok=True)
    shortlist = _shortlist(options)
    model = checkpoint.load(
        load_config(options.base),
        options.base,
        device=options.device,
        dtype=torch.float32 if options.fp32 else torch.bfloat16,
        activations=torch.float32,
    )
    widen(model)
    run = LoraRun(model, recipe, shortlist)
    if options.compile:
        compile_layers(model)
    if options.start:
        run.adapter.load(options.start)
    if options.resume:
        run.resume(options.out)
    source = InfillFeed(
        *(options.corpus, options.base, recipe.limit, recipe.rows, recipe.turned),
        weights=recipe.weights(),
        seed=recipe.seed,
    )
    held = _held_out(options, recipe)
    count = sum(part.numel() for part in run.adapter.parameters())
    print(f"{count:,} parameters, softmax over {len(run.head):,}", flush=True)
    log = options.out / "log.jsonl"
    if not options.resume:
        _report(log, run, {"base": _measured(run, held, base=True)})
    saved = measured = time.monotonic()
    with closing(feed.batches(source, start=run.step, workers=options.workers)) as batches:
        for entry in run.train(batches, log=log):
            print("  ".join(f"{key} {value:.4g}" for key, value in entry.items()), flush=True)
            if time.monotonic() - saved > 60 * options.save_every:
                run.save(options.out, base=options.name)
                saved = time.monotonic()
            if time.monotonic() - measured > 60 * options.measure_every:
                _report(log, run, {"held": _measured(run, held)})
                measured = time.monotonic()
    run.save(options.out, base=options.name)
    _report(log, run, {"held": _measured(run, held)})
    return 0


def widen(model: Model) -> None:
    """Make numbers of matrices that are codes: products with codes are not differentiated."""
    dtype = model.embedding.dtype
    for layer in model.stack():
        for name in ("qkv", "out", "gate_up", "down"):
            if isinstance(codes := getattr(layer, name), Quantised):
                delattr(layer, name)
                value = codes.dequantised(dtype)
                setattr(layer, name, nn.Parameter(value, requires_grad=False))


def tokenizer_of(base: Path) -> Tokenizer:
    """The base's tokenizer, which reads special tokens in a text as the characters they are."""
    file = base / "tokenizer.json"
    if file.is_file():
        tokenizer = Tokenizer.from_file(str(file))
    elif weights := gguf.found(base):
        tokenizer = vocabulary.read(weights)
    else:
        raise FileNotFoundError(f"{base}: no tokenizer")
    tokenizer.encode_special_tokens = True
    return tokenizer


def occurring(
    corpus: Corpus, tokenizer: Tokenizer, *, least: int = 2, most: int = 8000
) -> list[int]:
    """The tokens that occur in the corpus at least so often, in some thousands of its documents,
    and all of one character.
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


def _byte(text: str) -> bool:
    return len(text) == 6 and text.startswith("<0x")


def _shortlist(options: argparse.Namespace) -> list[int]:
    """The shortlist of the run, found once."""
    file = options.out / SHORTLIST
    if not file.exists():
        found = occurring(Corpus(options.corpus), tokenizer_of(options.base))
        np.save(file, np.array(found, dtype=np.int32))
    ids: list[int] = np.load(file).tolist()
    return ids


def _held_out(options: argparse.Namespace, recipe: Recipe) -> dict[str, list[Batch]]:
    """The same held-out batches for every run of these sizes, in each form: of the texts that
    ship, which are Python, and of the corpus's held-out half.
    """
    tokenizer, found = tokenizer_of(options.base), {}
    texts: dict[str, Texts] = {
        "python": Excerpts(EXCERPTS),
        "corpus": Corpus(options.corpus, "heldout"),
    }
    numbers = range(options.held_out // 4)
    for name, each in texts.items():
        draws = [Draw(each, tokenizer, limit=recipe.limit, turned=turned) for turned in (0.0, 1.0)]
        found[name] = [one.batch(recipe.micro, seed=1, number=n) for one in draws for n in numbers]
    return found


def _measured(
    run: LoraRun, held: dict[str, list[Batch]], *, base: bool = False
) -> dict[str, dict[str, float]]:
    return {name: run.measure(batches, base=base) for name, batches in held.items()}


def _report(log: Path, run: LoraRun, found: dict[str, dict[str, dict[str, float]]]) -> None:
    entry = {"step": run.step, "tokens": run.tokens, **found}
    print(json.dumps(entry), flush=True)
    with log.open("a") as lines:
        lines.write(json.dumps(entry) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.train.lora", description=__doc__)
    add = parser.add_argument
    add("--base", type=Path, required=True, help="folder or GGUF file of the base")
    add("--corpus", type=Path, required=True, help="folder made by dgedit_engine.train.corpus")
    add("--out", type=Path, required=True, help="folder of the adapter")
    add("--name", default="google/gemma-3-270m", help="what the adapter says of its base")
    add_options(parser)
    add("--from", dest="start", type=Path, help="start from the adapter in this folder")
    add("--resume", action="store_true", help="continue the run in --out")
    add("--device", default="cpu", help="cpu or cuda")
    add("--threads", type=int, help="threads for the CPU")
    add("--workers", type=int, default=0, help="processes that make batches; 0: this one (0)")
    add("--compile", action="store_true", help="compile the layers: a minute, then faster")
    add("--fp32", action="store_true", help="the base in float32, not bfloat16")
    add("--held-out", type=int, default=48, help="held-out batches of --micro examples (48)")
    add("--save-every", type=float, default=2, help="minutes between checkpoints (2)")
    add("--measure-every", type=float, default=10, help="minutes between held-out losses (10)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
