"""Answer the requests that need an engine or a grammar, each in a thread beside the reader's.

Loaded at the first of them: it knows everything that a server's start has no time for.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dgedit import config
from dgedit.errors import DgeditError, InputError
from dgedit.lsp import actions
from dgedit.lsp.actions import Chosen
from dgedit.lsp.asking import Asking
from dgedit.lsp.documents import Snapshot
from dgedit.lsp.fields import LspPosition, range_at
from dgedit.lsp.jobs import Job
from dgedit.lsp.options import LspOptions
from dgedit.lsp.progress import WorkProgress, draft_teller
from dgedit.lsp.suggestions import Suggestions, cut, path_of, request_at
from dgedit.protocol.rpc import CONTENT_MODIFIED, Id, Peer, RpcError
from dgedit.request.ability import not_known
from dgedit.request.doubt import doubts, told
from dgedit.request.markers import position
from dgedit_engine.types import Backend, ModelError

_TIME = 17.0  # seconds after which the best edit so far is taken: Helix waits for 20
_TOLD = 100  # different errors that are told


@dataclass(frozen=True, slots=True)
class Asked:
    """What every request is about."""

    snapshot: Snapshot
    """The text."""
    options: LspOptions
    """The options."""
    folders: tuple[str, ...]
    """The workspace's folders."""
    wanted: bool
    """True if the user asked, and not an editor that did by itself."""
    token: Id | None = None
    """The token under which the client shows progress, if it does."""

    @property
    def path(self) -> Path:
        """The text's path."""
        return path_of(self.snapshot, self.folders)


class OfferPlace(NamedTuple):
    """Where texts are to be offered."""

    text: str
    """The text, with the item that is selected in a menu taken."""
    offset: int
    """The cursor's offset in it."""
    range: dict[str, Any]
    """What an offered text replaces, as the client counts."""


@dataclass(frozen=True, slots=True)
class CompletionPlace:
    """What a request for texts at the cursor is about besides."""

    position: LspPosition
    """The cursor's position."""
    selected: tuple[LspPosition, LspPosition] | None = None
    """The range that an item selected in a menu would replace."""
    lead: str = ""
    """That item's text, which every text is to begin with."""
    partial: Id | None = None
    """The token under which drafts may be sent."""

    def place(self, snapshot: Snapshot) -> OfferPlace:
        """Return where that is in a text."""
        first, last = self.selected or (self.position, self.position)
        start, end = snapshot.offset(first), snapshot.offset(last)
        where = {"start": snapshot.inside(first), "end": snapshot.inside(last)}
        text = snapshot.text
        if self.selected is not None:
            text = f"{text[:start]}{self.lead}{text[end:]}"
        return OfferPlace(text, start + len(self.lead), where)

    def item(self, text: str, place: OfferPlace, asked: Asked) -> dict[str, Any]:
        """Return a text as an object of the protocol."""
        shown = self.lead + cut(text, asked.options.max_lines)
        return {"insertText": shown, "range": place.range}


class Answering:
    """The session's answers."""

    def __init__(self, peer: Peer, asking: Asking, is_at: Callable[[Snapshot], bool]) -> None:
        """Take the client, the engine, and what says whether a text is still at a version."""
        self._peer, self._asking, self._is_at = peer, asking, is_at
        self._suggestions = Suggestions()
        self._settings: config.Settings | None = None
        self._told: set[str] = set()

    def forget(self, uri: str | None = None) -> None:
        """Forget what was found in a text, or in all of them."""
        self._suggestions.forget(uri)

    def read_anew(self) -> None:
        """Read the settings anew when they are needed next."""
        self._settings = None

    def known(self, asked: Asked, at: CompletionPlace) -> Any:
        """Return the answer to `textDocument/inlineCompletion` where it is remembered, else None.
        For the thread that reads: it takes no time.
        """
        with contextlib.suppress(DgeditError):  # the work will meet it again, and tell
            return self._known(asked, at, at.place(asked.snapshot))
        return None

    def complete(self, job: Job, asked: Asked, at: CompletionPlace) -> Any:
        """Return texts to offer at a position: `textDocument/inlineCompletion`."""
        with self._told_once(asked):
            place = at.place(asked.snapshot)
            return self._known(asked, at, place) or self._found(job, asked, at, place)
        return {"items": []}

    def offer(
        self, asked: Asked, where: dict[str, Any], *, resolves: bool, short: bool
    ) -> list[dict[str, Any]]:
        """Return the code actions for a range: `textDocument/codeAction`. It is `short` of its last
        character where a client leaves that out, unless it is empty.
        """
        document = actions.document_of(asked.snapshot, asked.path)
        start, end = map(asked.snapshot.offset, range_at(where))
        if short and end > start:
            where = asked.snapshot.range(start, end + 1)
        return actions.offers(asked.snapshot, document, where, resolves=resolves)

    def edit(
        self,
        job: Job,
        asked: Asked,
        chosen: Chosen,
        others: Sequence[Snapshot],
        *,
        versions: bool,
        progress: WorkProgress,
    ) -> dict[str, Any]:
        """Return the edit of an action that was chosen: `codeAction/resolve`."""
        until = time.monotonic() + _TIME
        snapshot = asked.snapshot
        self._refuse_other(snapshot, chosen.version)
        document = actions.document_of(snapshot, asked.path)
        if not (spans := chosen.spans(snapshot, document)):
            raise InputError("no marker is left")
        texts = [actions.document_of(one, path_of(one, asked.folders)) for one in others]
        backend = self._backend(asked)
        request = actions.request_for(document, spans, texts, effort=self._effort(asked))
        left = max(1.0, until - time.monotonic())
        with progress:
            infill = self._asking.infill(request, backend, job, each=(progress.step,), seconds=left)
        self._refuse_other(snapshot, chosen.version)
        edits = actions.text_edits(snapshot, document, spans, infill.texts)
        places = [f"line {position(document.text, span.start)[0]}" for span in spans]
        if said := told(places, doubts(infill, caution=self._caution(asked))):
            self._peer.tell("window/showMessage", {"type": 2, "message": f"dgedit: {said}"})
        return actions.workspace_edit(snapshot, edits, versions=versions)

    def change(
        self,
        job: Job,
        asked: Asked,
        at: LspPosition,
        selected: tuple[LspPosition, LspPosition] | None,
    ) -> Any:
        """Return edits around a position, or of what is selected: `copilotInlineEdit`."""
        with self._told_once(asked):
            return {"edits": self._hunks(job, asked, at, selected)}
        return {"edits": []}

    def _known(self, asked: Asked, at: CompletionPlace, place: OfferPlace) -> Any:
        texts = self._suggestions.recall(
            asked.snapshot.uri,
            place.text,
            place.offset,
            asked=asked.wanted,
            effort=self._effort(asked),
            caution=self._caution(asked),
        )
        return None if texts is None else {"items": [at.item(one, place, asked) for one in texts]}

    def _found(self, job: Job, asked: Asked, at: CompletionPlace, place: OfferPlace) -> Any:
        backend, effort = self._backend(asked), self._effort(asked)
        request = request_at(asked.path, place.text, place.offset, effort=effort)
        partial = at.partial if asked.options.drafts else None
        tell = draft_teller(self._peer, partial, lambda text: at.item(text, place, asked))
        with WorkProgress(self._peer, asked.token, "Filling") as progress:
            tells = (progress.step, tell)
            infill = self._asking.infill(request, backend, job, each=tells)
        uri = asked.snapshot.uri
        self._suggestions.remember(uri, place.text, place.offset, infill, effort)
        return self._known(asked, at, place)

    def _hunks(
        self,
        job: Job,
        asked: Asked,
        at: LspPosition,
        selected: tuple[LspPosition, LspPosition] | None,
    ) -> list[dict[str, Any]]:
        snapshot = asked.snapshot
        document = actions.document_of(snapshot, asked.path)
        if selected is not None:
            span = actions.within(document, *map(snapshot.offset, selected))
        else:
            span = actions.region_around(document, snapshot, snapshot.offset(at))
        if span is None:
            return []
        request = actions.request_to_change(document, span, effort=self._effort(asked))
        infill = self._asking.infill(request, self._backend(asked), job)
        sure = asked.wanted or not any(doubts(infill, caution=self._caution(asked)))
        if not sure or not self._is_at(snapshot):
            return []
        return actions.hunks(snapshot, document, span, infill.texts[0])

    def _backend(self, asked: Asked) -> Backend:
        """Return the engine. Raises DgeditError if there is none that knows the text's language."""
        backend = self._asking.reach(asked.options.model, wanted=asked.wanted)
        if words := not_known(backend, asked.path):
            raise InputError(words)
        return backend

    @contextlib.contextmanager
    def _told_once(self, asked: Asked) -> Iterator[None]:
        """Raise an error if the user asked; else tell it in one line, once."""
        try:
            yield
        except (DgeditError, ModelError, ValueError) as error:
            if asked.wanted:
                raise
            words = " ".join(str(error).split())
            if words not in self._told and len(self._told) < _TOLD:
                self._told.add(words)
                self._peer.tell("window/logMessage", {"type": 2, "message": f"dgedit: {words}"})

    def _refuse_other(self, snapshot: Snapshot, version: int | None) -> None:
        if snapshot.version != version or not self._is_at(snapshot):
            raise RpcError(CONTENT_MODIFIED, "the text has changed meanwhile")

    def _effort(self, asked: Asked) -> float:
        if asked.options.effort is not None:
            return asked.options.effort
        return self._current(asked).effort if asked.wanted else 0.0

    def _caution(self, asked: Asked) -> float:
        given = asked.options.caution
        return self._current(asked).caution if given is None else given

    def _current(self, asked: Asked) -> config.Settings:
        """Return the settings of the workspace, which are read once."""
        if self._settings is None:
            folder = None
            with contextlib.suppress(OSError, ValueError):
                first = Path(asked.folders[0].removeprefix("file://")) if asked.folders else None
                folder = first if first is not None and first.is_dir() else None
            self._settings = config.current(folder)
        return self._settings
