"""The process that names the parts of texts without a grammar: started when it is first asked, and
anew when a text took it too long.

Knows names of files and texts; what is found in them, `text/lexing.py` says.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from threading import Lock

from dgedit.text.lexing import Row, is_known, receive, send

_COMMAND = (sys.executable, "-P", "-m", "dgedit.text.lexing")


class Lexers:
    """Asks the process; one question at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()
        self._closed = False

    def rows_of(self, file_name: str, text: str, top: int) -> list[Row] | None:
        """Return what is named in a text's rows from `top` on; None where there is no lexer, or it
        takes too long. Waits for the answer.
        """
        if not is_known(file_name):
            return None
        with self._lock, suppress(OSError, ValueError):
            if self._closed:
                return None
            if self._process is None:
                self._process = subprocess.Popen(
                    _COMMAND,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            process = self._process
            assert process.stdin is not None and process.stdout is not None
            send(process.stdin, (file_name, text, top))
            rows = receive(process.stdout)
            if rows is not None:
                return [[(begin, end, name) for begin, end, name in row] for row in rows]
        self._end()
        return None

    def close(self) -> None:
        """End the process; whoever waits for an answer gets none."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                with suppress(OSError, ValueError):
                    if stream is not None:
                        stream.close()
