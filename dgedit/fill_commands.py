"""The commands `dgedit fill` and `dgedit pipe`: options in, the infill in the form asked for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dgedit import backend, signals
from dgedit.document import Document
from dgedit.errors import Exit, InputError, UsageError
from dgedit.holes import MARKER
from dgedit.options import (
    Candidates,
    Device,
    Effort,
    EntropyBound,
    Instruction,
    Marker,
    Model,
    Seed,
    Steps,
    Strength,
)
from dgedit.output import print_document, print_text

if TYPE_CHECKING:
    from dgedit_engine.types import Infill, Step

Output = Literal["diff", "write", "print", "span-only", "json", "events"]


def fill(
    targets: Annotated[list[str], typer.Argument(metavar="FILE[:RANGE]", help="What to fill.")],
    write: Annotated[bool, typer.Option("-w", "--write", help="Change the files.")] = False,
    whole: Annotated[bool, typer.Option("--print", help="Print the whole result.")] = False,
    span_only: Annotated[bool, typer.Option("--span-only", help="Print the infill only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    events: Annotated[bool, typer.Option("--events", help="Print every step as JSON.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if anything would change.")
    ] = False,
    instruction: Instruction = "",
    strength: Strength = 1.0,
    effort: Effort = 0.5,
    steps: Steps = None,
    entropy_bound: EntropyBound = None,
    candidates: Candidates = None,
    seed: Seed = 0,
    model: Model = None,
    device: Device = None,
    marker: Marker = MARKER,
) -> int:
    """Fill the holes of files and print a diff that `git apply` takes.

    FILE:10, FILE:10-20 and FILE:L10-L20 name lines, the last one included. FILE:10:5-12:3 names
    lines and columns, the end excluded. FILE alone names every <FILL> in it; <FILL: what to write>
    says what is wanted there.
    """
    from dgedit import fill as work
    from dgedit_engine.types import InfillRequest

    output = _output(write, whole, span_only, as_json, events)
    if check and write:
        raise UsageError("--check and --write exclude each other")
    sources = work.sources_of(targets, marker=marker)
    if whole and len(sources) > 1:
        raise UsageError(f"--print takes one file, not {len(sources)}")
    request = InfillRequest(
        tuple(source.passage(marker=marker) for source in sources),
        work.instruction(instruction, sources, marker=marker),
        strength=strength,
        effort=effort,
        seed=seed,
        steps=steps,
        entropy_bound=entropy_bound,
        candidates=candidates,
    )
    engine = backend.connect(model, device)
    infill = work.run(request, engine, each=_print_step if events else None)
    signals.look()
    result = work.Result(sources, infill)
    if output == "write":
        with signals.unheeded():
            work.write(result)
    elif output == "print":
        print_document(result.documents[0])
    elif output == "span-only":
        print_text("\n".join(infill.texts))
    elif output == "json":
        print_text(json.dumps(work.report(result, request, engine)) + "\n")
    elif output == "diff":
        print_text(work.diff(result, as_bytes=not sys.stdout.isatty()))
    return Exit.NO if check and result.changed else _exit_of(infill)


def pipe(
    ranges: Annotated[
        list[str] | None, typer.Option("--range", metavar="RANGE", help="A hole; repeatable.")
    ] = None,
    stdin_filename: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What the text is called, as context.")
    ] = None,
    instruction: Instruction = "",
    strength: Strength = 1.0,
    effort: Effort = 0.5,
    steps: Steps = None,
    entropy_bound: EntropyBound = None,
    candidates: Candidates = None,
    seed: Seed = 0,
    model: Model = None,
    device: Device = None,
    marker: Marker = MARKER,
) -> int:
    """Copy stdin to stdout, filled: every <FILL>, or the ranges."""
    from dgedit import fill as work
    from dgedit_engine.types import InfillRequest

    try:
        data = sys.stdin.buffer.read()
    except OSError as error:
        raise InputError(f"cannot read standard input: {error.strerror}") from None
    document = Document.from_bytes(data, stdin_filename)
    source = work.Source.of(document, ranges or [None], marker=marker)
    request = InfillRequest(
        (source.passage(marker=marker),),
        work.instruction(instruction, [source], marker=marker),
        strength=strength,
        effort=effort,
        seed=seed,
        steps=steps,
        entropy_bound=entropy_bound,
        candidates=candidates,
    )
    infill = work.run(request, backend.connect(model, device))
    signals.look()
    print_document(work.Result((source,), infill).documents[0])
    return _exit_of(infill)


def _output(write: bool, whole: bool, span_only: bool, as_json: bool, events: bool) -> Output:
    asked: list[tuple[bool, Output]] = [
        (write, "write"),
        (whole, "print"),
        (span_only, "span-only"),
        (as_json, "json"),
        (events, "events"),
    ]
    chosen = [name for given, name in asked if given]
    if len(chosen) > 1:
        raise UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other")
    return chosen[0] if chosen else "diff"


def _exit_of(infill: Infill) -> Exit:
    return Exit.UNSETTLED if infill.stopped == "cap" else Exit.OK


def _print_step(step: Step) -> None:
    from dgedit.wire import step_to_json

    print_text(json.dumps(step_to_json(step)) + "\n")
