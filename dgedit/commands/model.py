"""The commands `dgedit model …`: fetch, list, describe, choose, quantise and remove models.

Prints results on stdout and progress on stderr, if that is a terminal. Knows the options; `store`
knows the names, `hub` the hub, the engine what is in a model.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dgedit import config as settings
from dgedit.commands import description
from dgedit.commands import warm as warming
from dgedit.commands.bar import follow
from dgedit.commands.coercion import Group, Quick
from dgedit.commands.options import Device, Keys
from dgedit.commands.output import print_text
from dgedit.commands.pull import pull, summary
from dgedit.errors import EngineError, Exit, UsageError
from dgedit.files.disk import in_units
from dgedit.models import nano, sizes, store
from dgedit.models.names import NANO
from dgedit.models.needs import needs
from dgedit.text.visible import visible

if TYPE_CHECKING:
    from dgedit.models.store import ListedModel

app = typer.Typer(
    cls=Group,
    help="""Fetch, list, describe, choose, quantise and remove models.

    A model's name is nano (the default), sudoku, graph, protein (of one domain each) or tiny (for
    tests), which are embedded, a path, or a name in the models folder.
    """,
    rich_markup_mode=None,
)


class Experts(StrEnum):
    """The number format for the experts' weights."""

    E2M1 = "e2m1"
    INT4 = "int4"
    E4M3 = "e4m3"


class Rest(StrEnum):
    """The number format for the other matrices."""

    INT8 = "int8"
    E4M3 = "e4m3"
    INT4 = "int4"
    NONE = "none"


_KINDS: dict[Rest, Literal["int8", "e4m3", "int4"] | None] = {
    Rest.INT8: "int8",
    Rest.E4M3: "e4m3",
    Rest.INT4: "int4",
    Rest.NONE: None,
}


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


app.command("pull", cls=Quick)(pull)


@app.command("list", cls=Quick)
def list_(
    available: Annotated[
        bool, typer.Option("--available", help="List published models that pull knows.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the models that have names, with what they take of a GPU. * marks the default."""
    if available:
        from dgedit.commands import available as table

        print_text(table.as_json() if as_json else "\n".join(table.lines()) + "\n")
        return
    found = store.entries()
    if as_json:
        print_text(json.dumps([_entry(one) for one in found]) + "\n")
        return
    rows = [("", "NAME", "FORMAT", "SIZE", "PARAMETERS", "ON A GPU")]
    for one in found:
        what, mark = one.facts, "*" if one.default else " "
        columns = (what.format, sizes.in_words(what.parameters)) if what else ("-", "-")
        planned = str(needs(one.path) or "-") if what else "-"
        rows.append((mark, one.name, columns[0], in_units(one.bytes), columns[1], planned))
    widths = [max(len(visible(row[index])) for row in rows) for index in range(6)]
    for row, entry in zip(rows, [None, *found], strict=True):
        cells = (f"{visible(cell):{width}}" for cell, width in zip(row, widths, strict=True))
        error = f"  {entry.error}" if entry and entry.error else ""
        _say("  ".join(cells).rstrip() + error)


@app.command(cls=Quick)
def info(
    model: Annotated[str, typer.Argument(metavar="NAME", help="A name, or a path.")],
    context: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Tokens that memory is told for.")
    ] = None,
    kv: Annotated[Keys, typer.Option(help="How keys and values are kept.")] = Keys.BF16,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Describe a model: its shape, its files, the memory it needs. Reads no weight."""
    path = store.path_of(model)
    found = store.facts(path)
    limit = found.config.context
    if context is not None and context > limit:
        raise UsageError(f"{model} has a context of {limit}, not {context}")
    said = description.described(path, found) | description.memory(path, found, context, kv, device)
    if as_json:
        print_text(json.dumps({"name": model, "path": str(path.resolve())} | said) + "\n")
        return
    for key, value in description.rows(said):
        _say(f"{key:11} {value}")


@app.command(cls=Quick)
def use(
    name: Annotated[str, typer.Argument(help="A name in the models folder; nano, tiny.")],
) -> None:
    """Choose the model that is taken where none is named."""
    store.choose(name)
    _say(f"{name} is the default")
    said = [layer for layer in settings.layers() if "model" in layer.values]
    if said and said[-1].values["model"] != name:
        _say(f"but {said[-1].where} goes first: {said[-1].values['model']}")
    if name == NANO:
        _warn_of_base()


app.command("warm", cls=Quick)(warming.warm)


@app.command(cls=Quick)
def quantize(
    source: Annotated[str, typer.Argument(help="A model's name, or a path.")],
    name: Annotated[str, typer.Argument(help="What to call the new one; a path, with a slash.")],
    experts: Annotated[Experts, typer.Option(help="What the experts become.")] = Experts.E2M1,
    rest: Annotated[Rest, typer.Option(help="What the other matrices become.")] = Rest.NONE,
    device: Device = None,
) -> None:
    """Write a model anew, its weights in fewer bits."""
    path, target = store.path_of(source), Path(name) if "/" in name else store.placed(name)
    if os.path.lexists(target):
        raise EngineError(f"{target} is there already")
    kind = _KINDS[rest]
    config = store.shape(path)
    if not config.experts and kind is None:
        raise UsageError(f"{source} has no experts: --rest says what its matrices become")
    store.check_room(target, sizes.quantised_bytes(config, experts=experts.value, rest=kind))
    with store.engine():
        from dgedit_engine.memory.devices import device_of
        from dgedit_engine.weights.quantize import quantize

        place = device_of(device)
        steps = quantize(path, target, experts=experts.value, rest=kind, device=place)
        follow(steps, f"quantising {source}")
    _say(f"{name}: {summary(store.facts(target))}")


@app.command(cls=Quick)
def rm(
    name: Annotated[str, typer.Argument(help="A name in the models folder.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Remove a model from the models folder, or what a stopped pull left of it.

    Of nano, what was fetched or made of it; packages stay.
    """
    if name == NANO:
        return _remove_nano(yes=yes)
    place = store.findable(name)
    if not (yes or _agreed(name, str(place))):
        return Exit.NO
    if store.remove(name):
        _say("it was the default, which is nano now")
    return Exit.OK


def _warn_of_base() -> None:
    try:
        nano.check()
    except nano.NoBase as error:
        _say(f"but {error}")


def _remove_nano(*, yes: bool) -> int:
    kept = nano.kept()
    if not kept:
        raise EngineError("nothing of nano was fetched or made here; pip uninstalls its packages")
    if not (yes or _agreed(NANO, ", ".join(map(str, kept)))):
        return Exit.NO
    nano.remove()
    return Exit.OK


def _agreed(name: str, what: str) -> bool:
    """Ask for consent to a removal. Raises UsageError if there is no terminal to ask on."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"rm asks before it removes {name}; where it cannot, it needs --yes")
    return typer.confirm(f"Remove {visible(what)}?", err=True)


def _entry(one: ListedModel) -> dict[str, Any]:
    what = one.facts
    planned = needs(one.path) if what else None
    return {
        "name": one.name,
        "path": str(one.path),
        "format": what.format if what else None,
        "bytes": one.bytes,
        "parameters": what.parameters if what else None,
        "gpu_memory": None if planned is None else asdict(planned),
        "default": one.default,
        "error": one.error,
    }


def _say(line: str) -> None:
    """Print a line for people."""
    print_text(visible(line) + "\n")
