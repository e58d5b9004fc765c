"""A selection grows by the smallest part that holds more, and in the end is all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgedit.text.expanding import expanded

TEXTS = st.text(st.sampled_from("ab_ (){}[]\n\r.é"), max_size=30)


def grown(text: str) -> list[str]:
    """What is selected one after the other, from a bar in the text."""
    at = text.index("|")
    text = text.replace("|", "", 1)
    found, selection = [], (at, at)
    while (larger := expanded(text, selection, None)) != selection:
        found.append(text[larger[0] : larger[1]])
        selection = larger
    return found


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("  f(a|b, [c]) + d", ["ab", "ab, [c]", "(ab, [c])", "f(ab, [c]) + d", "  f(ab, [c]) + d"]),
        ("(a [b|])", ["b", "[b]", "a [b]", "(a [b])"]),
        ("a\nb c|\nd\n\ne\n", ["c", "b c", "a\nb c\nd", "a\nb c\nd\n\ne\n"]),
        (") (a|", ["a", ") (a"]),
        ("(\n  a|\n)", ["a", "  a", "\n  a\n", "(\n  a\n)"]),
        ("|", []),
    ],
)
def test_words_brackets_lines_paragraphs_all(text: str, parts: list[str]) -> None:
    assert grown(text) == parts


def test_parts_of_a_grammar_go_before_what_is_guessed() -> None:
    text = "x = f(a)"
    parts = [(5, 8), (4, 8), (0, 8)]
    assert expanded(text, (6, 6), parts) == (6, 7)
    assert expanded(text, (6, 7), parts) == (5, 8)
    assert expanded(text, (8, 5), parts) == (4, 8)


@given(TEXTS, st.integers(0, 30), st.integers(0, 30), st.booleans())
def test_each_holds_the_one_before_and_the_last_is_all(
    text: str, one: int, two: int, plain: bool
) -> None:
    selection = tuple(sorted((min(one, len(text)), min(two, len(text)))))
    for _ in range(len(text) + 1):
        larger = expanded(text, selection, None if plain else [(0, len(text))])  # type: ignore[arg-type]
        assert larger[0] <= selection[0] and selection[1] <= larger[1]
        if larger == selection:
            break
        selection = larger
    assert selection == (0, len(text))
