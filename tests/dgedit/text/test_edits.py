"""A command does what it says to a plain string."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dgedit.text import edits as commands
from dgedit.text.comments import toggle_comment
from dgedit.text.edits import Change, Part

Command = Callable[[str, commands.Selection], Change | None]

HASH, CSS = ("#", ""), ("/*", "*/")
COMMANDS: dict[str, Command] = {
    "comment": lambda t, s: toggle_comment(t, s, HASH),
    "css": lambda t, s: toggle_comment(t, s, CSS),
    "indent": lambda t, s: commands.indent(t, s, "    "),
    "dedent": lambda t, s: commands.dedent(t, s, 4),
    "duplicate": lambda t, s: commands.duplicate(t, s, "\n"),
    "copy": lambda t, s: commands.duplicate(t, s, "\n", below=False),
    "up": lambda t, s: commands.move(t, s, down=False),
    "down": lambda t, s: commands.move(t, s, down=True),
    "delete": commands.delete_lines,
    "join": commands.join,
}


def marked(text: str) -> tuple[str, commands.Selection]:
    """A text, selected from [ to the cursor |; the cursor alone without a [."""
    cursor = text.replace("[", "").index("|")
    anchor = text.replace("|", "").find("[")
    return text.replace("[", "").replace("|", ""), (cursor if anchor < 0 else anchor, cursor)


def shown(text: str, selection: commands.Selection) -> str:
    anchor, cursor = selection
    marks = [(cursor, "|")] if anchor == cursor else [(cursor, "|"), (anchor, "[")]
    for at, mark in sorted(marks, reverse=True):
        text = text[:at] + mark + text[at:]
    return text


@pytest.mark.parametrize(
    ("command", "before", "after"),
    [
        ("comment", "a|b\n", "# a|b\n"),
        ("comment", "  # a|b\n", "  a|b\n"),
        ("comment", "  #a|b\n", "  a|b\n"),
        ("comment", "[  a\r\n\r\n b|\n", "[ #  a\r\n\r\n # b|\n"),
        ("comment", "[# a\n|b\n", "[a\n|b\n"),
        ("comment", "|", "# |"),
        ("css", "  a|b", "  /* a|b */"),
        ("css", " /* a|b */ ", " a|b "),
        ("css", "/**/|", "|"),
        ("css", "/* */|", "|"),
        ("indent", "[a\n\nb|\n", "[    a\n\n    b|\n"),
        ("dedent", "[\ta\n  b\nc|", "[a\nb\nc|"),
        ("dedent", "      |a", "  |a"),
        ("duplicate", "a|b\r\nc", "ab\r\na|b\r\nc"),
        ("duplicate", "a|b", "ab\na|b"),
        ("copy", "a|b", "a|b\nab"),
        ("down", "a|\r\nb\nc", "b\na|\r\nc"),
        ("down", "a|\r\nb", "b\r\na|"),
        ("down", "[a\nb|\nc\n", "c\n[a\nb|\n"),
        ("down", "[a\n|b", "b\n[a|"),
        ("up", "a\r\nb|", "b|\r\na"),
        ("up", "a\n[b\nc\n|d", "[b\nc\n|a\nd"),
        ("delete", "a\nb|c\nd", "a\nd|"),
        ("delete", "a\r\nb|", "a|"),
        ("delete", "ab\n|", "|ab"),
        ("delete", "|\n", "|"),
        ("delete", "[a\nb|\nc", "c|"),
        ("join", "a|\r\n   b", "a| b"),
        ("join", "[a \n\n  b\n|c", "a| b\nc"),
        ("join", "a|\n\n", "a|\n"),
    ],
)
def test_command_does_what_it_says(command: str, before: str, after: str) -> None:
    text, selection = marked(before)
    change = COMMANDS[command](text, selection)
    assert change is not None
    assert shown(change.apply(text), change.selection) == after


@pytest.mark.parametrize(
    ("command", "text"), [("up", "a|\nb"), ("down", "a\nb|"), ("dedent", "a|"), ("join", "a|")]
)
def test_nothing_to_do_is_no_change(command: str, text: str) -> None:
    assert COMMANDS[command](*marked(text)) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("|foo.bar", "foo|.bar"),
        ("foo|.bar", "foo.|bar"),
        ("foo|  bar", "foo  bar|"),
        ("foo|\r\n bar", "foo\r\n| bar"),
        ("|e\u0301t\u0301_1 ", "e\u0301t\u0301_1| "),
        ("a|", "a|"),
    ],
)
def test_word_right(before: str, after: str) -> None:
    text, (_, cursor) = marked(before)
    at = commands.word_right(text, cursor)
    assert shown(text, (at, at)) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("foo.bar|", "foo.|bar"),
        ("foo.|bar", "foo|.bar"),
        ("foo  |bar", "|foo  bar"),
        ("foo\r\n|bar", "foo|\r\nbar"),
        ("  |bar", "|  bar"),
        ("xe\u0301|", "|xe\u0301"),
        ("|", "|"),
    ],
)
def test_word_left(before: str, after: str) -> None:
    text, (_, cursor) = marked(before)
    at = commands.word_left(text, cursor)
    assert shown(text, (at, at)) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a (fo|o)", "a ([foo|)"),
        ("a foo|)", "a [foo|)"),
        ("a +|=1", "a [+=|1"),
        ("a  |  b", "a[    |b"),
        ("|", "|"),
    ],
)
def test_word_at(before: str, after: str) -> None:
    text, (_, cursor) = marked(before)
    assert shown(text, commands.word_at(text, cursor)) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("|f(a[1], (b))", "f(a[1], (b)|)"),
        ("f|(a, (b))", "f(a, (b)|)"),
        ("f(a, (b))|", "f|(a, (b))"),
        ("x = {|", None),
        ("x|\n()", None),
    ],
)
def test_matching_bracket(before: str, after: str | None) -> None:
    cursor = before.index("|")
    text = before.replace("|", "")
    at = commands.matching_bracket(text, cursor)
    assert (None if at is None else text[:at] + "|" + text[at:]) == after


def test_home_goes_to_the_first_character_and_then_to_the_first_column() -> None:
    assert [commands.home("  ab", at) for at in (4, 2, 0, 1)] == [2, 0, 2, 2]


def test_occurrences_wrap() -> None:
    assert commands.occurrences("ab ab ab", (3, 5)) == [(6, 8), (0, 2)]
    assert commands.occurrences("ab ab ab", (8, 6)) == [(0, 2), (3, 5)]
    assert commands.occurrences("ab", (0, 2)) == []


def test_occurrences_of_a_word_are_words() -> None:
    assert commands.occurrences("a ab a ba", (0, 1)) == [(5, 6)]
    assert commands.occurrences("ab ab aab", (0, 1)) == [(3, 4), (6, 7), (7, 8)]


TEXTS = st.lists(
    st.sampled_from(["a", "b c", "  x", "# y", "/* z */", "\n", "\r\n", "\r", "\t", " ", "(", ")"]),
    max_size=24,
).map("".join)


@st.composite
def selections(draw: st.DrawFn) -> tuple[str, commands.Selection]:
    text = draw(TEXTS)
    places = [at for at in range(len(text) + 1) if text[at - 1 : at + 1] != "\r\n"]
    return text, (draw(st.sampled_from(places)), draw(st.sampled_from(places)))


@st.composite
def changes(draw: st.DrawFn, text: str) -> Change:
    """A few replacements anywhere between characters; now and then some that touch."""
    places = st.sampled_from([at for at in range(len(text) + 1) if text[at - 1 : at + 1] != "\r\n"])
    ends = sorted(draw(st.lists(places, min_size=2, max_size=8)))
    texts = st.sampled_from(["", "x", "yz\n", "123456"])
    parts = [Part(*two, draw(texts)) for two in zip(ends[::2], ends[1::2], strict=False)]
    place = st.integers(0, len(text))
    return Change(tuple(parts), (draw(place), draw(place)))


@given(st.data())
def test_change_and_its_inverse_are_nothing(data: st.DataObject) -> None:
    text = data.draw(TEXTS)
    change = data.draw(changes(text))
    start, end, _ = change.splice(text)
    assert change.invert(text).apply(change.apply(text)) == text
    assert change.invert(text[start:end], start) == change.invert(text)
    assert change.invert(text).invert(change.apply(text)).parts == change.parts


@given(st.data())
def test_characters_outside_the_parts_are_mapped_on_themselves(data: st.DataObject) -> None:
    text = data.draw(TEXTS)
    change = data.draw(changes(text))
    after, back = change.apply(text), change.invert(text)
    there = [change.map(at) for at in range(len(text) + 1)]
    assert there == sorted(there) and there[-1] == len(after)
    for at, char in enumerate(text):
        if not any(part.start <= at < part.end for part in change.parts):
            assert after[there[at]] == char and back.map(there[at]) == at
        assert change.map(at, before=True) <= there[at]


@given(selections(), st.sampled_from(["up", "down"]))
def test_lines_that_move_are_mapped_on_themselves(
    case: tuple[str, commands.Selection], name: str
) -> None:
    text, selection = case
    change = COMMANDS[name](text, selection)
    assume(change is not None)
    assert change is not None
    after, back = change.apply(text), change.invert(text)
    assert back.apply(after) == text
    for one in change.moved:
        for at in range(one.start, one.end):
            assert after[change.map(at)] == text[at] and back.map(change.map(at)) == at


@given(selections(), st.sampled_from(sorted(COMMANDS)))
def test_change_is_in_order_and_in_the_text(
    case: tuple[str, commands.Selection], name: str
) -> None:
    text, selection = case
    change = COMMANDS[name](text, selection)
    if change is None:
        return
    after = change.apply(text)
    assert after != text or name in ("up", "down")
    assert all(0 <= at <= len(after) for at in change.selection)
    for one in change.moved:
        there = after[one.start + one.by : one.end + one.by]
        assert there == text[one.start : one.end]


@given(selections())
def test_moving_down_and_up_again_gives_the_lines_back(
    case: tuple[str, commands.Selection],
) -> None:
    text, selection = case
    assume("\r" not in text.replace("\r\n", ""))  # before an empty line's \n it would become \r\n
    lines = commands.lines_of(text, selection)
    down = commands.move(text, selection, down=True)
    if down is not None:
        if len(lines) > 1 and lines[-1].start == lines[-1].end:
            # An empty line that is the text's last one now is in no selection but a cursor's.
            assume(down.apply(text)[max(down.selection) :] != "")
        up = commands.move(down.apply(text), down.selection, down=False)
        assert up is not None
        assert up.apply(down.apply(text)).splitlines() == text.splitlines()
