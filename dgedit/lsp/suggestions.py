"""Find the text to offer at the cursor, and remember what was found.

A hole at the cursor is filled. What nobody asked for is offered only if there is no doubt about it:
it breaks nothing, settled, and is as sure as `caution` wants. Whoever asks gets all candidates. A
result is remembered with the text around it, so that it is offered on while the user types what it
says.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from urllib.parse import unquote, urlsplit

from dgedit.files.document import LINE_END, Document, Span, readable
from dgedit.lsp.documents import Snapshot
from dgedit.request.doubt import doubt
from dgedit.request.markers import passage
from dgedit.text.languages import kind_of, names_of
from dgedit_engine.types import Candidate, Draft, Infill, InfillRequest, Stopped

_AROUND = 1_000  # characters on either side that tell whether a result still fits
_REMEMBERED = 16


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What was found at a place."""

    at: int
    """The place's offset."""
    before: str
    """The text before it, as far as it is compared."""
    after: str
    """The text behind it, likewise."""
    effort: float
    candidates: tuple[Candidate, ...]
    stopped: Stopped

    def typed(self, text: str, offset: int) -> str | None:
        """Return what was typed since; None if anything else is different."""
        tail = text[offset : offset + _AROUND]
        if offset < self.at or tail != self.after:
            return None
        if text[max(0, self.at - _AROUND) : self.at] != self.before:
            return None
        return readable(text[self.at : offset])


class Suggestions:
    """The results that are remembered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[str, int], _Remembered] = OrderedDict()

    def remember(self, uri: str, text: str, offset: int, infill: Infill, effort: float) -> None:
        """Remember an infill at a place of a text."""
        before = text[max(0, offset - _AROUND) : offset]
        after = text[offset : offset + _AROUND]
        offered = infill.candidates[0] if infill.candidates else ()
        found = tuple(offered) or (_only(infill),)
        with self._lock:
            self._found.pop((uri, offset), None)
            one = _Remembered(offset, before, after, effort, found, infill.stopped)
            self._found[uri, offset] = one
            if len(self._found) > _REMEMBERED:
                self._found.popitem(last=False)

    def recall(
        self, uri: str, text: str, offset: int, *, effort: float, caution: float, asked: bool
    ) -> list[str] | None:
        """Return what to offer at a place, from what is remembered: possibly nothing. None if
        nothing is known of the place.
        """
        with self._lock:
            found = [one for (of, _), one in self._found.items() if of == uri]
        for one in reversed(found):
            typed = one.typed(text, offset)
            if typed is None or one.effort < effort:
                continue
            texts = offered(one.candidates, one.stopped, typed, caution=caution, asked=asked)
            if texts or not typed:
                return texts
        return None

    def forget(self, uri: str | None = None) -> None:
        """Forget what was found in a text, or everything."""
        with self._lock:
            for key in [key for key in self._found if uri in (None, key[0])]:
                del self._found[key]


def offered(
    candidates: Sequence[Candidate], stopped: Stopped, typed: str, *, caution: float, asked: bool
) -> list[str]:
    """Return what follows the typed text in the candidates that begin with it, best first: all that
    say something if the user asked, else only the best one, if there is no doubt about it.
    """
    some = candidates if asked else candidates[:1]
    texts = [
        one.draft.text[len(typed) :]
        for one in some
        if one.draft.text.startswith(typed)
        and (asked or doubt(one, stopped, caution=caution) is None)
    ]
    return list(dict.fromkeys(text for text in texts if text.strip()))


def request_at(path: Path, text: str, offset: int, *, effort: float) -> InfillRequest:
    """Return the request to fill a hole at an offset of a text."""
    document = Document.from_text(text, path)
    return InfillRequest((passage(document, [Span(offset, offset)]),), effort=effort)


def cut(text: str, lines: int) -> str:
    """Return the first lines of a text; an empty first one does not count."""
    ends = [end.start() for end in LINE_END.finditer(text, 1)]
    return text if len(ends) < lines else text[: ends[lines - 1]]


def path_of(snapshot: Snapshot, folders: Sequence[str] = ()) -> Path:
    """Return a text's path, relative to the folder of the workspace that it is in. Its name tells
    its language; where it tells none, the client's word counts.
    """
    path = _path(snapshot.uri)
    for folder in map(_path, folders):
        if path != folder and path.is_relative_to(folder):
            path = path.relative_to(folder)
            break
    if not path.name:
        path = Path("untitled")
    if kind_of(path.name).language is None and not path.suffix:
        suffixes = [one[1:] for one in names_of(snapshot.language) if one.startswith("*.")]
        path = path.with_name(path.name + suffixes[0]) if suffixes else path
    return path


def _path(uri: str) -> Path:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return Path()
    name = unquote(parts.path).replace("\0", "")
    return Path(name) if parts.scheme == "file" else Path(PurePath(name).name)


def _only(infill: Infill) -> Candidate:
    """Return an infill without candidates as one that nobody has judged."""
    text = infill.texts[0]
    return Candidate(Draft((text,), (0.5,), (True,)), infill.score, "canvas")
