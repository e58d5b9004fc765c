"""Rules of a file's kind: what breaks them is found where it stands."""

from __future__ import annotations

import pytest

from dgedit.text.rules import breaks, ruled

FINE = "12|34\n34|12\n-----\n21|4.\n43|..\n"


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.sudoku", FINE, []),
        ("a.SDK", FINE.replace("4.", "44"), [(4, "column 4"), (21, "row 3"), (22, "row 3")]),
        (
            *("a.sudoku", FINE.replace("43|.", "43|4")),
            [(21, "column 3"), (24, "row 4"), (27, "row 4")],
        ),
        ("a.sdm", f"{'.' * 16}\n11{'.' * 14}\n", [(17, "row 1"), (18, "row 1")]),
        ("a.sudoku", "1 1 2\n", []),
        ("a.txt", FINE.replace("4.", "44"), []),
        ("a.dot", "graph { a [c=2]; b [c=2]; a -- b }", [(13, "colour"), (22, "colour")]),
        ("a.dot", "graph { a [d=0]; b [d=3]; a -- b }", [(22, "distance")]),
        ("a.dot", "digraph { a -> b }", []),
    ],
)
def test_what_breaks_rules_is_told_with_its_place(
    name: str, text: str, found: list[tuple[int, str]]
) -> None:
    told = breaks(name, text)
    assert [one.start for one in told] == [start for start, _ in found]
    assert all(words in one.words for one, (_, words) in zip(told, found, strict=True))


def test_only_some_kinds_have_rules() -> None:
    assert ruled("x/a.sdm") and ruled("b.GV")
    assert not ruled("a.py") and not ruled("sudoku")
