"""Filling holes from the command line: targets in, edited documents out, nothing drawn or asked.

All holes of all files are one request, with one passage per file. Nothing is written until every
file has been checked, and a write that fails takes the ones before it back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgedit.diff import shown_path, unified_diff
from dgedit.document import Document, Span, readable
from dgedit.errors import ConflictError, DgeditError, EngineError
from dgedit.holes import instruction_of, marked, passage, position
from dgedit.live import watch
from dgedit.targets import parse_target, spans_of
from dgedit_engine.types import Backend, Infill, InfillRequest, ModelError, Passage, Step, collect


@dataclass(frozen=True, slots=True)
class Source:
    """A document and what is to be filled in it."""

    document: Document
    """As it was read."""
    spans: tuple[Span, ...]
    """The holes, in order, not overlapping."""

    @classmethod
    def of(cls, document: Document, ranges: Sequence[str | None], *, marker: str) -> Source:
        """The document with the holes that the ranges name; None names every marker."""
        return cls(document, tuple(spans_of(document, ranges, marker=marker)))

    def passage(self, *, marker: str) -> Passage:
        """What a model is to read."""
        return passage(self.document, self.spans, marker=marker)

    def words(self, *, marker: str) -> list[str]:
        """What the marker in each hole says; empty for none."""
        said = {one.span: one.words for one in marked(self.document.text, marker)}
        return [said.get(span, "") for span in self.spans]


@dataclass(frozen=True, slots=True)
class Result:
    """The sources, filled."""

    sources: tuple[Source, ...]
    """What was asked for."""
    infill: Infill
    """What came of it."""

    @property
    def documents(self) -> list[Document]:
        """Every source's document with its holes filled."""
        texts = iter(self.infill.texts)
        return [
            source.document.apply([(span, next(texts)) for span in source.spans])
            for source in self.sources
        ]

    @property
    def changed(self) -> bool:
        """Whether any document differs from its source."""
        pairs = zip(self.sources, self.documents, strict=True)
        return any(source.document.text != document.text for source, document in pairs)


def sources_of(targets: Sequence[str], *, marker: str) -> tuple[Source, ...]:
    """The targets' files, each read once, in the order in which they were first named."""
    ranges: dict[str, tuple[Path, list[str | None]]] = {}
    for target in targets:
        path, one = parse_target(target)
        ranges.setdefault(os.path.realpath(path), (path, []))[1].append(one)
    return tuple(
        Source.of(Document.load(path), found, marker=marker) for path, found in ranges.values()
    )


def instruction(said: str, sources: Sequence[Source], *, marker: str) -> str:
    """What was said of all holes, and what their markers say, for a model to read."""
    words = [one for source in sources for one in source.words(marker=marker)]
    return readable(instruction_of(said, words))


def run(
    request: InfillRequest, backend: Backend, *, each: Callable[[Step], None] | None = None
) -> Infill:
    """Refine until it is done. The steps go to `each`, or else onto the screen if there is one."""
    try:
        if each is None:
            with closing(watch(backend.infill(request), backend)) as steps:
                return collect(steps)
        return collect(_tapped(backend, request, each))
    except ModelError as error:
        raise EngineError(str(error)) from error
    except (MemoryError, RuntimeError) as error:  # above all, a device out of memory
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise EngineError(f"the engine failed: {reason}") from error


def diff(result: Result, *, as_bytes: bool) -> str:
    """The change of every file; as the text reads, or with its bytes as surrogate escapes."""
    parts = []
    for source, document in zip(result.sources, result.documents, strict=True):
        before, after = (
            _bytes_as_text(one) if as_bytes else one.text for one in (source.document, document)
        )
        assert document.path is not None
        parts.append(unified_diff(before, after, shown_path(document.path)))
    return "".join(parts)


def report(result: Result, request: InfillRequest, backend: Backend) -> dict[str, Any]:
    """The result in full, JSON-able; spans and positions are those of the files as they were."""
    infill = result.infill
    holes = ((source.document, span) for source in result.sources for span in source.spans)
    return {
        "model": backend.name,
        "device": backend.device,
        "holes": [
            {
                "path": str(document.path),
                "span": {"start": span.start, "end": span.end},
                "start": _line_column(document, span.start),
                "end": _line_column(document, span.end),
                "text": text,
            }
            for (document, span), text in zip(holes, infill.texts, strict=True)
        ],
        "candidates": [
            {
                "texts": [draft.text for draft in one.drafts],
                "score": one.score,
                "origin": one.origin,
                "faults": one.faults,
            }
            for one in infill.candidates
        ],
        "score": infill.score,
        "steps": infill.steps,
        "seconds": round(infill.seconds, 3),
        "seed": request.seed,
        "stopped": infill.stopped,
    }


def write(result: Result) -> None:
    """Save every document that changed: all of them or none.

    Raises ConflictError, naming the file, when one is no longer what it was when it was read.
    """
    for source in result.sources:
        if source.document.is_stale():
            raise ConflictError(f"{source.document.path} has changed on disk since it was read")
    saved: list[tuple[Document, Document]] = []
    try:
        for source, document in zip(result.sources, result.documents, strict=True):
            if document.text != source.document.text:
                saved.append((source.document, document.save()))
    except BaseException:
        for before, after in saved:
            with suppress(DgeditError):  # changed by somebody else since: theirs stays
                after.with_text(before.text).save()
        raise


def _tapped(
    backend: Backend, request: InfillRequest, each: Callable[[Step], None]
) -> Iterator[Step]:
    for step in backend.infill(request):
        each(step)
        yield step


def _bytes_as_text(document: Document) -> str:
    return document.encode().decode("utf-8", "surrogateescape")


def _line_column(document: Document, offset: int) -> dict[str, int]:
    line, column = position(document.text, offset)
    return {"line": line, "column": column}
