"""Turn a request into what the model reads: the prompt's ids, and each hole's present text.

Two formats, told apart by the vocabulary: tiny's, whose special tokens say what is before and
behind a hole (the layout is `layout.py`, shared with training), and Gemma's chat turns, which ask
for the missing text in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from dgedit_engine.prompt.fences import fence_around
from dgedit_engine.prompt.layout import BOS, FILE, HOLES, PATH_TOKENS, SPECIALS, prompt_ids
from dgedit_engine.prompt.template import Template, formed, template
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Hole, InfillRequest, ModelError

PROMPT_TOKENS = 1024  # tiny's context: the longest prompt it was trained on
CHAT_TOKENS = 8192
_STRIDE = 128  # see layout.prompt_ids


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request as token ids."""

    ids: list[int]
    """The prompt."""
    holes: tuple[list[int], ...]
    """Each hole's present text, as ids."""
    markers: tuple[list[int], ...]
    """The ids before each hole's slots on the canvas, fixed; empty for the first."""
    closing: str | None = None
    """Text that ends an infill beside the end token: a chat model closes its code fence."""
    tail: tuple[int, ...] = ()
    """What stands behind the last hole's text on a canvas, its last token up to the canvas's end:
    `closing`, the end of the turn, and padding; empty for the model's end token alone.
    """
    templates: tuple[Template | None, ...] = ()
    """The template of each hole that is one, whose tokens `holes` has; empty where none is."""


TURN = "<|turn>"
"""The special token that begins a turn, in the vocabulary of a model that follows instructions."""


def plain(tokenizer: Tokenizer) -> bool:
    """Say whether the vocabulary is that of a base, with neither infill tokens nor chat turns,
    which reads text alone (`plain.py`).
    """
    return all(tokenizer.id(name) is None for name in ("<|suf|>", TURN))


def chat(tokenizer: Tokenizer) -> bool:
    """Say whether the vocabulary is that of a model that follows instructions, in turns."""
    return tokenizer.id("<|suf|>") is None and tokenizer.id(TURN) is not None


def build(
    request: InfillRequest, tokenizer: Tokenizer, *, context: int, form: str | None = None
) -> Prompt:
    """Build the prompt in the model's format, at most `context` tokens or what it was trained on.
    In the `form` of a domain the canvas holds all of the text, and the prompt nothing.

    Raises ValueError, naming the number, where holes or the text between them are too many;
    ModelError for a vocabulary of neither format.
    """
    if form is not None:
        one = formed(request, tokenizer, form)
        return Prompt([BOS], (one.ids,), ([],), templates=(one,))
    if (found := tokenizer.id("<|suf|>")) is not None:
        if [tokenizer.id(name) for name in SPECIALS] != list(range(len(SPECIALS))):
            raise ModelError(f"the tokenizer's special tokens are not tiny's: <|suf|> is {found}")
        return _tiny(request, tokenizer, min(context, PROMPT_TOKENS))
    if tokenizer.id(TURN) is not None:
        return _chat(request, tokenizer, min(context, CHAT_TOKENS))
    raise ModelError("the tokenizer has neither tiny's markers nor Gemma's turns")


def _tiny(request: InfillRequest, tokenizer: Tokenizer, budget: int) -> Prompt:
    """The text around the holes; a file after the first is announced where it begins."""
    if len(request.holes) > len(HOLES):
        raise ValueError(
            f"{len(request.holes)} holes in one request; at most {len(HOLES)} fill together"
        )
    texts: list[list[int]] = [[]]
    joints: list[range | None] = [None]  # where in a text the next file is announced
    for index, passage in enumerate(request.passages):
        if index:
            start = len(texts[-1])
            texts[-1] += [FILE, *_path(passage.path, tokenizer)]
            joints[-1] = range(start, len(texts[-1]))
        for part in passage.parts:
            if isinstance(part, Hole):
                texts.append([])
                joints.append(None)
            else:
                texts[-1] += tokenizer.encode_lines(part)
    between = texts[1:-1]
    if sum(map(len, between)) > budget // 2:
        room = budget // 2 // len(between)
        pairs = zip(between, joints[1:-1], strict=True)
        texts[1:-1] = [_without_middle(text, joint, room) for text, joint in pairs]
    ids = prompt_ids(
        texts,
        budget=budget,
        path=_path(request.passages[0].path, tokenizer),
        note=tokenizer.encode(request.instruction),
        stride=_STRIDE,
    )
    holes, templates = _held(request, tokenizer)
    markers: list[list[int]] = [[hole] for hole in HOLES[: len(holes)]]
    return Prompt(ids, holes, ([], *markers[1:]), templates=templates)


def _held(
    request: InfillRequest, tokenizer: Tokenizer
) -> tuple[tuple[list[int], ...], tuple[Template | None, ...]]:
    """Return the tokens of each hole's present text, and the templates, if there are any."""
    if not any(hole.blanks for hole in request.holes):
        return tuple(tokenizer.encode(hole.text) for hole in request.holes), ()
    templates = tuple(template(hole, tokenizer) for hole in request.holes)
    pairs = zip(request.holes, templates, strict=True)
    return tuple(one.ids if one else tokenizer.encode(hole.text) for hole, one in pairs), templates


def _without_middle(text: list[int], joint: range | None, room: int) -> list[int]:
    """What is near the holes at both ends of a text, at most `room` tokens where it has more.

    Where a next file begins, its announcement stays and the cuts are made on both sides of it.
    """
    if len(text) <= room:
        return text
    middle = joint or range(len(text) // 2, len(text) // 2)
    first, named, last = text[: middle.start], text[middle.start : middle.stop], text[middle.stop :]
    left = max(0, room - len(named))
    kept = min(len(first), max(left // 2, left - len(last)))
    return first[:kept] + named + last[len(last) - min(len(last), left - kept) :]


def _path(path: str, tokenizer: Tokenizer) -> list[int]:
    return tokenizer.encode(PurePath(path).name)[-PATH_TOKENS:] if path else []


def _chat(request: InfillRequest, tokenizer: Tokenizer, budget: int) -> Prompt:
    """One user turn with the excerpts, the answer opened inside a code fence that is longer than
    any in them, so that an answer may have one.

    The empty thought channel is put into the prompt: both generations of the released template then
    agree.
    """
    several = len(request.holes) > 1
    names = [f"<hole {index + 1}>" if several else "<hole>" for index in range(len(request.holes))]
    wish = request.instruction or "Write what fits."
    each = f", for each hole in order, under a line {names[0]} and so on" if several else ""
    turn = _special(tokenizer, TURN)
    close = _special(tokenizer, "<turn|>")
    head = [BOS, *turn, *tokenizer.encode("user\n")]
    fence = _fence(request)
    what = f"\nReply with only the text that replaces {', '.join(names)}{each}"
    task = f"{what}, nothing before or after. {wish}"
    channel = [*_special(tokenizer, "<|channel>"), *tokenizer.encode("thought\n")]
    answer = [*turn, *tokenizer.encode("model\n"), *channel, *_special(tokenizer, "<channel|>")]
    tail = [
        *tokenizer.encode(task),
        *close,
        *tokenizer.encode("\n"),
        *answer,
        *tokenizer.encode(f"{fence}\n"),
    ]
    first, between, last = map(tokenizer.encode, _excerpts(request, names, fence))
    room = budget - len(head) - len(between) - len(tail)
    if room < 256:
        raise ValueError(f"the holes and the instruction leave {room} tokens for the text around")
    last = last[: max(room // 3, room - len(first))]
    lost = -(-max(0, len(first) + len(last) - room) // _STRIDE) * _STRIDE
    holes, templates = _held(request, tokenizer)
    closing = f"\n{fence}"
    behind = (*tokenizer.encode(closing), *close, *_special(tokenizer, "<pad>"))
    markers = tuple(
        tokenizer.encode(f"\n{name}\n") if index else [] for index, name in enumerate(names)
    )
    ids = [*head, *first[lost:], *between, *last, *tail]
    return Prompt(ids, holes, markers, closing, behind, templates)


def _fence(request: InfillRequest) -> str:
    """Return a code fence for the request's texts and the answer."""
    parts = [part for passage in request.passages for part in passage.parts]
    texts = [part.text if isinstance(part, Hole) else part for part in parts]
    return fence_around(texts, [passage.path for passage in request.passages])


def _excerpts(request: InfillRequest, names: Sequence[str], fence: str) -> tuple[str, str, str]:
    """The excerpts in fences, holes named: before the first hole, up to the last, behind it."""
    text, left = "", iter(names)
    edges: list[int] = []
    for passage in request.passages:
        text += f"{passage.path}\n{fence}\n"
        for part in passage.parts:
            said = next(left) if isinstance(part, Hole) else part
            if isinstance(part, Hole):
                edges += [len(text), len(text) + len(said)]
            text += said
        text += f"\n{fence}\n"
    return text[: edges[0]], text[edges[0] : edges[-1]], text[edges[-1] :]


def _special(tokenizer: Tokenizer, name: str) -> list[int]:
    found = tokenizer.id(name)
    if found is None:
        raise ModelError(f"the tokenizer has no {name}")
    return [found]
