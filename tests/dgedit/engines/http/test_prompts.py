"""Prompts that mark the hole, in the formats that editors write."""

from __future__ import annotations

import pytest

from dgedit.engines.http.completions import read
from dgedit.engines.http.prompts import MarkedText, unmarked
from dgedit_engine.types import Hole, Passage

P, S = "def f():\n    return ", "\n\nf()\n"


@pytest.mark.parametrize(
    "prompt",
    [
        f"<PRE> {P} <SUF>{S} <MID>",
        f"<fim_prefix>{P}<fim_suffix>{S}<fim_middle>",
        f"<｜fim▁begin｜>{P}<｜fim▁hole｜>{S}<｜fim▁end｜>",
        f"<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_middle|>",
        f"[SUFFIX]{S}[PREFIX]{P}",
        f"<|code_prefix|>{P}<|code_suffix|>{S}<|code_middle|>",
        f"<[fim-suffix]>{S}<[fim-prefix]>{P}<[fim-middle]>",
    ],
)
def test_hole_is_found_in_every_format(prompt: str) -> None:
    """Those of Zed's `prompt_format`, and Continue's for Seed-Coder."""
    assert unmarked(prompt) == MarkedText(P, S)
    for form, body in (
        ("completions", {"prompt": prompt}),
        ("fim", {"prompt": prompt}),
        ("completion", {"prompt": prompt}),
    ):
        asked = read(form, body, effort=0.5)  # type: ignore[arg-type]
        assert asked.request is not None and asked.before == P
        assert asked.request.passages == (Passage("", (P, Hole(), S)),)


@pytest.mark.parametrize(
    "prompt",
    [
        "a",
        "",
        "<fim_prefix>a<fim_middle>",
        "x<fim_prefix>a<fim_suffix>b<fim_middle>",
        "<fim_prefix>",
        "<PRE> a <SUF>b <MID> ",
        "<PRE>a<SUF>b<MID>",
        "[SUFFIX]a",
        "a[SUFFIX]b[PREFIX]c",
    ],
)
def test_marks_that_are_not_all_there_are_text(prompt: str) -> None:
    assert unmarked(prompt) == MarkedText(prompt)


@pytest.mark.parametrize(
    ("before", "after"), [("", ""), ("", "b"), ("a", ""), ("<fim_prefix>", "<fim_prefix>")]
)
def test_either_side_may_be_empty_or_have_marks(before: str, after: str) -> None:
    assert unmarked(f"<fim_prefix>{before}<fim_suffix>{after}<fim_middle>") == MarkedText(
        before, after
    )
    assert unmarked(f"[SUFFIX]{after}[PREFIX]{before}") == MarkedText(before, after)


def test_other_files_stand_before_qwens_marks() -> None:
    """As Continue writes them for Qwen's coder."""
    head = "<|repo_name|>shop\n<|file_sep|>a.py\nA = 1\n<|file_sep|>b.py\nB = 2\n"
    marked = unmarked(f"{head}<|file_sep|>c.py\n<|fim_prefix|>{P}<|fim_suffix|>{S}<|fim_middle|>")
    others = (("a.py", "A = 1\n"), ("b.py", "B = 2\n"))
    assert marked == MarkedText(P, S, "c.py", others)
    asked = read("completions", {"prompt": f"{head}<|file_sep|>c.py\n<|fim_prefix|>"}, effort=0.5)
    assert asked.request is not None and len(asked.request.passages) == 1


def test_other_files_stand_before_starcoders_marks() -> None:
    marked = unmarked(
        f"<file_sep>A = 1<file_sep>B = 2<file_sep><fim_prefix>{P}<fim_suffix>{S}<fim_middle>"
    )
    assert marked == MarkedText(P, S, "", (("", "A = 1"), ("", "B = 2")))


def test_other_files_stand_in_codestrals_text_before() -> None:
    text = f"[SUFFIX]{S}[PREFIX]+++++ a.py\nA = 1\n\n+++++ lib/b.py\nB = 2\n\n+++++ c.py\n{P}"
    others = (("a.py", "A = 1"), ("lib/b.py", "B = 2"))
    assert unmarked(text) == MarkedText(P, S, "c.py", others)
    asked = read("completions", {"prompt": text}, effort=0.5)
    assert asked.request is not None
    near, *rest = asked.request.passages
    assert near == Passage("c.py", (P, Hole(), S))
    assert rest == [Passage("a.py", ("A = 1",)), Passage("lib/b.py", ("B = 2",))]
    assert unmarked("[SUFFIX][PREFIX]+++++ c.py\n") == MarkedText("", "", "c.py")
    assert unmarked("[SUFFIX][PREFIX]+++++ c.py") == MarkedText("+++++ c.py")
