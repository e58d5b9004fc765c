"""The held-out texts of other languages than Python: enough of each, and whose they are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from dgedit_engine.decode.syntax import faults
from dgedit_engine.eval.tasks import draw
from dgedit_engine.eval.texts import LANGUAGES, OTHERS, held_out
from dgedit_engine.train.corpus import HELD_OUT, share
from dgedit_engine.train.excerpts import Excerpts
from dgedit_engine.train.licensed import language_of


@pytest.mark.parametrize("language", LANGUAGES)
def test_shipped_texts_give_150_lines_and_nodes(language: str) -> None:
    texts = held_out(Path(language))
    assert len(texts) >= 40
    assert {language_of(texts.path(index)) for index in range(len(texts))} == {language}
    tasks = draw(texts, limit=150, seed=0)
    kinds = Counter(task.kind for task in tasks)
    assert kinds["line"] == kinds["node"] == 150
    assert all(task.gold.strip() for task in tasks)


def test_shipped_texts_are_small_sound_and_held_out() -> None:
    assert OTHERS.stat().st_size < 500_000
    texts = Excerpts(OTHERS)
    said = OTHERS.with_name("HELDOUT-LANGUAGES.md").read_text()
    licences = OTHERS.with_name("HELDOUT-LANGUAGES-LICENCES.txt").read_text()
    for one in texts.excerpts:
        assert f"| {one.package} | {one.licence} |" in said
        assert one.package in licences or "Apache-2.0" in one.licence
        assert one.package in HELD_OUT or share(one.package) < 0.02
        assert not faults(one.path, one.text)
