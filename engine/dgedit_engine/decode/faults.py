"""Count the syntax errors that infills bring into their files, and not those of the file itself.

A file's own errors are those that it has whatever fills its holes. A hole may be unfilled as yet
(None): it is judged with words in it that leave the file sound, if there are any. Python with
errors of its own is judged with the lines that have them left out, since its parser stops at the
first. Knows requests and `syntax`; neither tokens nor models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

from dgedit_engine.decode.statements import far, nearby
from dgedit_engine.decode.syntax import Place, faults, is_python, refused
from dgedit_engine.types import MOST_JUDGED, Hole, InfillRequest, Passage

Error = tuple[int, int, int]
"""A syntax error: the passage's index, and start and end in its filled text, from the excerpt's
start.
"""

Texts = Sequence[str | None]
"""A text for each hole; None for one that is not filled yet."""

_WORDS = (None, "", "None", "pass")  # what may leave a file sound; None: what the hole holds
_QUOTES = ('"""', "'''")
# What may leave Python sound where the hole's text has to close what is open before it, to begin
# what goes on behind it, or to open the block or the bracket that is there.
_NEEDED = (
    *(")", "]", "}", *_QUOTES, "except: pass"),
    *("if 1: pass", "try: pass"),
    *("if 1:", "def f():", "for _ in ():", "async def f():"),
    *("(", "[", "{"),
)
_LARGE = 300_000  # characters of Python up to which its own errors are looked for: minutes of more
_NEAR = 20  # lines before a hole that say how it is indented
_LEFT_OUT = 24  # lines of a file that may be left out
_GONE = ("0", "")  # what stands in the place of one, tried in turn
_CODE = re.compile(r"^[^\S\n]*[^\s#]", re.MULTILINE)  # the start of a line that is no comment


def new_errors(request: InfillRequest, fillings: Sequence[Texts]) -> list[tuple[Error, ...] | None]:
    """Return the errors that each of the fillings brings into the request's files; the same holes
    are unfilled in all. None where no file's language is known.
    """
    judged: list[tuple[Error, ...] | None] = [None] * len(fillings)
    first = 0
    for index, passage in enumerate(request.passages):
        count = len(passage.holes)
        own = [texts[first : first + count] for texts in fillings]
        first += count
        if not count or not fillings:
            continue
        for place, found in enumerate(_judged(passage, own)):
            if found is not None:
                errors = tuple((index, start, end) for start, end in found)
                judged[place] = (judged[place] or ()) + errors
    return judged


def may_be_sound(request: InfillRequest) -> bool:
    """Say whether some usual text in the request's holes leaves its Python files sound, but for
    lines that are left out. Other languages' errors are told apart by their places.
    """
    holes = (one for one in request.passages if one.holes and is_python(one.path))
    found = (_own_errors(_nearby(one) or one) for one in holes)
    return all(own is None or own.mended is not None for own in found)


def with_fixed(request: InfillRequest, texts: Texts) -> InfillRequest:
    """Return the request with the holes that have a text among `texts` as fixed parts of their
    files, so that their errors are the file's own.
    """
    left, passages = iter(texts), []
    for passage in request.passages:
        parts: list[str | Hole] = []
        for part in passage.parts:
            text = next(left) if isinstance(part, Hole) else part
            if text is None:
                parts.append(part)
            elif parts and isinstance(parts[-1], str):
                parts[-1] += text
            else:
                parts.append(text)
        passages.append(replace(passage, parts=tuple(parts)))
    return replace(request, passages=tuple(passages))


def _judged(passage: Passage, fillings: Sequence[Texts]) -> list[tuple[Place, ...] | None]:
    """Return the errors of each filling of one passage, counted from the excerpt's start. Those of
    Python are looked for in the statements around the holes, if some text makes these sound; what
    may depend on the rest, in the whole file.
    """
    if not fillings or (near := _nearby(passage)) is None:
        return _judged_in(passage, fillings)[0]
    here = [one for one in fillings if not far(one)]
    found, sound = _judged_in(near, here) if here else ([], False)
    if not sound and _size(passage) <= _LARGE:
        return _judged_in(passage, fillings)[0]
    rest = iter(_judged_in(passage, there)[0] if (there := [*filter(far, fillings)]) else ())
    left = iter(found)
    return [next(rest) if far(one) else next(left) for one in fillings]


def _judged_in(
    passage: Passage, fillings: Sequence[Texts]
) -> tuple[list[tuple[Place, ...] | None], bool]:
    """Return the same of the passage alone, and whether some text makes it sound."""
    above, sound = len(passage.above), True
    found: list[tuple[Place, ...] | None] = []
    for word in _WORDS if None in fillings[0] else ("",):
        stands = _stand_ins(passage, word)
        with_word = [_faults(passage, texts, stands) for texts in fillings]
        found = found or with_word
        if any(not errors for errors in with_word):  # a sound one: the file has none of its own
            found = with_word
            break
    else:
        found, sound = _without_own(passage, fillings, found)
    every = [
        None if errors is None else tuple((start - above, end - above) for start, end in errors)
        for errors in found
    ]
    return every, sound


def _nearby(passage: Passage) -> Passage | None:
    """Return what of a Python file is judged in its place; None: all of it."""
    if _size(passage) > MOST_JUDGED:
        return None
    if not passage.above + passage.below or not is_python(passage.path):
        return None
    if not _begins_file(passage):
        return None
    words = (tuple(_stand_ins(passage, word)) for word in _WORDS)
    return next((near for one in words if (near := nearby(passage, one)) is not None), None)


def _without_own(
    passage: Passage, fillings: Sequence[Texts], found: list[tuple[Place, ...] | None]
) -> tuple[list[tuple[Place, ...] | None], bool]:
    """Return the errors less those that the file has whatever fills its holes, and whether it is
    sound but for these; `found` are all errors of the fillings, none of which is sound.
    """
    own = _own_errors(passage)
    if own is None:
        return found, True
    if own.mended is not None:
        return [_faults(own.mended, one, own.texts) for one in fillings], True
    empty = own.stands[0]
    every = (*zip(fillings, found, strict=True), *zip(own.stands, own.errors, strict=True))
    known = [
        {_anchored(passage, _whole(passage, texts, empty), error) for error in errors or ()}
        for texts, errors in every
    ]
    always = set.intersection(*known)
    new = [
        errors
        and tuple(
            error
            for error in errors
            if _anchored(passage, _whole(passage, texts, empty), error) not in always
        )
        for texts, errors in zip(fillings, found, strict=True)
    ]
    return new, False


@dataclass(frozen=True, slots=True)
class _OwnErrors:
    """What is wrong with a file whatever fills its holes."""

    stands: tuple[Sequence[str], ...]
    """Words in its holes that might have left it sound."""
    errors: tuple[tuple[Place, ...] | None, ...]
    """The errors with each of these."""
    mended: Passage | None
    """The passage without the lines that Python refuses, if that is possible."""
    texts: Sequence[str]
    """The words with which it was mended."""


@lru_cache(maxsize=4)  # a fill asks several times, and it takes longer than to judge a filling
def _own_errors(passage: Passage) -> _OwnErrors | None:
    """Return a file's own errors; None if some words in its holes leave it sound."""
    stands = tuple(_stand_ins(passage, word) for word in _WORDS)
    errors = tuple(_faults(passage, texts, texts) for texts in stands)
    if not all(errors):
        return None
    if is_python(passage.path) and _size(passage) <= _LARGE:
        begins = _begins_file(passage)
        whole = (_whole(passage, texts, texts) for texts in _needed(passage))
        if any(refused(one, whole=begins) is None for one in whole):
            return None
        for texts in stands:
            if (mended := _mended(passage, texts)) is not None:
                return _OwnErrors(stands, errors, mended, texts)
    return _OwnErrors(stands, errors, None, ())


def _needed(passage: Passage) -> Iterator[list[str]]:
    """Yield the words of `_NEEDED` for all holes; quotes for one of them at a time, since those in
    two would make a string of what is between.
    """
    others = _stand_ins(passage, "None")
    for indented, word in product((False, True), _NEEDED):
        texts = _stand_ins(passage, word, indented=indented)
        if word in _QUOTES:
            yield from ([*others[:at], texts[at], *others[at + 1 :]] for at in range(len(texts)))
        else:
            yield texts


def _mended(passage: Passage, texts: Sequence[str]) -> Passage | None:
    """Return the passage with the lines that Python refuses replaced by others as long, so that it
    is sound with these texts in its holes; None where that cannot be.
    """
    parts: list[str | Hole] = [passage.above, *passage.parts, passage.below]
    tried: dict[int, int] = {}
    begins = _begins_file(passage)
    for _ in range(_LEFT_OUT):
        mended = Passage(passage.path, tuple(parts[1:-1]), str(parts[0]), str(parts[-1]))
        whole = _whole(mended, texts, texts)
        error = refused(whole, whole=begins)
        if error is None:
            return mended
        line = whole.count("\n", 0, error[0])
        turn = tried[line] = tried.get(line, -1) + 1
        if turn == len(_GONE) or not _leave_out(parts, texts, whole, error[0], _GONE[turn]):
            return None
    return None


def _leave_out(
    parts: list[str | Hole], texts: Sequence[str], whole: str, place: int, word: str
) -> bool:
    """Put a word in the place of the line at `place` of the `whole` text; return whether it could:
    the line was another, and no hole touches it.
    """
    start = whole.rfind("\n", 0, place) + 1
    end = whole.find("\n", place)
    end = len(whole) if end < 0 else end
    line = whole[start:end]
    gone = (_margin(line) + word).ljust(len(line))[: len(line)]
    offset, left, own = 0, iter(texts), -1
    for index, part in enumerate(parts):
        first = offset
        offset += len(next(left) if isinstance(part, Hole) else part)
        if isinstance(part, str):
            if first <= start and end <= offset:
                own, before = index, part[: start - first]
        elif first <= end and (offset > start or first == offset == start):
            return False
    if own < 0 or gone == line:
        return False
    parts[own] = before + gone + str(parts[own])[len(before) + len(line) :]
    return True


def _faults(passage: Passage, texts: Texts, stands: Texts) -> tuple[Place, ...] | None:
    """Return the syntax errors of the file with `texts` in its holes, and `stands` in unfilled
    ones.
    """
    text = _whole(passage, texts, stands)
    return faults(passage.path, text, whole=_begins_file(passage), shared=_shared(passage))


def _shared(passage: Passage) -> Place:
    """Return how many characters there are before the first hole, and behind the last."""
    holes = [index for index, part in enumerate(passage.parts) if isinstance(part, Hole)]
    before = "".join(map(str, passage.parts[: holes[0]]))
    behind = "".join(map(str, passage.parts[holes[-1] + 1 :]))
    return len(passage.above) + len(before), len(behind) + len(passage.below)


def _size(passage: Passage) -> int:
    inside = sum(len(one.text if isinstance(one, Hole) else one) for one in passage.parts)
    return len(passage.above) + inside + len(passage.below)


def _begins_file(passage: Passage) -> bool:
    """Say whether the passage begins as Python's files do, which nothing in its holes may change:
    at no indentation. An excerpt from inside of blocks does not.
    """
    parts = (part.text if isinstance(part, Hole) else part for part in passage.parts)
    first = _CODE.search("".join((passage.above, *parts)))
    return first is None or not first[0][0].isspace()


def _whole(passage: Passage, texts: Texts, stands: Texts) -> str:
    """Return the file with `texts` in its holes, and those of `stands` in the unfilled ones."""
    parts, left = [passage.above], iter(zip(texts, stands, strict=True))
    for part in passage.parts:
        if isinstance(part, str):
            parts.append(part)
        else:
            text, stand = next(left)
            parts.append((stand or "") if text is None else text)
    return "".join([*parts, passage.below])


def _stand_ins(passage: Passage, word: str | None, *, indented: bool = False) -> list[str]:
    """Return for each hole the word as its text would be, indented and with a line's end where it
    has to; None: the text it holds. `indented`: it begins amid the indentation of its line.
    """
    parts = [passage.above, *passage.parts, passage.below]
    found, before = list[str](), ""
    for index, part in enumerate(parts):
        if isinstance(part, str):
            before += part
            continue
        margin = before.rpartition("\n")[2]
        if word and indented and margin and not margin.strip():
            behind = "".join(one for one in parts[index + 1 :] if isinstance(one, str))
            indent = indentation("", before, behind.partition("\n")[2])
            found.append(indent[len(margin) :] + word)
        elif word and not margin:
            behind = "".join(one for one in parts[index + 1 :] if isinstance(one, str))
            ends = "\n" if behind[:1].strip(" \t") or behind[:1] in (" ", "\t") else ""
            opens = word.endswith((":", "(", "[", "{"))
            indent = _outside(before, behind) if opens else indentation(part.text, before, behind)
            found.append(indent + word + ends)
        else:
            found.append(part.text if word is None else word)
        before += found[-1]
    return found


def indentation(present: str, before: str, behind: str) -> str:
    """Return the indentation of a hole that begins a line: that of its present text, or of what is
    around, more than that of a line that opens a block.
    """
    above = next((line for line in reversed(before.split("\n")[-_NEAR:]) if line.strip()), "")
    for text in (present, behind, above):
        line = next((line for line in text.split("\n", 20) if line.strip()), "")
        if line:
            break
    found, outer = _margin(line), _margin(above)
    if above.rstrip().endswith(":") and len(found) <= len(outer):
        return outer + ("\t" if outer.endswith("\t") else "    ")
    return found


def _outside(before: str, behind: str) -> str:
    """Return the indentation of the statement that opens the block behind: of the lines before, the
    largest that is smaller than the block's.
    """
    inner = next((_margin(line) for line in behind.split("\n", 20) if line.strip()), "")
    outer = (_margin(line) for line in before.split("\n")[-_NEAR:] if line.strip())
    return max((one for one in outer if len(one) < len(inner)), key=len, default="")


def _margin(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _anchored(passage: Passage, whole: str, error: Place) -> Place:
    """Return the error's place, behind the first hole counted from the file's end, so that it does
    not depend on what fills the holes.
    """
    before = len(passage.above)
    for part in passage.parts:
        if isinstance(part, Hole):
            break
        before += len(part)
    start, end = error
    return error if end <= before else (start - len(whole) - 1, end - len(whole) - 1)
