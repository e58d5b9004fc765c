"""The command line: parse options, run the command, report errors in one line and an exit code.

A command's modules are imported when it runs: `dgedit --help` loads neither engine nor editor.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
import threading
import warnings
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.completion import shell_complete

import dgedit
from dgedit import config, signals
from dgedit.commands import config as config_commands
from dgedit.commands import engine as engine_commands
from dgedit.commands import fill as fill_commands
from dgedit.commands import misuse, output
from dgedit.commands import model as model_commands
from dgedit.commands import pipe as pipe_command
from dgedit.commands.coercion import Group, Quick, plainly
from dgedit.commands.doctor import doctor
from dgedit.commands.evaluate import evaluate
from dgedit.commands.lsp import lsp
from dgedit.commands.measure import bench
from dgedit.commands.options import Adapter, Device, Effort, Engine, Grouped, Model, Seed
from dgedit.commands.tune import tune
from dgedit.commands.watch import watch
from dgedit.errors import DgeditError, Exit, UsageError
from dgedit.files.paths import GONE, WorkingFolder
from dgedit.loading import loading

_COMPLETE = "_DGEDIT_COMPLETE"
"""The variable by which a shell asks for completions."""
_NEAR = 0.8
"""The similarity (difflib's ratio) from which a word counts as a mistyped command."""
_OWN = {"--help", "-h", "--version", "--install-completion", "--show-completion"}


class _Group(Group):
    """Make `dgedit FILE…` mean `dgedit edit FILE…`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*_named(app), *_OWN}:
            _refuse_typo(args[0])
            args = ["edit", *args]
        plainly(self.get_params(ctx))
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Group,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    subcommand_metavar="FILE... | COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> NoReturn:
    """Run the program and exit."""
    output.open_streams()
    signals.heed()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # stderr must stay empty when used as a filter
    code = run(sys.argv[1:])
    # Do not wait for an engine that is still being opened, or for torch's exit, which takes 0.5 s.
    if threading.active_count() > 1 or "torch" in sys.modules:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # the reader has closed it
                stream.flush()
        os._exit(code)
    sys.exit(code)


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit code; an error is reported in one line on stderr."""
    try:
        return _invoke(args)
    except DgeditError as error:
        return _say(str(error), error.exit)
    except typer.TyperException as error:
        return _say(misuse.words(error), Exit.USAGE)
    except ValueError as error:
        return _say(str(error), Exit.USAGE)
    except SystemExit as ended:  # raised by a signal's handler
        return int(ended.code or 0)
    except (KeyboardInterrupt, typer.Abort):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        return Exit.PIPE
    except OSError as error:
        return _say(_of_system(error), Exit.INPUT)
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
        output.print_text(f"dgedit {dgedit.__version__}\n")
        raise typer.Exit


@app.command(cls=Quick)
def edit(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Files, or a folder.")],
    model: Model = None,
    adapter: Adapter = None,
    device: Device = None,
    engine: Engine = "auto",
    effort: Effort = 0.5,
    seed: Seed = 0,
    read_only: Annotated[bool, typer.Option("--read-only", help="Only look.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Open binary and large files.")] = False,
) -> int:
    """Open files in the editor, or a folder with its files. The same as dgedit FILE...

    FILE:10 is opened at line 10, FILE:10:5 at its column 5; FILE:10-20 and FILE::NAME select
    what dgedit fill would fill; +10 FILE is as in vi. A file that is not there is a new one.
    A - stands for standard input: the text is edited, and printed at the end.
    F1 in the editor shows all keys. They, the theme and more are set in
    $XDG_CONFIG_HOME/dgedit/config.toml (~/.config/dgedit/config.toml).
    """
    pipes = Path("-") in files
    streams = [sys.stderr] if pipes else [sys.stdin, sys.stdout, sys.stderr]  # drawn on the last
    drawn_elsewhere = "TEXTUAL_DRIVER" in os.environ  # in a browser, by textual-serve
    if not drawn_elsewhere and not all(stream.isatty() for stream in streams):
        raise UsageError("the editor needs a terminal; elsewhere, dgedit fill and dgedit pipe work")
    with loading():
        from dgedit.request.ranges import to_open
        from dgedit.tui.start import run as open_editor
        from dgedit.tui.workspace.stdin import read_stdin
        from dgedit_engine.types import Hole, InfillRequest, Passage

    InfillRequest((Passage("", (Hole(),)),), effort=effort, seed=seed)  # raises now if invalid
    places = dict(to_open([*map(str, files)]))
    return open_editor(
        [*places],
        model=model,
        adapter=adapter,
        device=device,
        engine=engine,
        effort=effort,
        seed=seed,
        read_only=read_only,
        force=force,
        piped=read_stdin(force=force) if pipes else None,
        give=output.print_document,
        places=places,
    )


app.command(cls=Grouped)(fill_commands.fill)
app.command(cls=pipe_command.Filter)(pipe_command.pipe)
app.command(cls=Grouped)(watch)
app.command(cls=Quick)(lsp)
app.command(cls=Quick)(doctor)
app.command("eval", cls=Quick)(evaluate)
app.command(cls=Quick)(bench)
app.command(cls=Quick)(tune)
app.add_typer(model_commands.app, name="model")
app.add_typer(config_commands.app, name="config")
app.add_typer(engine_commands.app, name="engine")


def _invoke(args: Sequence[str]) -> int:
    """Run a command as typer's own entry point does, without its verbose handling of errors."""
    wants_help = {"-h", "--help"} & set(args)
    defaults = None if wants_help else _FromSettings()
    command = typer.main.get_command(_needed(args))
    if asked := os.environ.get(_COMPLETE):
        return shell_complete(command, {}, "dgedit", _COMPLETE, asked)
    try:
        with command.make_context("dgedit", list(args), default_map=defaults) as context:
            return int(context.command.invoke(context) or Exit.OK)
    except typer.Exit as done:
        return done.exit_code


def _needed(args: Sequence[str]) -> typer.Typer:
    """Return an app with only the command asked for, or all if none is: to build all
    takes 20 ms.
    """
    if not args or args[0].startswith("-") or _COMPLETE in os.environ:
        return app
    names, needed = _named(app), copy(app)
    one = names[args[0] if args[0] in names else "edit"]
    needed.registered_commands = [one] if one in app.registered_commands else []
    needed.registered_groups = [one] if one in app.registered_groups else []
    return needed


def _named(app: typer.Typer) -> dict[str, Any]:
    """Return an app's commands and groups by name."""
    found: list[Any] = [*app.registered_commands, *app.registered_groups]
    return {one.name or one.callback.__name__: one for one in found}


def _refuse_typo(word: str) -> None:
    """Raise UsageError for a word that is nearly a command and not a file, rather than open an
    empty file. Words with other characters than letters, as `config.py`, do not count.
    """
    near = difflib.get_close_matches(word, _named(app), n=1, cutoff=_NEAR)
    if near and word.isalpha() and not os.path.lexists(word):
        advice = f"did you mean {near[0]!r}? ./{word} makes the file"
        raise UsageError(f"no command and no file {word!r}; {advice}")


class _FromSettings(dict[str, Any]):
    """The settings as defaults of the options of editing commands, read when one runs."""

    def get(self, command: str, default: Any = None) -> Any:
        if command not in ("edit", "fill", "pipe", "watch"):
            return default
        settings = config.current()
        names = ("device", "engine", "effort", "caution", "color")
        given = {name: getattr(settings, name) for name in names}
        return {name: value for name, value in given.items() if value != ""}


def _of_system(error: OSError) -> str:
    """Return the system's message for an error, with the file's name."""
    nameless = error.filename is None and isinstance(error, FileNotFoundError)
    if nameless and WorkingFolder.now().path is None:
        return GONE
    return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")


def _say(message: str, code: Exit) -> int:
    output.complain(message)
    return code
