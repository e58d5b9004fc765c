"""What a model cannot be asked for, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from dgedit.request.ability import not_followed, not_known, not_rewritten
from dgedit_engine.types import Ability
from scripted import Scripted

PYTHON = Ability(languages=frozenset({".py", ".pyi"}), instructions=False)


def test_instruction_is_followed_or_it_is_said_that_it_is_not() -> None:
    follows, reads = Scripted(), Scripted(name="nano", ability=PYTHON)
    assert not_followed(follows) == not_rewritten(follows) == ""
    words = "nano follows no instructions: it reads the words as a comment"
    assert not_followed(reads) == words
    words = "nano follows no instructions: it cannot rewrite a text as it is told"
    assert not_rewritten(reads) == words


@pytest.mark.parametrize("path", ["a.py", "B.PY", "x/y.pyi", "Makefile", ".gitignore", "", None])
def test_language_that_is_known_or_that_no_name_says_may_be_filled(path: str | None) -> None:
    assert not_known(Scripted(ability=PYTHON), path) == ""


@pytest.mark.parametrize("path", ["a.rs", Path("x.py/notes.MD"), "a.py.orig"])
def test_language_that_is_not_known_is_named(path: str | Path) -> None:
    backend = Scripted(name="nano", ability=PYTHON)
    suffix = Path(path).suffix.lower()
    assert not_known(backend, path) == f"nano does not know {suffix} files"
    assert not_known(Scripted(), path) == ""
