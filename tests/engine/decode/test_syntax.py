"""Where texts break their grammar, and which tokens of an infill that concerns."""

from __future__ import annotations

import pytest

from dgedit_engine.decode import syntax
from dgedit_engine.decode.repair import broken_tokens
from dgedit_engine.decode.syntax import faults, parses
from dgedit_engine.engine import Engine
from dgedit_engine.types import Hole, InfillRequest, Passage


@pytest.mark.parametrize(
    ("path", "text", "sound"),
    [
        ("a.py", "x = (1, 2)\n", True),
        ("a.py", "x = (1, 2\n", False),
        ("a.py", "def f():\n\nx = 1\n", False),  # which tree-sitter lets pass
        ("a.py", "    return 1\n", True),  # an excerpt from inside a block
        ("a.py", "        return 1\n\n    def g(self):\n        pass\n\nx = 1\n", True),
        ("a.py", "        return (1\n\n    def g(self):\n        pass\n", False),
        ("a.py", "x = 1\n    y = 2\n", False),
        ("a.pyi", "é = 'ü'\n", True),
        ("a.json", '{"a": [1, 2]}', True),
        ("a.json", '{"a": [1, 2}', False),
        ("a.js", "let a = (1;", False),
        ("a.rs", "fn main() { let x = 1; }", True),
    ],
)
def test_faults_tell_sound_from_broken(path: str, text: str, sound: bool) -> None:
    found = faults(path, text)
    assert found is not None and (found == ()) == sound


@pytest.mark.parametrize("path", ["", "a", "a.txt", "a.unknown"])
def test_language_without_a_grammar_is_not_judged(path: str) -> None:
    assert faults(path, "x = (") is None


def test_missing_package_leaves_python_its_own_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syntax, "_parser", lambda grammar: None)
    assert faults("a.py", "x = (") is not None
    assert faults("a.js", "let a = (1;") is None


def test_places_are_code_points() -> None:
    text = "é = 'ü'\nx = (1, 2\n"
    found = faults("a.py", text)
    assert found and all(0 <= start <= end <= len(text) for start, end in found)
    assert max(end for _, end in found) > text.index("x")


@pytest.mark.parametrize("text", ["\x00", "(" * 5000, "x = 1\n\x00", "\ud800"])
def test_nasty_texts_are_broken_and_do_no_harm(text: str) -> None:
    assert not parses(text)
    assert faults("a.py", text)


def test_broken_tokens_lie_under_the_error_with_their_neighbours(tiny: Engine) -> None:
    before, text, after = "x = [1]\n", "y = ) + 1", "\nz = 2\n"
    ids = tiny.tokenizer.encode(text)
    asked = InfillRequest((Passage("a.py", (before, Hole(), after)),))
    start = len(before) + text.index(")")
    (found,) = broken_tokens(asked, [ids], [(0, start, start + 1)], tiny.tokenizer)
    spelt = [piece.text for piece in tiny.tokenizer.pieces(ids)]
    at = next(place for place, piece in enumerate(spelt) if ")" in piece)
    assert found == {at - 1, at, at + 1}


def test_error_behind_a_hole_concerns_its_end(tiny: Engine) -> None:
    ids = tiny.tokenizer.encode("f(1, 2")
    asked = InfillRequest((Passage("a.py", ("x = ", Hole(), "\ny = 1\n")),))
    (found,) = broken_tokens(asked, [ids], [(0, 12, 15)], tiny.tokenizer)
    assert found == {len(ids) - 1, len(ids)}


def test_errors_of_one_passage_leave_the_holes_of_another(tiny: Engine) -> None:
    ids = tiny.tokenizer.encode("a + b")
    passages = (Passage("a.py", ("x = ", Hole())), Passage("b.py", ("y = ", Hole(), "\n")))
    first, second = broken_tokens(InfillRequest(passages), [ids, ids], [(1, 4, 5)], tiny.tokenizer)
    assert first == set() and second
