"""`dgedit lsp`: be a language server, for editors that show inline completions or code actions."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from dgedit.commands.options import Adapter, Device, Model
from dgedit.errors import UsageError


def lsp(
    model: Model = None,
    adapter: Adapter = None,
    device: Device = None,
    stdio: Annotated[bool, typer.Option("--stdio", help="No other way: editors pass it.")] = False,
) -> int:
    """Offer ghost text and code actions to an editor, as a language server.

    The editor starts it and speaks with it over standard input and output. Its configuration may
    say model, effort, caution, max_lines, debounce and drafts. docs/editors.md has what to write
    for Neovim, Vim, VS Code, Emacs and Helix.

    Example: dgedit lsp --model nano
    """
    if os.isatty(0):
        raise UsageError("an editor starts dgedit lsp and speaks with it: see docs/editors.md")
    from dgedit.lsp.stdio import serve

    return serve(model=model, device=device, adapter=adapter)
