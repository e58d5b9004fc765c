"""The command `dgedit model warm`: compile a model's kernels before it is first used."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from dgedit.commands.bar import follow
from dgedit.commands.options import Device
from dgedit.commands.output import complain, print_text
from dgedit.models import store
from dgedit.text.visible import visible


class CardTarget(StrEnum):
    """A card, by its compute capability."""

    A100 = "80"
    RTX_4090 = "89"
    H100 = "90"
    RTX_5090 = "120"


def warm(
    model: Annotated[str, typer.Argument(metavar="NAME", help="A name, or a path.")],
    device: Device = None,
    target: Annotated[
        CardTarget | None,
        typer.Option(help="Compute capability of a card that is not here: A100, 4090, H100, 5090."),
    ] = None,
) -> None:
    """Compile the kernels of a model for this machine's GPU, which its first fill would do: that
    stalls one to three minutes. Reads no weight. What is compiled stays in Triton's cache.
    """
    path = store.path_of(model)
    with store.engine():
        from dgedit_engine.warming.compiling import compile_all, folder
        from dgedit_engine.warming.prepare import wanted

        found = wanted(path, device=device, target=None if target is None else int(target.value))
        failed: list[str] = []
        steps = compile_all(found.launches, found.target, failed=failed)
        follow(steps, f"compiling {model}", counted=True)
    count, where = len(found.launches) - len(failed), f"kept in {folder()}"
    print_text(visible(f"{model}: {count} kernels for sm_{found.target}, {where}") + "\n")
    if failed:
        names = ", ".join(sorted(set(failed)))
        complain(f"{len(failed)} did not compile, and are tried again when used: {names}")


def offer(model: str) -> None:
    """Offer to compile a new model's kernels, if a GPU is here: ask on a terminal, else say how."""
    with store.engine():
        from dgedit_engine.warming.prepare import refusal

        if refusal():
            return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        complain(f"dgedit model warm {model} compiles its kernels; the first fill would")
        return
    asked = "Compile its kernels now, one to three minutes? The first fill would"
    if typer.confirm(asked, default=True, err=True):
        warm(model)
