"""Graphs in DOT: read them, check and find labels of their vertices, draw graphs with one answer.

Two kinds of labels. A colour, `a [c=1]`: 1, 2 or 3, and no edge joins equal ones. A distance,
`a [d=0]`: the number of edges to the nearest vertex that is labelled 0. A label that is missing is
a blank, `a [c=?]`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

COLOURS, DISTANCES = "123", "0123456789"
BLANK = "?"
MOST = 16
"""Vertices of a graph, at most."""
MARKS = 1 + 2 * MOST + 2 + 2
"""Marks that `marks` knows: none, each vertex, each vertex as a neighbour, blank and given, and
colours and distances.
"""

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|^#[^\n]*", re.DOTALL | re.MULTILINE)
_NAME = r'(?:[A-Za-z_][\w]*|-?\d+(?:\.\d+)?|"(?:[^"\\]|\\.)*")'
_GROUP = rf"(?:{_NAME}|\{{[^{{}}]*\}})"
_VERTEX = re.compile(rf"({_NAME})\s*\[([^\]]*)\]")
_EDGES = re.compile(rf"{_GROUP}(?:\s*--\s*{_GROUP})+")
_LABEL = re.compile(r"\b([cd])\s*=\s*\"?([0-9?])\"?")


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph whose vertices bear labels of one kind."""

    names: tuple[str, ...]
    """The vertices, in the order of their labels in the text."""
    edges: frozenset[tuple[int, int]]
    """Pairs of vertices, the lower one first."""
    kind: str
    """c for colours, d for distances."""

    def neighbours(self) -> list[list[int]]:
        """Return the neighbours of each vertex."""
        found: list[list[int]] = [[] for _ in self.names]
        for one, other in sorted(self.edges):
            found[one].append(other)
            found[other].append(one)
        return found


def read(text: str) -> tuple[Graph, list[int], str]:
    """Read a DOT text: its graph, the place of each vertex's label in the text, and the labels.
    Raises ValueError, naming what is wrong, for another kind of graph.
    """
    plain = _COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    if "->" in plain:
        raise ValueError("the graph has arrows: only undirected graphs (a -- b) have labels here")
    names: dict[str, int] = {}
    places: list[int] = []
    kinds: set[str] = set()
    for vertex in _VERTEX.finditer(plain):
        if vertex[1] in ("graph", "node", "edge"):
            continue
        if (label := _LABEL.search(plain, *vertex.span(2))) is None:
            continue
        if vertex[1] in names:
            raise ValueError(f"vertex {vertex[1]} has two labels")
        names[vertex[1]] = len(names)
        kinds.add(label[1])
        places.append(label.start(2))
    if not names:
        raise ValueError("no vertex has a label such as [c=1] or [c=?]")
    if len(kinds) > 1:
        raise ValueError("some vertices have colours (c=) and some have distances (d=)")
    if len(names) > MOST:
        raise ValueError(f"{len(names)} vertices with labels; {MOST} are the most")
    edges = set[tuple[int, int]]()
    for one, other in _pairs(re.sub(r"\[[^\]]*\]", lambda found: " " * len(found[0]), plain)):
        for name in (one, other):
            if name not in names:
                raise ValueError(f"vertex {name} has no label")
        if one == other:
            raise ValueError(f"an edge joins {one} to itself")
        edges.add((min(names[one], names[other]), max(names[one], names[other])))
    labels = "".join(text[place] for place in places)
    kind = kinds.pop()
    if strange := set(labels) - {BLANK, *(COLOURS if kind == "c" else DISTANCES)}:
        raise ValueError(f"a colour is 1, 2 or 3, not {min(strange)}")
    return Graph(tuple(names), frozenset(edges), kind), places, labels


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield the two names of each edge."""
    for chain in _EDGES.finditer(text):
        groups = [re.findall(_NAME, group) for group in re.findall(_GROUP, chain[0])]
        for left, right in pairwise(groups):
            yield from ((one, other) for one in left for other in right)


def wrong(graph: Graph, labels: Sequence[str]) -> list[int]:
    """Return the vertices whose label cannot be right beside the others, which may be blanks."""
    if graph.kind == "c":
        equal = [edge for edge in graph.edges if labels[edge[0]] == labels[edge[1]] != BLANK]
        return sorted({vertex for edge in equal for vertex in edge})
    true = distances(graph, [vertex for vertex, one in enumerate(labels) if one == "0"])
    return [
        vertex
        for vertex, one in enumerate(labels)
        if one != BLANK and one != str(true.get(vertex, 9))
    ]


def distances(graph: Graph, sources: Sequence[int]) -> dict[int, int]:
    """Return the number of edges from the nearest source to each vertex that can be reached."""
    neighbours = graph.neighbours()
    found = dict.fromkeys(sources, 0)
    waiting = list(sources)
    for vertex in waiting:  # grows while it is gone through
        for other in neighbours[vertex]:
            if other not in found:
                found[other] = found[vertex] + 1
                waiting.append(other)
    return found


def colourings(graph: Graph, labels: Sequence[str], limit: int = 2) -> list[str]:
    """Return the proper colourings that keep the labels, at most `limit`."""
    neighbours = graph.neighbours()
    found: list[str] = []
    work = [0 if one == BLANK else int(one) for one in labels]

    def left(vertex: int) -> set[int]:
        return {1, 2, 3} - {work[other] for other in neighbours[vertex]}

    if any(work[vertex] and work[vertex] not in left(vertex) for vertex in range(len(work))):
        return []

    def search() -> None:
        blanks = [vertex for vertex, one in enumerate(work) if not one]
        if not blanks:
            found.append("".join(map(str, work)))
            return
        vertex = min(blanks, key=lambda one: len(left(one)))
        for colour in sorted(left(vertex)):
            work[vertex] = colour
            search()
            work[vertex] = 0
            if len(found) >= limit:
                return

    search()
    return found


def greedy(graph: Graph, labels: Sequence[str]) -> str:
    """Colour the blanks by degree, the most neighbours first, each with the least colour that no
    neighbour has, or 1 where there is none.
    """
    neighbours = graph.neighbours()
    work = list(labels)
    for vertex in sorted(range(len(work)), key=lambda one: -len(neighbours[one])):
        if work[vertex] == BLANK:
            taken = {work[other] for other in neighbours[vertex]}
            work[vertex] = next((one for one in COLOURS if one not in taken), "1")
    return "".join(work)


def planted(vertices: int, density: float, rng: random.Random) -> tuple[Graph, str]:
    """Draw a connected graph of about `density` edges a vertex, with a proper colouring."""
    colours = [rng.choice(COLOURS) for _ in range(vertices)]
    colours[:3] = COLOURS
    rng.shuffle(colours)
    possible = [
        (one, other)
        for one in range(vertices)
        for other in range(one + 1, vertices)
        if colours[one] != colours[other]
    ]
    rng.shuffle(possible)
    edges = set[tuple[int, int]]()
    joined = list(range(vertices))  # each vertex's part, by its least vertex
    later = []
    for one, other in possible:
        if joined[one] == joined[other]:
            later.append((one, other))
            continue
        gone, stays = max(joined[one], joined[other]), min(joined[one], joined[other])
        joined = [stays if part == gone else part for part in joined]
        edges.add((one, other))
    edges.update(later[: max(0, round(density * vertices) - len(edges))])
    names = tuple(f"v{place}" for place in range(vertices))
    return Graph(names, frozenset(edges), "c"), "".join(colours)


def pinned(graph: Graph, solution: str, rng: random.Random) -> str:
    """Return labels with as few colours given as leave one answer: each of them is needed."""
    labels = list(solution)
    for vertex in rng.sample(range(len(labels)), len(labels)):
        labels[vertex] = BLANK
        if len(colourings(graph, labels)) > 1:
            labels[vertex] = solution[vertex]
    return "".join(labels)


def renumbered(
    graph: Graph, labels: str, solution: str, rng: random.Random
) -> tuple[Graph, str, str]:
    """Return the same graph with its vertices in another order and its colours exchanged."""
    order = rng.sample(range(len(labels)), len(labels))
    colours = str.maketrans(COLOURS, "".join(rng.sample(COLOURS, len(COLOURS))))
    place = {old: new for new, old in enumerate(order)}
    edges = frozenset(
        (min(place[one], place[other]), max(place[one], place[other])) for one, other in graph.edges
    )
    few, answer = (
        "".join(text[old] for old in order).translate(colours) for text in (labels, solution)
    )
    return Graph(graph.names, edges, graph.kind), few, answer


def dot(graph: Graph, labels: Sequence[str], names: Mapping[int, str] | None = None) -> str:
    """Write a graph in DOT, one line for the labels and one for each vertex's later neighbours."""
    called = [graph.names[place] if names is None else names[place] for place in range(len(labels))]
    lines = ["graph g {"]
    lines += [
        f"  {name} [{graph.kind}={label}];" for name, label in zip(called, labels, strict=True)
    ]
    for vertex, others in enumerate(graph.neighbours()):
        if later := [called[other] for other in others if other > vertex]:
            lines.append(f"  {called[vertex]} -- {{{' '.join(later)}}};")
    return "\n".join((*lines, "}")) + "\n"


def marks(graph: Graph, given: Sequence[bool]) -> list[tuple[int, ...]]:
    """Return the marks that each vertex bears: itself, its neighbours, whether it is given, and the
    kind of its label.
    """
    kind = 1 + 2 * MOST + 2 + (graph.kind == "d")
    found = []
    for vertex, others in enumerate(graph.neighbours()):
        known = 1 + 2 * MOST + given[vertex]
        own = (1 + vertex, known, kind, *(1 + MOST + other for other in others))
        found.append(own + (0,) * (MOST + 2 - len(own)))
    return found
