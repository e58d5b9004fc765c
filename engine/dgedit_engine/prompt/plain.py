"""The prompt for a base model without infill tokens: what follows a hole, then the text before it.
One that has them gets both by its marks (`fim.py`).

Such a model, as it was published, reads from left to right alone. So what stands behind the hole
comes first, then blank lines, then the text before, as if the file had been cut and joined the
wrong way round: its names and its style are known, and where an infill ends, the text goes on as
the prompt began. Of the rest of a long file those lines come first that are most like the hole's
(`alike.py`). A prompt must end where the model would have ended a token, so the last tokens are
taken off where that is not certain, and the draft has to begin with their text ("token healing").
Whatever a file's lines end with, the model reads and writes "\n", as in nearly all that it was
trained on.

Knows text and ids; no tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePath

from dgedit_engine.prompt import fim
from dgedit_engine.prompt.alike import alike
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Hole, InfillRequest, Passage

TOKENS = 1024
"""Tokens of a prompt, at most."""

_CHARACTERS = 6 * TOKENS  # of the text before a hole that are looked at
# Characters, and then tokens, by which a long text loses its head: cached keys last while one types
_STRIDE, _TOKENS_STRIDE = 1024, 128
BEHIND = 1200
"""Characters of the text behind a hole that matter."""
FIRST = 160
"""Tokens of the text behind a hole in the prompt, at most."""
ALIKE = 160
"""Tokens of lines from the rest of the file, at most."""
_ABOVE, _BELOW = 15, 8  # lines around the hole that they are to be like
_REACH = 32_000  # characters on either side that they are looked for in
JOINT = "\n\n\n\n"
"""Separates the text behind the hole from the text before it."""
_APART = "\n\n\n"  # between excerpts
NEAR = 200
"""Characters at the end of a text that the last tokens are of."""
_WORDS = ("x", "    x", "\tx")
"""Beginnings of what may follow: it tells which tokens are sure."""
_SLASHES = frozenset(
    (
        *(".c", ".cc", ".cpp", ".cs", ".cts", ".go", ".h", ".hpp", ".java", ".js", ".jsx", ".kt"),
        *(".mjs", ".mts", ".php", ".rs", ".scala", ".swift", ".ts", ".tsx"),
    )
)
"""Suffixes of the languages whose comments begin with two slashes."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The text around a hole; lines end with "\n"."""

    before: str
    """The text before it, or the end of that."""
    behind: str
    """The text behind it, or the start of that."""
    present: str = ""
    """The text in it, which says how far its block is indented and whether it ends a line."""

    @property
    def line(self) -> str:
        """The part of its first line that stands before it."""
        return self.before[self.before.rfind("\n") + 1 :]

    @property
    def starts_line(self) -> bool:
        """Whether the hole starts a line."""
        return not self.line


@dataclass(frozen=True, slots=True)
class Around:
    """The text around a hole, as a model reads it."""

    ids: list[int]
    """The prompt: the beginning of what follows the hole, where something does, and what is before
    it, but for `forced`.
    """
    forced: str
    """The text with which the draft has to begin, and which is no part of the hole; empty for none.
    """
    place: Surroundings
    """The texts before, in and behind it, up to the next hole; not more than can matter."""
    newline: str
    """What the file's lines end with; in all the texts here it is "\n"."""
    ends: tuple[int, ...] = ()
    """The tokens by which the model ends an infill, where the prompt asks for one; none: it reads
    on, past the hole.
    """


def around(
    request: InfillRequest,
    hole: int,
    filled: Sequence[str],
    tokenizer: Tokenizer,
    *,
    bos: int | None,
    context: int,
) -> Around:
    """Build the prompt for the request's hole of that number, those before it `filled`.

    At most `context` tokens, or `TOKENS`. Other files of the request, each under its name, stand
    before the passage; the instruction is a comment above the hole's line.
    """
    passage, place, newline = _split(request, hole, filled)
    text = with_words(_tail(place.before), passage.path, request.instruction)
    budget, start = min(context, TOKENS), [] if bos is None else [bos]
    behind = place.behind[:BEHIND]
    near = Surroundings(place.before[-_CHARACTERS:], behind, place.present)
    others = [one for one in request.passages if one is not passage and not one.holes]
    if (known := fim.marks(tokenizer)) is not None:
        whole = tokenizer.encode(_beside(others) + text)
        ids = known.laid(whole, tokenizer.encode(behind), bos=bos or 0, budget=budget)
        return Around(ids, "", near, newline, known.ends)
    whole = tokenizer.encode(text)
    after, joint = list[int](), list[int]()
    if behind.strip():
        after, joint = tokenizer.encode(behind)[: min(FIRST, budget // 2)], tokenizer.encode(JOINT)
        budget -= len(after) + len(joint)
    room = min(ALIKE, budget // 6)
    rest = _rest(place, *(_length(ids, tokenizer) for ids in (_last(whole, budget - room), after)))
    found = alike(rest, _lines(place), tokenizer.encode, room)
    like = tokenizer.encode(found + _APART) if found else []
    budget -= len(like)
    beside = _last(tokenizer.encode(_beside(others)), budget - len(whole))
    own, forced = _sure_part(place.before, tokenizer, _last(whole, budget))
    ids = [*start, *beside, *like, *after, *joint, *own]
    return Around(ids, forced, near, newline)


def place_of(request: InfillRequest, hole: int, filled: Sequence[str]) -> Surroundings:
    """Return the text around the request's hole of that number, those before it `filled`."""
    return _split(request, hole, filled)[1]


def _split(
    request: InfillRequest, hole: int, filled: Sequence[str]
) -> tuple[Passage, Surroundings, str]:
    """Return a hole's passage, the text around the hole there, and what the lines end with."""
    number = 0
    for passage in request.passages:
        before = ""
        for index, part in enumerate(passage.parts):
            if not isinstance(part, Hole):
                before += part
                continue
            if number == hole:
                texts = before, _following(passage.parts[index + 1 :]), part.text
                newline = line_end("".join(texts))
                return (
                    passage,
                    Surroundings(*(one.replace(newline, "\n") for one in texts)),
                    newline,
                )
            before += filled[number]
            number += 1
    raise ValueError(f"hole {hole} of {number}")


def _following(parts: Sequence[str | Hole]) -> str:
    """The text behind a hole, up to the next one; holes right behind it are passed over."""
    behind = ""
    for part in parts:
        if isinstance(part, str):
            behind += part
        elif behind:
            break
    return behind


def line_end(text: str) -> str:
    """Return what most lines of a text end with."""
    both = text.count("\r\n")
    counts = {"\n": text.count("\n") - both, "\r\n": both, "\r": text.count("\r") - both}
    return max(counts, key=counts.__getitem__)


def _last(ids: list[int], room: int) -> list[int]:
    """Return the last ids, at most `room`; the cut moves by strides."""
    stride = max(1, min(_TOKENS_STRIDE, room // 4))
    lost = -(-max(0, len(ids) - room) // stride) * stride
    return ids[lost:]


def _length(ids: list[int], tokenizer: Tokenizer) -> int:
    """Return how many characters the ids spell."""
    return sum(len(piece.text) for piece in tokenizer.pieces(ids))


def _rest(place: Surroundings, before: int, behind: int) -> str:
    """Return the whole lines of a text, within reach of the hole, that are not among so many
    characters before it and behind it.
    """
    end = max(0, len(place.before) - before)
    above = place.before[max(0, end - _REACH) : place.before.rfind("\n", 0, end) + 1]
    return above + "\n" + place.behind[behind : behind + _REACH].partition("\n")[2]


def _lines(place: Surroundings) -> str:
    """Return the lines around the hole. What is typed in its own line before it is not among them,
    so that a prompt's beginning stays as it is meanwhile.
    """
    above, below = place.before.split("\n")[:-1], place.behind.split("\n")
    return "\n".join([*above[-_ABOVE:], *below[:_BELOW]])


def _tail(text: str) -> str:
    """The end of a text, from the start of a line; the cut moves by long strides."""
    lost = -(-max(0, len(text) - _CHARACTERS) // _STRIDE) * _STRIDE
    if not lost:
        return text
    start = text.find("\n", lost - 1, lost + _STRIDE) + 1
    return text[start or lost :]


def _beside(passages: Sequence[Passage]) -> str:
    """Other files, each under its name; the nearest one last."""
    said = []
    for passage in reversed(passages):
        text = "".join(part for part in passage.parts if isinstance(part, str))
        text = text.replace(line_end(text), "\n")
        name = PurePath(passage.path).name
        said.append(f"{_comment(passage.path, name)}\n{text.strip()}{_APART}" if name else text)
    return "".join(said)


def with_words(text: str, path: str, words: str) -> str:
    """The text with the user's words as a comment above its last line."""
    if not words.strip():
        return text
    start = text.rfind("\n") + 1
    line = text[start:]
    indent = line[: len(line) - len(line.lstrip())]
    above = _indent_above(text[:start]) if not line else indent
    comment = _comment(path, " ".join(words.split()))
    return f"{text[:start]}{above}{comment}\n{line}"


def _indent_above(text: str) -> str:
    """The indentation that the next line of a text most likely has."""
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return ""
    last = lines[-1]
    indent = last[: len(last) - len(last.lstrip())]
    return indent + ("    " if last.rstrip().endswith((":", "{", "(", "[")) else "")


def _comment(path: str, words: str) -> str:
    """The words as a comment of the path's language."""
    slashes = PurePath(path).suffix.lower() in _SLASHES
    return f"// {words}" if slashes else f"# {words}"


def sure(before: str) -> bool:
    """Say whether a token surely ends where a text does, whatever follows: behind a line's end, or
    behind the indentation of a line, whose tokens take in nothing else.
    """
    return not before[before.rfind("\n") + 1 :].strip()


def _sure_part(before: str, tokenizer: Tokenizer, ids: list[int]) -> tuple[list[int], str]:
    """Return the ids of a text without the last ones, if others might have stood there, and the
    text of these; all ids too where that begins or ends within a character.
    """
    lost = 0 if sure(before) or len(ids) < 2 else 1
    if tokenizer.of_bytes:
        lost = max(lost, joined(before[-NEAR:], tokenizer.encode))
    if not lost or lost > len(ids):
        return ids, ""
    text = "".join(piece.text for piece in tokenizer.pieces(ids[-lost:]))
    whole = "\ufffd" not in text and before.endswith(text)
    return (ids[:-lost], text) if whole else (ids, "")


def joined(text: str, encode: Callable[[str], list[int]]) -> int:
    """Return how many tokens at the end of a text are others once a word follows: line ends and
    indentation may be one token, and the last space a part of the word.
    """
    own = encode(text)
    kept = len(own)
    for word in _WORDS:
        after = encode(text + word)
        pairs = zip(own, after, strict=False)
        kept = min(kept, sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)))
    return len(own) - kept
