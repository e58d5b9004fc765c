"""Serve an editor over this process's standard input and output."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

from dgedit.lsp.server import LspServer
from dgedit.protocol.rpc import Peer


def serve(
    *, model: str | None = None, device: str | None = None, adapter: Path | None = None
) -> int:
    """Serve the editor that started this process; return the exit code."""
    with _streams() as (incoming, outgoing):
        peer = Peer(incoming, outgoing)
        server = LspServer(peer, model=model, device=device, adapter=adapter, follow=_end_with)
        return server.run()


def main() -> NoReturn:
    """Serve, and end the process at once, whatever is under way."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    os._exit(serve())


@contextlib.contextmanager
def _streams() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open standard input and output for the protocol alone: whatever else reads finds nothing, and
    whatever else is printed goes to stderr.
    """
    while (nothing := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # it stands in for a standard stream that is missing
    incoming, outgoing = os.dup(0), os.dup(1)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    with open(incoming, "rb") as reading, open(outgoing, "wb", buffering=0) as writing:
        yield reading, writing


def _end_with(pid: int) -> None:
    """End this process when the editor's has ended, even if it has left our input open."""
    try:
        ends = os.pidfd_open(pid)
    except (OSError, OverflowError, AttributeError):  # not of this machine, or not Linux
        return
    select.select([ends], [], [])
    os._exit(1)
