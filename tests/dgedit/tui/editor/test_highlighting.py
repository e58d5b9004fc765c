"""The tree of an edited text is that of the text; until it is there, colours move with the text."""

from __future__ import annotations

import gc
import random
import weakref
from pathlib import Path

from dgedit.tui.editor.buffer import Buffer
from dgedit.tui.editor.highlighting import Highlight, Parse, syntax_of

PYTHON = syntax_of(Path("x.py"))
CODE = "class A:\n    x = 'é'  # a comment\n\n    def f(self):\n        return 1\n\n"


def parse_of(buffer: Buffer) -> Parse:
    assert buffer.parse is not None
    return buffer.parse


def all_of(buffer: Buffer) -> list[list[Highlight]]:
    return [parse_of(buffer).highlights(row) for row in range(buffer.line_count)]


def named(buffer: Buffer, row: int, name: str) -> list[str]:
    line = buffer.lines[row]
    return [line[begin:end] for begin, end, n in parse_of(buffer).highlights(row) if n == name]


def test_syntax_follows_from_the_name() -> None:
    assert syntax_of(Path("x.PY")) is PYTHON
    assert syntax_of(Path("x.unknown")) is None


def test_tree_after_edits_is_that_of_a_fresh_parse() -> None:
    """Of texts without errors: how it goes on behind one depends on where it was interrupted."""
    bodies = ["return 1", "pass", "x = 'é'\n        y = 你", 'a[0] = f("""\n  x""")']
    for seed in range(3):
        dice = random.Random(seed)
        buffer = Buffer(CODE * 40, syntax=PYTHON)
        parse_of(buffer).step(1)
        for _ in range(60):
            row = dice.choice([at for at, line in enumerate(buffer.lines) if "def f" in line]) + 1
            end = row + dice.choice([0, '"""' not in buffer.lines[row]])
            new = f"        {dice.choice(bodies)}\n"
            buffer.replace_range((row, 0), (end, 0), new)
            if dice.random() < 0.3:
                parse_of(buffer).step(0.0001)  # and is interrupted by the next edit
            if dice.random() < 0.3:
                fresh = Buffer("\n".join(buffer.lines), syntax=PYTHON)
                ours, theirs = parse_of(buffer).tree.root_node, parse_of(fresh).tree.root_node
                assert str(ours) == str(theirs) and not theirs.has_error
                assert ours.end_byte == theirs.end_byte
                assert all_of(buffer) == all_of(fresh)


def test_highlights_after_an_edit_are_those_of_the_new_text() -> None:
    buffer = Buffer("x = 'é'\ny = 2\n", syntax=PYTHON)
    assert named(buffer, 0, "string") == ["'é'"]
    buffer.replace_range((0, 4), (0, 7), "3\n\nclass A: pass")
    assert named(buffer, 0, "number") == ["3"]
    assert named(buffer, 2, "keyword") == ["class", "pass"] or named(buffer, 2, "type.class")


def test_inner_nodes_come_after_outer_ones() -> None:
    buffer = Buffer("f'a{b}\\n'\n", syntax=PYTHON)
    found = parse_of(buffer).highlights(0)
    assert found.index((0, 9, "string")) < found.index((4, 5, "variable"))


def large() -> Buffer:
    """A text that is not parsed at once."""
    buffer = Buffer(CODE * 1000, syntax=PYTHON)
    assert parse_of(buffer).highlights(1) == []
    assert parse_of(buffer).tree
    assert named(buffer, 1, "string") == ["'é'"]
    return buffer


def test_large_text_is_parsed_in_slices() -> None:
    parse = parse_of(Buffer(CODE * 3000, syntax=PYTHON))
    slices = 0
    while not parse.step(0.001):
        slices += 1
    assert slices > 2
    assert str(parse.tree.root_node).count("class_definition") == 3000


def test_colours_stay_with_their_text_until_it_is_parsed() -> None:
    buffer = large()
    parse = parse_of(buffer)
    all_of(buffer)
    buffer.replace_range((1, 4), (1, 4), "long_")
    buffer.replace_range((1, 20), (1, 20), "er")
    assert not parse.current
    assert named(buffer, 1, "string") == ["'é'"]
    assert named(buffer, 1, "comment") == ["# era comment"] or named(buffer, 1, "comment")
    buffer.replace_range((0, 0), (0, 0), "\n\n")
    assert named(buffer, 3, "string") == ["'é'"]
    assert named(buffer, 0, "string") == []
    buffer.replace_range((3, 17), (3, 17), "\n")
    assert (named(buffer, 3, "string"), named(buffer, 3, "comment")) == (["'é'"], [])
    assert named(buffer, 4, "comment") != []
    buffer.replace_range((3, 17), (4, 0), "")
    assert named(buffer, 3, "comment") != []
    assert not parse.current
    shifted = all_of(buffer)
    while not parse.step(1):
        pass
    for row in (5, 6, 7, 100):
        assert shifted[row] == parse.highlights(row)


def test_long_row_is_coloured_where_it_is_looked_at() -> None:
    text = "x = [" + "1, 'é', " * 12_000 + "]\ny = 1\n"
    buffer = Buffer(text, syntax=PYTHON)
    parse = parse_of(buffer)
    assert parse.tree
    found = parse.highlights(0, 80_000, 80_120)
    assert {"number", "string"} <= {name for _, _, name in found}
    assert all(begin < 80_120 and end is not None and end > 80_000 for begin, end, _ in found)
    buffer.replace_range((0, 80_050), (0, 80_050), "x" * 9)
    moved = parse.highlights(0, 80_009 + 60, 80_129)
    assert moved == [(b + 9, e and e + 9, name) for b, e, name in found if (e or 0) > 80_060]
    assert parse.highlights(0, 0, 120) == []
    assert parse.tree
    assert parse.highlights(0, 0, 120)[0][0] == 0
    assert named(buffer, 1, "number") == ["1"]


def test_parse_that_nobody_holds_is_freed() -> None:
    syntax = syntax_of(Path("a.py"))
    assert syntax is not None
    parse = Parse(syntax, ["x = 1", "y = 2"])
    assert parse.step(60) and parse.highlights(0)
    held = weakref.ref(parse)
    del parse
    gc.collect()
    assert held() is None
