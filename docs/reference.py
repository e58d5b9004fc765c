"""Write docs/commands.md: what each command says of itself at `--help`.

python docs/reference.py > docs/commands.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from dgedit.cli import app

_WIDTH = 100
_HEAD = """# All commands

What `dgedit COMMAND --help` prints, made by `make docs`. What targets, outputs and exit codes mean
is told in [command-line.md](command-line.md).
"""


def reference() -> str:
    """The page."""
    parts = [f"## {name}\n\n```text\n{words}\n```\n" for name, words in _helps(_root(), None)]
    return "\n".join([_HEAD, *parts])


def _root() -> Any:
    return typer.main.get_command(app)


def _helps(command: Any, parent: Any) -> Iterator[tuple[str, str]]:
    """The whole name of a command and of those below it, and what each says."""
    with command.context_class(
        command, info_name=command.name if parent else "dgedit", parent=parent, **_LOOKS
    ) as context:
        lines = command.get_help(context).splitlines()
        yield context.command_path, "\n".join(line.rstrip() for line in lines)
        for below in getattr(command, "commands", {}).values():
            yield from _helps(below, context)


_LOOKS: dict[str, Any] = {
    "terminal_width": _WIDTH,
    "max_content_width": _WIDTH,
    "help_option_names": ["-h", "--help"],
}

if __name__ == "__main__":
    print(reference(), end="")
