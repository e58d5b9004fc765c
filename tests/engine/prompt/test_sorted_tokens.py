"""A vocabulary's tokens in the order of their texts."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from dgedit_engine.nano.names import TINY
from dgedit_engine.prompt.sorted_tokens import SortedTokens
from dgedit_engine.prompt.tokenizer import Tokenizer

ALPHABET = "a b\n\0é東￿😀\ud800\U0010fffe"


def pairs(count: int) -> list[tuple[str, int]]:
    """Short texts of characters of one to four bytes, many of them alike, in no order."""
    rng = random.Random(count)
    found = ["".join(rng.choices(ALPHABET, k=rng.randrange(4))) for _ in range(count)]
    return list(zip(found, rng.sample(range(3 * count), count), strict=True))


@pytest.mark.parametrize("count", [0, 1, 2, 50, 3000])
def test_order_is_that_of_the_sorted_pairs(count: int) -> None:
    given = pairs(count)
    words = SortedTokens(given)
    assert list(words) == sorted(given)
    assert len(words) == count


def test_tokens_between_two_texts_are_those_of_the_sorted_pairs() -> None:
    given = pairs(2000)
    words = SortedTokens(given)
    edges = [text for text, _ in pairs(40)] + ["aa\0", "zz", "\U0010ffff" * 2]
    for first in edges:
        for last in edges:
            expected = [token for text, token in sorted(given) if first <= text < last]
            assert words.between(first, last) == expected, (first, last)


def test_vocabulary_has_its_words_in_order() -> None:
    words = list(Tokenizer(TINY / "tokenizer.json").words())
    assert len(words) > 1000
    assert words == sorted(words)


def test_memory_is_the_texts_and_eight_bytes_a_token() -> None:
    """As pairs they would take 56 bytes each, and 50 for a text and 28 for a number beside it."""
    given = pairs(20_000)
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text, _ in given)
    tracemalloc.start()
    words = SortedTokens(given)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(words) == len(given)
    assert kept < size + 8 * len(given) + 50_000  # arrays are made with room to grow
