"""The command `dgedit watch`: fill markers in place whenever their file is saved.

Markers of a file with the same instruction are filled together, the others one after another, so
that later ones see the earlier results. After each group the file is saved; if it changed
meanwhile, it is left as it is and filled again from the start. A marker whose infill is in doubt
stays.

Knows documents and engines; `watching` knows which files are to be filled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dgedit import signals
from dgedit.commands import output, waiting
from dgedit.commands.first import connected
from dgedit.commands.options import (
    HOLES,
    OUTPUT,
    AcceptUnsettled,
    Adapter,
    Candidates,
    Caution,
    Device,
    Effort,
    Engine,
    Force,
    Instruction,
    Marker,
    Model,
    Seed,
    option,
)
from dgedit.engines import connect as backend
from dgedit.errors import ConflictError, DgeditError, EngineError, Exit, InputError, UsageError
from dgedit.files.document import LARGEST, Document, Span, readable
from dgedit.files.watching import Root, Watching, operation_around
from dgedit.models.nano import NoBase
from dgedit.request.doubt import Doubt, doubts
from dgedit.request.markers import MARKER, Marked, instruction_of, marked, passage, position
from dgedit.text.visible import visible
from dgedit_engine.types import CAUTION

if TYPE_CHECKING:
    from dgedit_engine.types import Backend, Infill, InfillRequest, Step


@dataclass(frozen=True, slots=True)
class Filled:
    """A group of markers that were filled together."""

    lines: tuple[int, ...]
    """The lines at which the new texts begin."""
    infill: Infill
    """The infill of the group."""
    words: str
    """The markers' instruction."""
    left: tuple[tuple[int, Doubt], ...]
    """The lines of the markers that stay, each with the reason."""
    document: Document
    """The document after the group."""


Judge = Callable[["Infill"], Sequence[Doubt | None]]
"""Returns for each hole the reason not to write its infill, or None."""


def watch(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH", help="Folders and files, or else .")
    ] = None,
    once: Annotated[bool, option(HOLES, "--once", help="Fill what is there now, and end.")] = False,
    dry_run: Annotated[
        bool, option(OUTPUT, "--dry-run", help="Print the markers and fill none.")
    ] = False,
    debounce: Annotated[
        int,
        option(HOLES, metavar="MS", min=0, help="How long a file must be quiet; else 200."),
    ] = 200,
    caution: Caution = CAUTION,
    accept_unsettled: AcceptUnsettled = False,
    marker: Marker = MARKER,
    force: Force = False,
    instruction: Instruction = "",
    effort: Effort = 0.5,
    candidates: Candidates = None,
    seed: Seed = 0,
    model: Model = None,
    adapter: Adapter = None,
    device: Device = None,
    engine: Engine = "auto",
) -> int:
    """Fill the markers of files as they are saved: <FILL> and <FILL: what to write>.

    What git ignores is left alone, and so is what was there before, which --once fills. During a
    rebase, a merge, a cherry-pick or a bisect, files wait until git is done.

    Example: dgedit watch src -m "no comments"
    """
    from dgedit_engine.types import Hole, InfillRequest, Passage

    if not marker:
        raise UsageError("the marker must not be empty")
    wish = InfillRequest(  # raises now for invalid options
        (Passage("", (Hole(),)),),
        readable(instruction),
        effort=effort,
        seed=seed,
        candidates=candidates,
    )
    roots = [Root.of(path) for path in paths or [Path()]]
    watching = Watching(roots, marker=marker, quiet=debounce / 1000, say=output.complain)

    def connect() -> Backend:
        waiting.agreed(model, device, engine)
        named = model is not None or adapter is not None
        return connected(
            lambda: backend.connect(model, device, engine=engine, adapter=adapter), named=named
        )

    def judge(infill: Infill) -> Sequence[Doubt | None]:
        none = [None] * len(infill.texts)
        return none if accept_unsettled else doubts(infill, caution=caution)

    work = _Work(watching, wish, connect, marker, judge, force=force)
    for path in watching.present() if once else watching.saved():
        if dry_run:
            work.show(path)
        else:
            work.fill(path, again=not once)
    return work.exit


def fill(
    document: Document,
    ask: Callable[[Document, Sequence[Span], str], Infill],
    save: Callable[[Document], Document],
    *,
    marker: str,
    judge: Judge = lambda infill: [None] * len(infill.texts),
) -> Iterator[Filled]:
    """Fill a document's markers, grouped by instruction, and save it after each group.

    `ask` is called with the holes and their instruction. Markers about which `judge` has a doubt
    stay, and are not tried again.
    """
    rest = marked(document.text, marker)
    most = len(rest)
    while rest:
        now = [one for one in rest if one.words == rest[0].words][:most]
        spans = [one.span for one in now]
        try:
            infill = ask(document, spans, now[0].words)
        except (ValueError, InputError):
            if len(now) == 1:
                raise
            most = len(now) // 2  # too many for one request, or too far apart
            continue
        rest = [one for one in rest if one not in now]
        starts: list[int] = []
        why = judge(infill)
        for span, text, doubt in reversed(list(zip(spans, infill.texts, why, strict=True))):
            before = len(document.text)
            if doubt is None:
                document = document.apply([(span, text)])
            moved = len(document.text) - before
            rest = [_moved(one, moved) if one.span.start > span.start else one for one in rest]
            starts = [span.start, *(start + moved for start in starts)]
        if None in why:
            document = save(document)
        lines = [position(document.text, start)[0] for start in starts]
        judged = list(zip(lines, why, strict=True))
        yield Filled(
            tuple(line for line, doubt in judged if doubt is None),
            infill,
            now[0].words,
            tuple((line, doubt) for line, doubt in judged if doubt is not None),
            document,
        )


@dataclass(frozen=True, slots=True)
class _Left:
    """The markers that stay in a file."""

    told: Collection[tuple[str, str]] = ()
    """Their instructions, each with the kind of doubt that was reported."""
    text: int | None = None
    """The hash of the text with only such markers, which need not be filled again; None if there
    are others.
    """


class _Work:
    """Fills file after file, and keeps the exit code."""

    def __init__(
        self,
        watching: Watching,
        wish: InfillRequest,
        connect: Callable[[], Backend],
        marker: str,
        judge: Judge,
        *,
        force: bool = False,
    ) -> None:
        self.exit = Exit.OK
        """The exit code of the first failure."""
        self._watching = watching
        self._wish = wish
        self._connect = connect
        self._marker = marker
        self._judge = judge
        self._force = force
        self._unknown = set[Path]()
        self._told_of_words = False
        self._left: dict[Path, _Left] = {}
        self._backend: Backend | None = None

    def show(self, path: Path) -> None:
        """Print the position and the instruction of each of a file's markers."""
        with self._complaining():
            document = Document.load(path, largest=LARGEST)
            for one in marked(document.text, self._marker):
                line, _ = position(document.text, one.span.start)
                _print(f"{path}:{line}  {one.words}".rstrip())

    def fill(self, path: Path, *, again: bool) -> None:
        """Fill a file's markers. One that changes meanwhile is skipped, or retried if `again`."""
        if path in self._unknown:
            return
        with self._complaining():
            try:
                document = Document.load(path, largest=LARGEST)
                left = self._left.setdefault(path, _Left())
                if left.text == hash(document.text):
                    return
                found = set[tuple[str, str]]()
                for done in self._turns(document):
                    document = done.document
                    found |= self._tell(path, done, left.told)
                    self._left[path] = _Left({*left.told, *found})
                self._left[path] = _Left(found, hash(document.text) if found else None)
            except ConflictError:
                if not again:
                    raise
                self._watching.again(path)

    def _turns(self, document: Document) -> Iterator[Filled]:
        return fill(document, self._ask, self._save, marker=self._marker, judge=self._judge)

    def _tell(
        self, path: Path, done: Filled, told: Collection[tuple[str, str]]
    ) -> set[tuple[str, str]]:
        """Report which markers were filled, and why others were not, unless reported before.

        Returns the instruction and kind of doubt of each marker that stays.
        """
        for line in done.lines:
            _print(f"{path}:{line}  {done.infill.seconds:.1f} s")
        for line, doubt in done.left:
            self.exit = self.exit or Exit.UNSETTLED
            if (done.words, doubt.kind) not in told:
                advice = "the marker stays (--accept-unsettled fills it all the same)"
                output.complain(f"{path}:{line}: {doubt.words}; {advice}")
        return {(done.words, doubt.kind) for _, doubt in done.left}

    def _ask(self, document: Document, spans: Sequence[Span], words: str) -> Infill:
        from dgedit.request.ability import not_followed, not_known, note
        from dgedit.request.run import run

        path = document.path
        assert path is not None

        def look(step: Step | None = None) -> None:
            if document.is_stale():
                raise ConflictError(f"{path} has changed on disk since it was read")
            if what := operation_around(path):
                raise ConflictError(f"{path} is not filled before {what} is over")

        look()
        found = passage(document, spans, marker=self._marker)
        own = readable(instruction_of(self._wish.instruction, [words]))
        request = replace(self._wish, passages=(found,), instruction=own)
        if self._backend is None:
            self._backend = self._connect()
            if said := note(self._backend):
                output.complain(said)
        if not self._force and (why := not_known(self._backend, path)):
            self._unknown.add(path)
            raise EngineError(f"{path}: {why} (--force fills it all the same)")
        if own and not self._told_of_words and (said := not_followed(self._backend)):
            self._told_of_words = True
            output.complain(said)
        try:
            return run(request, self._backend, each=look)
        except EngineError:
            self._backend = None  # it may have ended: connect anew next time
            raise

    def _save(self, document: Document) -> Document:
        assert document.path is not None
        signals.look()
        with signals.put_off():
            saved = document.save()
            self._watching.wrote(document.path, saved.fingerprint)
        return saved

    @contextlib.contextmanager
    def _complaining(self) -> Iterator[None]:
        """Report an error about a file and go on; only a missing base ends the command."""
        try:
            yield
        except NoBase:
            raise
        except (DgeditError, ValueError) as error:
            code = error.exit if isinstance(error, DgeditError) else Exit.USAGE
            self.exit = self.exit or code
            output.complain(str(error))


def _moved(one: Marked, by: int) -> Marked:
    return replace(one, span=Span(one.span.start + by, one.span.end + by))


def _print(line: str) -> None:
    output.print_text(visible(line) + "\n")
