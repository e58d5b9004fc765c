"""The command line: what is asked for, in options; what went wrong, in one line and an exit code.

Imports what a command needs when it runs: `dgedit --help` loads neither the engine nor the editor.
Data goes to stdout and is exact, unless stdout is a terminal, where it is made visible; everything
else goes to stderr, which stays empty when all went well and nobody looks.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperGroup

import dgedit
from dgedit import backend, model_commands
from dgedit.document import Document, readable
from dgedit.errors import DgeditError, Exit, InputError, UsageError
from dgedit.evaluate import evaluate
from dgedit.holes import MARKER
from dgedit.measure import bench
from dgedit.visible import visible

if TYPE_CHECKING:
    from dgedit_engine.types import Infill, Step

Output = Literal["diff", "write", "print", "span-only", "json", "events"]

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

# What ends the program.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Group(TyperGroup):
    """Makes `dgedit FILE…` mean `dgedit edit FILE…`, and `dgedit` alone `dgedit --help`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args:
            args = ["--help"]
        elif args[0] not in {*self.commands, "--help", "-h", "--version"}:
            args = ["edit", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Group,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    subcommand_metavar="FILE... | COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> NoReturn:
    """The entry point."""
    _open_streams()
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _Ended())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # a filter's stderr must stay empty
    code = run(sys.argv[1:])
    if threading.active_count() > 1:  # an engine that is still being opened, and nobody waits for
        os._exit(code)
    sys.exit(code)


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit code; what goes wrong is one line on stderr."""
    try:
        code = _invoke(args)
        sys.stdout.flush()
        return code
    except DgeditError as error:
        return _say(str(error), error.exit)
    except typer.TyperException as error:
        return _say(f"{error.format_message()} (try dgedit --help)", Exit.USAGE)
    except ValueError as error:
        return _say(str(error), Exit.USAGE)
    except SystemExit as ended:  # by a signal
        return int(ended.code or 0)
    except (KeyboardInterrupt, typer.Abort):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return Exit.PIPE
    except OSError as error:  # a file's are InputErrors by now: this is stdout's
        _drop_output()
        return _say(f"cannot write the output: {error.strerror or error}", Exit.INPUT)
    except Exception as error:
        if os.environ.get("DGEDIT_DEBUG"):
            raise
        kind = type(error).__name__
        return _say(f"{kind}: {error} (DGEDIT_DEBUG=1 tells where; please report it)", Exit.BUG)


@app.callback(invoke_without_command=True)
def top(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """A terminal editor in which a diffusion language model fills the spans you mask.

    `dgedit FILE...` opens the editor. A file named like a command is opened as `./fill`.
    """
    if version:
        print(f"dgedit {dgedit.__version__}")
        raise typer.Exit


@app.command()
def edit(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Files, or a folder.")],
    model: Model = None,
    device: Device = None,
    effort: Effort = 0.5,
    seed: Seed = 0,
    read_only: Annotated[bool, typer.Option("--read-only", help="Only look.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Open binary and large files.")] = False,
) -> int:
    """Open files in the editor, or a folder with its files. The same as dgedit FILE...

    A - stands for standard input: the text is edited, and printed at the end.
    F1 in the editor shows all keys. They, the theme and more are set in
    $XDG_CONFIG_HOME/dgedit/config.toml (~/.config/dgedit/config.toml).
    """
    pipes = Path("-") in files
    streams = [sys.stderr] if pipes else [sys.stdin, sys.stdout, sys.stderr]  # drawn on the last
    if not all(stream.isatty() for stream in streams):
        raise UsageError("the editor needs a terminal; elsewhere, dgedit fill and dgedit pipe work")
    from dgedit.tui.app import run as open_editor
    from dgedit.tui.piping import read_stdin
    from dgedit_engine.types import Hole, InfillRequest, Passage

    InfillRequest((Passage("", (Hole(),)),), effort=effort, seed=seed)  # says now what is wrong
    return open_editor(
        files,
        model=model,
        device=device,
        effort=effort,
        seed=seed,
        read_only=read_only,
        force=force,
        piped=read_stdin(force=force) if pipes else None,
        give=_print_document,
    )


@app.command()
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
    lines and columns, the end excluded. FILE alone names every <FILL> in it.
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
        readable(instruction),
        strength=strength,
        effort=effort,
        seed=seed,
        steps=steps,
        entropy_bound=entropy_bound,
        candidates=candidates,
    )
    engine = backend.connect(model, device)
    infill = work.run(request, engine, each=_print_step if events else None)
    _heed_signals()
    result = work.Result(sources, infill)
    if output == "write":
        with _unheeding():
            work.write(result)
    elif output == "print":
        _print_document(result.documents[0])
    elif output == "span-only":
        _print("\n".join(infill.texts))
    elif output == "json":
        _print(json.dumps(work.report(result, request, engine)) + "\n")
    elif output == "diff":
        _print(work.diff(result, as_bytes=not sys.stdout.isatty()))
    return Exit.NO if check and result.changed else _exit_of(infill)


@app.command()
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
        readable(instruction),
        strength=strength,
        effort=effort,
        seed=seed,
        steps=steps,
        entropy_bound=entropy_bound,
        candidates=candidates,
    )
    infill = work.run(request, backend.connect(model, device))
    _heed_signals()
    _print_document(work.Result((source,), infill).documents[0])
    return _exit_of(infill)


app.command("eval")(evaluate)
app.command()(bench)
app.add_typer(model_commands.app, name="model")


def _invoke(args: Sequence[str]) -> int:
    """What typer's own entry does, without its handling of errors, which says too much."""
    try:
        with typer.main.get_command(app).make_context("dgedit", list(args)) as context:
            return int(context.command.invoke(context) or Exit.OK)
    except typer.Exit as done:
        return done.exit_code


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

    _print(json.dumps(step_to_json(step)) + "\n")


def _print_document(document: Document) -> None:
    _print(document.text, document.encode())


def _print(text: str, data: bytes | None = None) -> None:
    """On a terminal the text, made visible and on lines of its own; elsewhere the bytes, exact."""
    if sys.stdout.isatty():
        end = "" if not text or text.endswith("\n") else "\n"
        encoding = sys.stdout.encoding or "utf-8"
        shown = visible(text, keep="\n\t").encode(encoding, "backslashreplace").decode(encoding)
        print(shown, end=end, flush=True)
    else:
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") if data is None else data)
        sys.stdout.flush()


def _say(message: str, code: Exit) -> int:
    with contextlib.suppress(OSError):  # nobody to tell
        print(f"dgedit: {visible(' '.join(message.split()))}", file=sys.stderr)
    return code


def _drop_output() -> None:
    """Point stdout at nothing, or Python would try once more at exit, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_streams() -> None:
    """Open those standard streams that we were not given, or a file of ours would take their place.

    Each the wrong way around, so that its use fails; but what is said on stderr is lost.
    """
    modes = (("stdin", "r", os.O_WRONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_RDWR))
    for name, mode, flags in modes:
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode))


class _Ended:
    """Ends the program at a signal, and remembers that it did: an import may swallow an exit."""

    code: int | None = None

    def __call__(self, signum: int, frame: FrameType | None) -> NoReturn:
        self.code = 128 + signum
        sys.exit(self.code)


def _heed_signals() -> None:
    """End now if a signal has come and was swallowed."""
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if isinstance(handler, _Ended) and handler.code is not None:
            sys.exit(handler.code)


@contextlib.contextmanager
def _unheeding() -> Iterator[None]:
    """Ignore signals for the moment that a write takes: it is whole, or it has not begun."""
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
