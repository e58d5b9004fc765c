"""The options that several commands share, with the words that each `--help` shows for them."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[
    str | None, typer.Option("--model", metavar="NAME|FOLDER", help="The model to fill with.")
]
Device = Annotated[str | None, typer.Option(metavar="NAME", help="Where it runs: cpu, cuda, …")]
Effort = Annotated[float, typer.Option(help="0 is fastest, 1 most careful.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same infill.")]
Instruction = Annotated[
    str, typer.Option("-m", "--instruction", metavar="TEXT", help="What you want, in words.")
]
Strength = Annotated[float, typer.Option(help="The share of the present text to give up, 0 to 1.")]
Steps = Annotated[int | None, typer.Option(help="The step cap, instead of --effort's.")]
Candidates = Annotated[
    int | None,
    typer.Option(help="Infills that compete; the best one is taken. --effort's, if not given."),
]
EntropyBound = Annotated[
    float | None,
    typer.Option(help="Nats that one step may accept, instead of --effort's."),
]
Marker = Annotated[str, typer.Option(metavar="TEXT", help="What marks a hole in the text.")]
