"""`python -m dgedit_engine.train.lora`: train an adapter of a base's causal reading for infilling.

    python -m dgedit_engine.train.lora --base FOLDER|FILE.gguf --corpus FOLDER --out FOLDER

Build a corpus first (`python -m dgedit_engine.train.corpus --help`). The adapter is written every
two minutes, in PEFT's file format, with its held-out losses beside the base's in `log.jsonl`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dgedit_engine.train import feed, pretrained, schedule
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.infill_draw import InfillDraw
from dgedit_engine.train.infill_examples import InfillBatch, Weights
from dgedit_engine.train.loop import compile_layers
from dgedit_engine.train.lora_recipe import LoraRecipe, add_options, from_options
from dgedit_engine.train.lora_run import LoraRun
from dgedit_engine.types import ModelError


@dataclass(frozen=True, slots=True)
class InfillFeed:
    """The source of a run's batches."""

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
    """The tokens' weights in the loss."""
    seed: int
    """Seed of the draws."""

    def open(self) -> Callable[[int], InfillBatch]:
        """Open the files; returns a function that makes a batch by its number."""
        tokenizer = pretrained.tokenizer_of(self.base)
        draw = InfillDraw(
            Corpus(self.corpus),
            tokenizer,
            limit=self.limit,
            turned=self.turned,
            weights=self.weights,
            format=pretrained.format_of(self.base, tokenizer),
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
    recipe = from_options(options)
    options.out.mkdir(parents=True, exist_ok=True)
    model = pretrained.opened(options)
    run = LoraRun(model, recipe, pretrained.shortlist(options))
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
        schedule.report(log, run, {"base": _measured(run, held, base=True)})

    def save() -> None:
        run.save(options.out, base=options.name)

    def measure() -> None:
        schedule.report(log, run, {"held": _measured(run, held)})

    with closing(feed.batches(source, start=run.step, workers=options.workers)) as batches:
        due = ((options.save_every, save), (options.measure_every, measure))
        schedule.follow(run.train(batches, log=log), due)
    return 0


def _held_out(options: argparse.Namespace, recipe: LoraRecipe) -> dict[str, list[InfillBatch]]:
    """Draw the held-out batches, in each form, the same for every run of these sizes: of the texts
    that ship, which are Python, and of the corpus's held-out split.
    """
    tokenizer, found = pretrained.tokenizer_of(options.base), {}
    numbers = range(options.held_out // 4)
    format = pretrained.format_of(options.base, tokenizer)
    for name, each in pretrained.held_out(options.corpus).items():
        draws = [
            InfillDraw(each, tokenizer, limit=recipe.limit, turned=turned, format=format)
            for turned in (0.0, 1.0)
        ]
        found[name] = [one.batch(recipe.micro, seed=1, number=n) for one in draws for n in numbers]
    return found


def _measured(
    run: LoraRun, held: dict[str, list[InfillBatch]], *, base: bool = False
) -> dict[str, dict[str, float]]:
    return {name: run.measure(batches, base=base) for name, batches in held.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.train.lora", description=__doc__)
    add = parser.add_argument
    pretrained.add_options(parser)
    add_options(parser)
    add("--from", dest="start", type=Path, help="start from the adapter in this folder")
    add("--held-out", type=int, default=48, help="held-out batches of --micro examples (48)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
