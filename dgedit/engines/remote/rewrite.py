"""Ask a chat model, which has no canvas, for the holes of a request, and read its answer.

The text is shown with each hole between a pair of tags; the answer is to have the same pairs, and
nothing else. An answer that repeats the whole text is accepted as well, if the text around the
holes is unchanged. Knows texts; neither servers nor tokens. Every answer is read in one pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import PurePath

from dgedit_engine.types import Hole, InfillRequest, Passage

LONGEST = 1_000_000
"""The most characters of an answer."""


# The least characters around the holes by which an answer without tags can be matched.
_KNOWN = 8
# What may precede an answer: the model's reasoning, possibly empty.
_THOUGHT = re.compile(r"\s*(?:<\|channel>thought.*?<channel\|>|<think>.*?</think>)?\s*", re.DOTALL)
_FENCE = re.compile(r"(?P<fence>```+)[^\n`]*\n")


class Invalid(Exception):
    """The answer does not give the holes' texts, or gives more than them."""


@dataclass(frozen=True, slots=True)
class RewriteTask:
    """A prompt, and what is needed to read its answer."""

    prompt: str
    """The prompt's text."""
    word: str
    """The name of the tags, which occurs as a tag in none of the texts."""
    indents: tuple[str, ...]
    """The indentation before each hole; empty if other text is before it on its line."""
    fences: tuple[bool, ...]
    """For each hole: true if a code fence may belong to its text."""
    fixed: tuple[str, ...]
    """The text around and between the holes; empty if several passages have holes."""


@dataclass(frozen=True, slots=True)
class AnswerSpan:
    """The position of a hole's text in an answer."""

    start: int
    """Its start, in code points of the answer."""
    end: int
    """Its end, excluded."""
    closed: bool
    """True if its end has arrived."""


def task(request: InfillRequest) -> RewriteTask:
    """Make the task that asks for a request's holes."""
    from dgedit_engine.prompt.fences import MARKDOWN

    texts = [part for one in request.passages for part in one.parts if isinstance(part, str)]
    texts += [hole.text for hole in request.holes]
    words = (f"hole{'-' * n}" for n in count())
    word = next(word for word in words if not any(f"<{word} " in text for text in texts))
    indents: list[str] = []
    fences: list[bool] = []
    for passage in request.passages:
        for at, part in enumerate(passage.parts):
            if isinstance(part, Hole):
                before = passage.parts[at - 1] if at else ""
                indents.append(_indent(before) if isinstance(before, str) else "")
                fences.append(PurePath(passage.path).suffix.lower() in MARKDOWN)
    with_holes = [passage for passage in request.passages if passage.holes]
    fixed = _fixed(with_holes[0]) if len(with_holes) == 1 else ()
    prompt = _prompt(request, word)
    return RewriteTask(prompt, word, tuple(indents), tuple(fences), fixed)


def partial(task: RewriteTask, answer: str) -> tuple[AnswerSpan, ...]:
    """Find each hole's text in an unfinished answer; empty for holes that it has not reached."""
    found = []
    at = 0
    for number, close in enumerate(_closings(task), 1):
        start = answer.find(_opening(task, number), at)
        if start < 0:
            break
        start += len(_opening(task, number))
        end = answer.find(close, start)
        closed = end >= 0
        if not closed:
            end = len(answer) - _begun(answer, close)
        found.append(_trimmed(task, answer, number - 1, AnswerSpan(start, max(start, end), closed)))
        at = end + len(close) if closed else len(answer)
    last = len(answer)
    return (*found, *[AnswerSpan(last, last, False)] * (len(task.indents) - len(found)))


def whole(task: RewriteTask, answer: str) -> tuple[AnswerSpan, ...]:
    """Find each hole's text in a finished answer. Raises Invalid."""
    if len(answer) > LONGEST:
        raise Invalid(f"it is {len(answer):,} characters long")
    start, end = _inner(answer)
    if start == end:
        raise Invalid("it is empty")
    if not answer.startswith(f"<{task.word} ", start):
        return _unchanged(task, answer, start, end)
    found = []
    for number, close in enumerate(_closings(task), 1):
        opening = _opening(task, number)
        if not answer.startswith(opening, start):
            raise Invalid(f"hole {number} of {len(task.indents)} is not where it should be")
        start += len(opening)
        stop = answer.find(close, start, end)
        if stop < 0:
            raise Invalid(f"hole {number} has no end")
        if f"<{task.word} " in answer[start:stop] or f"</{task.word} " in answer[start:stop]:
            raise Invalid(f"hole {number} has a hole in it")
        found.append(_trimmed(task, answer, number - 1, AnswerSpan(start, stop, True)))
        start = stop + len(close)
        start += len(answer[start:end]) - len(answer[start:end].lstrip())
    if start < end:
        raise Invalid("there is more than the holes")
    return tuple(found)


def _prompt(request: InfillRequest, word: str) -> str:
    """Return one message with the excerpts, the instruction, and the form of the answer."""
    from dgedit_engine.prompt.fences import fence_around

    holes = len(request.holes)
    what = "the hole" if holes == 1 else f"the {holes} holes"
    said = [f"Here is text with {what} between tags: <{word} 1></{word} 1>."]
    number = 0
    for passage in request.passages:
        shown = ""
        for part in passage.parts:
            if isinstance(part, Hole):
                number += 1
                held = part.text if request.strength < 1 else ""
                shown += f"<{word} {number}>{held}</{word} {number}>"
            else:
                shown += part
        fence = fence_around([shown])
        said.append(f"{passage.path}\n{fence}\n{shown}\n{fence}".lstrip("\n"))
    said.append(f"Write the text that belongs into {what}.")
    if request.strength < 1:
        said.append(f"What is there now is a draft: change about {request.strength:.0%} of it.")
    if request.instruction:
        said.append(f"What is wanted: {request.instruction}")
    form = "\n".join(f"<{word} {n}>\n…\n</{word} {n}>" for n in range(1, holes + 1))
    said.append(
        f"Answer in this form and say nothing else; do not repeat what is around {what}:\n{form}"
    )
    return "\n\n".join(said)


def _unchanged(task: RewriteTask, answer: str, start: int, end: int) -> tuple[AnswerSpan, ...]:
    """Find the holes in an answer that repeats the whole text. Raises Invalid."""
    first, last = (task.fixed[0].lstrip(), task.fixed[-1].rstrip()) if task.fixed else ("", "")
    if len(first.strip() + last.strip()) < _KNOWN:
        raise Invalid("it names no hole")
    inner = range(start + len(first), end - len(last))
    around = answer.startswith(first, start) and answer.endswith(last, start, end)
    if not around or inner.start > inner.stop:
        raise Invalid("it names no hole, and the text around is not as it was")
    between = task.fixed[1:-1]
    from_left: list[tuple[int, int]] = []
    at = inner.start
    for text in between:
        place = answer.find(text, at, inner.stop)
        if place < 0:
            raise Invalid("the text between two holes is not as it was")
        from_left.append((place, place + len(text)))
        at = place + len(text)
    at = inner.stop
    for text, (place, _) in zip(reversed(between), reversed(from_left), strict=True):
        if not text or answer.rfind(text, inner.start, at) != place:
            raise Invalid("it cannot be told where a hole ends")
        at = place
    edges = [(inner.start, inner.start), *from_left, (inner.stop, inner.stop)]
    return tuple(AnswerSpan(left, right, True) for (_, left), (right, _) in pairwise(edges))


def _trimmed(task: RewriteTask, answer: str, at: int, found: AnswerSpan) -> AnswerSpan:
    """Trim the line ends beside the tags, a code fence, and a repeated indentation."""
    start, end = found.start, found.end
    start += next((len(one) for one in ("\r\n", "\n") if answer.startswith(one, start, end)), 0)
    if found.closed:
        end -= next((len(one) for one in ("\r\n", "\n") if answer.endswith(one, start, end)), 0)
    if not task.fences[at] and (fence := _FENCE.match(answer, start, end)):
        close = "\n" + fence["fence"]
        if answer.endswith(close, fence.end() - 1, end):
            start, end = fence.end(), max(fence.end(), end - len(close))
    indent = task.indents[at]
    if indent and answer.startswith(indent, start, end):
        start += len(indent)
    return AnswerSpan(start, end, found.closed)


def _inner(answer: str) -> tuple[int, int]:
    """Return the range of an answer without reasoning before it or a code fence around it."""
    before = _THOUGHT.match(answer)
    assert before is not None
    start, end = before.end(), max(before.end(), len(answer.rstrip()))
    fence = _FENCE.match(answer, start, end)
    if fence and answer.endswith("\n" + fence["fence"], fence.end() - 1, end):
        start, end = fence.end(), max(fence.end(), end - 1 - len(fence["fence"]))
        end = start + len(answer[start:end].rstrip())
        start += len(answer[start:end]) - len(answer[start:end].lstrip())
    return start, end


def _fixed(passage: Passage) -> tuple[str, ...]:
    texts = [""]
    for part in passage.parts:
        if isinstance(part, Hole):
            texts.append("")
        else:
            texts[-1] += part
    return tuple(texts)


def _indent(before: str) -> str:
    line = before[before.rfind("\n") + 1 :]
    return line if line.isspace() else ""


def _opening(task: RewriteTask, number: int) -> str:
    return f"<{task.word} {number}>"


def _closings(task: RewriteTask) -> list[str]:
    return [f"</{task.word} {number}>" for number in range(1, len(task.indents) + 1)]


def _begun(answer: str, close: str) -> int:
    """Return how many characters of a closing tag the answer ends with."""
    close = "\n" + close
    return next((n for n in range(len(close) - 1, 0, -1) if answer.endswith(close[:n])), 0)
