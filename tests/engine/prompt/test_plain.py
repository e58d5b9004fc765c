"""The text around a hole as a base reads it: budgets, other files, words, line ends, token ends."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from dgedit_engine.prompt import plain
from dgedit_engine.prompt.plain import JOINT, TOKENS, Around, around
from dgedit_engine.prompt.tokenizer import Tokenizer
from dgedit_engine.types import Hole, InfillRequest, Passage
from small_base import BOS, request, tokenizer

HOLE = Hole()


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    return tokenizer()


def found(asked: InfillRequest, words: Tokenizer, hole: int = 0, **options: Any) -> Around:
    filled = options.pop("filled", ())
    return around(asked, hole, filled, words, **({"bos": BOS, "context": 4096} | options))


def said(words: Tokenizer, ids: list[int]) -> str:
    return "".join(piece.text for piece in words.pieces(ids))


def own(words: Tokenizer, one: Around) -> str:
    """The part of a prompt that stands before the hole."""
    return said(words, one.ids).rpartition(JOINT)[2]


def test_prompt_is_what_follows_and_then_the_text_before(words: Tokenizer) -> None:
    one = found(request("a = 1\n", HOLE, "b = 2\n"), words)
    assert one.ids[0] == BOS and said(words, one.ids) == "b = 2\n\n\n\n\na = 1\n"
    assert (one.place.before, one.place.behind, one.forced) == ("a = 1\n", "b = 2\n", "")


@pytest.mark.parametrize("behind", ["", "\n", " \t\n\n  "])
def test_where_nothing_follows_the_prompt_is_the_text_before(words: Tokenizer, behind: str) -> None:
    one = found(request("a = 1\n", HOLE, behind), words)
    assert one.ids == [BOS, *words.encode("a = 1\n")] and one.place.behind == behind


def test_hole_at_the_start_has_an_empty_prompt(words: Tokenizer) -> None:
    one = found(request(HOLE, "b = 2\n"), words)
    assert (own(words, one), one.place.before, one.forced) == ("", "", "")
    assert found(request(HOLE), words).ids == [BOS]


@pytest.mark.parametrize(
    ("before", "forced"),
    [
        ("def f():\n", ""),
        ("def f():\n    ", ""),
        ("\t\t", ""),
        ("def f():\n    ret", "ret"),
        ("x = total", "total"),
        ("x = ", " "),
        ("f(", "("),
        ("x = '日本", "日本"),
        ("x = '😀", ""),  # spelt in bytes, which end where they end
        ("x = '\ufffd", ""),
        ("x", ""),  # the only token stays
    ],
)
def test_last_token_is_given_back_within_a_line(words: Tokenizer, before: str, forced: str) -> None:
    one = found(request(before, HOLE, "\n\nb = 2\n"), words)
    assert one.forced == forced
    if "\ufffd" not in before:  # whose three bytes would be three of it
        assert own(words, one) + forced == before


def test_earlier_holes_are_filled_and_later_ones_end_what_is_behind(words: Tokenizer) -> None:
    asked = request("a = ", HOLE, "\nb = ", HOLE, "\nc = ", HOLE, "\n")
    one = found(asked, words, 1, filled=["1"])
    assert (one.place.before, one.place.behind) == ("a = 1\nb = ", "\nc = ")
    with pytest.raises(ValueError, match="hole 3 of 3"):
        found(asked, words, 3, filled=["1", "2", "3"])


@pytest.mark.parametrize("between", [(), ("",)])
def test_adjacent_holes_have_the_same_behind_them(words: Tokenizer, between: Any) -> None:
    asked = request("f(", HOLE, *between, HOLE, ")", "\nx", HOLE, "y")
    assert found(asked, words).place.behind == ")\nx"
    one = found(asked, words, 1, filled=["a, "])
    assert (one.place.before, one.place.behind) == ("f(a, ", ")\nx")  # parts that are joined


def test_hole_of_a_second_file_is_counted_on(words: Tokenizer) -> None:
    first, second = Passage("a.py", ("a", HOLE, "b")), Passage("b.py", ("c", HOLE, "d", HOLE))
    asked = InfillRequest((first, second))
    one = found(asked, words, 2, filled=["1", "2"])
    assert (one.place.before, one.place.behind) == ("c2d", "")
    assert "a1b" not in said(words, one.ids)


def test_other_files_stand_before_under_their_names(words: Tokenizer) -> None:
    asked = InfillRequest(
        (
            Passage("src/a.py", ("a = 1\n", HOLE)),
            Passage("near.py", ("\r\nnear\r\n  two\r\n\r\n",)),
            Passage("far.js", ("far",)),
            Passage("", ("?",)),
        )
    )
    text = said(words, found(asked, words).ids)
    assert text == "?// far.js\nfar\n\n\n# near.py\nnear\n  two\n\n\na = 1\n"


def test_other_files_lose_their_beginning_and_the_text_never(words: Tokenizer) -> None:
    lines = "".join(f"line {number}\n" for number in range(400))
    asked = InfillRequest((Passage("a.py", ("own\n" * 40, HOLE)), Passage("b.py", (lines,))))
    one = found(asked, words)
    text = said(words, one.ids)
    assert len(one.ids) <= TOKENS + 1 and len(one.ids) > TOKENS - 130
    assert text.endswith("line 399\n\n\n" + "own\n" * 40) and "line 3\n" not in text
    assert said(words, found(asked, words, context=120).ids).startswith("own\n")


@pytest.mark.parametrize(
    ("before", "path", "seen"),
    [
        ("", "a.py", "# say it\n"),
        ("", "a.go", "// say it\n"),
        ("x = 1\ny = ", "a.py", "x = 1\n# say it\ny = "),
        ("def f():\n    y = ", "", "def f():\n    # say it\n    y = "),
        ("def f():\n    ", "a.py", "def f():\n    # say it\n    "),
        ("def f():\n", "a.py", "def f():\n    # say it\n"),
        ("f() {\n", "a.ts", "f() {\n    // say it\n"),
        ("\tx = 1\n", "a.py", "\tx = 1\n\t# say it\n"),
        ("\n\n", "a.py", "\n\n# say it\n"),
    ],
)
def test_words_are_a_comment_above_the_line(
    words: Tokenizer, before: str, path: str, seen: str
) -> None:
    one = found(request(before, HOLE, path=path, instruction=" say \n it "), words)
    assert own(words, one) + one.forced == seen
    assert one.place.before == before


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_line_ends_are_read_as_newlines(words: Tokenizer, newline: str) -> None:
    parts = [one.replace("\n", newline) for one in ("a = 1\n    ", "x\ny\n", "\nb = 2\n")]
    one = found(request(parts[0], Hole(parts[1]), parts[2]), words)
    assert one.newline == newline
    assert (one.place.before, one.place.present, one.place.behind) == (
        "a = 1\n    ",
        "x\ny\n",
        "\nb = 2\n",
    )
    assert "\r" not in said(words, one.ids)


def test_most_line_ends_decide(words: Tokenizer) -> None:
    assert found(request("a\n", HOLE, "\nb\r\n"), words).newline == "\n"
    one = found(request("a\r\n", HOLE, "\r\nb\n"), words)
    assert (one.newline, one.place.behind) == ("\r\n", "\nb\n")
    assert found(request("a", HOLE, "b"), words).newline == "\n"
    assert found(request(Hole("a\r\nb\r\n")), words).newline == "\r\n"


def test_long_text_keeps_its_end_and_moves_by_strides(words: Tokenizer) -> None:
    lines = "".join(f"x{number} = total\n" for number in range(900))
    starts = []
    for more in range(0, 40):
        one = found(request(lines + "a" * more + "\n", HOLE, "b = 2\n"), words)
        assert TOKENS - 256 < len(one.ids) <= TOKENS + 1
        starts.append(one.ids[:600])
        assert len(one.place.before) <= 6 * TOKENS
    kept = sum(before == after for before, after in pairwise(starts))
    assert kept >= len(starts) - 3


def test_line_longer_than_all_is_cut_within(words: Tokenizer) -> None:
    one = found(request("x" * 9000 + "\n", HOLE), words)
    assert said(words, one.ids).endswith("xxx\n") and len(one.ids) > 500


def test_small_context_is_kept_to(words: Tokenizer) -> None:
    text = "".join(f"{number}\n" for number in range(100))
    for context in (16, 40, 64):
        one = found(request(text, HOLE, text), words, context=context)
        assert 1 < len(one.ids) <= context + 1
        assert said(words, one.ids).endswith("99\n")


def test_model_without_a_beginning_gets_none(words: Tokenizer) -> None:
    one = found(request("a\n", HOLE, "b\n"), words, bos=None)
    assert one.ids == words.encode("b\n") + words.encode(JOINT) + words.encode("a\n")


def test_text_behind_is_cut(words: Tokenizer) -> None:
    behind = "".join(f"y{number}\n" for number in range(900))
    one = found(request("a\n", HOLE, behind), words)
    assert behind.startswith(one.place.behind) and len(one.place.behind) == plain.BEHIND
    assert said(words, one.ids).startswith("y0\ny1\n") and len(one.ids) < 180


# The rest of a long file

HELPER = "\ndef total_of(basket):\n    return sum(basket.prices)\n\n"
LONG, MORE, LAST = (
    "".join(f"{name}_{n} = {n}\n" for n in range(400)) for name in ("one", "two", "last")
)


@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ("cost = ", "\nassert cost == total_of(basket)\n" + LONG + HELPER + MORE),
        (HELPER + LONG + "def f(basket):\n    basket.prices\n    ", "\n"),
        (LONG + HELPER + MORE + "cost = ", "\nassert cost == total_of(basket)\n" + LAST),
    ],
)
def test_lines_of_a_long_file_that_are_like_the_holes_come_first(
    words: Tokenizer, before: str, behind: str
) -> None:
    one = found(request(before, HOLE, behind), words)
    text = said(words, one.ids)
    assert HELPER.strip() in text and text.count("def total_of") == 1
    assert text.index(HELPER.strip()) < 200 and len(one.ids) <= TOKENS + 1
    assert text.endswith(before[-100:].removesuffix(one.forced))


def test_prompt_keeps_its_beginning_while_its_line_is_typed(words: Tokenizer) -> None:
    before, behind = HELPER + LONG + "def f(basket):\n    a = ", "\n    basket.prices\n" + MORE
    one, two = (found(request(before + own, HOLE, behind), words) for own in ("", "total_of(b"))
    assert HELPER.strip() in said(words, one.ids)
    assert two.ids[: len(one.ids) - 1] == one.ids[:-1]


def test_whole_file_is_in_the_prompt_once(words: Tokenizer) -> None:
    one = found(request(HELPER + "cost = ", HOLE, "\nassert cost == total_of(basket)\n"), words)
    assert said(words, one.ids).count("total_of") == 2


def test_lines_of_a_long_file_are_looked_for_within_reach(words: Tokenizer) -> None:
    behind = "\nassert cost == total_of(basket)\n" + LONG * 12 + HELPER
    assert "def total_of" not in said(words, found(request("cost = ", HOLE, behind), words).ids)
