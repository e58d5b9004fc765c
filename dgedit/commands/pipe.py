"""The command `dgedit pipe`, a filter for editors: text in, filled text out.

On success, stderr stays empty where an editor would mix it into the text. On failure, the text is
printed unchanged.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dgedit import signals
from dgedit.commands import output, waiting
from dgedit.commands.options import (
    HOLES,
    OUTPUT,
    AcceptUnsettled,
    Adapter,
    Alphabet,
    Blank,
    Candidates,
    Caution,
    Device,
    Drafter,
    Effort,
    Engine,
    EntropyBound,
    Exact,
    Force,
    Grouped,
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
from dgedit.commands.output import print_document
from dgedit.engines import connect as backend
from dgedit.errors import EngineError, Exit, InputError, UsageError
from dgedit.files.document import Document
from dgedit.request.markers import MARKER, marked
from dgedit.text.blanks import parsed
from dgedit_engine.types import CAUTION

_REWRITTEN = 0.5
"""The strength for a whole text: at 1 a model would not see what it is to change."""


class Filter(Grouped):
    """A command that prints its input unchanged if its options are invalid."""

    def make_context(self, *args: Any, **settings: Any) -> Any:
        """Parse the options."""
        given = " ".join(args[1]).replace("=", " ")
        try:
            return super().make_context(*args, **settings)
        except (typer.Exit, typer.Abort):
            raise
        except Exception:
            if "--on-error fail" not in given and not sys.stdin.isatty():
                with _given_back(_stdin(), "echo"):
                    raise
            raise


def pipe(
    ranges: Ranges = None,
    marker: Marker = MARKER,
    blank: Blank = None,
    alphabet: Alphabet = "",
    stdin_filename: Annotated[
        Path | None, option(HOLES, metavar="FILE", help="What the text is called, as context.")
    ] = None,
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
    on_error: Annotated[
        Literal["echo", "fail"],
        option(OUTPUT, metavar="WHAT", help="Give the text back (echo), or nothing (fail)."),
    ] = "echo",
    caution: Caution = CAUTION,
    accept_unsettled: AcceptUnsettled = False,
    quiet: Annotated[bool, option(OUTPUT, "-q", "--quiet", help="Draw nothing.")] = False,
    model: Model = None,
    adapter: Adapter = None,
    verifier: Verifier = None,
    drafter: Drafter = None,
    device: Device = None,
    engine: Engine = "auto",
) -> int:
    """Copy stdin to stdout, filled: every <FILL>, or the ranges.

    Without either, and with an instruction, all of the text is rewritten from what it is, at
    strength 0.5; the blanks around it stay. What fails gives the text back as it was.

    \b
    vim      :'<,'>!dgedit pipe -m "use pathlib"
    helix    |dgedit pipe -m "use pathlib"
    kakoune  |dgedit pipe -m "use pathlib"
    """
    from dgedit.request import run as work
    from dgedit.request.ability import not_followed, not_known, not_rewritten, note
    from dgedit.request.ranges import all_of
    from dgedit_engine.types import InfillRequest

    data = _stdin()
    with _given_back(data, on_error):
        named = next((one for one in ranges or () if one.startswith(":")), None)
        if named and stdin_filename is None:
            raise UsageError(f"--range {named} needs --stdin-filename, which tells the language")
        document = Document.from_bytes(data, stdin_filename)
        blanks = parsed(blank, alphabet)
        named_holes = ranges or marked(document.text, marker)
        rewritten = bool(instruction) and not named_holes and blanks is None
        source = (
            work.Source(document, (all_of(document.text),))
            if rewritten
            else work.Source.of(document, ranges or [None], marker=marker, blanks=blanks)
        )
        if strength is None:
            strength = _REWRITTEN if rewritten else 1.0
        request = InfillRequest(
            (source.passage(marker=marker),),
            work.instruction(instruction, [source], marker=marker),
            strength=strength,
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
        waiting.agreed(model, device, engine, quiet=quiet)
        also: dict[str, Any] = {"adapter": adapter, "verifier": verifier, "drafter": drafter}
        filler = backend.connect(model, device, engine=engine, **also)
        if not force and (why := not_known(filler, stdin_filename)):
            raise EngineError(f"{stdin_filename}: {why} (--force fills it all the same)")
        if rewritten and (why := not_rewritten(filler)):
            raise EngineError(f"{why}; --range or {marker} says what to fill")
        for said in (note(filler), not_followed(filler) if request.instruction else ""):
            if said and not quiet and not output.is_taken_for_text():
                output.complain(said)
        infill = work.run(request, filler, quiet=quiet, seconds=seconds)
        signals.look()
        result = work.Result((source,), infill)
        if not accept_unsettled:
            result.refuse_doubts(caution=caution)
        result.documents[0].encode()  # raises now for text that cannot be stored
    print_document(result.documents[0])
    return Exit.OK


def _stdin() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise InputError(f"cannot read standard input: {error.strerror}") from None


@contextmanager
def _given_back(data: bytes, on_error: str) -> Iterator[None]:
    """Print the data if anything fails, so that an editor does not lose its text."""
    try:
        yield
    except BaseException:
        if on_error == "echo" and not sys.stdout.isatty():
            output.give_back(data)
        raise
