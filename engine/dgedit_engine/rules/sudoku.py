"""Sudoku of any box shape: read a grid, find what breaks its rules, solve it, make puzzles.

A grid is a sequence of numbers, row by row, 0 for a blank. A puzzle here has one solution: givens
are taken away while that holds. Any grid that a symmetry makes of a puzzle is a puzzle too, and so
is one with more of its solution given, so that a few hundred puzzles make millions without a
search.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

Grid = Sequence[int]

BLANKS = ".0_?*"
"""Characters that stand for a blank cell."""


@dataclass(frozen=True)
class GridShape:
    """The shape of a grid."""

    height: int
    """Rows of a box."""
    width: int
    """Columns of a box."""

    @property
    def size(self) -> int:
        """Cells of a row, of a column and of a box; also the largest digit, n."""
        return self.height * self.width

    @property
    def cells(self) -> int:
        """Cells of the grid, n²."""
        return self.size**2

    @cached_property
    def places(self) -> tuple[tuple[int, int, int], ...]:
        """Row, column and box of each cell."""
        n, high, wide = self.size, self.height, self.width
        return tuple(
            (row, column, row // high * high + column // wide)
            for row in range(n)
            for column in range(n)
        )

    @cached_property
    def units(self) -> tuple[tuple[int, ...], ...]:
        """The cells of each row, then of each column, then of each box."""
        return tuple(
            tuple(cell for cell, place in enumerate(self.places) if place[kind] == unit)
            for kind in range(3)
            for unit in range(self.size)
        )


SHAPES = {shape.cells: shape for shape in (GridShape(2, 2), GridShape(2, 3), GridShape(3, 3))}
"""The shapes that are told apart by their number of cells: 4x4, 6x6 and 9x9."""

MARKS = 33
"""Marks that `marks` knows: none, 9 rows, 9 columns, 9 boxes, blank and given, 3 sizes."""


def marks(shape: GridShape, given: Sequence[bool]) -> list[tuple[int, int, int, int, int]]:
    """Return the marks that each cell bears: row, column, box, whether it is given, and size."""
    size = 30 + tuple(SHAPES).index(shape.cells)
    return [
        (1 + row, 10 + column, 19 + box, 28 + known, size)
        for (row, column, box), known in zip(shape.places, given, strict=True)
    ]


def cells(text: str) -> list[int]:
    """Return the places of a grid's cells in a text: digits and blanks. All else draws lines, and
    what is behind a # is a comment.
    """
    found: list[int] = []
    start = 0
    for line in text.splitlines(keepends=True):
        end = line.find("#")
        for place, character in enumerate(line if end < 0 else line[:end]):
            if character in BLANKS or ("1" <= character <= "9"):
                found.append(start + place)
        start += len(line)
    return found


def grid(text: str) -> tuple[GridShape, list[int], list[int]]:
    """Read a puzzle: its shape, the places of its cells in the text, and its numbers. Raises
    ValueError, naming the number of cells or the digit, for what is no grid.
    """
    places = cells(text)
    if (shape := SHAPES.get(len(places))) is None:
        raise ValueError(f"a Sudoku has 16, 36 or 81 cells, not {len(places)}")
    numbers = [0 if text[place] in BLANKS else int(text[place]) for place in places]
    if (largest := max(numbers)) > shape.size:
        raise ValueError(f"a grid of {shape.cells} cells has no {largest}")
    return shape, places, numbers


def broken(shape: GridShape, numbers: Grid) -> list[tuple[int, ...]]:
    """Return the units that have a number twice."""
    found = []
    for unit in shape.units:
        there = [numbers[cell] for cell in unit if numbers[cell]]
        if len(there) > len(set(there)):
            found.append(unit)
    return found


def solved(shape: GridShape, numbers: Grid) -> bool:
    """Say whether a grid is full and breaks no rule."""
    return all(numbers) and not broken(shape, numbers)


def solutions(
    shape: GridShape, numbers: Grid, limit: int = 2, rng: random.Random | None = None
) -> list[list[int]]:
    """Return the solutions of a grid, at most `limit`; digits are tried in order, or as `rng`
    shuffles them. The blank with the fewest digits left comes first.
    """
    if broken(shape, numbers):
        return []
    used = [[0] * shape.size for _ in range(3)]
    work, blanks = list(numbers), []
    for cell, number in enumerate(numbers):
        if not number:
            blanks.append(cell)
        for kind, unit in enumerate(shape.places[cell]):
            used[kind][unit] |= (1 << number) >> 1
    found: list[list[int]] = []
    _search(shape, work, blanks, used, found, limit, rng)
    return found


def _search(
    shape: GridShape,
    work: list[int],
    blanks: list[int],
    used: list[list[int]],
    found: list[list[int]],
    limit: int,
    rng: random.Random | None,
) -> None:
    rows, columns, boxes = used
    full, fewest = (1 << shape.size) - 1, shape.size + 1
    best, free = -1, 0
    for cell in blanks:
        if work[cell]:
            continue
        row, column, box = shape.places[cell]
        left = full & ~(rows[row] | columns[column] | boxes[box])
        if (count := left.bit_count()) < fewest:
            best, free, fewest = cell, left, count
            if count <= 1:
                break
    if best < 0:
        found.append(work[:])
        return
    digits = [digit for digit in range(shape.size) if free >> digit & 1]
    if rng is not None:
        rng.shuffle(digits)
    row, column, box = shape.places[best]
    for digit in digits:
        bit = 1 << digit
        work[best] = digit + 1
        rows[row] |= bit
        columns[column] |= bit
        boxes[box] |= bit
        _search(shape, work, blanks, used, found, limit, rng)
        work[best] = 0
        rows[row] ^= bit
        columns[column] ^= bit
        boxes[box] ^= bit
        if len(found) >= limit:
            return


def full_grid(shape: GridShape, rng: random.Random) -> list[int]:
    """Return a random grid without blanks: a random first row, and the rest by search."""
    first = rng.sample(range(1, shape.size + 1), shape.size)
    start = first + [0] * (shape.cells - shape.size)
    return solutions(shape, start, 1, rng)[0]


def dug(shape: GridShape, full: Grid, rng: random.Random) -> list[int]:
    """Return a minimal puzzle: givens are taken away in a random order, each while the solution
    stays the only one.
    """
    puzzle = list(full)
    for cell in rng.sample(range(shape.cells), shape.cells):
        number, puzzle[cell] = puzzle[cell], 0
        if len(solutions(shape, puzzle)) != 1:
            puzzle[cell] = number
    return puzzle


def symmetry(shape: GridShape, rng: random.Random) -> tuple[list[int], list[int]]:
    """Draw a symmetry of the rules: for each cell the one that takes its place, and for each digit
    (0 first) the one that it becomes.
    """
    n = shape.size
    rows = list(_lines(shape.height, n // shape.height, rng))
    columns = list(_lines(shape.width, n // shape.width, rng))
    moved = [row * n + column for row in rows for column in columns]
    if shape.height == shape.width and rng.random() < 0.5:
        moved = [moved[column * n + row] for row in range(n) for column in range(n)]
    return moved, [0, *rng.sample(range(1, n + 1), n)]


def _lines(size: int, bands: int, rng: random.Random) -> Iterator[int]:
    """Yield lines in a random order that keeps bands of `size` together."""
    for band in rng.sample(range(bands), bands):
        yield from (band * size + line for line in rng.sample(range(size), size))


def more_givens(puzzle: Grid, solution: Grid, givens: int, rng: random.Random) -> list[int]:
    """Return a puzzle with cells of its solution given until there are so many `givens`."""
    found = list(puzzle)
    blanks = [cell for cell, number in enumerate(puzzle) if not number]
    wanted = min(len(blanks), max(0, givens - (len(puzzle) - len(blanks))))
    for cell in rng.sample(blanks, wanted):
        found[cell] = solution[cell]
    return found


def by_logic(shape: GridShape, puzzle: Grid) -> bool:
    """Say whether a puzzle gives way to singles alone: a cell with one digit left, and a digit with
    one cell left in a unit. A measure of how hard it is.
    """
    numbers = list(puzzle)
    peers = [
        {other for unit in shape.units if cell in unit for other in unit} - {cell}
        for cell in range(shape.cells)
    ]
    left = {
        cell: set(range(1, shape.size + 1)) - {numbers[other] for other in peers[cell]}
        for cell in range(shape.cells)
        if not numbers[cell]
    }
    while left:
        if (single := _single(shape, left)) is None:
            return False
        cell, number = single
        del left[cell]
        for other in peers[cell]:
            if other in left:
                left[other].discard(number)
    return True


def _single(shape: GridShape, left: dict[int, set[int]]) -> tuple[int, int] | None:
    for cell, digits in left.items():
        if len(digits) == 1:
            return cell, next(iter(digits))
    for unit in shape.units:
        for number in range(1, shape.size + 1):
            places = [cell for cell in unit if number in left.get(cell, ())]
            if len(places) == 1:
                return places[0], number
    return None
