"""The forms in which a text lies on the canvas of a small model of one domain: what is a slot.

A form drops what only draws lines, and says what a slot cannot: where it is and what it belongs to.
Knows texts and rules; neither tokens nor models.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dgedit_engine.rules import graphs, proteins, sudoku


@dataclass(frozen=True, slots=True)
class Form:
    """A text as slots."""

    places: Sequence[int]
    """The place of each slot's character in the text."""
    given: Sequence[bool]
    """Which slots are given; the others are blanks."""
    marks: Sequence[Sequence[int]]
    """The marks that each slot bears, as many for every slot."""
    choices: str
    """What a blank may become."""


def puzzle(text: str, blanks: Collection[int], span: range) -> Form:
    """Return a Sudoku as slots: its cells. Where a text is no puzzle, the paragraph or the line in
    which the blanks are is read instead.
    """
    plain = _with(text, blanks, ".")
    problem: ValueError | None = None
    for start, stop in _parts(text, span):
        try:
            shape, cells, numbers = sudoku.grid(plain[start:stop])
        except ValueError as error:
            problem = problem or error
            continue
        given = [number > 0 for number in numbers]
        if sudoku.broken(shape, numbers):
            raise ValueError("the givens break a rule: a number stands twice in a unit")
        digits = "123456789"[: shape.size]
        return Form([start + cell for cell in cells], given, sudoku.marks(shape, given), digits)
    assert problem is not None
    raise problem


def graph(text: str, blanks: Collection[int], span: range) -> Form:
    """Return a graph as slots: the labels of its vertices."""
    found, places, labels = graphs.read(_with(text, blanks, graphs.BLANK))
    if wrong := graphs.wrong(found, labels):
        raise ValueError(
            f"the label of {found.names[wrong[0]]} is wrong beside the other given ones"
        )
    given = [label != graphs.BLANK for label in labels]
    choices = graphs.COLOURS if found.kind == "c" else graphs.DISTANCES
    return Form(places, given, graphs.marks(found, given), choices)


def protein(text: str, blanks: Collection[int], span: range) -> Form:
    """Return a protein as slots: its residues, or a window of them around the blanks."""
    every = proteins.residues(text, span.start)
    places = proteins.window(every, span)
    given = [place not in blanks and text[place] != proteins.BLANK for place in places]
    marks = proteins.marks(given, every.index(places[0]))
    return Form(places, given, marks, proteins.AMINO_ACIDS)


FORMS: Mapping[str, Callable[[str, Collection[int], range], Form]] = {
    "sudoku": puzzle,
    "graph": graph,
    "protein": protein,
}
"""The forms by name: of a text, the places of the blanks to be filled, and the hole they are in."""


def _with(text: str, blanks: Collection[int], blank: str) -> str:
    """Return the text with the usual blank in the place of others."""
    return "".join(blank if place in blanks else one for place, one in enumerate(text))


def _parts(text: str, span: range) -> Iterator[tuple[int, int]]:
    """Yield the bounds of the text, of the paragraph that holds the span, and of its lines."""
    yield 0, len(text)
    before = text.rfind("\n\n", 0, span.start)
    behind = text.find("\n\n", span.stop)
    yield 0 if before < 0 else before + 2, len(text) if behind < 0 else behind
    behind = text.find("\n", span.stop)
    yield text.rfind("\n", 0, span.start) + 1, len(text) if behind < 0 else behind
