"""From a request to what the model reads: the prompt's ids, and for each hole its present text on
the canvas.

Two formats, told apart by the vocabulary: nano's, whose special tokens say what is before and
behind a hole (the layout is `layout.py`, shared with training), and Gemma's chat turns, which ask
for the missing text in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from dgedit_engine.layout import BOS, FILE, HOLES, PATH_TOKENS, SPECIALS, prompt_ids
from dgedit_engine.tokenizer import Tokenizer
from dgedit_engine.types import Hole, InfillRequest, ModelError

PROMPT_TOKENS = 1024  # nano's context: the longest prompt it was trained on
CHAT_TOKENS = 8192
_STRIDE = 128  # see layout.prompt_ids


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the engine needs to know of a request."""

    ids: list[int]
    """The prompt."""
    holes: tuple[list[int], ...]
    """Each hole's present text."""
    markers: tuple[list[int], ...]
    """What stands before each hole's slots on the canvas, fixed; empty for the first."""
    closing: str | None = None
    """Text that ends an infill beside the end token: a chat model closes its code fence."""


def build(request: InfillRequest, tokenizer: Tokenizer, *, context: int) -> Prompt:
    """The prompt in the model's format, at most `context` tokens or what it was trained on.

    Raises ValueError, naming the number, where holes or the text between them are too many;
    ModelError for a vocabulary of neither format.
    """
    if (found := tokenizer.id("<|suf|>")) is not None:
        if [tokenizer.id(name) for name in SPECIALS] != list(range(len(SPECIALS))):
            raise ModelError(f"the tokenizer's special tokens are not nano's: <|suf|> is {found}")
        return _nano(request, tokenizer, min(context, PROMPT_TOKENS))
    if tokenizer.id("<|turn>") is not None:
        return _chat(request, tokenizer, min(context, CHAT_TOKENS))
    raise ModelError("the tokenizer has neither nano's markers nor Gemma's turns")


def _nano(request: InfillRequest, tokenizer: Tokenizer, budget: int) -> Prompt:
    """The text around the holes; a file after the first is announced where it begins."""
    if len(request.holes) > len(HOLES):
        raise ValueError(
            f"{len(request.holes)} holes in one request; at most {len(HOLES)} fill together"
        )
    texts: list[list[int]] = [[]]
    for index, passage in enumerate(request.passages):
        if index:
            texts[-1] += [FILE, *_path(passage.path, tokenizer)]
        for part in passage.parts:
            if isinstance(part, Hole):
                texts.append([])
            else:
                texts[-1] += tokenizer.encode_lines(part)
    ids = prompt_ids(
        texts,
        budget=budget,
        path=_path(request.passages[0].path, tokenizer),
        note=tokenizer.encode(request.instruction),
        stride=_STRIDE,
    )
    holes = tuple(tokenizer.encode(hole.text) for hole in request.holes)
    markers: list[list[int]] = [[hole] for hole in HOLES[: len(holes)]]
    return Prompt(ids, holes, ([], *markers[1:]))


def _path(path: str, tokenizer: Tokenizer) -> list[int]:
    return tokenizer.encode(PurePath(path).name)[-PATH_TOKENS:] if path else []


def _chat(request: InfillRequest, tokenizer: Tokenizer, budget: int) -> Prompt:
    """One user turn with the excerpts, the answer opened inside a code fence.

    The empty thought channel is put into the prompt: both generations of the released template then
    agree.
    """
    several = len(request.holes) > 1
    names = [f"<hole {index + 1}>" if several else "<hole>" for index in range(len(request.holes))]
    wish = request.instruction or "Write what fits."
    each = f", for each hole in order, under a line {names[0]} and so on" if several else ""
    turn = _special(tokenizer, "<|turn>")
    close = _special(tokenizer, "<turn|>")
    head = [BOS, *turn, *tokenizer.encode("user\n")]
    what = f"\nReply with only the text that replaces {', '.join(names)}{each}"
    task = f"{what}, nothing before or after. {wish}"
    channel = [*_special(tokenizer, "<|channel>"), *tokenizer.encode("thought\n")]
    answer = [*turn, *tokenizer.encode("model\n"), *channel, *_special(tokenizer, "<channel|>")]
    tail = [
        *tokenizer.encode(task),
        *close,
        *tokenizer.encode("\n"),
        *answer,
        *tokenizer.encode("```\n"),
    ]
    first, between, last = map(tokenizer.encode, _excerpts(request, names))
    room = budget - len(head) - len(between) - len(tail)
    if room < 256:
        raise ValueError(f"the holes and the instruction leave {room} tokens for the text around")
    last = last[: max(room // 3, room - len(first))]
    lost = -(-max(0, len(first) + len(last) - room) // _STRIDE) * _STRIDE
    holes = tuple(tokenizer.encode(hole.text) for hole in request.holes)
    markers = tuple(
        tokenizer.encode(f"\n{name}\n") if index else [] for index, name in enumerate(names)
    )
    ids = [*head, *first[lost:], *between, *last, *tail]
    return Prompt(ids, holes, markers, closing="\n```")


def _excerpts(request: InfillRequest, names: Sequence[str]) -> tuple[str, str, str]:
    """The excerpts in fences, holes named: before the first hole, up to the last, behind it."""
    text, left = "", iter(names)
    edges: list[int] = []
    for passage in request.passages:
        text += f"{passage.path}\n```\n"
        for part in passage.parts:
            said = next(left) if isinstance(part, Hole) else part
            if isinstance(part, Hole):
                edges += [len(text), len(text) + len(said)]
            text += said
        text += "\n```\n"
    return text[: edges[0]], text[edges[0] : edges[-1]], text[edges[-1] :]


def _special(tokenizer: Tokenizer, name: str) -> list[int]:
    found = tokenizer.id(name)
    if found is None:
        raise ModelError(f"the tokenizer has no {name}")
    return [found]
