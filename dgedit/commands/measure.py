"""The command `dgedit bench`: measure how fast a model, or an architecture, is on this machine.

Knows only the options. The engine knows what is measured; it is imported when the command runs.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dgedit.commands.options import Adapter, Device, Keys
from dgedit.errors import UsageError
from dgedit.models import store


class Shape(StrEnum):
    """Architectures that can be made of random weights."""

    RELEASED = "26b"
    SMALL = "small"


class Quant(StrEnum):
    """The number formats of the experts' weights."""

    BF16 = "bf16"
    E4M3 = "e4m3"
    E2M1 = "e2m1"
    INT4 = "int4"


def bench(
    model: Annotated[
        str | None, typer.Option(metavar="NAME|FOLDER", help="The model to measure.")
    ] = None,
    adapter: Adapter = None,
    device: Device = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each of the model's stages.")] = 30,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of a CPU.")] = None,
    shape: Annotated[
        Shape | None,
        typer.Option(help="Instead of a model: a step taken apart, stage by stage, in this shape."),
    ] = None,
    weights: Annotated[
        str, typer.Option(metavar="random", help="What the shape is filled with.")
    ] = "random",
    quant: Annotated[Quant, typer.Option(help="The shape's experts.")] = Quant.BF16,
    kv: Annotated[Keys, typer.Option(help="The shape's prompt keys.")] = Keys.BF16,
    prompt: Annotated[int, typer.Option(min=128, help="Tokens of the shape's prompt.")] = 2048,
    end_to_end: Annotated[
        bool,
        typer.Option("--end-to-end", help="Whole fills in the shape, the 26b if none is given."),
    ] = False,
    growth: Annotated[
        bool, typer.Option("--growth", help="How times and memory grow, of the 26b by plan.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="A picture of the growth, an .svg.")] = None,
    minutes: Annotated[float, typer.Option(min=0.01, help="Budget of the shape's stages.")] = 2.0,
) -> None:
    """Measure how fast a model answers here. Prints a table, and one line of JSON last."""
    from dgedit_engine.bench.__main__ import main

    if weights != "random":
        raise UsageError(f"--weights must be random, not {weights!r}")
    given: dict[str, object] = {
        "model": model if shape or end_to_end else store.resolve(model),
        "adapter": None if shape or end_to_end else store.adapter_of(adapter, model),
        "device": device,
        "threads": threads,
        "shape": shape,
        "out": out,
    }
    given |= {"rounds": rounds, "quant": quant, "kv": kv, "prompt": prompt, "minutes": minutes}
    if growth and model is None:
        given["model"] = None  # then nano and tiny
    words = ["--end-to-end"] * end_to_end + ["--growth"] * growth
    words += [f"--{name}={value}" for name, value in given.items() if value is not None]
    if code := main(words):
        raise typer.Exit(code)
