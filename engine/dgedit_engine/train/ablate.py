"""`python -m dgedit_engine.train.ablate`: train with variations of the recipe, and compare them.

    python -m dgedit_engine.train.ablate --work FOLDER --log FILE --corpus FOLDER
        --tokenizer FILE [FILE…] [--only NAME…] [any option of the trainer]

Trains a new model for every variation, one after the other, from the same seed and for the same
time, a few minutes each, and measures each on the same held-out canvases. Prints a table and one
JSON line, and appends both to the log. What a variation sets replaces the same option of the
command.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dgedit_engine.train import __main__ as trainer
from dgedit_engine.train import held_out
from dgedit_engine.train.recipe import Noise
from dgedit_engine.types import ModelError


@dataclass(frozen=True, slots=True)
class Variation:
    """A training run of the list, and what it changes."""

    name: str
    """The name of its row in the table."""
    options: tuple[str, ...] = ()
    """Options of the trainer that it changes."""
    noise: Noise = "uniform"
    """The noise its model is trained and measured with."""


VARIATIONS = (
    Variation("recipe"),
    Variation("clean-0.15", ("--clean", "0.15")),
    Variation("causal-0", ("--causal", "0")),
    Variation("causal-0.5", ("--causal", "0.5")),
    Variation("scattered-0.35", ("--scattered", "0.35")),
    Variation("masked", ("--noise", "masked"), "masked"),
    Variation("experts-8", ("--experts", "8", "--active", "2")),
    Variation("copies-1", ("--copies", "1")),
    Variation("copies-4", ("--copies", "4")),
)
"""The list; everything else is as the command says."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, measure, print, log. Returns the exit code: 0, 1 where a run failed, 2 for arguments."""
    parser = _parser()
    options, passed = parser.parse_known_args(arguments)
    try:
        chosen = list(_chosen(options.only, options.tokenizer))
    except ValueError as error:
        print(f"ablate: {error}", file=sys.stderr)
        return 2
    rows: list[dict[str, object]] = []
    for variation in chosen:
        print(f"== {variation.name}", flush=True)
        rows.append(_row(variation, options, passed))
    with options.log.open("a", encoding="utf-8") as log:
        for text in (table(rows), json.dumps(rows)):
            print(text)
            log.write(text + "\n")
    return int(any("failed" in row for row in rows))


def table(rows: Sequence[dict[str, object]]) -> str:
    """Render the rows in Markdown; a run that failed has its error in the last column."""
    columns = (
        "run",
        "steps",
        "tokens",
        "causal",
        "infill",
        "canvas",
        "text",
        "from_noise",
        "failed",
    )
    shown = [name for name in columns if any(name in row for row in rows)]
    lines = [shown, ["---"] * len(shown)]
    lines += [[_cell(row.get(name, "")) for name in shown] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _chosen(only: Sequence[str], tokenizers: Sequence[Path]) -> Iterator[Variation]:
    """Yield the variations asked for, and one for each further tokenizer."""
    others = [
        Variation(f"tokenizer-{path.stem}", ("--tokenizer", str(path))) for path in tokenizers
    ]
    known = [*VARIATIONS, *others[1:]]
    names = [variation.name for variation in known]
    for name in only:
        if name not in names:
            raise ValueError(f"no variation {name}; there are {', '.join(names)}")
    yield from (variation for variation in known if not only or variation.name in only)


def _row(
    variation: Variation, options: argparse.Namespace, passed: Sequence[str]
) -> dict[str, object]:
    """Train and measure one variation."""
    out: Path = options.work / variation.name
    if (log := out / "log.jsonl").exists():
        log.unlink()  # of an earlier list
    paths = ("--corpus", str(options.corpus), "--tokenizer", str(options.tokenizer[0]))
    own = (*paths, "--device", options.device, "--out", str(out))
    code = trainer.main([*passed, *own, *variation.options])
    torch._dynamo.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if code:
        return {"run": variation.name, "failed": f"exit code {code}"}
    try:
        found = held_out.of_folder(
            out,
            options.corpus,
            count=options.batches,
            device=options.device,
            noise=variation.noise,
        )
    except (ModelError, OSError, ValueError) as error:
        return {"run": variation.name, "failed": str(error)}
    state = torch.load(out / "state.pt", map_location="cpu", weights_only=True, mmap=True)
    steps, tokens, _ = state["counters"]
    return {"run": variation.name, "steps": steps, "tokens": tokens, **found}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dgedit_engine.train.ablate", description=__doc__, allow_abbrev=False
    )
    add = parser.add_argument
    add("--work", type=Path, required=True, help="folder for the runs, one in each")
    add("--log", type=Path, required=True, help="file to append the results to")
    add("--corpus", type=Path, required=True, help="folder of the corpus")
    add("--tokenizer", type=Path, nargs="+", required=True, help="one, and others to compare")
    add("--device", default="cpu", help="cpu or cuda")
    add("--batches", type=int, default=24, help="held-out batches of 16 (24)")
    add("--only", nargs="*", default=[], help="of " + " ".join(one.name for one in VARIATIONS))
    return parser


if __name__ == "__main__":
    sys.exit(main())
