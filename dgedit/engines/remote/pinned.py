"""Fill holes on a server that holds slots to their text: one after the other, each by several
canvases side by side.

The other holes' texts stand as they are, or as they were filled. Knows requests and steps; the
canvas is `canvas`'s, and how the server is asked `vllm`'s.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import count

from dgedit.engines.remote import canvas as canvases
from dgedit.engines.remote.canvas import ALPHABET, Frame, Near, PinnedCanvas, Slots, Unpinned
from dgedit.engines.remote.exchange import Conversation
from dgedit.engines.remote.vllm import PAD, TURN, Pinning
from dgedit_engine.types import Candidate, Draft, Hole, InfillRequest, Step

RUNS: tuple[int | None, ...] = (None, 4, 12, 32)
"""Slots of a hole without text, for one canvas after the other; None: with an open end."""

_OPEN = (96, 40, 16)  # slots of a hole with an open end, and of the text behind it, if they fit
_TOGETHER = 4  # canvases that a server refines at a time
_STEPS = 48  # of the released sampler
_TRIES = 6  # until a server takes a canvas's width
_PRINTABLE = "".join(map(chr, range(32, 127)))  # what a blank of any alphabet may become


@dataclass(frozen=True, slots=True)
class _Place:
    """A hole, and what it is asked with."""

    hole: Hole
    near: Near
    closing: str
    """What closes the answer."""
    newline: str
    """How its file's lines end."""
    prompt: list[int]
    frame: Frame
    kept: list[int]
    """The tokens of the text that is kept in part; none where nothing is."""
    blanks: dict[int, str]
    """For a template, the tokens that a blank may become, each with its character."""
    template: list[int | None]
    """Its tokens, None for a blank."""


def fill(server: Pinning, request: InfillRequest, line: Conversation) -> Generator[Step]:
    """Fill a request's holes. Raises Unpinned where the server does not do so."""
    found: list[list[Candidate]] = []
    index = 0
    for at in range(len(request.holes)):
        texts = [one[0].draft.text for one in found]
        place = _place(server, request, line, at, texts)
        wanted = request.candidates or (1 if place.blanks else len(_runs(request, place)))
        best: list[Candidate] = []
        for done, one in enumerate(_candidates(server, request, line, place, wanted), 1):
            if one is not None:
                best = sorted([*best, one], key=lambda each: -each.score)
            index += 1
            firsts = [each[0].draft for each in found]
            own = best[0].draft if best else Draft((), (), ())
            later = [Draft((), (), ())] * (len(request.holes) - at - 1)
            left = wanted - done + len(later) * wanted
            score = best[0].score if best else 0.0
            yield Step(index, index + left + 1, (*firsts, own, *later), score=score)
        if not best:
            raise Unpinned("no infill goes on as the text behind it", lasting=False)
        found.append(best)
    yield _last(request, found, index + 1)


def _last(request: InfillRequest, found: list[list[Candidate]], index: int) -> Step:
    from dgedit_engine.decode.offers import last_step, offered

    return last_step(offered(request, found), index)


def _place(
    server: Pinning, request: InfillRequest, line: Conversation, at: int, texts: Sequence[str]
) -> _Place:
    """Find what a hole is asked with; `texts` fill the holes before it."""
    from dgedit_engine.prompt.fences import fence_around

    hole = request.holes[at]
    before, behind, path = _around(request, at, texts)
    newline = "\r\n" if "\r\n" in before + behind else "\n"
    near = canvases.near(before.replace("\r\n", "\n"), behind.replace("\r\n", "\n"))
    keeps = bool(hole.text) and request.strength < 1 and not hole.blanks
    mark = next(one for one in (f"<hole{'-' * n}>" for n in count()) if not _says(request, one))
    shown = _shown(request, at, texts, mark)
    fence = fence_around([*(text for _, text in shown), hole.text, request.instruction], [path])
    prompt = server.prompt(
        line, _message(request, shown, mark, fence, hole.text if keeps else ""), fence + "\n"
    )
    closing = "\n" + fence
    frame = Frame(
        server.tokens(line, near.before),
        server.tokens(line, near.behind) + server.tokens(line, closing),
        server.special(line, TURN),
        server.special(line, PAD),
    )
    held = hole.text.replace("\r\n", "\n")
    blanks = _alphabet(server, line, hole.alphabet) if hole.blanks else {}
    template = _template(server, line, hole) if hole.blanks else []
    kept = server.tokens(line, held) if keeps else []
    return _Place(hole, near, closing, newline, prompt, frame, kept, blanks, template)


def _candidates(
    server: Pinning, request: InfillRequest, line: Conversation, place: _Place, wanted: int
) -> Iterator[Candidate | None]:
    """Yield a hole's candidates as they come, None for one that is none. Raises Unpinned where the
    server has filled no canvas as it was asked.
    """
    together = line.another()
    refused: Unpinned | None = None
    some = False
    with contextlib.ExitStack() as ending:
        pool = ThreadPoolExecutor(_TOGETHER)
        ending.callback(pool.shutdown, wait=False, cancel_futures=True)
        ending.callback(together.close)
        asked: list[Future[Candidate | None]] = [
            pool.submit(_candidate, server, request, together.another(), place, number)
            for number in range(wanted)
        ]
        for one in as_completed(asked):
            try:
                found = one.result()
            except Unpinned as error:
                refused, found = error, None
            some = some or found is not None
            yield found
    if refused is not None and not some:
        raise refused


def _candidate(
    server: Pinning, request: InfillRequest, line: Conversation, place: _Place, number: int
) -> Candidate | None:
    """Ask for one candidate."""
    share = request.strength if place.kept else 1.0
    most = request.steps or max(1, round(_STEPS * 4 ** (request.effort - 0.5)))
    for last in range(_TRIES - 1, -1, -1):
        asked = _canvas(server, request, place, number)
        try:
            answer = server.refined(
                line,
                place.prompt,
                asked,
                steps=max(1, math.ceil(share * most)),
                alphabet=tuple(place.blanks),
            )
        except Unpinned as error:
            if last and server.adapted(str(error), len(asked.ids)):
                continue
            raise
        break
    # confined to an alphabet, the model reads pinned slots as one of its characters too
    confined = bool(place.blanks) and all(one in place.blanks for one in answer.ids)
    if not confined and not canvases.held(answer, asked, place.frame):
        raise Unpinned("it does not hold the text that is to stay")
    if place.blanks:
        return _filled(answer, asked, place)
    return _written(server, line, answer, asked, place)


def _canvas(server: Pinning, request: InfillRequest, place: _Place, number: int) -> PinnedCanvas:
    chance = random.Random(f"{request.seed}:{number}")
    if place.blanks:
        ids = list(place.blanks)
        return canvases.canvas(
            place.frame, place.template, widths=server.widths, chance=chance, alphabet=ids
        )
    runs = _runs(request, place)
    run = runs[number % len(runs)]
    if run is None:
        room = server.widths[-1] - len(place.frame.before) - len(place.frame.behind) - 1
        run = next((one for one in _OPEN if one <= room), _OPEN[-1])
        return canvases.canvas(
            place.frame, [None] * run, widths=server.widths, chance=chance, open_end=True
        )
    held: list[int | None] = [None] * run
    for at, token in enumerate(place.kept):
        held[at] = None if chance.random() < request.strength else token
    return canvases.canvas(place.frame, held, widths=server.widths, chance=chance)


def _runs(request: InfillRequest, place: _Place) -> tuple[int | None, ...]:
    """Return the slots that a hole has on its canvases: of a text that is kept in part as many as
    it has tokens, and some more.
    """
    own = len(place.kept)
    return (own, own + max(2, own // 4)) if own else RUNS


def _filled(answer: Slots, asked: PinnedCanvas, place: _Place) -> Candidate:
    """Return a template with its blanks filled: by the likeliest of the characters it may have,
    where the server gives another. Raises Unpinned where it gives none of them.
    """
    from dgedit_engine.prompt.template import assembled

    known = set(place.blanks.values())
    characters: list[str] = []
    sure: list[float] = []
    for slot in asked.free:
        own = place.blanks.get(answer.ids[slot])
        value = answer.sure[slot]
        if own is None:
            rest = [(value, text) for text, value in answer.others[slot].items() if text in known]
            if not rest:
                raise Unpinned("it fills a blank with none of the characters it may become")
            value, own = max(rest)
        characters.append(own)
        sure.append(math.exp(value))
    score = sum(math.log(max(one, 1e-30)) for one in sure) / len(sure)
    draft = assembled(place.hole, characters, sure, [True] * len(sure))
    return Candidate(draft, score, "canvas")


def _written(
    server: Pinning, line: Conversation, answer: Slots, asked: PinnedCanvas, place: _Place
) -> Candidate | None:
    """Return what an answer has written into its hole; None where that cannot be told."""
    frame = place.frame
    start = len(frame.before)
    slots = range(start, asked.free[-1] + 1)
    marks = (frame.turn, frame.pad)
    stop = next((slot for slot in slots if answer.ids[slot] in marks), slots.stop)
    if asked.open:
        slots = range(start, stop)
    elif stop < slots.stop:
        return None  # it wants to end sooner
    text = server.text(line, [answer.ids[slot] for slot in slots])
    texts, sure = canvases.pieces(answer, slots, text)
    own = slots
    if asked.open:
        ended = text + (place.closing if stop < len(asked.ids) else "")
        cut = canvases.end(ended, place.near.behind, place.closing)
        if cut is None:
            return None
        texts, sure = _clipped(texts, sure, cut)
        own = range(start, start + len(texts))
    text = "".join(texts)
    if place.near.behind.startswith("\n") or not place.near.behind:
        texts, sure = _clipped(texts, sure, len(text.rstrip()))
    if not "".join(texts).strip():
        return None
    texts = tuple(one.replace("\n", place.newline) for one in texts)
    draft = Draft(texts, sure, (True,) * len(texts))
    return Candidate(draft, canvases.score(answer, asked, own), "canvas")


def _clipped(
    texts: Sequence[str], sure: Sequence[float], room: int
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the pieces' first `room` characters."""
    kept = []
    for text, value in zip(texts, sure, strict=True):
        if room > 0:
            kept.append((text[:room], value))
        room -= len(text)
    return tuple(text for text, _ in kept), tuple(value for _, value in kept)


def _alphabet(server: Pinning, line: Conversation, alphabet: str) -> dict[int, str]:
    """Return the tokens that a blank may become, each with its character. Raises Unpinned where a
    character has no token of its own.
    """
    wanted = list(dict.fromkeys(alphabet or _PRINTABLE))
    if len(wanted) > ALPHABET:
        raise Unpinned(f"a blank may become one of {ALPHABET} characters at most", lasting=False)
    ids = server.tokens(line, "\n".join(wanted))
    if len(ids) != 2 * len(wanted) - 1 or len(set(ids[1::2])) > 1:
        raise Unpinned("the model has no tokens for single characters", lasting=False)
    return dict(zip(ids[::2], wanted, strict=True))


def _template(server: Pinning, line: Conversation, hole: Hole) -> list[int | None]:
    """Return a template's tokens, None for a blank."""
    found: list[int | None] = []
    done = 0
    for blank in hole.blanks:
        found += [*server.tokens(line, hole.text[done:blank]), None]
        done = blank + 1
    return [*found, *server.tokens(line, hole.text[done:])]


def _around(request: InfillRequest, at: int, texts: Sequence[str]) -> tuple[str, str, str]:
    """Return the text before and behind a hole in its passage, and the passage's path."""
    number = 0
    for passage in request.passages:
        before, own = "", False
        behind = ""
        for part in passage.parts:
            text = part
            if isinstance(part, Hole):
                if number == at:
                    own, text = True, ""
                else:
                    text = texts[number] if number < len(texts) else part.text
                number += 1
            assert isinstance(text, str)
            if own:
                behind += text
            else:
                before += text
        if own:
            return before, behind, passage.path
    raise AssertionError("a hole that is in no passage")


def _shown(
    request: InfillRequest, at: int, texts: Sequence[str], mark: str
) -> list[tuple[str, str]]:
    """Return each passage's path and text, with a mark for the hole."""
    found = []
    number = 0
    for passage in request.passages:
        text = ""
        for part in passage.parts:
            if isinstance(part, Hole):
                held = texts[number] if number < len(texts) else part.text
                text += mark if number == at else held
                number += 1
            else:
                text += part
        found.append((passage.path, text))
    return found


def _message(
    request: InfillRequest, shown: Sequence[tuple[str, str]], mark: str, fence: str, kept: str
) -> str:
    said = [f"Here is text with a hole in it, {mark}:"]
    said += [f"{path}\n{fence}\n{text}\n{fence}".lstrip("\n") for path, text in shown]
    if kept:
        said.append(
            f"In {mark} there is now a draft; change about {request.strength:.0%} of it:\n"
            f"{fence}\n{kept}\n{fence}"
        )
    if request.instruction:
        said.append(f"What is wanted: {request.instruction}")
    said.append(
        f"Answer with the lines of the text from the one before {mark} to the one behind it, with "
        f"the text that belongs into {mark} in its place, between {fence} and {fence}. Say nothing "
        "else."
    )
    return "\n\n".join(said)


def _says(request: InfillRequest, mark: str) -> bool:
    texts = [part for one in request.passages for part in one.parts if isinstance(part, str)]
    return any(mark in text for text in (*texts, *(hole.text for hole in request.holes)))
