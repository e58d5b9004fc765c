"""The command `dgedit eval`: measure how well a model fills.

Knows the options and the possible errors. The engine knows what is measured and how; it is imported
when the command runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from dgedit.commands import output
from dgedit.commands.options import Adapter, Device
from dgedit.engines import connect as backend
from dgedit.errors import InputError

if TYPE_CHECKING:
    from dgedit_engine.engine import Engine


def evaluate(
    corpus: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="A built corpus instead of the Python that ships (`shipped`), or what ships of "
            "javascript, typescript, go or rust.",
        ),
    ] = None,
    benchmark: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="functions (ours), HumanEval-Infilling or SantaCoder's, as given out; repeatable.",
        ),
    ] = None,
    ways: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[,NAME...]", help="Ways of filling to compare; repeatable."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Spans of each kind: 250, and all of a benchmark.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Results, a line each; a stopped run goes on from it."),
    ] = None,
    effort: Annotated[float, typer.Option(help="0 is fastest, 1 most careful.")] = 0.5,
    steps: Annotated[int | None, typer.Option(help="The step cap, instead of --effort's.")] = None,
    seed: Annotated[int, typer.Option(help="Which spans, and the model's draws.")] = 0,
    model: Annotated[
        str | None, typer.Option(metavar="NAME|FOLDER", help="The model to measure.")
    ] = None,
    adapter: Adapter = None,
    device: Device = None,
) -> None:
    """Measure how well a model fills code that it was not trained on.

    The spans are of code that ships, of a corpus of yours, or of public benchmarks. Prints a table
    of rates in percent, each with its 95% interval, and one line of JSON last.
    """
    # first, as it sets how torch's threads wait before torch is loaded
    engine = cast("Engine", backend.connect(model, device, adapter=adapter))
    from dgedit_engine.eval.measure import EvalPlan, progress_bar, run

    plan = EvalPlan(
        corpus=corpus,
        benchmarks=benchmark or (),
        ways=ways or (),
        limit=limit,
        seed=seed,
        effort=effort,
        steps=steps,
        out=out,
    )
    try:
        report = run(plan, lambda: engine, bar=progress_bar())
    except OSError as error:
        raise InputError(_words(error)) from error
    output.print_text(report)


def _words(error: OSError) -> str:
    if error.filename is None:
        return str(error)
    return f"{error.filename}: {error.strerror}"
