"""Folds follow edits as lines do, whatever is folded in what."""

from __future__ import annotations

import random

from dgedit.text.folding import Fold
from dgedit.text.folds import Folds


def hidden(folds: Folds, count: int) -> set[int]:
    return {row for row in range(count) if folds.hides(row)}


def within(folds: Folds) -> set[int]:
    return {row for head, last in folds for row in range(head + 1, last + 1)}


def test_nothing_is_there_until_something_is_folded() -> None:
    folds = Folds()
    assert not folds.any and list(folds) == [] and not folds.hides(7) and folds.size(7) == 0
    assert folds.above(7) == folds.below(7) == 7 and not folds.open(7) and not folds.show(7)
    folds.add([], 9)
    folds.replaced(3, 4, 1)
    assert not folds.any and folds.hidden(3) == b"\0\0\0"
    folds.add([Fold(1, 3)], 9)
    assert folds.any and folds.open(1) and not folds.any


def test_what_is_folded_in_a_fold_stays_so_when_that_is_opened() -> None:
    folds = Folds()
    folds.add([Fold(0, 8), Fold(2, 5), Fold(3, 4)], 10)
    assert hidden(folds, 10) == set(range(1, 9)) and folds.above(7) == 0 and folds.below(2) == 9
    assert folds.first_hidden(0, 9) == 1 and folds.first_hidden(9, 9) is None
    assert folds.open(0) and hidden(folds, 10) == {3, 4, 5} and folds.size(2) == 3
    assert folds.show(4) and list(folds) == [] and not folds.any


def test_last_lines_folded_have_none_below() -> None:
    folds = Folds()
    folds.add([Fold(3, 4)], 5)
    assert folds.below(4) is None and folds.above(4) == 3


def test_folds_follow_their_lines_through_edits() -> None:
    dice = random.Random(0)
    for _ in range(300):
        lines = [object() for _ in range(dice.randrange(2, 25))]
        folds = Folds()
        for _ in range(20):
            count = len(lines)
            if dice.random() < 0.4 and count > 1:
                head = dice.randrange(count - 1)
                last = dice.randrange(head + 1, count)
                if not folds.hides(head):
                    folds.open(head)
                    folds.add([Fold(head, last)], count)
            elif dice.random() < 0.3:
                folds.open(dice.randrange(count))
            elif dice.random() < 0.3:
                row = dice.randrange(count)
                folds.show(row)
                assert not folds.hides(row)
            else:
                first = dice.randrange(count)
                last = dice.randrange(first, count)
                folds.show(first)
                folds.show(last)
                before = {(lines[head], lines[end]) for head, end in folds if head > last}
                above = [one for one in folds if one.head < first]
                size, new = folds.size(last), [object() for _ in range(dice.randrange(1, 4))]
                lines[first : last + 1] = new
                folds.replaced(first, last, len(new))
                assert before == {
                    (lines[head], lines[end]) for head, end in folds if head >= first + len(new)
                }
                assert [one for one in folds if one.head < first] == above
                assert folds.size(first + len(new) - 1) == size
            assert hidden(folds, len(lines)) == within(folds)
            assert folds.any == bool(within(folds))
