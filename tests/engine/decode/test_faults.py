"""Syntax errors that infills bring into their whole files."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dgedit_engine.decode import faults as judging
from dgedit_engine.decode import syntax
from dgedit_engine.decode.faults import new_errors
from dgedit_engine.decode.statements import nearby
from dgedit_engine.decode.syntax import faults
from dgedit_engine.types import Hole, InfillRequest, Passage

PATH = "a.py"


def counts(request: InfillRequest, *texts: list[str | None] | str) -> list[int | None]:
    fillings = [[one] if isinstance(one, str) else one for one in texts]
    return [None if one is None else len(one) for one in new_errors(request, fillings)]


def asked(*parts: str | Hole, above: str = "", below: str = "", path: str = PATH) -> InfillRequest:
    return InfillRequest((Passage(path, parts, above, below),))


def test_what_is_around_the_excerpt_counts() -> None:
    """An excerpt that begins inside a text of several lines broke every infill."""
    above, below = 'def f():\n    """One\n    two\n', "    finally:\n        y = 2\n"
    parts = ('    three\n    """\n    try:\n        ', Hole("x"), "\n")
    assert counts(asked(*parts, above=above, below=below), "x = 1", "x = (1") == [0, 1]
    assert counts(asked(*parts, above=above, below=below), "x = (1") == [1]


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("return x", True),
        ("continue", False),  # no loop around
        ("nonlocal x", False),
        ("await x", False),
        ("x = 1", True),
        ("def g(a, *, *, b): pass", False),
        ("global x", True),
    ],
)
def test_what_python_s_compiler_refuses_is_an_error(text: str, right: bool) -> None:
    assert counts(asked("def f():\n    ", Hole(), "\n"), text) == [0 if right else 1]


def test_place_is_that_in_the_excerpt() -> None:
    request = asked("x = 1\ny = ", Hole(), "\n", above="import os\n" * 9, below="z = 3\n")
    assert new_errors(request, [["1"], ["1)"]])[1] == ((0, 10, 12),)


OWN = "class A:\n    def f(self):\n        return <FILL>\n\n"


@pytest.mark.parametrize(
    ("above", "below"),
    [
        (OWN, ""),
        ("", "\n\nclass B:\n    def g(self):\n        <FILL>\n\n    x = [1, 2\n"),
        (OWN, "    def h(:\n        pass\n"),
        ("def broken(:\n    x = 1\n", "print 'two'\nx = = 3\n"),
        ("s = 'never ended\nif x\n    y\n", ""),
    ],
)
def test_file_s_own_errors_are_nobody_s_fault(above: str, below: str) -> None:
    request = asked("def g(x):\n    y = ", Hole("x"), "\n    return y\n", above=above, below=below)
    assert faults(PATH, f"{above}def g(x):\n    y = x\n    return y\n{below}")
    found = counts(request, "x + 1", "x + (1", "x\n    continue", "f(x)")
    assert [one == 0 for one in found] == [True, False, False, True]


def test_error_beside_one_of_the_file_s_own_is_seen() -> None:
    """Python's parser stops at the first: what came behind it was never looked at."""
    request = asked("x = ", Hole(), "\n", above="print 'two'\n")
    assert [one == 0 for one in counts(request, "1", "1)", ") 1")] == [True, False, False]


def test_unfilled_hole_is_taken_to_be_filled_well() -> None:
    request = asked("if ", Hole(), ":\n    ", Hole(), "\n")
    assert counts(request, ["x", None], ["x =", None]) == [0, 1]
    request = asked("def f(a):\n", Hole(), "    return b\ndef g():\n", Hole())
    assert counts(request, ["    b = a\n", None], ["    b = (a\n", None])[0] == 0


def test_whole_line_in_a_block_is_judged_with_a_stand_in_that_is_indented() -> None:
    request = asked("def f():\n", Hole("    <FILL>\n"), "\n\ndef g(:\n    pass\n")
    assert [one == 0 for one in counts(request, "    return 1\n", "    return (\n")] == [
        True,
        False,
    ]


def test_holes_of_several_files_are_judged_each_in_its_own() -> None:
    files = (
        Passage("a.py", ("x = ", Hole(), "\n")),
        Passage("b.js", ("f(", Hole(), ");\n")),
        Passage("c.unknown", (Hole(),)),
        Passage("d.py", ("no hole here (",)),
    )
    found = new_errors(InfillRequest(files), [["1", "2", "("], ["1)", "2", ""], ["1", "{", ""]])
    assert found[0] == () and [one[0] for one in found[1] or ()] == [0]
    assert {one[0] for one in found[2] or ()} == {1}


def test_language_without_a_grammar_is_judged_by_nobody() -> None:
    assert counts(asked("x ", Hole(), path="notes.zzz"), "((") == [None]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_other_languages_are_judged_by_what_is_new(newline: str) -> None:
    own = "let = 3;" + newline
    request = asked("let x = ", Hole(), ";" + newline, above=own + newline, path="a.js")
    found = counts(request, "1", "[1", "g(")
    assert found[0] == 0 and all(found[1:])


def test_text_too_large_is_judged_by_nobody() -> None:
    request = asked("x = ", Hole(), "\n", above="y = 1\n" * 400_000)
    assert counts(request, "(") == [None]


@pytest.mark.parametrize("text", ["    x = 1", "    return 1", "\tpass"])
def test_infill_does_not_make_its_file_an_excerpt(text: str) -> None:
    """Indented, the first line looked like one from inside of blocks, where more is sound."""
    assert counts(asked(Hole(), "\ny = 2\n"), text, "x = 1") == [1, 0]
    assert counts(asked("# a comment\n", Hole(), "\ny = 2\n"), text, "x = 1") == [1, 0]


def test_excerpt_from_inside_of_blocks_is_read_as_such() -> None:
    """As who asks without the text around it sends one."""
    request = asked(
        "        x = 1\n        return ", Hole(), "\n\n    def g(self):\n        pass\n"
    )
    assert counts(request, "x", "x)") == [0, 1]
    request = asked("        # why\n        x = 1\n        return ", Hole(), "\n\n    y = 2\n")
    assert counts(request, "x", "x)") == [0, 1]


def test_stand_in_for_a_body_stands_right_of_its_head() -> None:
    request = asked("def f():\n", Hole(), "\ndef g(:\n    pass\n")
    assert [one == 0 for one in counts(request, "    return 1", "    return (")] == [True, False]


@pytest.mark.parametrize(
    ("before", "open_", "closed"),
    [
        ("x = (1, ", "2", "2)"),
        ("x = [1, ", "2", "2]"),
        ("x = {1, ", "2", "2}"),
        ('x = """a\n', "b", 'b"""'),
        ("x = '''a\n", "b", "b'''"),
        ("try:\n    x\n", "z = 1", "except: pass"),
    ],
)
def test_what_is_open_before_a_hole_which_the_hole_has_to_close_is_its_own(
    before: str, open_: str, closed: str
) -> None:
    """With nothing in the hole no file is sound: that was taken for an error of the file's own."""
    request = asked(before, Hole(), "\ny = 2\n")
    assert counts(request, open_) == [1]
    assert counts(request, open_, closed) == [1, 0]


def test_what_is_between_two_holes_is_no_string_that_they_make() -> None:
    """With quotes in both the file is sound, so that a marker between was an infill's error."""
    between = "\n\ndef g():\n    <FILL>\n\ndef h():\n    return "
    request = asked("def f():\n    return ", Hole("1"), between, Hole("2"), "\n")
    assert counts(request, ["3", "4"], ["3", "(4"], ["3", None]) == [0, 1, 0]


def test_one_of_two_holes_may_have_to_end_a_string() -> None:
    between = "\n    x = 1\n\ny = "
    request = asked('def f():\n    """One\n', Hole(), between, Hole(), "\n")
    assert counts(request, ["    two", "2"]) == [1]
    assert counts(request, ["    two", "2"], ['    """', "2"]) == [1, 0]


@pytest.mark.parametrize(
    ("before", "bad", "good", "behind"),
    [
        (
            "def f():\n    x = [\n        1,\n    ]\n",
            "    g(x)",
            "    with g(x):",
            "\n        h()\n",
        ),
        ("", "x = 1", "if x:", "\n    y = 2\n"),
        ("x = 1\n", "y = 2", "def f():", "\n    return y\n"),
        ("x = 1\n", "y = 2", "while y:", "\n    continue\n"),
        ("x = 1\n", "y = 2", "async def f():", "\n    await y\n"),
        ("def f():\n    x\n", "    y", "    y = {", "\n        1: 2,\n    }\n"),
        ("class A:\n    def f(self):\n        x\n\n  ", "x", "  x", "h\n\n    def g(self): pass\n"),
        ("def f():\n    ", "x = 1", "if x: y = 1", "\n    else:\n        y = 2\n"),
        ("def f():\n    ", "x = 1", "try: x = 1", "\n    finally:\n        y = 2\n"),
    ],
)
def test_what_a_hole_has_to_open_for_what_is_behind_is_its_own(
    before: str, bad: str, good: str, behind: str
) -> None:
    """No other text than one that opens a block leaves the file sound."""
    request = asked(before, Hole(), behind)
    assert all(counts(request, bad))
    broken, sound = counts(request, bad, good)
    assert broken and sound == 0


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("x = 0", True),
        ("f(a=1, 2)", False),
        ("    x = 1", False),
        ("return", False),
        ("x = (", False),
    ],
)
def test_large_python_is_judged_by_its_compiler_too(
    text: str, right: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement at a time: as one, it would take many seconds."""
    monkeypatch.setattr("dgedit_engine.decode.syntax._AT_ONCE", 10)
    request = asked(Hole("x = 0"), "\n", above="y = [1, 2, 3]\n", below="z = 1\n")
    assert [one == 0 for one in counts(request, text)] == [right]
    inside = asked("def f():\n    ", Hole(), "\n", above="y = 1\n")
    assert [one == 0 for one in counts(inside, "return 1", "continue")] == [True, False]


def test_own_errors_of_a_file_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each judgement of a fill did so anew, which took as long as its drafts."""
    parsed: list[str] = []
    real = judging.refused

    def noted(text: str, *, whole: bool = False) -> tuple[int, int] | None:
        parsed.append(text)
        return real(text, whole=whole)

    monkeypatch.setattr(judging, "refused", noted)
    request = asked("def broken(:\n    pass\nonly = ", Hole(), "\n")
    assert counts(request, "1 +") == [1]
    first = len(parsed)
    assert first and counts(request, "(", "2") == [1, 0] and len(parsed) == first


def large(below: str = "", *, path: str = PATH, line: str = "y = [1, 2]\n") -> InfillRequest:
    """A hole in a function between texts of 24,000 characters."""
    rest = line * (24_000 // len(line))
    return asked(
        *("def f(x):\n    ", Hole("x"), "\n    return x\n\n\n"),
        above=rest,
        below=rest + below,
        path=path,
    )


def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of all texts that Python reads from now on."""
    lengths: list[int] = []
    real = syntax.refused

    def noted(text: str, *, whole: bool = False) -> tuple[int, int] | None:
        lengths.append(len(text))
        return real(text, whole=whole)

    monkeypatch.setattr(syntax, "refused", noted)
    monkeypatch.setattr(judging, "refused", noted)
    return lengths


def test_what_a_large_file_has_elsewhere_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = compiled(monkeypatch)
    assert counts(large(), "x += 1", "x += (", "continue") == [0, 1, 1]
    assert lengths and max(lengths) < 200
    del lengths[:]
    assert counts(large("z = = 3\nprint 2\n"), "x += 1", "x += (") == [0, 1], "its own errors"
    assert lengths and max(lengths) < 200


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("global y", 0),  # within a function; as a statement of the module it may come too late
        ("x = 1\nglobal y", 1),
        ("x = 1\nfrom __future__ import division", 1),
    ],
)
def test_what_the_rest_of_the_file_decides_is_judged_in_it(
    monkeypatch: pytest.MonkeyPatch, text: str, errors: int
) -> None:
    lengths = compiled(monkeypatch)
    assert counts(large(), "pass", text) == [0, errors]
    assert max(lengths) > 47_000


def test_future_imports_hold_for_what_is_judged_alone() -> None:
    above = "from __future__ import annotations\ny = 1\nz = 2\n"
    request = asked("x: ", Hole(), "\n", above=above)
    near = nearby(request.passages[0], ("1",))
    assert near is not None and near.above == "from __future__ import annotations\nz = 2\n"
    assert counts(request, "int", "(z := 1)") == [0, 1], "no name is bound in an annotation"


@pytest.mark.parametrize(
    "text", ["else:\n    pass\n", "@cache\n", "    y = 2\n", "elif x:\n    pass\n"]
)
def test_infill_may_belong_to_the_statement_before_or_behind(text: str) -> None:
    request = asked(Hole(), "def g():\n    pass\n", above="if x:\n    y = 1\n", below="z = 1\n" * 9)
    assert counts(request, text, "") == [0, 0]


def test_no_statement_of_the_module_is_seen_in_strings_and_brackets() -> None:
    above = 'x = """\ndef one():\n"""\ny = (\n1,\n2)\nz = [\n  # ]\n\'[\',\n]\n'
    request = asked("w = ", Hole(), "\n", above=above * 3, below=above * 3)
    near = nearby(request.passages[0], ("1",))
    assert near is not None
    assert near.above == above[above.index("z = ") :] and near.below == above[: above.index("y")]
    for torn in ("'", "(", '"""', ")"):
        assert nearby(request.passages[0], (torn,)) is None


def test_languages_without_a_compiler_are_parsed_from_where_they_differ() -> None:
    line = "let y = [1, 2];\n"
    request = asked("let x = ", Hole(), ";\n", above=line * 800, below=line * 800, path="a.js")
    texts = ("1", "[1", "f(", "'é'", "{}")
    found = new_errors(request, [[one] for one in texts])
    for text, errors in zip(texts, found, strict=True):
        whole = f"{line * 800}let x = {text};\n{line * 800}"
        above = len(line) * 800
        right = faults("a.js", whole)
        assert errors == tuple((0, start - above, end - above) for start, end in right or ())


@pytest.mark.parametrize("name", ["canvas", "cuts", "endings", "judge", "offers", "sampler"])
def test_statements_around_say_what_the_whole_file_does(name: str) -> None:
    """Thousands of spans of Python's library were compared so, by hand; here are some of ours."""
    source = (Path(judging.__file__).parent / f"{name}.py").read_text()
    lines, draw = source.splitlines(keepends=True), random.Random(name)
    snippets = ["(", '"""', "else:\n", "return 1", "@x\n", "    x = 1\n", "'", "continue", "x = ["]
    for _ in range(3):
        first = draw.randrange(1, len(lines) - 4)
        last = first + draw.randrange(1, 4)
        hole = "".join(lines[first:last])
        above, near = lines[: first // 2], "".join(lines[first // 2 : first])
        request = asked(near, Hole(hole), above="".join(above), below="".join(lines[last:]))
        margin = hole[: len(hole) - len(hole.lstrip())]
        texts = [hole, hole[: len(hole) // 2], hole[len(hole) // 2 :], hole.replace("\n", "\n ")]
        texts += [margin + one for one in draw.sample(snippets, 3)]
        (passage,) = request.passages
        right = judging._judged_in(passage, [[one] for one in texts])[0]
        found = judging._judged(passage, [[one] for one in texts])
        assert [not one for one in found] == [not one for one in right], (name, first, last)
