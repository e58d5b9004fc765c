"""A shell command that is given bytes, and what it prints.

It runs in a process group of its own, which ends with it: when it takes too long, prints too much
or is cancelled. Knows bytes; nothing of texts or screens.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path

from dgedit.errors import InputError
from dgedit.files import disk

_CHUNK = 65_536
_WORDS = 300  # characters of what it says went wrong


async def piped(command: str, data: bytes, folder: Path, *, patience: float, most: int) -> bytes:
    """Return what a command prints that reads the data. Raises InputError when it fails, takes more
    than so many seconds or prints more than so many bytes.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", command),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            cwd=folder,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL
        raise InputError(f"the command cannot be run: {disk.reason(error)}") from None
    try:
        async with asyncio.timeout(patience):
            _, out, said = await asyncio.gather(
                _feed(process, data), _read(process.stdout, most), _read(process.stderr, most)
            )
            code = await process.wait()
    except TimeoutError:
        raise InputError(f"the command took more than {patience:g} s: nothing changed") from None
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # or what it left running
        process._transport.close()  # type: ignore[attr-defined]  # its pipes, read to the end or not
        await process.wait()
    if code:
        words = " ".join(said.decode("utf-8", "replace").split())
        why = f"exit code {code}" if code > 0 else f"ended by signal {-code}"
        raise InputError(f"{why}: {words[:_WORDS]}" if words else f"the command failed, {why}")
    return out


async def _feed(process: Process, data: bytes) -> None:
    assert process.stdin is not None
    with suppress(ConnectionError):  # it reads no more
        process.stdin.write(data)
        await process.stdin.drain()
    process.stdin.close()


async def _read(stream: asyncio.StreamReader | None, most: int) -> bytes:
    assert stream is not None
    data = bytearray()
    while chunk := await stream.read(_CHUNK):
        data += chunk
        if len(data) > most:
            raise InputError(f"the command prints more than {disk.in_units(most)}")
    return bytes(data)
