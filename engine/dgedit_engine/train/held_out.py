"""`python -m dgedit_engine.train.held_out`: a model's losses on files that it has not seen.

The figure by which weights are kept or replaced. The batches and their noise depend on the seed
alone, so two models are measured on the same canvases. Prints one JSON line, nats a token.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import torch

from dgedit_engine import checkpoint
from dgedit_engine.config import load_config
from dgedit_engine.engine import EMBEDDED
from dgedit_engine.model import Model
from dgedit_engine.train import vocabulary
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.examples import Batch, batches
from dgedit_engine.train.loop import Means, Recipe, losses
from dgedit_engine.types import ModelError

SHAPE = (256, 32, 16)
"""Prompt tokens, canvas slots and rows of a batch."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit code: 0, 3 for a missing corpus, 5 for a model."""
    parser = argparse.ArgumentParser(
        prog="python -m dgedit_engine.train.held_out", description=__doc__
    )
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument(
        "--model", type=Path, default=EMBEDDED, help="nano (the default) or a folder"
    )
    parser.add_argument("--batches", type=int, default=24, help="batches of 16 (24)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        corpus = Corpus(options.corpus, "heldout")
        model = checkpoint.load(load_config(options.model), options.model, dtype=torch.float32)
    except (ModelError, OSError, ValueError) as error:
        print(f"held_out: {error}", file=sys.stderr)
        return 5 if isinstance(error, ModelError) else 3
    prompt, canvas, rows = SHAPE
    tokenizer = vocabulary.load(options.model / "tokenizer.json")
    drawn = batches(
        corpus, tokenizer, seed=options.seed, prompt_tokens=prompt, canvas=canvas, batch=rows
    )
    print(json.dumps(measure(model, islice(drawn, options.batches), seed=options.seed)))
    return 0


@torch.no_grad()
def measure(model: Model, drawn: Iterable[Batch], *, seed: int) -> dict[str, float]:
    """Mean losses of the batches with self-conditioning, each noised by its own generator."""
    recipe, means = Recipe(minutes=1, conditioned=1.0, last_phase=0.0), Means()
    for index, batch in enumerate(drawn):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
        means.add(losses(model, batch, recipe, 0.0, generator, "cpu")[0])
    return {name: round(value, 4) for name, value in means.take().items()}


if __name__ == "__main__":
    sys.exit(main())
