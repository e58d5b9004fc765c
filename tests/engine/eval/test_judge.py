"""How an infill is judged, and what many come to: rates, their intervals, the table."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dgedit_engine.decode.syntax import parses
from dgedit_engine.eval.fillers import DEFAULT, FillerOutput
from dgedit_engine.eval.judge import Judgement, edits, judge, similarity
from dgedit_engine.eval.table import interval, render, summarise
from dgedit_engine.eval.tasks import SINGLE, Task
from dgedit_engine.types import CAUTION

TEXT = "def area(width, height):\n    return width * height\n"
TASK = Task("line", 0, "shape.py", TEXT, TEXT.index("width *"), len(TEXT) - 1)


def answered(text: str, **more: object) -> Judgement:
    values = {"steps": 2, "ms": 5.0, "stopped": "settled", "origin": "canvas", **more}
    return judge(
        TASK, "canvas", FillerOutput((text,) if text else (), **values), ("width", " * height")
    )


def test_judge_tells_equal_from_equal_but_for_blanks() -> None:
    same, padded, wrong = map(answered, ("width * height", "  width * height\n", "width ** height"))
    assert (same.exact, same.identical, same.similarity, same.parses) == (True, True, 1.0, True)
    assert (padded.exact, padded.identical, padded.parses) == (True, False, True)
    assert (wrong.exact, wrong.identical, wrong.similarity) == (False, False, round(14 / 15, 4))


def test_judge_parses_the_file_with_the_infill_in_place() -> None:
    assert answered("(width * height)").parses
    assert not answered("(width * height").parses
    assert answered("").parses  # `return` alone
    broken = Task("line", 0, "", "def (:\n    x\n", 11, 12)
    assert judge(broken, "canvas", FillerOutput(("y",), 1, 1.0, "cap"), ("x",)).parses is None


def test_judge_compares_first_tokens() -> None:
    right = judge(TASK, "canvas", FillerOutput(("width", "!"), 1, 1.0, "cap"), ("width", " *"))
    wrong = judge(TASK, "canvas", FillerOutput(("wid", "th"), 1, 1.0, "cap"), ("width", " *"))
    nothing = judge(TASK, "canvas", FillerOutput((), 1, 1.0, "cap"), ("width", " *"))
    assert (right.first, wrong.first, nothing.first) == (True, False, False)
    assert (right.tokens, right.gold_tokens, nothing.tokens) == (2, 2, 0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("text", "fact"), [("x = '\\d'\n1 is 1", True), ("(", False), ("\0", False), ("(" * 999, False)]
)
def test_parses_takes_any_text_in_silence(text: str, fact: bool) -> None:
    assert parses(text) == fact


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ("", "abc", 3),
        ("", "", 0),
        ("ça😀", "ca😀!", 2),
    ],
)
def test_edits_is_levenshteins_distance(one: str, other: str, count: int) -> None:
    assert edits(one, other) == edits(other, one) == count


def test_edits_agree_with_the_plain_recurrence() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        one, other = ("".join(rng.choice(list("abc"), rng.integers(12))) for _ in range(2))
        assert edits(one, other) == plain_edits(one, other)


def plain_edits(one: str, other: str) -> int:
    row = [*range(len(other) + 1)]
    for index, a in enumerate(one):
        above, row = row, [index + 1]
        for place, b in enumerate(other):
            row.append(min(above[place + 1] + 1, row[-1] + 1, above[place] + (a != b)))
    return row[-1]


def test_similarity_is_the_share_of_the_longer_that_stays() -> None:
    assert similarity("", "") == 1
    assert similarity("", "abcd") == similarity("abcd", "") == 0
    assert similarity("abcd", "abXd") == 0.75


def test_interval_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(100):
        low, high = interval((rng.random(60) < 0.3).astype(float).tolist(), range(60))
        held += low <= 0.3 <= high
    assert held >= 88


def test_interval_is_wider_where_spans_share_their_files() -> None:
    values = [float(index % 2) for index in range(20) for _ in range(4)]
    low, high = interval(values, range(80))
    wide_low, wide_high = interval(values, [index // 4 for index in range(80)])
    assert low < 0.5 < high and wide_high - wide_low > 1.5 * (high - low)


def test_interval_of_what_never_happened_is_no_point() -> None:
    low, high = interval([False] * 40, range(40))
    assert low == 0 and high == pytest.approx(0.088, abs=1e-3)  # the exact binomial bound
    assert interval([True] * 40, range(40)) == (1 - high, 1)
    assert interval([0.25, 0.25], [0, 1]) == (0.25, 0.25)


def test_table_has_a_part_for_each_kind_and_one_for_all() -> None:
    results = [answered("width * height"), answered("x", stopped="cap", origin="draft")]
    summaries = summarise(results, kinds=SINGLE, ways=["canvas", "causal"], together=SINGLE)
    assert [(one["kind"], one["way"], one["spans"]) for one in summaries] == [
        ("line", "canvas", 2),
        ("all", "canvas", 2),
    ]
    one = summaries[0]
    assert one["rates"]["exact"] == (0.5, 0.5, 0.5)  # one file: nothing to draw anew
    assert one["rates"]["length"] == (1.0, *one["rates"]["length"][1:])
    assert "pass@1" not in one["rates"] and one["settled"] == 0.5
    assert one["origins"] == {"canvas": 0.5, "draft": 0.5}
    head, kind, row, *_ = render(summaries).splitlines()
    assert head.split()[:3] == ["spans", "exact", "parses"] and head.endswith("draft")
    assert "pass@1" not in head and kind == "line"
    assert row.startswith("  canvas") and "50 [50–50]" in row and row.endswith("50")
    json.dumps(summaries)


def test_table_says_how_many_are_sure_and_how_many_of_these_right() -> None:
    sure = [answered("width * height", certainty=0.9), answered("x", certainty=CAUTION)]
    results = [*sure, answered("width * height", certainty=0.1), answered("y", certainty=0.2)]
    (one,) = summarise(results, kinds=["line"], ways=["canvas"])
    assert one["rates"]["sure"][0] == 0.5 and one["rates"]["right if sure"][0] == 0.5
    assert "right if sure" in render([one]).splitlines()[0]


def test_table_keeps_benchmarks_apart_from_held_out_text() -> None:
    held = answered("width * height")
    other = replace(held, kind="lines", exact=False)
    judged = replace(held, kind="single-line", passed=True)
    kinds = ("line", "lines", "single-line")
    summaries = summarise([held, other, judged], kinds=kinds, ways=["canvas"], together=SINGLE)
    assert [(one["kind"], one["spans"]) for one in summaries] == [
        *(("line", 1), ("lines", 1), ("single-line", 1), ("all", 2)),
    ]
    assert summaries[2]["rates"]["pass@1"][0] == 1 and "pass@1" in render(summaries)


def test_table_fits_120_columns() -> None:
    long = answered("x" * 900, ms=99_999.0, origin="draft")
    results = [
        replace(long, way=way, file=file, passed=file > 0) for way in DEFAULT for file in range(9)
    ]
    lines = render(summarise(results, kinds=SINGLE, ways=DEFAULT)).splitlines()
    assert len(lines) == 2 + len(DEFAULT) and max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("tokens", "gold", "fact"), [(2, 1, True), (3, 1, False), (10, 8, True), (11, 8, False)]
)
def test_judge_takes_a_length_within_a_quarter(tokens: int, gold: int, fact: bool) -> None:
    answer = FillerOutput(("x",) * tokens, 1, 1.0, "cap")
    assert judge(TASK, "canvas", answer, ("x",) * gold).length == fact


@pytest.mark.parametrize(
    ("certainty", "text", "passed", "sure", "right"),
    [
        (None, "width * height", None, None, None),
        (CAUTION, "width * height", None, True, True),
        (CAUTION, "height", None, True, False),
        (CAUTION, "height", True, True, True),  # tests say more than the text
        (CAUTION - 0.01, "width * height", None, False, None),
    ],
)
def test_what_is_sure_is_held_against_what_is_right(
    certainty: float | None, text: str, passed: bool | None, sure: bool | None, right: bool | None
) -> None:
    answer = FillerOutput((text,), 1, 1.0, "settled", "draft", certainty)
    found = judge(TASK, "fill", answer, ("width",), passed=passed)
    assert (found.sure, found.right_if_sure) == (sure, right)
