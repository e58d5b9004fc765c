"""What a terminal would obey or hide is shown as a sign."""

from __future__ import annotations

import unicodedata

import pytest

from dgedit.text.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, é, 漢字, 😀", "plain, é, 漢字, 😀"),
        ("\x1b[31mred", "␛[31mred"),
        ("a\rb\x00\x7f", "a␍b␀␡"),
        ("\x9b2J", "‹U+009B›2J"),
        ("a\u202eb", "a‹U+202E›b"),
        ("zero\u200bwidth\ufeff", "zero‹U+200B›width‹U+FEFF›"),
        ("\udce9", "‹U+DCE9›"),
        ("\u2028", "‹U+2028›"),
        ("\U000e0041", "‹U+E0041›"),
    ],
)
def test_visible_shows_a_sign(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_visible_keeps_what_it_is_told_to() -> None:
    assert visible("a\n\tb\r", keep="\n\t") == "a\n\tb␍"
    assert visible("a\n\tb") == "a␊␉b"


def test_visible_leaves_no_control_of_any_kind() -> None:
    shown = visible("".join(map(chr, range(0x110000))))
    assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & set(map(unicodedata.category, shown))


def test_joiner_stays_between_emoji_alone() -> None:
    for family in ("👨‍👩‍👧", "👩🏽‍🚀", "🏳️‍🌈", "❤️‍🔥"):
        assert visible(f"x {family}\t", keep="\t") == f"x {family}\t"
    assert visible("a\u200db") == "a‹U+200D›b"
    assert visible("👨\u200d") == "👨‹U+200D›" and visible("\u200d👨") == "‹U+200D›👨"
    assert visible("👨\u200dx") == "👨‹U+200D›x"
