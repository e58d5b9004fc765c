"""Fill holes from the command line: targets in, edited documents out, nothing drawn or asked.

All holes of all files are one request, with one passage per file. Nothing is written until every
file has been checked; if a write fails, the ones before it are reverted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgedit.errors import ConflictError, DgeditError, DoubtError, EngineError
from dgedit.files import disk
from dgedit.files.document import LARGEST, LINE_END, Document, Span, readable
from dgedit.files.paths import path_in_diff
from dgedit.request.doubt import Doubt, doubts, told
from dgedit.request.markers import (
    instruction_of,
    is_marker,
    marked,
    passage,
    position,
    trimmed,
    words_of,
)
from dgedit.request.progress import watch
from dgedit.request.ranges import spans_of
from dgedit.request.within import within
from dgedit.text.blanks import Blanks, of_file, usual
from dgedit.text.diff import unified_diff
from dgedit_engine.types import (
    Backend,
    Infill,
    InfillRequest,
    ModelError,
    Passage,
    Step,
    collect,
)


@dataclass(frozen=True, slots=True)
class Source:
    """A document and the holes to be filled in it."""

    document: Document
    """The document as it was read."""
    spans: tuple[Span, ...]
    """The holes, in order, not overlapping."""
    blanks: tuple[Blanks | None, ...] = ()
    """For each hole what is a blank in it, where it is a template; empty where none is."""

    @classmethod
    def of(
        cls,
        document: Document,
        ranges: Sequence[str | None],
        *,
        marker: str,
        blanks: Blanks | None = None,
    ) -> Source:
        """Find the holes that the ranges name; None names every marker.

        With `blanks`, holes that are no marker are templates, and where nothing is named, all of
        the text is one. So it is without them in a file of a kind that has blanks of its own.
        """
        named = any(ranges) or (marker and marked(document.text, marker))
        if blanks is None and not named:
            own = usual(document.path)
            blanks = own if own is not None and own.character in document.text else None
        if blanks is None:
            return cls(document, tuple(spans_of(document, ranges, marker=marker)))
        if not named:
            return cls._templates(document, (Span(0, len(document.text)),), marker, blanks)
        return cls._templates(document, spans_of(document, ranges, marker=marker), marker, blanks)

    @classmethod
    def _templates(
        cls, document: Document, spans: Sequence[Span], marker: str, given: Blanks
    ) -> Source:
        own, blanks = of_file(given, document.path), list[Blanks | None]()
        found = []
        for span in spans:
            lone = is_marker(document.text[span.start : span.end], marker)
            found.append(span if lone else trimmed(document, span, own))
            blanks.append(None if lone else own)
        return cls(document, tuple(found), tuple(blanks))

    def passage(self, *, marker: str) -> Passage:
        """Return the passage that a model reads."""
        return passage(self.document, self.spans, marker=marker, blanks=self.blanks)

    def filled(self, texts: Iterator[str]) -> Document:
        """Return the document with its holes filled. Of a template nothing but the blanks is
        changed. Raises EngineError for a text that does not fit its template.
        """
        edits: list[tuple[Span, str]] = []
        for at, span in enumerate(self.spans):
            text, own = next(texts), self.blanks[at] if self.blanks else None
            if own is None:
                edits.append((span, text))
                continue
            held, start = self.document.text[span.start : span.end], span.start
            if (new := own.put(held, readable(held), text)) is None:
                raise EngineError("the engine fills no templates: it changed what is to stay")
            places = own.places(held)
            edits += [(Span(start + one, start + one + 1), new[one]) for one in places]
        return self.document.apply(edits)

    def words(self, *, marker: str) -> list[str]:
        """Return the instruction in each hole's marker; empty for none."""
        text = self.document.text
        return [words_of(text[span.start : span.end], marker) for span in self.spans]


@dataclass(frozen=True, slots=True)
class Result:
    """The filled sources."""

    sources: tuple[Source, ...]
    """The sources as they were."""
    infill: Infill
    """The infill."""

    @property
    def documents(self) -> list[Document]:
        """Every source's document with its holes filled; unchanged, markers included, if the infill
        left everything as it was.
        """
        if self.infill.stopped == "unchanged":
            return [source.document for source in self.sources]
        texts = iter(self.infill.texts)
        return [source.filled(texts) for source in self.sources]

    @property
    def changed(self) -> bool:
        """True if any document differs from its source."""
        pairs = zip(self.sources, self.documents, strict=True)
        return any(source.document.text != document.text for source, document in pairs)

    @property
    def lines(self) -> list[int]:
        """The line in its file at which each hole begins."""
        return [
            _line_column(source.document, span.start)["line"]
            for source in self.sources
            for span in source.spans
        ]

    def doubts(self, *, caution: float) -> list[Doubt | None]:
        """Return the reason not to write each hole without asking; None for an unchanged hole."""
        held = (
            source.document.text[span.start : span.end]
            for source in self.sources
            for span in source.spans
        )
        found = zip(held, self.infill.texts, doubts(self.infill, caution=caution), strict=True)
        return [None if _reads_as(old, new) else one for old, new, one in found]

    def doubted(self, *, caution: float) -> str:
        """List the doubtful holes with their files and lines, in one line; empty for none."""
        files = [source.document.path or "stdin" for source in self.sources for _ in source.spans]
        places = [f"{file}:{line}" for file, line in zip(files, self.lines, strict=True)]
        return told(places, self.doubts(caution=caution))

    def refuse_doubts(self, *, caution: float) -> None:
        """Raise DoubtError if any hole is in doubt: then none is to be written."""
        if said := self.doubted(caution=caution):
            way_out = "--accept-unsettled writes all the same"
            raise DoubtError(f"{said}; nothing was written ({way_out})")


def sources_of(
    targets: Sequence[tuple[Path, str | None]], *, marker: str, blanks: Blanks | None = None
) -> tuple[Source, ...]:
    """Read each file of the targets once, in the order in which they were first named."""
    ranges: dict[str, tuple[Path, list[str | None]]] = {}
    for path, one in targets:
        ranges.setdefault(os.path.realpath(path), (path, []))[1].append(one)
    return tuple(_source(path, found, marker, blanks) for path, found in ranges.values())


def instruction(said: str, sources: Sequence[Source], *, marker: str) -> str:
    """Combine the common instruction and those in the markers, for a model to read."""
    words = [one for source in sources for one in source.words(marker=marker)]
    return readable(instruction_of(said, words))


def run(
    request: InfillRequest,
    backend: Backend,
    *,
    each: Callable[[Step], None] | None = None,
    quiet: bool = False,
    seconds: float | None = None,
) -> Infill:
    """Refine until the infill is done, or for at most `seconds`, and return it.

    Each step is passed to `each`, or else drawn on stderr if that is a terminal, unless `quiet`.
    Raises EngineError.
    """
    try:
        steps = backend.infill(request)
        if seconds is not None:
            steps = within(steps, seconds)
        if each is not None:
            steps = _tapped(steps, each)
        elif not quiet:
            steps = watch(steps, backend, request)
        with _closed(steps):
            return collect(steps)
    except ModelError as error:
        raise EngineError(str(error)) from error
    except (MemoryError, RuntimeError) as error:  # mostly a device that is out of memory
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise EngineError(f"the engine failed: {reason}") from error


def diff(result: Result, *, as_bytes: bool, only: int | None = None) -> str:
    """Return the diff of every file, or only of the one with index `only`.

    `as_bytes` writes the files' bytes, as surrogate escapes, instead of their decoded text.
    """
    parts = []
    for at, (source, document) in enumerate(zip(result.sources, result.documents, strict=True)):
        if only is not None and at != only:
            continue
        before, after = (
            _bytes_as_text(one) if as_bytes else one.text for one in (source.document, document)
        )
        assert document.path is not None
        above = document.outside.newlines
        parts.append(unified_diff(before, after, path_in_diff(document.path), above=above))
    return "".join(parts)


def places(sources: Sequence[Source]) -> list[dict[str, Any]]:
    """Return where each hole is, JSON-able: in code points, in bytes, in lines and columns."""
    return [
        {
            "path": str(source.document.path or ""),
            "span": {
                "start": span.start + source.document.outside.characters,
                "end": span.end + source.document.outside.characters,
            },
            "bytes": {
                "start": _byte(source.document, span.start),
                "end": _byte(source.document, span.end),
            },
            "start": _line_column(source.document, span.start),
            "end": _line_column(source.document, span.end),
        }
        for source in sources
        for span in source.spans
    ]


def report(
    result: Result, request: InfillRequest, backend: Backend, *, caution: float
) -> dict[str, Any]:
    """Return the result in full, JSON-able; spans and positions are those before the change."""
    infill, found = result.infill, result.doubts(caution=caution)
    holes = [
        hole | {"text": text, "doubt": one and one.words}
        for hole, text, one in zip(places(result.sources), infill.texts, found, strict=True)
    ]
    for hole, offered in zip(holes, infill.candidates, strict=False):
        hole["candidates"] = [
            {
                "text": one.draft.text,
                "score": one.score,
                "origin": one.origin,
                "faults": one.faults,
                "certainty": one.certainty,
            }
            for one in offered
        ]
    return {
        "model": backend.name,
        "device": backend.device,
        "holes": holes,
        "score": infill.score,
        "steps": infill.steps,
        "seconds": round(infill.seconds, 3),
        "seed": request.seed,
        "stopped": infill.stopped,
    }


def write(result: Result, *, only: Collection[int] | None = None) -> None:
    """Save all changed documents, or those of them at the indices `only`: all or none.

    Raises ConflictError, naming the file, if one has changed since it was read.
    """
    pairs = [
        (source.document, document)
        for at, (source, document) in enumerate(zip(result.sources, result.documents, strict=True))
        if only is None or at in only
    ]
    for before, _ in pairs:
        if before.is_stale():
            raise ConflictError(f"{before.path} has changed on disk since it was read")
    saved: list[tuple[Document, Document]] = []
    try:
        for before, after in pairs:
            if after.text != before.text:
                saved.append((before, after.save()))
    except BaseException:
        for before, after in saved:
            with suppress(DgeditError):  # another program changed it since: its version stays
                after.with_text(before.text).save()
        raise


def _source(path: Path, ranges: Sequence[str | None], marker: str, blanks: Blanks | None) -> Source:
    if disk.size_of(path) < LARGEST:
        return Source.of(Document.load(path), ranges, marker=marker, blanks=blanks)
    from dgedit.request.large import excerpt

    document, spans = excerpt(path, ranges, marker=marker)
    if blanks is None:
        return Source(document, spans)
    return Source._templates(document, spans, marker, blanks)


def _tapped(steps: Iterator[Step], each: Callable[[Step], None]) -> Generator[Step]:
    with _closed(steps):
        for step in steps:
            each(step)
            yield step


@contextmanager
def _closed(steps: Iterator[Step]) -> Iterator[None]:
    """Close a backend's iterator of steps afterwards, if it has a `close` method."""
    try:
        yield
    finally:
        getattr(steps, "close", lambda: None)()


def _reads_as(old: str, new: str) -> bool:
    return LINE_END.sub("\n", old) == LINE_END.sub("\n", new)


def _bytes_as_text(document: Document) -> str:
    return document.encode().decode("utf-8", "surrogateescape")


def _byte(document: Document, offset: int) -> int:
    return document.outside.before + len(document.with_text(document.text[:offset]).encode())


def _line_column(document: Document, offset: int) -> dict[str, int]:
    line, column = position(document.text, offset)
    return {"line": line + document.outside.lines, "column": column}
