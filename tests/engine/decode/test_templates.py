"""Template holes: fixed characters never change, blanks become one character of the alphabet, on
models with a canvas and on those that read from left to right.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from dgedit_engine.decode import guide as module
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.guide import TemplateGuide
from dgedit_engine.decode.pool import Reader
from dgedit_engine.engine import Engine
from dgedit_engine.infill import infill
from dgedit_engine.model.config import Sampling
from dgedit_engine.prompt.plain import around
from dgedit_engine.types import LINE_ENDS, Hole, InfillRequest, Passage, Step
from small_base import reader, tokenizer

SUDOKU = "1.3.\n.41.\n.2.4\n4..1\n"
ALPHABETS = ("", "1-9", "19", "abc")


def template(text: str, blank: str, alphabet: str = "") -> Hole:
    return Hole(text, tuple(at for at, one in enumerate(text) if one == blank), alphabet)


def around_it(hole: Hole, **options: object) -> InfillRequest:
    parts = ("def f(items):\n    total = 0\n", hole, "\n    return total\n")
    return InfillRequest((Passage("a.py", parts),), **options)  # type: ignore[arg-type]


def drawn(count: int) -> Iterator[Hole]:
    """Templates of odd shapes: blanks side by side, at the edges, beside line ends and bytes."""
    draw = random.Random(5)
    letters = "ab return\n\n\t1_=(é日🙂)"
    for _ in range(count):
        text = "".join(draw.choice(letters) for _ in range(draw.randint(1, 24)))
        places = sorted(draw.sample(range(len(text)), draw.randint(1, len(text))))
        blanks = tuple(place for place in places if text[place] not in LINE_ENDS)
        if blanks:
            yield Hole(text, blanks, draw.choice(("", "", "ab12", "xyz")))


def check(hole: Hole, text: str) -> None:
    """The fixed characters are as they were, blanks become what they may."""
    assert len(text) == len(hole.text)
    for place, (before, after) in enumerate(zip(hole.text, text, strict=True)):
        if place not in hole.blanks:
            assert before == after, place
        else:
            assert after not in LINE_ENDS


def check_steps(hole: Hole, steps: list[Step], at: int = 0) -> None:
    """The same in every step, and at last nothing but the alphabet."""
    for step in steps:
        check(hole, step.drafts[at].text)
    for one in steps[-1].candidates[at]:
        check(hole, one.draft.text)
        filled = {one.draft.text[place] for place in hole.blanks}
        assert not hole.alphabet or filled <= set(hole.alphabet)
    assert steps[-1].last and all(steps[-1].drafts[at].settled)


def causally(opened: Reader, asked: InfillRequest, rows: int = 4) -> list[Step]:
    given = (opened.model, opened.tokenizer, opened.cache, Sampling(), asked)
    return list(infill(*given, decoding=Decoding(candidates=rows)))


@pytest.mark.parametrize("hole", [*drawn(10)])
def test_canvas_changes_no_fixed_character(tiny: Engine, hole: Hole) -> None:
    check_steps(hole, list(tiny.infill(around_it(hole, steps=2))))


@pytest.mark.parametrize("hole", [*drawn(16)])
def test_left_to_right_changes_no_fixed_character(hole: Hole) -> None:
    check_steps(hole, causally(reader(), around_it(hole)))


def test_seeds_and_strength_change_no_fixed_character(tiny: Engine) -> None:
    hole = template(SUDOKU, ".", "1234")
    for options in ({"seed": 3}, {"strength": 0.4}, {"candidates": 3}, {"effort": 0.0}):
        check_steps(hole, list(tiny.infill(around_it(hole, **options))))
        check_steps(hole, causally(reader(), around_it(hole, **options)))


def test_strength_nought_leaves_a_template_as_it_is(tiny: Engine) -> None:
    hole = template(SUDOKU, ".", "1234")
    (step,) = tiny.infill(around_it(hole, strength=0))
    assert step.drafts[0].text == hole.text


def test_several_holes_have_templates_of_their_own(tiny: Engine) -> None:
    one, two = template("a ? b", "?", "xy"), template("_ = _", "_", "12")
    asked = InfillRequest((Passage("a.py", ("x\n", one, "\n", Hole(), "\n", two, "\nz\n")),))
    for steps in (list(tiny.infill(asked)), causally(reader(), asked)):
        check_steps(one, steps, 0)
        check_steps(two, steps, 2)


def test_lines_keep_their_own_ends() -> None:
    hole = template("a ?\r\nb ?\nc ?\r\n", "?")
    asked = InfillRequest((Passage("a.py", ("x\r\n", hole, "y\r\n")),))
    check_steps(hole, causally(reader(), asked))


def test_likeliest_character_fills_a_blank() -> None:
    """The exact best of two: each text's log-probability in one causal pass decides."""
    opened = reader()
    hole = Hole("retur_", (5,), "nx")
    asked = InfillRequest((Passage("", ("def f():\n", hole, "")),))
    steps = causally(opened, asked)
    scores = {one.draft.text: one for one in steps[-1].candidates[0]}
    assert set(scores) == {"return", "returx"}


def test_every_token_that_fits_is_found_and_no_other() -> None:
    words = tokenizer()
    hole = template("re__r_ = 1", "_")
    asked = InfillRequest((Passage("", ("x\n", hole, "\n")),))
    here = around(asked, 0, [], words, bos=None, context=512)
    found = TemplateGuide(hole, here, words)
    behind = here.place.behind[: module._BEHIND]
    whole = here.forced + hole.text + behind
    for at in (place + len(here.forced) for place in hole.blanks):
        fits = {
            token
            for text, token in words.words()
            if len(text) <= len(whole) - at
            and all(
                own not in LINE_ENDS and own.isprintable() if other == "_" else own == other
                for own, other in zip(text, whole[at:], strict=False)
            )
        }
        assert set(found.fitting(found.pattern[at:])) == fits


def test_blanks_are_places_of_the_text() -> None:
    for blanks in ((3,), (1, 1), (2, 1), (-1,)):
        with pytest.raises(ValueError, match="no blank at"):
            Hole("abc", blanks)
    with pytest.raises(ValueError, match="end a line"):
        Hole("a\nb", (1,))
    with pytest.raises(ValueError, match="cannot become"):
        Hole("abc", (1,), "1\n")


def test_unusable_templates_are_refused_in_one_line(tiny: Engine) -> None:
    for fill in (lambda asked: list(tiny.infill(asked)), lambda asked: causally(reader(), asked)):
        with pytest.raises(ValueError, match=r"no token for any of '\\ue000'"):
            fill(around_it(Hole("a?", (1,), "\ue000")))
        with pytest.raises(ValueError, match=r"a template has at most|the templates take"):
            fill(around_it(template("a?" * 800, "?")))


def test_model_that_fits_nothing_gives_the_template_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TemplateGuide, "fitting", lambda *_: [])
    hole = template("a ? b", "?")
    steps = causally(reader(), around_it(hole))
    assert steps[-1].drafts[0].text == hole.text


def test_same_request_has_the_same_steps() -> None:
    hole = template("if _ == __:\n", "_")
    first, second = (causally(reader(), around_it(hole, seed=7)) for _ in range(2))
    assert first == second
