"""Find the tokens of an infill that syntax errors cover, which are noised and refined again.

After convergence the parser sees what the model does not (TreeDiff, arXiv 2508.01473; WINO, arXiv
2507.18578, verifies and re-masks by the model itself). Knows neither the model nor the canvas.
"""

from __future__ import annotations

from collections.abc import Sequence

from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Hole, InfillRequest


def broken_tokens(
    request: InfillRequest,
    holes: Sequence[list[int]],
    places: Sequence[tuple[int, int, int]],
    tokenizer: Tokenizer,
) -> list[set[int]]:
    """Return for each hole the indices of its tokens that an error covers, and one neighbour on
    each side.

    `places` are errors as `faults.new_errors` finds them: passage, start and end in its filled
    text. An error outside all holes counts for the token of its passage that is nearest to it. The
    place behind a hole's last token is its end, which may be wrong too.
    """
    found: list[set[int]] = []
    left = iter(holes)
    for index, passage in enumerate(request.passages):
        errors = [(start, end) for at, start, end in places if at == index]
        spans: list[list[tuple[int, int]]] = []
        offset = 0
        for part in passage.parts:
            if isinstance(part, Hole):
                spans.append(_spans(next(left), offset, tokenizer))
                offset = spans[-1][-1][1]
            else:
                offset += len(part)
        found += _covered(spans, errors)
    return found


def _spans(ids: list[int], offset: int, tokenizer: Tokenizer) -> list[tuple[int, int]]:
    """Return the range of each token's text, and last the empty one of the end."""
    spans = []
    for piece in tokenizer.pieces(ids):
        length = len(piece.text.replace("\ufffd", ""))
        spans += [(offset, offset + length)] * piece.tokens
        offset += length
    return [*spans, (offset, offset)]


def _covered(
    spans: Sequence[Sequence[tuple[int, int]]], errors: Sequence[tuple[int, int]]
) -> list[set[int]]:
    """Return the tokens of each hole under the errors, or nearest to them, with their
    neighbours.
    """
    found: list[set[int]] = [set() for _ in spans]
    everything = [(hole, place) for hole, row in enumerate(spans) for place in range(len(row))]
    for start, end in errors:
        distance = {place: _apart(spans[place[0]][place[1]], (start, end)) for place in everything}
        nearest = min(distance.values(), default=0)
        for (hole, place), far in distance.items():
            if far == nearest:
                around = range(max(0, place - 1), min(len(spans[hole]), place + 2))
                found[hole].update(around)
    return found


def _apart(one: tuple[int, int], other: tuple[int, int]) -> int:
    """Count the characters between two ranges, 0 where they overlap; an empty one counts as the
    character that it stands before.
    """
    (a, b), (c, d) = one, other
    return max(a - max(d, c + 1) + 1, c - max(b, a + 1) + 1, 0)
