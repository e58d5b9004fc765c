"""`dgedit engine`: manage the processes that keep models open between commands.

Commands start one when they need it; this is for users who want to see or stop them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgedit import config
from dgedit.commands import output
from dgedit.commands.coercion import Group, Quick
from dgedit.commands.options import Adapter, Device, Model, known_device
from dgedit.errors import EngineError, UsageError
from dgedit.files.disk import in_units
from dgedit.models import store
from dgedit.models.second import drafter_of, verifier_of
from dgedit.text.visible import visible

if TYPE_CHECKING:
    from dgedit.engines.warm.client import Message
    from dgedit.engines.warm.sockets import EngineKey

app = typer.Typer(
    cls=Group,
    help="Keep a model open between the commands that use it.",
    rich_markup_mode=None,
)

_UNITS = ((3600, "h"), (60, "min"), (1, "s"))


@app.command(cls=Quick)
def start(model: Model = None, adapter: Adapter = None, device: Device = None) -> None:
    """Start an engine and wait until its model is open.

    One that runs already is left as it is. Commands that fill start theirs themselves. It ends when
    nobody has asked for 15 minutes: dgedit config set idle MINUTES.

    Example: dgedit engine start --model nano
    """
    from dgedit.engines.warm import client

    also = store.adapter_of(adapter, model), verifier_of(None, model), drafter_of(None, model)
    opened = client.Daemon.open(store.resolve(model), _device(device), *also)
    if said := client.status(opened.place.socket):
        output.print_text(_line(said))


@app.command(cls=Quick)
def stop(model: Model = None, adapter: Adapter = None, device: Device = None) -> None:
    """End the engine of one model, or all of them.

    At once, whatever they are at.

    Example: dgedit engine stop
    """
    from dgedit.engines.warm import client, sockets

    one = any(given is not None for given in (model, adapter, device))
    for path in [_place(model, adapter, device).socket] if one else sockets.present():
        if pid := client.stop(path):
            output.print_text(f"stopped {pid}\n")


@app.command(cls=Quick)
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """Print one line for each engine that runs.

    Example: dgedit engine status --json
    """
    from dgedit.engines.warm import client

    found = client.statuses()
    if as_json:
        output.print_text(json.dumps(found) + "\n")
    else:
        output.print_text("".join(map(_line, found)) or "no engine runs\n")


@app.command(cls=Quick)
def run(
    model: Model = None,
    adapter: Adapter = None,
    device: Device = None,
    idle: Annotated[
        float | None, typer.Option(metavar="MINUTES", min=0.1, help="End when unasked for so long.")
    ] = None,
    http: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Serve other programs over HTTP.")
    ] = None,
) -> int:
    """Be an engine in the foreground, or offer one by HTTP.

    The log goes to stderr. With --http, editors that complete code find /v1/completions with a
    suffix and /infill there.

    Example: dgedit engine run --http 127.0.0.1:8012
    """
    from dgedit.engines.warm import client, server, sockets

    if http is not None:
        return _serve_http(http, model, adapter, device)
    place = _place(model, adapter, device)
    path = place.socket
    with client.locked(path):
        if found := client.status(path):
            raise EngineError(f"the engine {found['pid']} runs already: dgedit engine stop ends it")
        listener = sockets.listen(path)
    server.log_to_stderr()
    minutes = config.current().idle if idle is None else idle
    with contextlib.closing(listener):
        return server.serve(listener, path, place, idle=60 * minutes)


def _serve_http(address: str, model: str | None, adapter: Path | None, device: str | None) -> int:
    host, _, port = address.rpartition(":")
    if not host or not re.fullmatch(r"\d{1,5}", port, re.ASCII) or int(port) > 65535:
        raise UsageError(f"--http takes HOST:PORT, not {address}")
    from dgedit.commands import tokens
    from dgedit.engines.connect import connect
    from dgedit.engines.http.server import HttpServing
    from dgedit.engines.warm import server

    server.log_to_stderr()
    http = HttpServing(
        lambda: connect(model, _device(device), "auto", adapter),
        host.strip("[]"),
        int(port),
        token=os.environ.get("DGEDIT_HTTP_TOKEN"),
        effort=config.current().effort,
        count=tokens.counter(model),
    )
    http.run()
    return 0


def _place(model: str | None, adapter: Path | None, device: str | None) -> EngineKey:
    from dgedit.engines.warm.sockets import EngineKey

    also = store.adapter_of(adapter, model), verifier_of(None, model), drafter_of(None, model)
    return EngineKey.of(store.resolve(model), _device(device), *also)


def _device(device: str | None) -> str | None:
    """Return the device asked for, or else the settings', as the commands that fill do."""
    return (known_device(config.current().device) if device is None else device) or None


def _line(said: Message) -> str:
    """Format a status: nano  cpu  pid 123  up 4 min  12 requests  431.2 MB  idle 20 s"""
    state = f"idle {_time(said['idle'])}" if said["state"] == "ready" else said["state"]
    parts = [
        visible(said["name"]),
        said["device"] or "-",
        f"pid {said['pid']}",
        f"up {_time(said['seconds'])}",
        f"{said['requests']} requests",
        in_units(said["memory"]),
        state,
    ]
    return "  ".join(parts) + "\n"


def _time(seconds: float) -> str:
    """Format seconds in the largest unit of which there is at least one."""
    size, unit = next((one for one in _UNITS if seconds >= one[0]), _UNITS[-1])
    return f"{seconds / size:.0f} {unit}"
