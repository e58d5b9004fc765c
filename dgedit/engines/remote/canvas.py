"""Lay out the canvas of a hole for a server that holds slots to their text, and read its answer.

The text around the hole stands in its slots and is pinned; the hole's slots are free. How long an
infill is nobody knows before, so a hole without text is asked for in several lengths, and once with
its end left open: then the model writes on, and its text ends where it meets what stands behind the
hole. Whatever comes back, only free slots are read, so no answer can change what is pinned. Knows
ids and texts; neither servers nor requests.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTHS = (16, 32, 64, 128, 256)
"""Slots of a canvas: the fewest that hold what is needed."""
VOCABULARY = 262_144
"""Tokens of DiffusionGemma's vocabulary; noise is drawn from it, and no answer has another id."""
ALPHABET = 128
"""Tokens that a server lets a slot be confined to, at most."""

_NEAR = 240  # characters on each side of a hole that are pinned
_MET = 4  # visible characters by which text behind a hole is recognised in an answer
_BEHIND = 8  # slots behind a hole that have a say in its score
_LEAST = math.log(0.01)  # the least that one of them says, in nats
_UNLIKELY = 1e-6


class Unpinned(Exception):
    """The server does not fill with pinned text, or not this hole. Its text is one line's reason,
    as the server said it, not yet fit to be shown.
    """

    def __init__(self, why: str, *, lasting: bool = True) -> None:
        super().__init__(why)
        self.lasting = lasting
        """Whether the next request need not try either."""


@dataclass(frozen=True, slots=True)
class Near:
    """The text next to a hole that its canvas shows."""

    before: str
    """From the beginning of a line."""
    behind: str
    """To the end of a line."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The tokens of what is pinned."""

    before: list[int]
    """The text before the hole."""
    behind: list[int]
    """The text behind it, and what closes the answer."""
    turn: int
    """The end of an answer."""
    pad: int
    """What follows it up to the end of the canvas."""


@dataclass(frozen=True, slots=True)
class PinnedCanvas:
    """A canvas to start from."""

    ids: list[int]
    """Its tokens."""
    free: tuple[int, ...]
    """The slots that are not pinned, in ascending order."""
    open: bool = False
    """Whether the free slots go on to its end."""

    @property
    def pinned(self) -> list[int]:
        """The slots that are."""
        free = set(self.free)
        return [slot for slot in range(len(self.ids)) if slot not in free]


@dataclass(frozen=True, slots=True)
class Slots:
    """The slots of an answer."""

    ids: list[int]
    """Their tokens."""
    sure: list[float]
    """Log-probabilities, in nats."""
    texts: list[str]
    """Their texts, one by one."""
    others: list[Mapping[str, float]]
    """What else each might have been, with its log-probability."""


def near(before: str, behind: str) -> Near:
    """Return the hole's line up to it and one more, and the rest of its line and one more."""
    lines = before[-_NEAR:].split("\n")
    if len(before) > _NEAR:  # its first line is a part of one
        lines = lines[1:] or lines
    head = behind[:_NEAR].split("\n")
    if len(behind) > _NEAR and len(head) > 1:
        head = head[:-1]
    own, *rest = head
    following = next((at for at, line in enumerate(rest) if line.strip()), len(rest))
    return Near("\n".join(lines[-2:]), "\n".join([own, *rest[: following + 1]]).rstrip())


def canvas(
    frame: Frame,
    held: Sequence[int | None],
    *,
    widths: Sequence[int],
    chance: random.Random,
    open_end: bool = False,
    alphabet: Sequence[int] = (),
) -> PinnedCanvas:
    """Lay out a hole's slots between what is pinned; None for a slot of noise. With an open end the
    free slots go on, and nothing behind them is pinned. A free slot is one of an `alphabet`, and
    then all others of the hole are pinned. Raises Unpinned where they do not fit a canvas of one
    of the `widths`.
    """
    behind = [] if open_end else [*frame.behind, frame.turn]
    needed = len(frame.before) + len(held) + len(behind)
    if open_end:
        needed += len(frame.behind) + 1
    width = next((size for size in widths if needed <= size), None)
    if width is None:
        raise Unpinned(f"a hole and the text next to it take {needed} slots", lasting=False)
    start = len(frame.before)
    ids = [*frame.before, *(0 if one is None else one for one in held), *behind]
    stop = width if open_end else start + len(held)
    ids += [frame.pad] * (width - len(ids))
    noise = {start + at for at, one in enumerate(held) if one is None}
    noise |= set(range(start + len(held), stop))
    for slot in sorted(noise):
        ids[slot] = chance.choice(alphabet) if alphabet else chance.randrange(VOCABULARY)
    free = sorted(noise) if alphabet else range(start, stop)
    return PinnedCanvas(ids, tuple(free), open_end)


def read(body: bytes, asked: PinnedCanvas) -> Slots:
    """Read a server's answer for a canvas. Raises Unpinned for one that cannot be an answer to it,
    or that says that the server has not held what is pinned.
    """
    try:
        choice = json.loads(body)["choices"][0]
        ids, known = choice["token_ids"], choice["logprobs"]
        texts, sure = known["tokens"], known["token_logprobs"]
        others = known.get("top_logprobs") or [{}] * len(ids)
        width = len(asked.ids)
        if not len(ids) == len(texts) == len(sure) == len(others) == width:
            raise Unpinned(f"it answered {len(ids)} tokens for a canvas of {width}")
        for one in ids:
            if type(one) is not int or not 0 <= one < VOCABULARY:
                raise Unpinned(f"it answered a token {one!r:.40}, which no vocabulary has")
        if not all(isinstance(one, str) for one in texts):
            raise TypeError
        values = [_number(one) for one in sure]
        rows: list[Mapping[str, float]] = [
            {str(text): _number(value) for text, value in dict(row or {}).items()} for row in others
        ]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise Unpinned("its answer has no tokens with their probabilities") from None
    return Slots(ids, values, texts, rows)


def held(answer: Slots, asked: PinnedCanvas, frame: Frame) -> bool:
    """Say whether the server seems to have held what is pinned. It may answer its own reading of a
    pinned slot, which nobody uses; but one that saw the text reads most of it as it is.
    """
    shown = [slot for slot in asked.pinned if asked.ids[slot] != frame.pad]
    same = sum(answer.ids[slot] == asked.ids[slot] for slot in shown)
    return 2 * same >= len(shown)


def score(answer: Slots, asked: PinnedCanvas, slots: range) -> float:
    """Return the mean log-probability of a hole's slots and of the first ones behind it, in nats:
    of a pinned slot that the model would have filled otherwise, what is left for it.
    """
    values = [answer.sure[slot] for slot in slots]
    for slot in range(slots.stop, min(slots.stop + _BEHIND, len(asked.ids))):
        value = answer.sure[slot]
        if not asked.open and answer.ids[slot] != asked.ids[slot]:
            value = math.log(max(_UNLIKELY, 1 - math.exp(value)))
        values.append(max(value, _LEAST))
    return sum(values) / len(values) if values else 0.0


def end(text: str, behind: str, closing: str) -> int | None:
    """Return the place in an answer with an open end where its hole's text ends: where it goes on
    as the text behind the hole, or closes where there is none. None if it does neither.
    """
    stop = ("\n" + text).find(closing)
    inside = text if stop < 0 else text[: max(0, stop - 1)]
    if not behind.strip():
        return len(inside.rstrip()) if stop >= 0 else None
    found = inside.rfind(behind) if inside.rstrip().endswith(behind) else inside.find(behind)
    first = next(line for line in behind.split("\n") if line.strip())
    if found < 0 and len("".join(first.split())) >= _MET:
        found = inside.find(behind[: behind.index(first) + len(first)])
    return found if found >= 0 else None


def pieces(
    answer: Slots, slots: Sequence[int], text: str
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the text of some slots in pieces, each with its probability; in one piece where the
    slots' own texts do not give it, as where a token is half a character.
    """
    found = [(answer.texts[slot], math.exp(answer.sure[slot])) for slot in slots]
    if "".join(one for one, _ in found) == text:
        found = [one for one in found if one[0]]
        return tuple(one for one, _ in found), tuple(sure for _, sure in found)
    mean = sum(answer.sure[slot] for slot in slots) / max(1, len(slots))
    return ((text,), (math.exp(mean),)) if text else ((), ())


def width_wanted(why: str) -> int | None:
    """Return the only width that a server takes, where its refusal names one."""
    found = re.search(r"exactly (\d{1,4}) ids", why)
    return int(found[1]) if found and int(found[1]) in WIDTHS else None


def _number(value: Any) -> float:
    """Return a log-probability. Raises Unpinned for one that is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise Unpinned("it answered probabilities that are no numbers")
    return max(-9999.0, min(0.0, float(value)))
