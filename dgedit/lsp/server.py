"""Serve infills to an editor over standard input and output: `dgedit lsp`.

One thread reads messages, follows the texts and answers what needs no engine, so that an editor is
never kept waiting; what takes time is a job (`jobs`), whose answers come from `answers`, loaded at
the first one. A newer request of a kind for a text takes the place of the older one.

Logs no text of a user. Light: nothing but the standard library is loaded before the first answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgedit.lsp import capabilities
from dgedit.lsp.capabilities import COMMAND, INVOKED, folders_in, token_in
from dgedit.lsp.documents import OpenTexts, OutOfStep
from dgedit.lsp.fields import field_at, has, list_at, position_at, range_at, text_at
from dgedit.lsp.jobs import Job, Lane
from dgedit.lsp.options import SECTION, LspOptions, read_options
from dgedit.protocol.rpc import (
    CONTENT_MODIFIED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    NOT_INITIALIZED,
    REQUEST_CANCELLED,
    Id,
    Incoming,
    Peer,
    RpcError,
)

if TYPE_CHECKING:
    from dgedit.lsp.answers import Answering, Asked, CompletionPlace

_COMPLETE = "textDocument/inlineCompletion"
_ACTIONS = "textDocument/codeAction"
_RESOLVE = "codeAction/resolve"
_EXECUTE = "workspace/executeCommand"
_CHANGE = "textDocument/copilotInlineEdit"
_NEWEST = {_COMPLETE, _ACTIONS, _CHANGE}  # of which only the newest for a text counts
_FOLDERS = 64
_NOTHING: dict[str, Any] = {_COMPLETE: {"items": []}, _ACTIONS: [], _CHANGE: {"edits": []}}

Wanted = Callable[[Job, "Asked"], Any]
"""What does a job, given what it is about."""


class LspServer:
    """A session with one editor."""

    def __init__(
        self,
        peer: Peer,
        *,
        model: str | None = None,
        device: str | None = None,
        adapter: Path | None = None,
        follow: Callable[[int], None] = lambda pid: None,
    ) -> None:
        """Take the client, what the command line says of the engine, and what to do in a thread
        with the number of the client's process.
        """
        self._peer, self._follow = peer, follow
        self._options = LspOptions()
        self._engine = (model, device, adapter)
        self._texts = OpenTexts()
        self._jobs: dict[Id, Job] = {}
        self._lock, self._loading = threading.Lock(), threading.Lock()
        self._lanes = {name: Lane(self._broken) for name in ("engine", "menu")}
        self._answering: Answering | None = None
        self._client: Any = {}
        self._short = False  # what the client says of a selection
        self._folders: tuple[str, ...] = ()
        self._state = "new"
        self._requests: dict[str, Callable[[Incoming], Any]] = {
            "initialize": self._initialize,
            "shutdown": self._shutdown,
            _COMPLETE: self._complete,
            _ACTIONS: self._actions,
            _RESOLVE: self._resolve,
            _EXECUTE: self._execute,
            _CHANGE: self._change,
        }
        self._notifications: dict[str, Callable[[Any], None]] = {
            "initialized": self._initialized,
            "textDocument/didOpen": self._opened,
            "textDocument/didChange": self._changed,
            "textDocument/didClose": self._closed,
            "workspace/didChangeConfiguration": self._configured,
            "workspace/didChangeWorkspaceFolders": self._moved,
            "$/cancelRequest": self._cancelled,
        }

    def run(self) -> int:
        """Serve until the client says `exit` or is gone; return the exit code."""
        for message in self._peer.incoming():
            if message.method == "exit" and message.id is None:
                break
            try:
                self._take(message)
            except RpcError as error:
                self._refuse(message, error)
            except OutOfStep as error:
                self._refuse(message, RpcError(INVALID_PARAMS, str(error)))
            except Exception as error:
                words = f"dgedit failed: {type(error).__name__}"
                self._refuse(message, RpcError(INTERNAL_ERROR, words))
                self._broken(error)
        return 0 if self._state == "ended" else 1

    def _take(self, message: Incoming) -> None:
        if message.id is None:
            if self._state == "ready" and message.method in self._notifications:
                self._notifications[message.method](message.params)
            return
        if self._state == "new" and message.method != "initialize":
            raise RpcError(NOT_INITIALIZED, "initialize comes first")
        if self._state == "ended":
            raise RpcError(INVALID_REQUEST, "the server was shut down")
        if message.method not in self._requests:
            raise RpcError(METHOD_NOT_FOUND, f"no method {message.method[:80]}")
        self._requests[message.method](message)

    def _refuse(self, message: Incoming, error: RpcError) -> None:
        if message.id is None:
            self._log(f"{message.method[:80]}: {error}")
        else:
            self._peer.fail(message.id, error)

    # The session.

    def _initialize(self, message: Incoming) -> None:
        if self._state != "new":
            raise RpcError(INVALID_REQUEST, "initialized before")
        assert message.id is not None
        params, self._state = message.params, "ready"
        self._client = field_at(params, "capabilities") or {}
        self._short = capabilities.ends_before_last(params)
        self._texts.encoding = capabilities.encoding_of(self._client)
        self._folders = capabilities.folders_at_start(params)
        if isinstance(pid := field_at(params, "processId"), int):
            threading.Thread(target=self._follow, args=(pid,), daemon=True).start()
        self._peer.answer(message.id, capabilities.greeting(self._texts.encoding))
        self._set(field_at(params, "initializationOptions"))

    def _initialized(self, _: Any) -> None:
        about = ("workspace", "didChangeConfiguration", "dynamicRegistration")
        if field_at(self._client, *about) is True:
            method = {"id": "configuration", "method": "workspace/didChangeConfiguration"}
            section = {"registerOptions": {"section": SECTION}}
            self._peer.ask("client/registerCapability", {"registrations": [method | section]})
        self._ask_options()

    def _configured(self, params: Any) -> None:
        if self._answering is not None:
            self._answering.read_anew()
        self._set(field_at(params, "settings", SECTION))
        self._ask_options()

    def _ask_options(self) -> None:
        """Ask for the client's configuration; until it answers, if ever, all stays as it is."""
        if field_at(self._client, "workspace", "configuration") is not True:
            return

        def answered(result: Any, error: RpcError | None) -> None:
            if error is None and isinstance(result, list) and result:
                self._set(result[0])

        about = {"items": [{"section": SECTION}]}
        self._peer.ask("workspace/configuration", about, answered)

    def _set(self, said: Any) -> None:
        before = self._options
        self._options, mistakes = read_options(said, before)
        if self._options != before:
            self._forget()
        for mistake in mistakes:
            self._log(mistake)

    def _moved(self, params: Any) -> None:
        gone = set(folders_in(field_at(params, "event", "removed")))
        kept = [one for one in self._folders if one not in gone]
        added = folders_in(field_at(params, "event", "added"))
        self._folders = tuple(dict.fromkeys([*kept, *added]))[:_FOLDERS]
        if self._answering is not None:
            self._answering.read_anew()

    def _shutdown(self, message: Incoming) -> None:
        assert message.id is not None
        self._state = "ended"
        for job in self._under_way():
            job.fail(REQUEST_CANCELLED, "the server was shut down")
        self._peer.answer(message.id, None)

    # The texts.

    def _opened(self, params: Any) -> None:
        self._texts.open(params)

    def _changed(self, params: Any) -> None:
        self._texts.change(params)

    def _closed(self, params: Any) -> None:
        uri = self._texts.close(params)
        self._forget(uri)
        for job in self._under_way():
            if job.key[1] == uri:
                job.fail(CONTENT_MODIFIED, "the text was closed")

    # The requests.

    def _cancelled(self, params: Any) -> None:
        number = token_in(params, "id")
        with self._lock:
            job = None if number is None else self._jobs.get(number)
        if job is not None:
            job.fail(REQUEST_CANCELLED, "cancelled")

    def _complete(self, message: Incoming) -> None:
        params = message.params
        uri, at = text_at(params, "textDocument", "uri"), position_at(params, "position")
        chosen = field_at(params, "context", "selectedCompletionInfo")
        selected, lead = None, ""
        if isinstance(chosen, dict):
            selected, lead = range_at(chosen, "range"), text_at(chosen, "text")
            if not selected[0].line == selected[1].line == at.line:
                selected, lead = None, ""
        token = token_in(params, "partialResultToken")

        def about() -> CompletionPlace:
            from dgedit.lsp.answers import CompletionPlace

            return CompletionPlace(at, selected, lead, token)

        self._do(
            message,
            uri,
            "engine",
            lambda job, asked: self._answers().complete(job, asked, about()),
            known=lambda answers, asked: answers.known(asked, about()),
        )

    def _actions(self, message: Incoming) -> None:
        params = message.params
        uri = text_at(params, "textDocument", "uri")
        start, end = range_at(params, "range")
        where = {"start": start.as_sent, "end": end.as_sent}
        if not capabilities.wants_ours(params):
            assert message.id is not None
            self._peer.answer(message.id, [])
            return
        resolves = capabilities.resolves_edits(self._client)

        def work(job: Job, asked: Asked) -> Any:
            return self._answers().offer(asked, where, resolves=resolves, short=self._short)

        self._do(message, uri, "menu", work)

    def _resolve(self, message: Incoming) -> None:
        action = message.params if isinstance(message.params, dict) else {}

        def finish(job: Job, edit: dict[str, Any]) -> Any:
            return action | {"edit": edit}

        self._fill(message, action.get("data"), finish)

    def _execute(self, message: Incoming) -> None:
        if text_at(message.params, "command") != COMMAND:
            raise RpcError(INVALID_PARAMS, "no command of dgedit's")
        arguments = list_at(message.params, "arguments")

        def finish(job: Job, edit: dict[str, Any]) -> Any:
            job.look()
            self._peer.ask("workspace/applyEdit", {"label": "dgedit", "edit": edit})

        self._fill(message, arguments[0] if arguments else None, finish)

    def _fill(
        self, message: Incoming, data: Any, finish: Callable[[Job, dict[str, Any]], Any]
    ) -> None:
        """Make the edit of a chosen action."""
        uri = text_at(data, "uri")
        others = self._texts.others(uri)
        versions = capabilities.knows_versions(self._client)
        token, ours = token_in(message.params), has(self._client, "window", "workDoneProgress")

        def work(job: Job, asked: Asked) -> Any:
            from dgedit.lsp.actions import Chosen
            from dgedit.lsp.progress import WorkProgress

            chosen = Chosen.of(data)
            progress = WorkProgress(self._peer, token, chosen.title)
            if token is None and ours:
                progress = WorkProgress.ours(self._peer, f"dgedit {job.id}", chosen.title)
            edit = self._answers().edit(
                job, asked, chosen, others, versions=versions, progress=progress
            )
            return finish(job, edit)

        self._do(message, uri, "engine", work, wanted=True)

    def _change(self, message: Incoming) -> None:
        params = message.params
        uri, at = text_at(params, "textDocument", "uri"), position_at(params, "position")
        selected = range_at(params, "range") if field_at(params, "range") else None

        def work(job: Job, asked: Asked) -> Any:
            return self._answers().change(job, asked, at, selected)

        self._do(message, uri, "engine", work)

    def _do(
        self,
        message: Incoming,
        uri: str,
        lane: str,
        work: Wanted,
        *,
        wanted: bool | None = None,
        known: Callable[[Answering, Asked], Any] | None = None,
    ) -> None:
        """Make a job of a request for a text, unless its answer is `known`; a text that is not held
        has nothing to offer.
        """
        assert message.id is not None
        method = message.method
        if (snapshot := self._texts.get(uri)) is None:
            if method not in _NOTHING:
                raise RpcError(CONTENT_MODIFIED, "the text is not open, too large or out of step")
            self._peer.answer(message.id, _NOTHING[method])
            return
        kind = field_at(message.params, "context", "triggerKind")
        wanted = kind == INVOKED if wanted is None else wanted
        job = Job(self._peer, message.id, key=(method, uri), ended=self._ended)
        with self._lock:
            if message.id in self._jobs:
                raise RpcError(INVALID_REQUEST, "a request with this id is under way")
            older = [one for one in self._jobs.values() if one.key == job.key]
            self._jobs[message.id] = job
        for one in older if method in _NEWEST else ():
            one.answer(_NOTHING[method])
        given, folders, token = self._options, self._folders, token_in(message.params)

        def asked() -> Asked:
            from dgedit.lsp.answers import Asked

            return Asked(snapshot, given, folders, wanted, token)

        if known and self._answering and (found := known(self._answering, asked())) is not None:
            job.answer(found)
            return
        pause = 0 if wanted or lane != "engine" else given.debounce
        self._lanes[lane].put(job, lambda job: work(job, asked()), after=pause / 1000)

    def _answers(self) -> Answering:
        with self._loading:
            if self._answering is None:
                from dgedit.lsp.answers import Answering
                from dgedit.lsp.asking import Asking

                asking = Asking(*self._engine)
                self._answering = Answering(self._peer, asking, self._texts.is_at)
            return self._answering

    def _ended(self, job: Job) -> None:
        with self._lock:
            if self._jobs.get(job.id) is job:
                del self._jobs[job.id]
        for lane in self._lanes.values():
            lane.look()

    def _under_way(self) -> list[Job]:
        with self._lock:
            return list(self._jobs.values())

    def _forget(self, uri: str | None = None) -> None:
        if self._answering is not None:
            self._answering.forget(uri)

    def _log(self, words: str) -> None:
        from dgedit.text.visible import visible

        line = visible(" ".join(words.split()))[:500]
        self._peer.tell("window/logMessage", {"type": 2, "message": f"dgedit: {line}"})

    def _broken(self, error: Exception) -> None:
        """Tell where a fault of ours is, without its message, which may quote the user's text."""
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        place = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else ""
        self._log(f"a fault of dgedit's: {type(error).__name__} at {place}; please report it")
