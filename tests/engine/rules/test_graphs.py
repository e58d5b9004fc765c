"""Graphs: DOT is read and written, planted colourings have one answer, rules are seen."""

from __future__ import annotations

import random

import pytest

from dgedit_engine.rules import graphs
from dgedit_engine.rules.graphs import Graph

TEXT = """
// a comment -- with [c=9]
graph g {
  node [shape=circle];
  a [c=1, label="-- b"]; "b c" [c=?];
  d [label=x; c="3"]
  a -- {"b c" d} -- d2;  /* a -- a */
  d2 [c=?];
}
"""


def test_dot_is_read_with_groups_chains_and_quotes() -> None:
    graph, places, labels = graphs.read(TEXT)
    assert graph.names == ("a", '"b c"', "d", "d2")
    assert labels == "1?3?"
    assert [TEXT[place] for place in places] == list(labels)
    assert graph.edges == {(0, 1), (0, 2), (1, 3), (2, 3)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("graph { a -- b }", "no vertex has a label"),
        ("digraph { a [c=1]; a -> a }", "arrows"),
        ("graph { a [c=1]; a -- b }", "vertex b has no label"),
        ("graph { a [c=1]; b [d=1] }", "some vertices have colours"),
        ("graph { a [c=1]; a [c=2] }", "two labels"),
        ("graph { a [c=1]; a -- a }", "joins a to itself"),
        ("graph { a [c=4] }", "1, 2 or 3, not 4"),
        ("".join(f"v{at} [c=?];" for at in range(17)), "17 vertices with labels; 16"),
    ],
)
def test_what_is_no_such_graph_says_why(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        graphs.read(text)


@pytest.mark.parametrize("vertices", [6, 11, 16])
def test_pinned_colours_leave_one_answer_and_none_can_be_spared(vertices: int) -> None:
    rng = random.Random(vertices)
    graph, solution = graphs.planted(vertices, 1.6, rng)
    labels = graphs.pinned(graph, solution, rng)
    assert graphs.wrong(graph, solution) == []
    assert graphs.colourings(graph, labels) == [solution]
    for place, label in enumerate(labels):
        if label != "?":
            fewer = labels[:place] + "?" + labels[place + 1 :]
            assert len(graphs.colourings(graph, fewer)) == 2
    assert len(graphs.distances(graph, [0])) == vertices  # it is connected
    moved, few, answer = graphs.renumbered(graph, labels, solution, rng)
    assert graphs.colourings(moved, few) == [answer]
    assert graphs.read(graphs.dot(moved, few))[::2] == (moved, few)


def test_wrong_labels_are_found() -> None:
    path = Graph(("a", "b", "c"), frozenset({(0, 1), (1, 2)}), "c")
    assert graphs.wrong(path, "11?") == [0, 1]
    assert graphs.wrong(path, "121") == []
    assert graphs.colourings(path, "11?") == []
    far = Graph(path.names, path.edges, "d")
    assert graphs.wrong(far, "012") == []
    assert graphs.wrong(far, "0?1") == [2]


def test_greedy_keeps_what_is_given() -> None:
    star = Graph(tuple("abcd"), frozenset({(0, 1), (0, 2), (0, 3)}), "c")
    assert graphs.greedy(star, "?2??") == "1222"
    ring = Graph(tuple("abc"), frozenset({(0, 1), (0, 2), (1, 2)}), "c")
    assert graphs.greedy(ring, "?1?") == "213"


def test_marks_name_each_vertex_and_its_neighbours() -> None:
    rng = random.Random(4)
    graph, _ = graphs.planted(16, 2.2, rng)
    found = graphs.marks(graph, [True] * 16)
    assert len({len(marks) for marks in found}) == 1
    assert all(0 <= mark < graphs.MARKS for marks in found for mark in marks)
    for vertex, (marks, others) in enumerate(zip(found, graph.neighbours(), strict=True)):
        assert marks[0] == 1 + vertex
        assert [mark - 1 - graphs.MOST for mark in marks[3:] if mark] == others
