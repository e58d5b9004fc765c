"""Read a connection with a deadline for the whole request, however slowly it comes."""

from __future__ import annotations

import io
import socket
import time
from typing import Any


class Patient(io.RawIOBase):
    """A connection's input for so many seconds; each write may take as many."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        got = self._connection.recv_into(buffer)
        self._connection.settimeout(self._seconds)
        return got
