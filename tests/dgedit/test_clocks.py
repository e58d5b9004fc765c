"""Clocks that are set: who reads the calendar's, and what files from another time do."""

from __future__ import annotations

import ast
import os
from pathlib import Path

from watched import Watched

ROOT = Path(__file__).parents[2]
PACKAGES = ("dgedit", "engine/dgedit_engine", "kernels/dgedit_kernels")

CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today"}
CLOCKS |= {"date.today", "time.localtime", "time.gmtime", "time.ctime", "time.strftime"}
TIMES = {"st_mtime", "st_mtime_ns", "st_ctime", "st_ctime_ns", "st_atime", "st_atime_ns"}
MAY = {
    "dgedit/engines/http/answers.py": "the date that an answer has",
    "dgedit/engines/http/server.py": "the date that a model has",
    "dgedit/engines/remote/exchange.py": "a server's date, at which it is to be asked again",
    "dgedit/engines/warm/sockets.py": "tells a model from what it was: equal or not",
    "dgedit/files/disk.py": "tells a file from what it was: equal or not",
    "dgedit/files/journal.py": "when a text was kept, for people; what was left an hour ago",
    "dgedit/files/sessions.py": "which projects were left longest ago",
    "dgedit/files/trash.py": "when a file was thrown away, for people",
    "dgedit/files/watching.py": "tells a file from what it was: equal or not",
    "engine/dgedit_engine/formats/gguf.py": "tells a file from what it was: equal or not",
    "engine/dgedit_engine/nano/prepared.py": "what was left a week ago, and can be made again",
}
"""Who may ask what day it is, or was, and why. Whatever takes time is measured elsewise."""


def test_calendar_is_read_by_those_who_say_why() -> None:
    found = set()
    for file in (file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        tree = ast.parse(file.read_text())
        imported = {
            f"{node.module}.{one.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for one in node.names
        }
        # `localtime` shows a time that somebody else has read.
        named = imported & CLOCKS - {"time.localtime", "time.strftime"}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                whole = ".".join(ast.unparse(node).split(".")[-2:])
                if whole in CLOCKS or node.attr in TIMES:
                    named.add(whole)
        if named:
            found.add(file.relative_to(ROOT).as_posix())
    assert found == set(MAY)


def test_watch_fills_files_from_any_time(tmp_path: Path) -> None:
    """From the future, from before there were computers, and older than what they replace, as when
    the clock is set back meanwhile.
    """
    home = tmp_path / "home"
    home.mkdir()
    with Watched(home) as watched:
        for count, seconds in enumerate((4.1e9, 4.0e9, 1.0, 0.0), 1):
            beside = tmp_path / "new"
            beside.write_text(f"{count} = <FILL>\n")
            os.utime(beside, (seconds, seconds))
            beside.rename(home / "a.py")
            watched.wait_for_text(home / "a.py", f"{count} = filled\n")
    assert watched.asked == 4
