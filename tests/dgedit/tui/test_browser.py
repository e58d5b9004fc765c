"""The editor without a terminal, as textual-serve runs it for a browser: packets on pipes."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

from scripted import PATH

from .interminal import DRIVER

KEYS, WORD = b"D", b"M"


def packet(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack(">I", len(data)) + data


def test_browser_is_served_without_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1\n")
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, "a.py"],
        cwd=tmp_path,
        env=os.environ
        | {"TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver", "PYTHONPATH": PATH}
        | {"XDG_STATE_HOME": str(tmp_path / "state"), "COLUMNS": "80", "ROWS": "24"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    stop = threading.Timer(60, process.kill)
    stop.start()
    try:
        assert process.stdin and process.stdout
        shown = b""
        while b"nothing masked" not in shown and b"scripted" not in shown:
            more = os.read(process.stdout.fileno(), 65536)
            assert more, process.communicate()
            shown += more
        assert shown.startswith(b"__GANGLION__\n") and b"\x1b[?1049h" in shown
        process.stdin.write(packet(KEYS, b"y"))
        process.stdin.write(packet(KEYS, b"\x13"))  # Ctrl+S
        process.stdin.flush()
        while b"saved" not in shown:
            more = os.read(process.stdout.fileno(), 65536)
            assert more, process.communicate()
            shown += more
        assert file.read_text() == "yx = 1\n"
        process.stdin.write(packet(WORD, json.dumps({"type": "quit"}).encode()))
        process.stdin.flush()
        process.communicate(timeout=90)
    finally:
        stop.cancel()
        process.kill()
        process.wait()
