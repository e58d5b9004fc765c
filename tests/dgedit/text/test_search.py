"""What is put in the place of what was found."""

from __future__ import annotations

import pytest

from dgedit.text.search import Query, SearchError, replacements


def replaced(template: str, line: str = "foo bar", found: str = "f(o)o") -> str:
    ((_, _, text),) = replacements([line], Query(found, regex=True), template)
    return text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (r"<\0>", "<foo>"),
        (r"\0\0", "foofoo"),
        (r"\\0", r"\0"),
        (r"\\\0", r"\foo"),
        (r"\012", "\n"),
        (r"\g<0>\1", "fooo"),
    ],
)
def test_fault_4_zero_stands_for_the_whole_match(template: str, text: str) -> None:
    assert replaced(template) == text


@pytest.mark.parametrize(
    ("template", "char"),
    [
        (r"\00", "U+0000"),
        (r"\000", "U+0000"),
        (r"\x00", "U+0000"),
        (r"\u0000", "U+0000"),
        (r"\N{NULL}", "U+0000"),
        (r"\ud800", "U+D800"),
        (r"\udcff", "U+DCFF"),
    ],
)
def test_fault_4_character_that_no_text_holds_is_refused(template: str, char: str) -> None:
    with pytest.raises(SearchError, match=rf"^replacement: {char.replace('+', '.')} has no place"):
        replaced(template)


@pytest.mark.parametrize("template", ["\\", r"\9", r"\x", r"\U00110000", r"\g<x", r"\N{no such}"])
def test_fault_4_template_that_is_none_is_refused(template: str) -> None:
    with pytest.raises(SearchError, match=r"^replacement: "):
        replaced(template)


@pytest.mark.parametrize("odd", ["\0", "\udcff"])
def test_what_the_text_holds_already_may_be_put_again(odd: str) -> None:
    assert replaced(r"[\1]", f"a{odd}b", "a(.)b") == f"[{odd}]"
