"""Say what the server can do, and read what the client can, in the protocol's words."""

from __future__ import annotations

from typing import Any

from dgedit.lsp.fields import field_at
from dgedit.protocol.positions import ENCODINGS, PositionEncoding
from dgedit.protocol.rpc import Id

KIND = "refactor.rewrite"
"""The kind of all code actions."""
COMMAND = "dgedit.fill"
"""The command for clients that cannot ask for a code action's edit."""
INVOKED = 1
"""The trigger kind of what the user asked for."""

_FOLDERS = 64


def greeting(encoding: PositionEncoding) -> dict[str, Any]:
    """Return the answer to `initialize`."""
    from dgedit import __version__

    progress = {"workDoneProgress": True}
    capabilities = {
        "positionEncoding": encoding,
        "textDocumentSync": {"openClose": True, "change": 2, "save": False},
        "inlineCompletionProvider": progress,
        "codeActionProvider": {"codeActionKinds": [KIND], "resolveProvider": True},
        "executeCommandProvider": {"commands": [COMMAND]} | progress,
        "workspace": {"workspaceFolders": {"supported": True, "changeNotifications": True}},
    }
    return {
        "capabilities": capabilities,
        "serverInfo": {"name": "dgedit", "version": __version__},
    }


def encoding_of(client: object) -> PositionEncoding:
    """Return what to count columns in: what the client likes best, of what we know."""
    wanted = field_at(client, "general", "positionEncodings")
    known = [one for one in ENCODINGS if isinstance(wanted, list) and one in wanted]
    return min(known, key=wanted.index) if known else "utf-16"


def folders_in(said: object) -> tuple[str, ...]:
    """Return the names of a list of workspace folders."""
    listed = said if isinstance(said, list) else []
    names = (field_at(one, "uri") for one in listed[:_FOLDERS])
    return tuple(name for name in names if isinstance(name, str))


def folders_at_start(params: object) -> tuple[str, ...]:
    """Return the workspace's folders that `initialize` names."""
    found = folders_in(field_at(params, "workspaceFolders"))
    root = field_at(params, "rootUri")
    return found or ((root,) if isinstance(root, str) else ())


def resolves_edits(client: object) -> bool:
    """Say whether the client asks for a code action's edit when it is chosen."""
    about = field_at(client, "textDocument", "codeAction", "resolveSupport", "properties")
    return isinstance(about, list) and "edit" in about


def knows_versions(client: object) -> bool:
    """Say whether the client takes edits with the versions of their texts. Neovim does, and says so
    only by the operations on files, which have no other place.
    """
    about = field_at(client, "workspace", "workspaceEdit")
    operations = field_at(about, "resourceOperations")
    return field_at(about, "documentChanges") is True or isinstance(operations, list)


def ends_before_last(params: object) -> bool:
    """Say whether the client leaves the last character out of a selection that it sends, as
    kakoune-lsp does: there a range ends where its cursor is, on that character.
    """
    return field_at(params, "clientInfo", "name") in ("kakoune-lsp", "kak-lsp")


def wants_ours(params: object) -> bool:
    """Say whether a request for code actions wants those of our kind."""
    only = field_at(params, "context", "only")
    return not isinstance(only, list) or any(
        isinstance(one, str) and (not one or f"{KIND}.".startswith(f"{one}.")) for one in only
    )


def token_in(params: object, name: str = "workDoneToken") -> Id | None:
    """Return a token of the client's for progress; None if there is none."""
    token = field_at(params, name)
    return token if isinstance(token, int | str) and not isinstance(token, bool) else None
