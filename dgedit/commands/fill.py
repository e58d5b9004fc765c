"""The command `dgedit fill`: read the options, and output the infill in the form asked for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dgedit import signals
from dgedit.commands import output, waiting
from dgedit.commands.first import connected
from dgedit.commands.options import (
    HOLES,
    OUTPUT,
    AcceptUnsettled,
    Adapter,
    Alphabet,
    Blank,
    Candidates,
    Caution,
    Colored,
    Device,
    Drafter,
    Effort,
    Engine,
    EntropyBound,
    Exact,
    Force,
    Instruction,
    Marker,
    Model,
    Ranges,
    Reading,
    Refresh,
    Seconds,
    Seed,
    Steps,
    Strength,
    Together,
    Verifier,
    option,
)
from dgedit.commands.output import print_document, print_text
from dgedit.config import Color
from dgedit.engines import connect as backend
from dgedit.errors import EngineError, Exit, UsageError
from dgedit.request.markers import MARKER
from dgedit.text.blanks import parsed
from dgedit.text.diff import painted
from dgedit_engine.types import CAUTION

if TYPE_CHECKING:
    from dgedit.commands.interactive import Decision
    from dgedit.request.run import Result
    from dgedit_engine.types import Backend, InfillRequest, Step

Output = Literal["diff", "write", "interactive", "print", "span-only", "json", "events"]


def fill(
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="FILE[:RANGE | ::NAME]", help="What to fill.")
    ] = None,
    files: Annotated[
        list[Path] | None,
        option(HOLES, "--file", metavar="FILE", help="A file, whatever its name."),
    ] = None,
    ranges: Ranges = None,
    marker: Marker = MARKER,
    blank: Blank = None,
    alphabet: Alphabet = "",
    force: Force = False,
    instruction: Instruction = "",
    strength: Strength = None,
    effort: Effort = 0.5,
    seconds: Seconds = None,
    candidates: Candidates = None,
    seed: Seed = 0,
    steps: Steps = None,
    entropy_bound: EntropyBound = None,
    exact: Exact = False,
    together: Together = False,
    refresh: Refresh = 1,
    reading: Reading = "auto",
    as_diff: Annotated[bool, option(OUTPUT, "--diff", hidden=True)] = False,  # the default
    write: Annotated[bool, option(OUTPUT, "-w", "--write", help="Change the files.")] = False,
    interactive: Annotated[
        bool, option(OUTPUT, "-i", "--interactive", help="Show it and ask, file by file.")
    ] = False,
    whole: Annotated[bool, option(OUTPUT, "--print", help="Print the whole result.")] = False,
    span_only: Annotated[
        bool, option(OUTPUT, "--span-only", help="Print the infill only.")
    ] = False,
    as_json: Annotated[bool, option(OUTPUT, "--json", help="Print one JSON object.")] = False,
    events: Annotated[bool, option(OUTPUT, "--events", help="Print every step as JSON.")] = False,
    check: Annotated[
        bool, option(OUTPUT, "--check", help="Exit with 1 if anything would change.")
    ] = False,
    caution: Caution = CAUTION,
    accept_unsettled: AcceptUnsettled = False,
    dry_run: Annotated[
        bool, option(OUTPUT, "--dry-run", help="Tell what a model would be given; ask none.")
    ] = False,
    quiet: Annotated[
        bool, option(OUTPUT, "-q", "--quiet", help="Draw nothing; with --check, print nothing.")
    ] = False,
    color: Colored = "auto",
    model: Model = None,
    adapter: Adapter = None,
    verifier: Verifier = None,
    drafter: Drafter = None,
    device: Device = None,
    engine: Engine = "auto",
) -> int:
    """Fill holes of files and print a diff that `git apply` takes.

    \b
    a.py                        every <FILL>, or <FILL: what is wanted>
    a.py:10  :10-20  :10-  :10+5  a line; to 20; to the end; and 5 more
    a.py:10:5-12:3  ::A.run     columns, end excluded; a body, no docstring
    dgedit fill demo/inventory.py:14-15 -m "skip what is sold out" -i
    """
    from dgedit.request import run as work
    from dgedit.request.ability import not_followed, not_known, note
    from dgedit_engine.types import InfillRequest

    asked = _output(
        {
            "diff": as_diff,
            "write": write,
            "interactive": interactive,
            "print": whole,
            "span-only": span_only,
            "json": as_json,
            "events": events,
        }
    )
    _agree(asked, check=check, dry_run=dry_run, quiet=quiet)
    named = _named(targets or [], files or [], ranges or [])
    sources = work.sources_of(named, marker=marker, blanks=parsed(blank, alphabet))
    if whole and len(sources) > 1:
        raise UsageError(f"--print takes one file, not {len(sources)}")
    request = InfillRequest(
        tuple(source.passage(marker=marker) for source in sources),
        work.instruction(instruction, sources, marker=marker),
        strength=1.0 if strength is None else strength,
        effort=effort,
        seed=seed,
        steps=steps,
        entropy_bound=entropy_bound,
        candidates=candidates,
        exact=exact,
        together=together,
        refresh=refresh,
        reading=reading,
    )
    if dry_run:
        return _tell(work.places(sources), request, model, as_json=as_json)
    may_ask = asked not in ("json", "events") and not quiet
    if not waiting.agreed(model, device, engine, ask=may_ask, quiet=quiet):
        return Exit.NO
    also: dict[str, Any] = {"adapter": adapter, "verifier": verifier, "drafter": drafter}
    filler = connected(
        lambda: backend.connect(model, device, engine=engine, **also),
        ask=may_ask,
        named=model is not None or any(one is not None for one in also.values()),
    )
    for source in sources:
        if not force and (why := not_known(filler, source.document.path)):
            raise EngineError(f"{source.document.path}: {why} (--force fills it all the same)")
    for said in (note(filler), not_followed(filler) if request.instruction else ""):
        if said and not quiet:
            output.complain(said)
    if asked == "interactive":
        from dgedit.commands.interactive import ask, told

        answer = ask(sources, request, filler, color=color, seconds=seconds, caution=caution)
        if answer.edit:
            return _edit(answer, model, device, engine, **also)
        with signals.unheeded():
            work.write(answer.result, only=answer.accepted)
        output.show(told(answer), sys.stderr)
        return Exit.OK if answer.accepted else Exit.NO
    each = _print_step if asked == "events" and not (check and quiet) else None
    infill = work.run(request, filler, each=each, quiet=quiet, seconds=seconds)
    signals.look()
    result = work.Result(sources, infill)
    if asked == "write" and not accept_unsettled:
        result.refuse_doubts(caution=caution)
    if not (check and quiet):
        _give(result, asked, request, filler, color, caution=caution)
    doubted = "" if accept_unsettled else result.doubted(caution=caution)
    if doubted and not quiet:
        output.complain(f"{doubted} (--write needs --accept-unsettled to write it)")
    if check and result.changed:
        return Exit.NO
    return Exit.UNSETTLED if doubted else Exit.OK


def _output(asked: dict[Output, bool]) -> Output:
    chosen = [name for name, given in asked.items() if given]
    if len(chosen) > 1:
        raise UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other")
    return chosen[0] if chosen else "diff"


def _agree(asked: Output, *, check: bool, dry_run: bool, quiet: bool) -> None:
    """Raise UsageError for options that conflict, or that need a terminal where there is none."""
    for name, given in (("check", check), ("dry-run", dry_run)):
        if given and (asked in ("write", "interactive") or (name == "dry-run" and check)):
            other = "check" if name == "dry-run" and check else asked
            raise UsageError(f"--{name} and --{other} exclude each other")
    if dry_run and asked not in ("diff", "json"):
        raise UsageError(f"--dry-run and --{asked} exclude each other")
    if asked == "interactive":
        from dgedit.commands.interactive import needs_terminal

        if quiet:
            raise UsageError("--interactive and --quiet exclude each other")
        needs_terminal()


def _named(
    targets: Sequence[str], files: Sequence[Path], ranges: Sequence[str]
) -> list[tuple[Path, str | None]]:
    """Return the files to fill, and the range in each."""
    from dgedit.request.ranges import parse_target

    named = [*map(parse_target, targets), *((path, None) for path in files)]
    if not named:
        raise UsageError("no FILE is given (try dgedit fill --help)")
    if not ranges:
        return named
    found = {os.path.realpath(path) for path, _ in named}
    if len(found) > 1:
        raise UsageError(f"--range goes with one file, not {len(found)}")
    own = [(path, one) for path, one in named if one is not None]
    return [*own, *((named[0][0], one) for one in ranges)]


def _give(
    result: Result,
    asked: Output,
    request: InfillRequest,
    engine: Backend,
    color: Color,
    *,
    caution: float,
) -> None:
    from dgedit.request import run as work

    if asked == "write":
        with signals.unheeded():
            work.write(result)
    elif asked == "print":
        print_document(result.documents[0])
    elif asked == "span-only":
        print_text("\n".join(result.infill.texts))
    elif asked == "json":
        print_text(json.dumps(work.report(result, request, engine, caution=caution)) + "\n")
    elif asked == "diff" and output.is_colored(sys.stdout, color):
        output.show(work.diff(result, as_bytes=False), sys.stdout, paint=painted)
    elif asked == "diff":
        print_text(work.diff(result, as_bytes=not sys.stdout.isatty()))


def _edit(answer: Decision, model: str | None, device: str | None, engine: str, **also: Any) -> int:
    """Continue in the editor, with the holes masked and the current candidate under review."""
    from dgedit.tui.start import run as open_editor

    sources, request = answer.result.sources, answer.request
    return open_editor(
        [Path(str(source.document.path)) for source in sources],
        model=model,
        device=device,
        engine=engine,
        **also,
        effort=request.effort,
        seed=request.seed,
        holes=[source.spans for source in sources],
        answered=(request, answer.result.infill),
    )


def _tell(
    holes: list[dict[str, Any]], request: InfillRequest, model: str | None, *, as_json: bool
) -> int:
    from dgedit.commands.plan import plan, told
    from dgedit.commands.tokens import counter

    found = plan(holes, request, counter(model))
    print_text(json.dumps(found) + "\n" if as_json else told(found))
    return Exit.OK


def _print_step(step: Step) -> None:
    from dgedit.engines.warm.wire import step_to_json

    print_text(json.dumps(step_to_json(step)) + "\n")
