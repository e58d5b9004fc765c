"""`python -m dgedit_engine.train.canvas`: train a base to refine canvases.

    python -m dgedit_engine.train.canvas --base FOLDER|FILE.gguf --encode FOLDER --corpus FOLDER
        --out FOLDER

Canvases attend to the prompt as the causal reading encodes it, whose adapter (`--encode`) is merged
and stays as it is. The folder that is written holds both, `encode` and `denoise`, and is one that
`dgedit --adapter` takes; it is written every two minutes, with held-out losses by noise level in
`log.jsonl`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dgedit_engine.model.model import Model
from dgedit_engine.train import feed, pretrained, schedule
from dgedit_engine.train.canvas_examples import CanvasDraw, Canvases
from dgedit_engine.train.canvas_recipe import CanvasRecipe, add_options, from_options
from dgedit_engine.train.canvas_run import CanvasRun
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.infill_examples import FORMS
from dgedit_engine.train.loop import compile_layers
from dgedit_engine.types import ModelError
from dgedit_engine.weights import adapters, readings

_MEASURED = 4  # held-out examples of a pass


@dataclass(frozen=True, slots=True)
class CanvasFeed:
    """The source of a run's batches."""

    corpus: Path
    """Folder of a built corpus."""
    base: Path
    """The base, for its tokenizer."""
    recipe: CanvasRecipe
    """Decides how holes are laid out."""

    def open(self) -> Callable[[int], Sequence[Canvases]]:
        """Open the files; returns a function that makes a batch by its number."""
        recipe = self.recipe
        draw = CanvasDraw(
            Corpus(self.corpus),
            pretrained.tokenizer_of(self.base),
            limit=recipe.limit,
            turned=recipe.turned,
            slots=recipe.sizes(),
            weights=recipe.weights(),
        )
        options = {"micro": recipe.micro, "seed": recipe.seed}
        return lambda number: draw.batch(recipe.rows, number=number, **options)


def main(arguments: list[str] | None = None) -> int:
    """Parse, train, save. Returns the exit code: 0, or 2 for unusable arguments and files."""
    options = _parser().parse_args(arguments)
    try:
        return _train(options)
    except (ModelError, OSError, ValueError, KeyError) as error:
        print(f"canvas: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2


def _train(options: argparse.Namespace) -> int:
    recipe = from_options(options)
    options.out.mkdir(parents=True, exist_ok=True)
    model = pretrained.opened(options)
    if options.encode:
        _merge(model, options.encode, options.out)
    run = CanvasRun(model, recipe, pretrained.shortlist(options))
    if options.compile:
        compile_layers(model)
    if options.resume:
        run.resume(options.out)
    held = _held_out(options, recipe)
    count = sum(part.numel() for part in (*run.adapter.parameters(), *run.signal.parameters()))
    print(f"{count:,} parameters, softmax over {len(run.known.ids):,}", flush=True)
    log = options.out / "log.jsonl"

    def save() -> None:
        run.save(options.out, base=options.name)

    def measure() -> None:
        found = {
            name: {form: run.measure(parts) for form, parts in forms.items()}
            for name, forms in held.items()
        }
        schedule.report(log, run, {"held": found})

    if not options.resume:
        measure()
    source = CanvasFeed(options.corpus, options.base, recipe)
    with closing(feed.batches(source, start=run.step, workers=options.workers)) as batches:
        due = ((options.save_every, save), (options.measure_every, measure))
        schedule.follow(run.train(batches, log=log), due)
    return 0


def _merge(model: Model, encode: Path, out: Path) -> None:
    """Merge the causal reading's adapter into the model, and copy it beside the canvas's."""
    given = readings.load(encode).encode
    if given is None:
        raise ModelError(f"{encode} has no adapter of the causal reading")
    adapters.merge(model, given)
    place = out / readings.ENCODE
    place.mkdir(exist_ok=True)
    for name in (adapters.CONFIG, adapters.WEIGHTS):
        if (given.folder / name).resolve() != (place / name).resolve():
            shutil.copyfile(given.folder / name, place / name)


def _held_out(
    options: argparse.Namespace, recipe: CanvasRecipe
) -> dict[str, dict[str, tuple[Canvases, ...]]]:
    """Draw the held-out examples, in each form; the same for every run of these sizes."""
    tokenizer = pretrained.tokenizer_of(options.base)
    given = {"limit": recipe.limit, "slots": recipe.sizes()[:1]}
    found: dict[str, dict[str, tuple[Canvases, ...]]] = {}
    for name, texts in pretrained.held_out(options.corpus).items():
        found[name] = {}
        for form in FORMS:
            draw = CanvasDraw(texts, tokenizer, turned=float(form == "turned"), **given)  # type: ignore[arg-type]
            found[name][form] = draw.batch(options.held_out, micro=_MEASURED, seed=1, number=0)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dgedit_engine.train.canvas", description=__doc__
    )
    pretrained.add_options(parser)
    add_options(parser)
    add = parser.add_argument
    add("--encode", type=Path, help="folder of the causal reading's adapter")
    add("--held-out", type=int, default=24, help="held-out examples of each kind and form (24)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
