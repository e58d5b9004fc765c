"""Offer code actions, and make the edits of the one that is chosen.

A menu must be there at once: an action holds no edit, only what it is about. The edit is made when
the client asks for it (`codeAction/resolve`), or has it applied (`workspace/executeCommand`) where
it cannot ask. It is an edit of one version of the text; of another one it is not made.

Knows texts and the protocol's objects; engines are asked elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from dgedit.errors import InputError
from dgedit.files.document import Document, Span
from dgedit.lsp.capabilities import COMMAND, KIND
from dgedit.lsp.documents import Snapshot
from dgedit.lsp.fields import field_at, range_at, text_at
from dgedit.protocol.rpc import INVALID_PARAMS, RpcError
from dgedit.request.context import beside
from dgedit.request.markers import MARKER, marked
from dgedit.request.ranges import all_of, bodies_in
from dgedit.request.run import Source, instruction
from dgedit.text.merge import line_parts
from dgedit.text.visible import visible
from dgedit_engine.types import MOST_JUDGED, InfillRequest

Kind = Literal["here", "selection", "markers", "body"]
_STRENGTH = 0.5  # of an edit around the cursor that nobody has asked for
_NEAR = 6  # lines on either side of the cursor, where no short definition is around it
_TITLE = 80  # characters
_SHORT = 40  # lines of a definition that counts as short


@dataclass(frozen=True, slots=True)
class Chosen:
    """An action that was chosen."""

    uri: str
    """The text's name."""
    version: int | None
    """Its version when the action was offered."""
    kind: Kind
    """What is to be filled."""
    data: Any
    """The object that says so."""

    @classmethod
    def of(cls, data: Any) -> Chosen:
        """Read what an action holds. Raises RpcError if it is none of ours."""
        uri, kind, version = text_at(data, "uri"), field_at(data, "kind"), field_at(data, "version")
        if kind not in get_args(Kind) or not isinstance(version, int | None):
            raise RpcError(INVALID_PARAMS, "no action of dgedit's")
        return cls(uri, version, kind, data)

    @property
    def title(self) -> str:
        """What is being done, for people."""
        name = field_at(self.data, "name")
        about = f" of {name}" if isinstance(name, str) else ""
        return visible(f"Filling {self.kind}{about}")[:_TITLE]

    def spans(self, snapshot: Snapshot, document: Document) -> list[Span]:
        """Return what is to be filled. Raises InputError if it is not there."""
        if self.kind == "markers":
            return [one.span for one in marked(document.text)]
        start, end = map(snapshot.offset, range_at(self.data, "range"))
        if self.kind == "body":
            if (found := body_around(document, start)) is None:
                raise InputError("no definition with a body is there")
            return [found[1]]
        return [Span(start, start if self.kind == "here" else end)]


def offers(
    snapshot: Snapshot, document: Document, where: dict[str, Any], *, resolves: bool
) -> list[dict[str, Any]]:
    """Return the actions for a range of a text, as the client counts it; with a command instead of
    data unless the client `resolves` them. A selection of one character is also the cursor of
    editors that know no other, Helix and Kakoune.
    """
    start, end = map(snapshot.offset, range_at(where))
    found: list[tuple[str, Kind, str | None]] = []
    if end - start <= 1 or snapshot.text[start:end] == "\r\n":
        found.append(("Fill here", "here", None))
    if end > start:
        found.append(("Fill selection", "selection", None))
    if marked(document.text):
        found.append((f"Fill all {MARKER} markers", "markers", None))
    if around := body_around(document, start):
        found.append((f"Fill body of {visible(around[0])}", "body", around[0]))
    actions = []
    for title, kind, name in found:
        data = {"uri": snapshot.uri, "version": snapshot.version, "kind": kind, "range": where}
        data |= {} if name is None else {"name": name}
        about: dict[str, Any] = {"data": data}
        if not resolves:
            about = {"command": {"title": title, "command": COMMAND, "arguments": [data]}}
        actions.append({"title": title, "kind": KIND} | about)
    return actions


def request_for(
    document: Document, spans: Sequence[Span], others: Sequence[Document], *, effort: float
) -> InfillRequest:
    """Return the request to fill spans of a text, with what goes with them in other texts."""
    source = Source(document, tuple(spans))
    near = source.passage(marker=MARKER)
    said = instruction("", [source], marker=MARKER)
    return InfillRequest((near, *beside([near], others)), said, effort=effort)


def text_edits(
    snapshot: Snapshot, document: Document, spans: Sequence[Span], texts: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the edits that put texts into spans."""
    return [
        {"range": snapshot.range(span.start, span.end), "newText": document.fitted(text, span)}
        for span, text in zip(spans, texts, strict=True)
    ]


def workspace_edit(
    snapshot: Snapshot, edits: list[dict[str, Any]], *, versions: bool
) -> dict[str, Any]:
    """Return edits of a text as an edit of the workspace, with the text's version if the client
    knows `versions`.
    """
    if not versions:
        return {"changes": {snapshot.uri: edits}}
    about = {"uri": snapshot.uri, "version": snapshot.version}
    return {"documentChanges": [{"textDocument": about, "edits": edits}]}


def region_around(document: Document, snapshot: Snapshot, offset: int) -> Span | None:
    """Return what an edit around the cursor may change: the body of a short definition, or else
    some lines; None if there is nothing but white space.
    """
    found = body_around(document, offset)
    if found is not None and document.text.count("\n", found[1].start, found[1].end) < _SHORT:
        span = within(document, found[1].start, found[1].end)
        if span is not None:
            return span
    row = snapshot.position(offset)["line"]
    first = max(0, row - _NEAR)
    start = sum(map(len, snapshot.lines[:first]))
    end = start + sum(map(len, snapshot.lines[first : row + _NEAR + 1]))
    return within(document, start, end)


def within(document: Document, start: int, end: int) -> Span | None:
    """Return what is between two offsets without the white space around it; None if nothing is."""
    inner = all_of(document.text[start:end])
    return Span(start + inner.start, start + inner.end) if inner.end > inner.start else None


def request_to_change(document: Document, span: Span, *, effort: float) -> InfillRequest:
    """Return the request to change a span, keeping about half of it."""
    near = Source(document, (span,)).passage(marker=MARKER)
    return InfillRequest((near,), effort=effort, strength=_STRENGTH)


def hunks(snapshot: Snapshot, document: Document, span: Span, text: str) -> list[dict[str, Any]]:
    """Return the edits that turn a span into a text, only where they differ, in Copilot's form."""
    old = document.text[span.start : span.end]
    about = {"uri": snapshot.uri, "version": snapshot.version}
    return [
        {
            "text": part.text,
            "range": snapshot.range(span.start + part.start, span.start + part.end),
            "textDocument": about,
        }
        for part in line_parts(old, document.fitted(text, span))
        if old[part.start : part.end] != part.text
    ]


def body_around(document: Document, offset: int) -> tuple[str, Span] | None:
    """Return the name and the body of the innermost definition around an offset; None if there is
    none, or if nobody can tell.
    """
    if len(document.text) > MOST_JUDGED:
        return None
    try:
        found = bodies_in(document)
    except InputError:
        return None
    around = [
        (name, body)
        for name, at, body in found
        if _line_start(document.text, at) <= offset and _is_inside(document.text, at, body, offset)
    ]
    return around[-1] if around else None


def _line_start(text: str, offset: int) -> int:
    return text.rfind("\n", 0, offset) + 1


def _is_inside(text: str, name: int, body: Span, offset: int) -> bool:
    """Say whether an offset is not behind a definition; blank lines behind its body are still in it
    if the offset is indented more than the line with its name.
    """
    if offset <= body.end:
        return True
    head = text[_line_start(text, name) : name]
    indent = len(head) - len(head.lstrip())
    return not text[body.end : offset].strip() and offset - _line_start(text, offset) > indent


def document_of(snapshot: Snapshot, path: Path) -> Document:
    """Return a text as the parts of dgedit that fill take it."""
    return Document.from_text(snapshot.text, path)
