"""The canvas: tokens that are refined together, some of them fixed, with a segment for each hole.

Knows where each hole's slots are, how a present text seeds them, when slots behind an end may go,
and how to read drafts off it. Sizes are a few fixed ones, so that shapes repeat.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dgedit_engine.prompt.template import Template

SIZES = (16, 32, 64, 128, 256)
_ROOM = (
    32  # slots for a hole that shares its canvas: 99% of single lines fit (infilling benchmarks)
)
_SLACK = 8  # slots a hole gets beyond a quarter more than its present text
_CERTAIN = 0.9  # probability from which an end counts as confident


@dataclass(frozen=True, slots=True)
class Canvas:
    """C slots that are refined together."""

    ids: Tensor
    """(1, C): the tokens."""
    fixed: Tensor
    """(1, C): True where the token is known and stays."""
    segments: tuple[range, ...]
    """Each hole's slots, in order, apart from the fixed markers between them."""
    kinds: Tensor | None = None
    """(1, C): which of `choices` a slot is confined to, -1 for none of them; None: no slot is."""
    choices: tuple[Tensor, ...] = ()
    """Tokens that a template's blanks may become, for each template."""
    marks: Tensor | None = None
    """(1, C, any number): the marks that each slot bears; None: the model has none."""

    @property
    def slots(self) -> int:
        """How many slots there are, C."""
        return int(self.ids.shape[1])


@dataclass(frozen=True, slots=True)
class Seed:
    """A canvas to start from, and what is known of its text."""

    canvas: Canvas
    """The start."""
    known: Tensor
    """(1, C): True where the token is the present text, not noise."""


def segment_sizes(
    texts: Sequence[Sequence[int]],
    markers: Sequence[Sequence[int]],
    canvas: int,
    templates: Sequence[Template | None] = (),
    *,
    tail: int = 1,
) -> list[int]:
    """Return the slots for each hole, on the model's own `canvas` or one up to twice as large; an
    end takes `tail` of them. A template that bears marks has a canvas of its own, without an end.

    A lone hole without text gets the whole canvas; others what their text may need, rounded up
    together; a template what it takes, and an end. Raises ValueError, naming the number, where not
    even four slots a hole are left.
    """
    taken = sum(map(len, markers))
    largest = max(canvas, min(SIZES[-1], 2 * canvas))
    if len(templates) == 1 and templates[0] is not None and templates[0].marks is not None:
        if len(texts[0]) > canvas:
            raise ValueError(f"{len(texts[0])} slots; the model's canvas has {canvas}")
        return [len(texts[0])]
    if templates:
        return _around_templates(texts, taken, templates, largest, tail)
    lone = len(texts) == 1 and not texts[0]
    wanted = [canvas if lone else max(_ROOM, len(text) * 5 // 4 + _SLACK) for text in texts]
    total = next((size for size in SIZES if sum(wanted) + taken <= size <= largest), largest)
    share = (canvas if lone else total) - taken
    if share < 4 * len(texts):
        raise ValueError(f"{len(texts)} holes do not fit a canvas of {largest} slots")
    least = 4 if share < sum(wanted) else 0  # beside a long text an empty hole keeps some room
    scale = (share - least * len(texts)) / sum(wanted)
    slots = [least + int(want * scale) for want in wanted]
    return [*slots[:-1], share - sum(slots[:-1])]


def _around_templates(
    texts: Sequence[Sequence[int]],
    taken: int,
    templates: Sequence[Template | None],
    largest: int,
    tail: int,
) -> list[int]:
    """Return the slots for each hole where some are templates; the last hole takes the rest."""
    wanted = [
        len(text) + tail if one else max(_ROOM, len(text) * 5 // 4 + _SLACK)
        for text, one in zip(texts, templates, strict=True)
    ]
    needed = sum(wanted) + taken
    total = next((size for size in SIZES if needed <= size <= largest), largest)
    if needed > total:
        raise ValueError(
            f"the templates take {needed} slots, a canvas of the model has {largest}: "
            "fill fewer lines at a time"
        )
    return [*wanted[:-1], wanted[-1] + total - needed]


def seed_canvas(
    texts: Sequence[Sequence[int]],
    markers: Sequence[Sequence[int]],
    sizes: Sequence[int],
    *,
    end: int,
    vocab: int,
    strength: float,
    generator: torch.Generator,
    places: Sequence[Container[int]] | None = None,
    templates: Sequence[Template | None] = (),
    tail: Sequence[int] = (),
) -> Seed:
    """Lay out the holes' texts behind their markers, filled up with ends, and noise a share
    `strength` of the slots; a hole without text is all noise, since nothing of it is known. With
    `places`, noise those of each hole instead. Of one of the `templates` all but the blanks is
    fixed, and the ends behind it. Behind the last text stands `tail` in place of an end, if there
    is one, and its last token up to the end.

    With strength 1 the free slots are noise alone, drawn as the released sampler starts. Raises
    ValueError, naming the number, where several holes' texts are to be kept in part and do not fit:
    only a lone hole goes on over the next canvas.
    """
    for text, size in zip(texts, sizes, strict=True):
        if strength < 1 and len(texts) > 1 and len(text) > size and not templates:
            raise ValueError(
                f"{len(text)} tokens of a hole's text do not fit its {size} slots: "
                "fill it alone, or with strength 1"
            )
    ids: list[int] = []
    fixed: list[bool] = []
    blank: list[bool] = []
    kinds: list[int] = []
    segments = []
    for hole, (text, marker, size) in enumerate(zip(texts, markers, sizes, strict=True)):
        own = templates[hole] if templates else None
        ids += marker
        chosen = [place in places[hole] for place in range(size)] if places else [not text] * size
        blank += [False] * len(marker) + chosen
        segments.append(range(len(ids), len(ids) + size))
        behind = [*tail] if tail and hole == len(sizes) - 1 else [end]
        rest = max(0, size - len(text))
        ids += [*text[:size], *(behind + behind[-1:] * rest)[:rest]]
        free = range(size) if own is None else {*own.free, *own.others}
        fixed += [True] * len(marker) + [slot not in free for slot in range(size)]
        kinds += [-1] * len(marker) + [hole if own and slot in free else -1 for slot in range(size)]
    device = generator.device
    present, pinned = torch.tensor([ids], device=device), torch.tensor([fixed], device=device)
    noise = torch.randint(vocab, present.shape, generator=generator, device=device)
    noised = ~pinned
    if places:
        noised &= torch.tensor([blank], device=device)
    elif strength < 1:
        draw = torch.rand(present.shape, generator=generator, device=device)
        blanks = [kind >= 0 for kind in kinds]
        blank = [one or other for one, other in zip(blank, blanks, strict=True)]
        noised &= (draw < strength) | torch.tensor([blank], device=device)
    canvas = Canvas(torch.where(noised, noise, present), pinned, tuple(segments))
    if templates:
        choices = tuple(torch.tensor([*(one.choices if one else ())]) for one in templates)
        confined = torch.tensor([kinds], device=device)
        canvas = replace(canvas, kinds=confined, choices=tuple(one.to(device) for one in choices))
        if templates[0] is not None and templates[0].marks is not None:
            canvas = replace(canvas, marks=torch.tensor([templates[0].marks], device=device))
    return Seed(canvas, ~noised)


def text_ids(best: Sequence[int], segment: range, ends: Sequence[int]) -> list[int]:
    """Return a segment's tokens up to its first end."""
    found: list[int] = []
    for slot in segment:
        if best[slot] in ends:
            break
        found.append(best[slot])
    return found


def grown(canvas: Canvas, most: int, *, vocab: int, generator: torch.Generator) -> Canvas:
    """Return a lone hole's canvas with twice the slots, at most `most`, the new ones noise."""
    more = min(canvas.slots, most - canvas.slots)
    noise = torch.randint(vocab, (1, more), generator=generator, device=generator.device)
    ids = torch.cat((canvas.ids, noise), 1)
    fixed = torch.cat((canvas.fixed, torch.zeros_like(noise, dtype=torch.bool)), 1)
    (segment,) = canvas.segments
    return Canvas(ids, fixed, (range(segment.start, segment.stop + more),))


def shrunk(
    canvas: Canvas, best: Sequence[int], confidence: Sequence[float], ends: Sequence[int]
) -> tuple[list[int], tuple[range, ...]] | None:
    """Return the slots to keep and the new segments, or None: slots go when every hole's text has a
    confident end and the next smaller canvas holds them all.

    Each segment keeps its end; the last takes the rest.
    """
    lengths = []
    for segment in canvas.segments:
        length = len(text_ids(best, segment, ends))
        if length < len(segment) and confidence[segment[length]] >= _CERTAIN:
            lengths.append(length + 1)
        else:
            lengths.append(len(segment))
    markers = canvas.slots - sum(map(len, canvas.segments))
    smaller = next((size for size in SIZES if size >= sum(lengths) + markers), canvas.slots)
    if smaller >= canvas.slots:
        return None
    spare = smaller - markers - sum(lengths)
    kept: list[int] = []
    segments = []
    edge = 0
    for segment, length in zip(canvas.segments, lengths, strict=True):
        extra = min(spare, len(segment) - length)
        spare -= extra
        kept += range(edge, segment.start)
        segments.append(range(len(kept), len(kept) + length + extra))
        kept += segment[: length + extra]
        edge = segment.stop
    return kept, tuple(segments)
