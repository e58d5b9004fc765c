"""A terminal of sixteen colours is sent its own colours alone."""

import re
from pathlib import Path

import pytest

from ..interminal import InTerminal

MANY = re.compile(rb"\x1b\[[\d;]*[34]8;[25];")


@pytest.mark.parametrize(("term", "many"), [("xterm", False), ("xterm-256color", True)])
def test_colours_are_those_that_the_terminal_has(tmp_path: Path, term: str, many: bool) -> None:
    (tmp_path / "a.py").write_text("def f(x):\n    return x\n")
    with InTerminal(tmp_path, ["a.py"], term=term) as editor:
        editor.wait_for(b"return")
        editor.send(b"\x11")
        assert editor.process.wait(20) == 0
        assert bool(MANY.search(editor.screen)) == many
