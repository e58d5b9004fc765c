"""A few letters find a name among many, quickly and whatever the names."""

from __future__ import annotations

from time import process_time

import pytest

from dgedit.text.fuzzy import Ranking, positions

NAMES = ["docs/tui.md", "src/tui/app.py", "tests/test_tui.py", "tui.py", "a/t/u/i.py", "x.c"]


def best(query: str, names: list[str] = NAMES, count: int = 9) -> list[str]:
    return [names[at] for at in Ranking(names).best(query, count)]


def test_rank_is_by_the_base_name_then_length() -> None:
    assert best("tui") == ["tui.py", "docs/tui.md", "tests/test_tui.py", "a/t/u/i.py", NAMES[1]]
    assert best("TUI", count=2) == ["tui.py", "docs/tui.md"]
    assert best("tp") == ["tui.py", "tests/test_tui.py", "a/t/u/i.py", "src/tui/app.py"]
    assert best("t u i . m d") == ["docs/tui.md"]
    assert best("tui/a") == ["src/tui/app.py"]
    assert best("zz") == []
    assert best("", count=2) == NAMES[:2]


def test_answer_is_the_same_whichever_way_it_was_typed() -> None:
    ranking = Ranking(NAMES)
    for query in ("t", "tu", "tx", "", "x", "xc", "x", "tui", "tu"):
        assert [NAMES[at] for at in ranking.best(query, 9)] == best(query), query


@pytest.mark.parametrize("letter", "\\]^-[.*+?{}()|$#&~")
def test_signs_are_letters(letter: str) -> None:
    names = [f"d{letter}d/x{letter}y", "xy"]
    assert best("x" + letter + "y", names)[0] == names[0]
    assert best("d" + letter + "x", names) == names[:1]
    assert positions("x" + letter + "y", names[0])


def test_positions_are_those_of_the_letters() -> None:
    assert positions("tui", "tui/a/tui.py") == [6, 7, 8]
    assert positions("tp", "src/tui/app.py") == [4, 9]
    assert positions("ap", "src/tui/app.py") == [8, 9]
    assert positions("zz", "src") == [] == positions("", "src")
    assert positions("x", "İİx") == [2]


def test_names_of_one_letter_take_no_time() -> None:
    started = process_time()
    assert best("a" * 20 + "b", ["a" * 4000] * 20) == []
    assert process_time() - started < 2
