"""`python -m dgedit_engine.train.both`: train one adapter for both readings of a DiffusionGemma.

    python -m dgedit_engine.train.both --base FOLDER|FILE.gguf --corpus FOLDER --out FOLDER

Build a corpus first (`python -m dgedit_engine.train.corpus --help`). What it takes of the device's
memory is planned before a weight is read: the first line says it, and what does not fit is refused.
The base may have codes, as `dgedit model quantize` makes them. The folder that is written is an
adapter in PEFT's format, one that `dgedit --adapter` takes; it is written every ten minutes, at the
end, and after Ctrl+C, with held-out losses in `log.jsonl`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from dgedit_engine.memory.devices import device_of, free_bytes
from dgedit_engine.memory.words import rounded_down
from dgedit_engine.model.config import load_config
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.train import both_memory, feed, pretrained, schedule
from dgedit_engine.train.both_examples import AnswerDraw, AnsweredHole
from dgedit_engine.train.both_recipe import BothRecipe, add_options, from_options
from dgedit_engine.train.both_run import BothRun
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.schedule import Diverged
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint


@dataclass(frozen=True, slots=True)
class AnswerFeed:
    """The source of a run's batches."""

    corpus: Path
    """Folder of a built corpus."""
    base: Path
    """The base, for its tokenizer and its shape."""
    recipe: BothRecipe
    """Decides how holes are laid out."""

    def open(self) -> Callable[[int], Sequence[AnsweredHole]]:
        """Open the files; returns a function that makes a batch by its number."""
        recipe, config = self.recipe, load_config(self.base)
        draw = AnswerDraw(
            Corpus(self.corpus),
            Tokenizer(pretrained.tokenizer_of(self.base)),
            limit=recipe.limit,
            slots=recipe.sizes(config.canvas),
            end=config.eos[0],
        )
        return lambda number: draw.batch(recipe.rows, seed=recipe.seed, number=number)


def main(arguments: list[str] | None = None) -> int:
    """Parse, plan, train, save. Returns the exit code: 0; 1 for a loss that is no number; 2 for
    unusable arguments and files, and for too little memory; 130 after Ctrl+C.
    """
    options = _parser().parse_args(arguments)
    try:
        return _train(options)
    except (ModelError, OSError, ValueError, KeyError, torch.OutOfMemoryError) as error:
        print(f"both: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before there was anything to save
        print("both: stopped", file=sys.stderr)
        return 130


def _train(options: argparse.Namespace) -> int:
    recipe, device = from_options(options), device_of(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    dtype = torch.float32 if options.fp32 else torch.bfloat16
    free = free_bytes(device)
    need = both_memory.check(
        options.base, recipe, free, device=str(device), dtype=dtype, again=options.again
    )
    print(f"{both_memory.said(need)}, {device} has {rounded_down(free)} GB free", flush=True)
    held = _held_out(options, recipe)
    options.out.mkdir(parents=True, exist_ok=True)
    model = checkpoint.load(
        load_config(options.base),
        options.base,
        device=device,
        dtype=dtype,
        activations=torch.float32 if device.type == "cpu" else None,
    )
    run = BothRun(model, recipe, again=need.again)
    if options.start:
        run.adapter.load(options.start)
    if options.resume:
        run.resume(options.out)
    log = options.out / "log.jsonl"

    def save() -> None:
        run.save(options.out, base=options.name)

    def measure() -> None:
        found = {name: run.measure(examples) for name, examples in held.items()}
        schedule.report(log, run, {"held": found})

    if not options.resume:
        measure()
    source = AnswerFeed(options.corpus, options.base, recipe)
    with closing(feed.batches(source, start=run.step, workers=options.workers)) as batches:
        due = ((options.save_every, save), (options.measure_every, measure))
        try:
            schedule.follow(run.train(batches, log=log), due)
        except (Diverged, KeyboardInterrupt) as stop:
            save()
            words = "stopped" if isinstance(stop, KeyboardInterrupt) else str(stop)
            print(f"both: {words}; {options.out} has step {run.step}", file=sys.stderr)
            return 130 if isinstance(stop, KeyboardInterrupt) else 1
    return 0


def _held_out(
    options: argparse.Namespace, recipe: BothRecipe
) -> dict[str, tuple[AnsweredHole, ...]]:
    """Draw the held-out examples, the same for every run of these sizes."""
    tokenizer, config = Tokenizer(pretrained.tokenizer_of(options.base)), load_config(options.base)
    slots, end, found = recipe.sizes(config.canvas)[:1], config.eos[0], {}
    for name, texts in pretrained.held_out(options.corpus).items():
        draw = AnswerDraw(texts, tokenizer, limit=recipe.limit, slots=slots, end=end)
        found[name] = draw.batch(options.held_out, seed=1, number=0)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.train.both", description=__doc__)
    add = parser.add_argument
    add("--base", type=Path, required=True, help="folder or GGUF file of the base")
    add("--corpus", type=Path, required=True, help="folder made by dgedit_engine.train.corpus")
    add("--out", type=Path, required=True, help="folder of the adapter")
    name = "google/diffusiongemma-26B-A4B-it"
    add("--name", default=name, help="what the adapter says of its base")
    add("--from", dest="start", type=Path, help="start from the adapter in this folder")
    add("--resume", action="store_true", help="continue the run in --out")
    add("--device", help="cpu or cuda; a GPU if there is one")
    add("--threads", type=int, help="threads for the CPU")
    add("--workers", type=int, default=0, help="processes that make batches; 0: this one (0)")
    add("--fp32", action="store_true", help="plain weights in float32, not bfloat16")
    add("--again", action="store_true", help="run layers again in any case, to save memory")
    add("--save-every", type=float, default=10, help="minutes between checkpoints (10)")
    add("--measure-every", type=float, default=20, help="minutes between held-out losses (20)")
    add("--held-out", type=int, default=24, help="held-out examples of each kind (24)")
    add_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
