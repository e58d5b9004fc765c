"""A tally is a list of numbers that knows its sums."""

from __future__ import annotations

import random
from bisect import bisect_right
from itertools import accumulate

from dgedit.text.prefix_sums import Tally


def test_tally_agrees_with_a_list_after_any_replacement() -> None:
    dice = random.Random(0)
    values = [dice.randint(0, 5) for _ in range(1500)]
    tally = Tally(values)
    for _ in range(400):
        start = dice.randint(0, len(values))
        stop = dice.randint(start, min(len(values), start + dice.choice([0, 1, 3, 900])))
        new = [dice.randint(1, 9) for _ in range(dice.choice([1, 1, 2, 5, 700]))]
        values[start:stop] = new
        tally.replace(start, stop, new)
        assert (len(tally), tally.total, tally.most) == (len(values), sum(values), max(values))
        index = dice.randrange(len(values))
        assert (tally[index], tally.before(index)) == (values[index], sum(values[:index]))
        assert tally.before(len(values)) == tally.total
        total = dice.randint(0, tally.total)
        before = list(accumulate(values, initial=0))[:-1]
        assert tally.find(total) == bisect_right(before, total) - 1
