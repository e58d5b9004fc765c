"""What models can be asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dgedit_engine import nano
from dgedit_engine.model.ability import FILE, load_ability
from dgedit_engine.nano.names import TINY
from dgedit_engine.types import Ability, ModelError


def test_folder_that_says_nothing_can_do_what_its_format_does(tmp_path: Path) -> None:
    assert load_ability(tmp_path, instructions=True, context=9, canvas=True) == Ability(
        None, True, 9, True
    )


def test_folder_says_which_languages_and_whether_it_follows_words(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"languages": [".py", ".go"], "instructions": false}')
    found = load_ability(tmp_path, instructions=True, context=9, canvas=False)
    assert found == Ability(frozenset({".py", ".go"}), False, 9, False)


@pytest.mark.parametrize(
    "said",
    [
        {"instructions": 1},
        {"languages": ".py"},
        {"languages": []},
        {"languages": ["py"]},
        {"languages": ["."]},
        {"languages": [3]},
        {"languages": ["." + "x" * 30]},
        {"more": 1},
    ],
)
def test_what_makes_no_sense_is_one_line(tmp_path: Path, said: object) -> None:
    (tmp_path / FILE).write_text(json.dumps(said))
    with pytest.raises(ModelError, match=r"ability\.json") as caught:
        load_ability(tmp_path, instructions=True, context=9, canvas=True)
    assert "\n" not in str(caught.value)


def test_tiny_knows_python_alone_and_nano_any_text_and_neither_follows_words() -> None:
    given: dict[str, Any] = {"instructions": True, "context": 9, "canvas": True}
    assert load_ability(TINY, **given) == Ability(frozenset({".py", ".pyi"}), False, 9, True)
    assert load_ability(Path(nano.__path__[0]), **given) == Ability(None, False, 9, True)
