"""Offer models where there is none yet: the best that fits this machine, and nano as the small one.

Asks on a terminal alone; a script gets the error that it got before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from dgedit import config as settings
from dgedit.commands import nano as fetching
from dgedit.commands.nano import SIZE
from dgedit.commands.output import complain
from dgedit.models import known, nano, store
from dgedit.models.known import KnownModel
from dgedit.models.names import OURS
from dgedit.models.sizes import Bits
from dgedit_engine.types import Backend

_GB = 1e9
_NANO = f"nano: {SIZE}, licence Gemma terms; 47% of single lines pass (our runs of 100 lines)"


def connected(connect: Callable[[], Backend], *, ask: bool = True, named: bool = False) -> Backend:
    """Connect to an engine. If nano's base is missing and there is a terminal to ask on, offer to
    fetch it first, or another model unless nano was `named`.
    """
    try:
        return connect()
    except nano.NoBase as error:
        if not (ask and sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        if not _offered(error, nano_alone=named):
            raise
    return connect()


def _offered(error: nano.NoBase, *, nano_alone: bool) -> bool:
    """Offer to fetch a model and make it the default, nano or the best that fits; with
    `nano_alone`, or where another was chosen or is there, nano alone. Returns whether one came.
    """
    best = None if nano_alone or _chosen() else _best()
    if best is None:
        what, _, _ = str(error).partition(": ")
        if not typer.confirm(f"{what}. Fetch it now ({SIZE})?", default=True, err=True):
            return False
        fetching.fetch()
        return True
    one, bits = best
    kept = f", kept in {bits}: {_taken(one, bits)} of memory" if bits else ""
    score = f"{one.score:g}% of single lines pass ({one.source})"
    complain("no model is here yet; these fit this machine (HumanEval-Infilling's single lines):")
    typer.echo(f"  1  {_NANO}", err=True)
    typer.echo(f"  2  {one.name}: {one.size:g} GB{kept}, licence {one.licence}; {score}", err=True)
    answer = ""
    while answer not in ("1", "2", "n"):
        asked = "Which is fetched (1, 2, or n for none)?"
        answer = typer.prompt(asked, default="1", err=True).strip().lower()[:1]
    if answer == "1":
        fetching.fetch()
    elif answer == "2":
        from dgedit.commands.pull import fetched

        store.choose(fetched(one.name, quant=bits, say=complain))
    return answer != "n"


def _chosen() -> bool:
    """Say whether a model was chosen, or others are there to choose from."""
    return bool(settings.current().model) or len(store.entries()) > len(OURS)


def _best() -> tuple[KnownModel, Bits | None] | None:
    """Return the best model that fits what is free, and the bits that it must have for that; None
    where nothing fits, or nobody knows what is free.
    """
    with store.engine():
        from dgedit_engine.memory.devices import device_of, free_bytes

        place = device_of(None)
        free = free_bytes(place)
    found = known.fitting(free / _GB, gpu=place.type == "cuda") if free < sys.maxsize else []
    if not found:
        return None
    bits = found[0].bits(free / _GB)
    return found[0], None if bits is None or bits == "whole" else bits


def _taken(one: KnownModel, bits: Bits) -> str:
    return f"{one.memory4 if bits == 'int4' else one.memory8:g} GB"
