"""A terminal that answers questions in its own way, or not at all."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import pty
import struct
import termios
import threading

# As kitty and xterm answer the questions of `dgedit.doctor.terminal`, in their order.
KITTY = (
    b"\x1b[1;3R\x1b[1;3R\x1bP>|kitty(0.42.1)\x1b\\\x1b[?0u\x1b[?2026;2$y\x1b[?2004;2$y"
    b"\x1bP1+r4d73=5c455d\x1b\\\x1b[?62;52;c"
)
XTERM = b"\x1b[5;3R\x1b[5;5R\x1bP>|XTerm(390)\x1b\\\x1b[?2026;0$y\x1b[?2004;1$y\x1b[?64;1;2c"


class Pretended:
    """A terminal of 100 by 30; `fd` is where programs are. Answers the first question it is
    asked.
    """

    def __init__(self, *answers: bytes, pause: float = 0.0) -> None:
        self.master, self.fd = pty.openpty()
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.drawn = bytearray()
        """What it was sent."""
        self._answers, self._pause, self._over = answers, pause, threading.Event()
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()

    def __enter__(self) -> Pretended:
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        os.close(self.fd)
        self._worker.join()  # or it would read from and write to whoever is given the number next
        os.close(self.master)

    def left(self) -> int:
        """Bytes that the next program would read."""
        count = array.array("i", [0])
        fcntl.ioctl(self.fd, termios.FIONREAD, count)
        return count[0]

    def take(self) -> None:
        """Make it ours, as a login does: for a process that is about to run in it."""
        os.setsid()
        fcntl.ioctl(self.fd, termios.TIOCSCTTY, 0)

    def _work(self) -> None:
        left = self._answers
        with contextlib.suppress(OSError):  # closed
            while data := os.read(self.master, 4096):
                self.drawn += data
                if b"\x1b[c" in self.drawn:
                    for answer in left:
                        if self._over.wait(self._pause):
                            return
                        os.write(self.master, answer)
                    left = ()
