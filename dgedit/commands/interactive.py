"""Ask on the terminal, one key at a time, whether to accept an infill, file by file.

Draws on stderr. Keys typed before a question are discarded. The terminal is restored at the end,
also after a signal; when stopped and continued, the question is asked again. Writes no file.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dgedit import signals
from dgedit.commands import output
from dgedit.config import Color
from dgedit.errors import UsageError
from dgedit.request import run as fill
from dgedit.request.doubt import told as told_of
from dgedit.text.diff import painted
from dgedit.text.visible import visible
from dgedit_engine.types import CAUTION, Backend, Infill, InfillRequest

_KEYS = {
    "y": "yes",
    "n": "no",
    "a": "all",
    "c": "candidate",
    "r": "re-roll",
    "e": "edit",
    "d": "whole diff",
    "q": "quit",
}
_PATIENCE = 0.2  # seconds
_LEAST = 5  # rows of a diff that are always shown


@dataclass(frozen=True, slots=True)
class Decision:
    """The user's answers."""

    result: fill.Result
    """The infill that was shown last."""
    accepted: frozenset[int]
    """The indices of the sources that are to be written."""
    request: InfillRequest
    """The last request."""
    edit: bool = False
    """True to continue in the editor."""


def needs_terminal() -> None:
    """Raise UsageError if there is no terminal to ask on."""
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError("--interactive needs a terminal; elsewhere, --diff and --write work")


def told(answer: Decision) -> str:
    """Say what was written, one line for each file."""
    result, lines, texts = answer.result, [], iter(answer.result.infill.texts)
    pairs = zip(result.sources, result.documents, strict=True)
    for at, (source, document) in enumerate(pairs):
        was = [source.document.text[span.start : span.end] for span in source.spans]
        count = sum(old != next(texts) for old in was)
        if at in answer.accepted and source.document.text != document.text:
            of = f"{count} of {len(was)}" if count < len(was) else str(count)
            holes = "hole" if len(was) == 1 else "holes"
            lines.append(f"wrote {visible(str(source.document.path))}: {of} {holes}\n")
    return "".join(lines) or "wrote nothing\n"


def ask(
    sources: tuple[fill.Source, ...],
    request: InfillRequest,
    backend: Backend,
    *,
    color: Color = "auto",
    seconds: float | None = None,
    caution: float = CAUTION,
) -> Decision:
    """Fill, show and ask; repeat with the next seed for as long as the user asks for another
    infill.
    """
    while True:
        infill = fill.run(request, backend, seconds=seconds)
        signals.look()
        with _Question() as question:
            answer = _review(sources, (request, infill), question, color, caution=caution)
        if answer is not None:
            return answer
        request = replace(request, seed=(request.seed + 1) % 2**63)


def _review(
    sources: tuple[fill.Source, ...],
    asked: tuple[InfillRequest, Infill],
    question: _Question,
    color: Color,
    *,
    caution: float,
) -> Decision | None:
    """Ask about each file that would change; return None if the user wants another infill."""
    request, infill = asked
    choices = _choices(infill)
    chosen, accepted = 0, set[int]()
    result = fill.Result(sources, choices[0])
    waiting = _changed(result)
    whole = anew = cut = False
    while waiting:
        at = waiting[0]
        if not anew:
            cut = _show(fill.diff(result, as_bytes=False, only=at), color, whole=whole)
        about = [str(sources[at].document.path), f"candidate {chosen + 1} of {len(choices)}"]
        about += [f"{len(waiting) - 1} more to ask about"] if len(waiting) > 1 else []
        doubted = _doubted(result, at, caution)
        about += [doubted] if doubted else []
        whole = anew = False
        useless = {"a": len(waiting) == 1, "c": len(choices) == 1, "d": not cut}
        keys = {key: word for key, word in _KEYS.items() if not useless.get(key)}
        match question.put(visible(" · ".join(about)), keys):
            case "y":
                accepted.add(waiting.pop(0))
            case "a":
                accepted.update(waiting)
                waiting.clear()
            case "n":
                waiting.pop(0)
            case "c":
                chosen = (chosen + 1) % len(choices)
                result, accepted = fill.Result(sources, choices[chosen]), set()
                waiting = _changed(result)
            case "r":
                return None
            case "e":
                return Decision(result, frozenset(), request, edit=True)
            case "d":
                whole = True
            case "q":
                return Decision(result, frozenset(), request)
            case _:
                anew = True
    return Decision(result, frozenset(accepted), request)


def _doubted(result: fill.Result, at: int, caution: float) -> str:
    """Say why holes of the file at this index are in doubt; empty if none is."""
    first = sum(len(source.spans) for source in result.sources[:at])
    own = slice(first, first + len(result.sources[at].spans))
    found = result.doubts(caution=caution)[own]
    if len(found) == 1:
        return found[0].words if found[0] else ""
    return told_of([f"line {line}" for line in result.lines[own]], found)


def _choices(infill: Infill) -> list[Infill]:
    """Return one infill for each rank of candidates: the first of all holes, the second, …."""
    count = max(map(len, infill.candidates), default=0)
    return [_with_first(infill, at) for at in range(count)] or [infill]


def _with_first(infill: Infill, at: int) -> Infill:
    """Return the infill with the candidates at this index moved to the front; a hole with fewer
    shows its last.
    """
    moved = []
    for own in infill.candidates:  # empty for a hole that was not reached in time
        place = max(0, min(at, len(own) - 1))
        moved.append((*own[place : place + 1], *own[:place], *own[place + 1 :]))
    texts = [
        own[0].draft.text if own else text for own, text in zip(moved, infill.texts, strict=True)
    ]
    return replace(infill, texts=tuple(texts), candidates=tuple(moved))


def _changed(result: fill.Result) -> list[int]:
    """Return the indices of the files that would change; if none would, the first, since the user
    may want another infill.
    """
    pairs = enumerate(zip(result.sources, result.documents, strict=True))
    return [at for at, (old, new) in pairs if old.document.text != new.text] or [0]


def _show(diff: str, color: Color, *, whole: bool) -> bool:
    """Show a diff, or as much as the screen has room for; return whether there is more."""
    lines = diff.splitlines(keepends=True)
    room = max(_LEAST, shutil.get_terminal_size().lines - 4)
    hidden = 0 if whole or len(lines) <= room else len(lines) - room
    text = "".join(lines[: len(lines) - hidden]) or "nothing would change\n"
    paint = painted if output.is_colored(sys.stderr, color) else str
    output.show(text, sys.stderr, paint=paint)
    if hidden:
        output.show(f"… {hidden} more lines: d shows them", sys.stderr)
    return hidden > 0


class _Question:
    """The terminal during a question: keys are read one by one, without echo."""

    def __init__(self) -> None:
        self.fd = sys.stdin.fileno()
        self.words = ""

    def __enter__(self) -> _Question:
        self.before = termios.tcgetattr(self.fd)
        self.continued = signal.signal(signal.SIGCONT, lambda number, frame: self._begin())
        tty.setcbreak(self.fd)
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:  # the cursor is in the middle of a line
            print(file=sys.stderr, flush=True)
        termios.tcsetattr(self.fd, termios.TCSADRAIN, self.before)
        signal.signal(signal.SIGCONT, self.continued)

    def put(self, about: str, keys: Mapping[str, str]) -> str:
        """Return the key that is pressed next: empty for one not in `keys`, q at the end
        of input.
        """
        asked = "  ".join(f"{key} {word}" for key, word in keys.items())
        self.words = f"{about}\n{asked} ? "
        self._begin()
        try:
            # A signal may be delivered to an engine's thread; this thread handles it on waking up.
            while not select.select([self.fd], [], [], _PATIENCE)[0]:
                pass
            typed = os.read(self.fd, 32).decode("utf-8", "replace")
        except OSError:  # the terminal is gone
            typed = ""
        key = typed[:1].lower() if typed not in ("", "\x04") else "q"
        print("" if key == "\x1b" else visible(key.strip()), file=sys.stderr, flush=True)
        return key if key in keys else ""

    def _begin(self) -> None:
        """Print the question, again after the process was stopped and continued."""
        tty.setcbreak(self.fd)
        print(self.words, end="", file=sys.stderr, flush=True)
