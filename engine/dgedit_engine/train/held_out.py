"""`python -m dgedit_engine.train.held_out`: measure a model's losses on files it has not seen.

By this figure weights are kept or replaced. The batches and their noise depend on the seed alone,
so two models are measured on the same canvases, on any device. Prints one JSON line, nats a token.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import torch

from dgedit_engine.model.config import load_config
from dgedit_engine.model.model import Model
from dgedit_engine.nano.names import TINY
from dgedit_engine.train import vocabulary
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.examples import Batch, batches
from dgedit_engine.train.objective import losses
from dgedit_engine.train.recipe import Noise, Recipe, StepPlan
from dgedit_engine.train.schedule import Means
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint

SHAPE = (256, 32, 16)
"""Prompt tokens, canvas slots and rows of a batch."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit code: 0, 3 for a missing corpus, 5 for a model."""
    parser = argparse.ArgumentParser(
        prog="python -m dgedit_engine.train.held_out", description=__doc__
    )
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--model", type=Path, default=TINY, help="tiny (the default) or a folder")
    parser.add_argument("--batches", type=int, default=24, help="batches of 16 (24)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = parser.parse_args(arguments)
    try:
        found = of_folder(
            options.model,
            options.corpus,
            count=options.batches,
            seed=options.seed,
            device=options.device,
        )
    except (ModelError, OSError, ValueError) as error:
        print(f"held_out: {error}", file=sys.stderr)
        return 5 if isinstance(error, ModelError) else 3
    print(json.dumps(found))
    return 0


def of_folder(
    folder: Path,
    corpus: Path,
    *,
    count: int = 24,
    seed: int = 0,
    device: str = "cpu",
    noise: Noise = "uniform",
) -> dict[str, float]:
    """Measure the mean losses of the model in `folder`, in nats, on `count` batches of a corpus's
    held-out split.
    """
    held = Corpus(corpus, "heldout")
    model = checkpoint.load(load_config(folder), folder, dtype=torch.float32, device=device)
    prompt, canvas, rows = SHAPE
    tokenizer = vocabulary.load(folder / "tokenizer.json")
    drawn = batches(held, tokenizer, seed=seed, prompt_tokens=prompt, canvas=canvas, batch=rows)
    return measure(model, islice(drawn, count), seed=seed, device=device, noise=noise)


@torch.no_grad()
def measure(
    model: Model,
    drawn: Iterable[Batch],
    *,
    seed: int,
    device: str = "cpu",
    noise: Noise = "uniform",
    copies: int = 2,
) -> dict[str, float]:
    """Measure the mean losses of the batches, in nats, with self-conditioning, each noised by its
    own generator, `copies` times.
    """
    recipe, means = Recipe(noise=noise, copies=copies), Means()
    for index, batch in enumerate(drawn):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
        means.add(losses(model, batch, recipe, StepPlan(), generator, device)[0])
    return {name: round(value, 4) for name, value in means.take().items()}


if __name__ == "__main__":
    sys.exit(main())
