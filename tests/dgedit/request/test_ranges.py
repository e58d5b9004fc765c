"""Targets, ranges and names become spans."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dgedit.errors import InputError, UsageError
from dgedit.files.document import Document, Span
from dgedit.request.ranges import all_of, parse_target, place_in, spans_of, to_open
from dgedit.tui.app import DgeditApp
from scripted import Scripted

TEXT = "one\ntwo\r\nthree\rfour\x0cstill four\u2028and still\nfünf 😀"


def held(text: str, *ranges: str | None) -> list[str]:
    return [text[s.start : s.end] for s in spans_of(Document.from_text(text), ranges)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1", "one"),
        ("L2", "two"),
        ("1-2", "one\ntwo"),
        ("L2-L3", "two\r\nthree"),
        ("L3-4", "three\rfour\x0cstill four\u2028and still"),
        ("5", "fünf 😀"),
        ("4-", "four\x0cstill four\u2028and still\nfünf 😀"),
        ("L5-", "fünf 😀"),
        ("1+1", "one\ntwo"),
        ("L2+0", "two"),
        ("1:1-1:4", "one"),
        ("1:2-1:2", ""),
        ("1:4-1:4", ""),
        ("2:2-3:3", "wo\r\nth"),
        ("5:2-5:7", "ünf 😀"),
        ("L5:6-L5:7", "😀"),
    ],
)
def test_range_names_the_text(given: str, expected: str) -> None:
    assert held(TEXT, given) == [expected]


MALFORMED = """
abc 0 0-3 20-10 -3 0- +3 3+ 3-+1 0+2 3-4+1 1:5 1:5-3 1:0-1:2
0:1-1:2 2:3-2:2 2:3-1:9 1-2-3 1.5 ٣ L ١-٢
"""


@pytest.mark.parametrize("given", ["", " 1", "1\n", *MALFORMED.split()])
def test_malformed_range_is_a_usage_error(given: str) -> None:
    with pytest.raises(UsageError, match="not a range"):
        held(TEXT, given)


@pytest.mark.parametrize("given", ["6", "1-6", "1:1-6:1", "6-", "4+2"])
def test_range_outside_the_text_names_it_and_the_number_of_lines(given: str) -> None:
    with pytest.raises(
        InputError, match=rf"range {re.escape(given)} is outside .*which has 5 lines"
    ):
        held(TEXT, given)


def test_range_past_the_end_of_its_line_is_an_input_error() -> None:
    with pytest.raises(InputError, match="column 6 is past the line"):
        held(TEXT, "2:1-2:6")


@pytest.mark.parametrize(("text", "count"), [("", "0 lines"), ("a\n", "1 line"), ("a\n\n", "2 l")])
def test_final_line_ending_begins_no_line(text: str, count: str) -> None:
    with pytest.raises(InputError, match=f"which has {count}"):
        held(text, "3")


@pytest.mark.parametrize(
    "ranges", [("1-2", "2"), ("1", "1"), ("1:1-1:3", "1:2-2:1"), ("1:2-1:2", "1:2-1:2")]
)
def test_overlapping_ranges_are_a_usage_error(ranges: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="overlap at line"):
        held(TEXT, *ranges)


def test_touching_ranges_come_in_order() -> None:
    assert held("abcdef\n", "1:3-1:5", "1:1-1:3") == ["ab", "cd"]


def test_no_range_names_every_marker() -> None:
    spans = spans_of(Document.from_text("<FILL>a<FILL><FILL>"), [None])
    assert spans == [Span(0, 6), Span(7, 13), Span(13, 19)]


def test_marker_is_taken_literally() -> None:
    assert spans_of(Document.from_text("a.*b"), [None], marker=".*") == [Span(1, 3)]


def test_marker_and_range_name_their_holes_together() -> None:
    assert held("a <FILL>\nb\n", "2", None) == ["<FILL>", "b"]


def test_text_without_a_marker_is_an_input_error() -> None:
    with pytest.raises(InputError, match="has no <FILL>"):
        held("", None)


def test_empty_marker_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        spans_of(Document.from_text("a"), [None], marker="")


def test_target_splits_into_file_and_range(folder: Path) -> None:
    (folder / "a.py").touch()
    assert parse_target("a.py:10:5-12:3") == (Path("a.py"), "10:5-12:3")
    assert parse_target("a.py:L10-L20") == (Path("a.py"), "L10-L20")
    assert parse_target("a.py:10-") == (Path("a.py"), "10-")
    assert parse_target("a.py::A.f") == (Path("a.py"), ":A.f")
    assert parse_target("a.py:abc") == (Path("a.py"), "abc")
    assert parse_target("a.py:") == (Path("a.py"), "")
    assert parse_target("a.py") == (Path("a.py"), None)


def test_target_that_exists_is_a_file_whatever_its_colons(folder: Path) -> None:
    (folder / "a").touch()
    (folder / "a:3").touch()
    (folder / "a::f").touch()
    assert parse_target("a:3") == (Path("a:3"), None)
    assert parse_target("a:3:4-5") == (Path("a:3"), "4-5")
    assert parse_target("a::f") == (Path("a::f"), None)
    assert parse_target("a::f::g") == (Path("a::f"), ":g")
    assert parse_target("a::g") == (Path("a"), ":g")
    assert parse_target("a:4") == (Path("a"), "4")


@pytest.mark.parametrize(
    "target",
    ["gone.py", "gone.py:3", "gone.py:3:1-4:2", "gone.py:3-", "gone.py:3+2", "gone.py::A.f"],
)
def test_missing_target_is_named_without_its_range(folder: Path, target: str) -> None:
    with pytest.raises(InputError, match=r"^no such file: gone\.py$"):
        parse_target(target)


@pytest.mark.parametrize("target", ["one", "one:3", "one::A.f", "one/a.py"])
def test_fault_22_links_in_a_circle_are_told(folder: Path, target: str) -> None:
    (folder / "one").symlink_to("two")
    (folder / "two").symlink_to("one")
    with pytest.raises(InputError, match=r"^cannot read one(/a\.py)?: Too many levels of symbolic"):
        parse_target(target)
    with pytest.raises(InputError, match="Too many levels of symbolic"):
        DgeditApp([Path(target.split(":")[0])], connect=Scripted, watch=False)


def test_link_to_nowhere_is_no_such_file(folder: Path) -> None:
    (folder / "one").symlink_to("two")
    with pytest.raises(InputError, match=r"^no such file: one$"):
        parse_target("one")


def test_file_to_open_has_a_place_unless_it_is_named_like_that(folder: Path) -> None:
    for name in ("a", "a:3", "+7"):
        (folder / name).touch()
    (folder / "in").mkdir()
    given = ["a:10", "a:10:5", "a:10:5:", "a:2-4", "a::f", "a:L2", "a", "a:3", "a:3:1", "a:b"]
    assert [*to_open(given)] == [
        *((Path("a"), place) for place in ("10", "10:5", "10:5:", "2-4", ":f", "L2", None)),
        *((Path("a:3"), place) for place in (None, "1")),
        (Path("a:b"), None),
    ]
    given = ["new.py:10", "new.py:10:5", "A::new", "new:x", "in:x", "in", "-"]
    names = ["new.py", "new.py", "A::new", "new:x", "in:x", "in", "-"]
    assert [*to_open(given)] == [(Path(name), None) for name in names]
    assert [*to_open(["+5", "a", "a", "+7", "+2"])] == [
        *((Path("a"), place) for place in ("5", None)),
        *((Path(name), None) for name in ("+7", "+2")),
    ]


@pytest.mark.parametrize(
    ("given", "span"),
    [
        *[("2", (3, 3)), ("L2", (3, 3)), ("2:2", (4, 4)), ("2:2:", (4, 4)), ("2:9", (5, 5))],
        *[("9", (6, 6)), ("9:9", (7, 7)), ("0", (0, 0)), ("1:0", (0, 0)), ("1-2", (0, 5))],
    ],
)
def test_place_is_the_nearest_there_is(given: str, span: tuple[int, int]) -> None:
    assert place_in(Document.from_text("ab\ncd\ne"), given) == Span(*span)


def test_place_that_is_none_is_an_error() -> None:
    assert place_in(Document.from_text(""), "7:3") == Span(0, 0)
    with pytest.raises(UsageError, match="not a range"):
        place_in(Document.from_text("a"), "1:2:3:4")
    with pytest.raises(InputError, match="outside"):
        place_in(Document.from_text("a"), "1-9")


SOURCE = '''\
@dataclass
class Café:
    """A class."""

    x: int = 1

    @property
    def size(self):
        """Docstring."""
        # why
        return self.x  # here

    @size.setter
    def size(self, x):
        self.x = x

    async def grow(self): self.x += 1

    def todo(self):
        """Only this."""


@overload
def twice(x: int) -> int: ...
def twice(x):
    # first
    def inner():
        pass

    return inner

def é(): return "ü"
'''


def body(name: str, text: str = SOURCE, path: str = "a.py") -> str:
    document = Document.from_text(text, Path(path))
    (span,) = spans_of(document, [f":{name}"])
    return text[span.start : span.end]


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Café.grow", "self.x += 1"),
        ("grow", "self.x += 1"),
        ("twice.inner", "pass"),
        ("inner", "pass"),
        ("é", 'return "ü"'),
    ],
)
def test_name_names_the_body(name: str, expected: str, eol: str) -> None:
    assert body(name, SOURCE.replace("\n", eol)) == expected


def test_body_begins_behind_a_docstring_and_with_its_comments() -> None:
    text = SOURCE.replace("@size.setter\n    def size", "def resize")
    assert body("Café.size", text) == "# why\n        return self.x  # here"
    assert body("Café", text).startswith("x: int = 1\n\n    @property")
    assert body("twice", text.replace("def twice(x: int)", "def once(x: int)")).startswith(
        "# first\n    def inner"
    )
    assert (
        body("f", "def f():  # of the head\n    # of the body\n    x\n") == "# of the body\n    x"
    )


def test_body_begins_behind_the_semicolon_of_a_docstring() -> None:
    assert body("f", 'def f(): """It."""; x = 1; y\n') == "x = 1; y"
    assert body("f", 'def f():\n    """It.""";\n    x\n') == "x"
    (span,) = spans_of(Document.from_text('def f(): "It.";\n', Path("a.py")), [":f"])
    assert (span.start, span.end) == (15, 15)


def test_body_of_a_docstring_alone_is_the_place_behind_it() -> None:
    (span,) = spans_of(Document.from_text(SOURCE, Path("a.py")), [":todo"])
    assert SOURCE[: span.start].endswith('"""Only this."""') and span.start == span.end


@pytest.mark.parametrize(
    ("path", "text", "name", "expected"),
    [
        ("a.js", "class A { m(x) { return 1; } }", "A.m", "return 1;"),
        ("a.js", "const f = (x) => x + 1;", "f", "x + 1"),
        ("a.js", "const f = function () { a(); b() };", "f", "a(); b()"),
        ("a.js", "function f() {}", "f", ""),
        ("a.rs", "struct P { x: i32 }\nimpl P { fn one() -> i32 { 1 } }", "P.one", "1"),
        ("a.go", "package p\nfunc F() {\n\tx := 1\n\treturn\n}\n", "F", "x := 1\n\treturn"),
        ("A.java", "class A { A() { x = 1; } int f() { return x; } }", "f", "return x;"),
        ("a.sh", "f() {\n  echo hi\n}\n", "f", "echo hi"),
        ("a.css", ".a { color: red; }", ".a", "color: red;"),
    ],
)
def test_name_names_the_body_in_other_languages(
    path: str, text: str, name: str, expected: str
) -> None:
    assert body(name, text, path) == expected


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        (
            "size",
            UsageError,
            r"'size' may be Café\.size at line 8 and Café\.size at line 14 of a\.py: ",
        ),
        ("twice", UsageError, "twice at line 24 and twice at line 25"),
        ("grwo", InputError, r"a\.py defines no 'grwo' with a body; did you mean 'Café\.grow'\?"),
        ("Cafe", InputError, "did you mean 'Café'"),
        ("qqq", InputError, "no 'qqq' with a body$"),
        ("", UsageError, r"a\.py:: names nothing"),
    ],
)
def test_name_that_is_not_one_definition_is_an_error(
    name: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        body(name)


def test_name_in_a_file_without_a_grammar_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"no names are known in a\.xyz: its language is not"):
        body("f", "f", "a.xyz")


def test_name_beside_a_marker_is_found() -> None:
    assert body("f", "def f():\n    <FILL>\n\ndef g():\n    pass\n") == "<FILL>"


def test_numbers_that_are_too_long_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no text has so many lines"):
        held(TEXT, "9" * 5000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("    a\r\n    b\r\n", (4, 12)),
        ("\n\n a ", (3, 4)),
        ("a", (0, 1)),
        ("", (0, 0)),
        ("  \n", (2, 2)),
        ("\n", (0, 0)),
    ],
)
def test_all_of_a_text_leaves_the_blanks_around_it(text: str, expected: tuple[int, int]) -> None:
    assert all_of(text) == Span(*expected)
