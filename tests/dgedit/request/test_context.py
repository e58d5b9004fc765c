"""What goes with the text around the holes: what is used there and defined elsewhere."""

from __future__ import annotations

from pathlib import Path

from dgedit.files.document import Document
from dgedit.request.context import beside, given
from dgedit_engine.types import Hole, InfillRequest, Passage

SHAPES = '''"""Shapes."""

import math


def area(radius):
    """Of a circle."""
    if radius < 0:
        raise ValueError

    return math.pi * radius**2


class Square:
    def __init__(self, side):
        self.side = side


LIMIT = 10
'''


def document(name: str, text: str) -> Document:
    return Document.from_text(text, Path(name))


def near(before: str, after: str = "", path: str = "main.py") -> list[Passage]:
    parts = (before, Hole(), after) if after else (before, Hole())
    return [Passage(path, parts)]


def texts(passages: tuple[Passage, ...]) -> list[str]:
    assert not any(passage.holes for passage in passages)
    return ["".join(map(str, passage.parts)) for passage in passages]


def test_definition_of_a_name_used_near_the_hole_goes_along() -> None:
    found = beside(near("x = area(3)\n"), [document("shapes.py", SHAPES)])
    assert [passage.path for passage in found] == ["shapes.py"]
    assert texts(found) == [SHAPES[SHAPES.index("def area") : SHAPES.index("\n\n\nclass")]]


def test_names_in_the_hole_and_behind_it_count_too() -> None:
    passages = [Passage("main.py", ("x = 1\n", Hole("Square(2)"), "\nprint(LIMIT)"))]
    (text,) = texts(beside(passages, [document("shapes.py", SHAPES)]))
    assert text.startswith("class Square") and text.endswith("LIMIT = 10")
    assert "area" not in text


def test_nearest_name_comes_first_where_room_is_short() -> None:
    long = "\n".join(f"    x{i} = {i}" for i in range(38))
    files = [
        document(f"{name}.py", f"def {name}():\n" + long.replace("x", "x" * 90) + "\n")
        for name in ("far", "close")
    ]
    found = beside(near("far()\nclose()\n"), files)
    assert [passage.path for passage in found] == ["close.py"]


def test_small_file_of_the_same_kind_goes_along_whole_and_last() -> None:
    others = [
        document("notes.md", "# area\n"),
        document("other.py", "ONE = 1\n"),
        document("shapes.py", SHAPES),
        document("large.py", "# x\n" * 5000),
    ]
    found = beside(near("area(3)\n"), others)
    assert [passage.path for passage in found] == ["shapes.py", "other.py"]


def test_other_languages_have_definitions() -> None:
    rust = "pub(crate) async fn area(r: f64) -> f64 {\n    r * r\n}\n\nfn other() {}\n"
    go = "type Shape struct {\n\tSide int\n}\n\nfunc (s *Shape) area() int {\n\treturn 1\n}\n"
    for name, text, end in (("a.rs", rust, "\n}\n\nfn other"), ("a.go", go, None)):
        (found,) = texts(beside(near("area"), [document(name, text)]))
        start = text.index("pub") if name == "a.rs" else text.index("func")
        assert found == (text[start : text.index(end) + 2] if end else text[start:].rstrip())


def test_nested_definition_goes_along_once() -> None:
    text = "class Outer:\n    def inner(self):\n        pass\n"
    (found,) = texts(beside(near("Outer().inner()"), [document("a.py", text)]))
    assert found.count("def inner") == 1


def test_local_names_are_nobody_elses() -> None:
    assert not beside(near("x"), [document("a.txt", "def f():\n    xx = 1\n")])
    local = document("a.txt", "def f():\n    value = 1\n\n\nvalue: int = 2\n")
    assert texts(beside(near("value"), [local])) == ["value: int = 2"]


def test_bytes_that_are_no_text_reach_no_model() -> None:
    found = beside(near("area"), [document("a\udcff.py", "def area():\r\n    '\udcff'\r\n")])
    assert found[0].path == "a\ufffd.py"
    assert texts(found) == ["def area():\n    '\ufffd'"]


def test_request_is_told_part_by_part() -> None:
    passage = Passage("a\x1b.py", ("12345", Hole("held"), "678"))
    request = InfillRequest((passage, Passage("b.py", ("x",))), "do it", 0.5)
    parts = given(request)
    assert [(part.title, part.text, part.hole, part.tokens) for part in parts] == [
        ("instruction", "do it", False, 2),
        ("a␛.py: before", "12345", False, 2),
        ("hole 1 of 1, refined at strength 0.50", "held", True, 1),
        ("a␛.py: after", "678", False, 1),
        ("b.py: what goes with it", "x", False, 1),
    ]
    assert [part.tokens for part in given(request, len)] == [5, 5, 4, 3, 1]


def test_what_a_hole_holds_is_not_read_from_scratch() -> None:
    (hole,) = [part for part in given(InfillRequest((Passage("", (Hole("held"),)),))) if part.hole]
    assert (hole.title, hole.tokens) == ("hole 1 of 1, from scratch", 0)
