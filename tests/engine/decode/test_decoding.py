"""How a model wants to be decoded, as a file says it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dgedit_engine.decode.decoding import DRAFTS, FEW, Decoding, load_decoding, save_decoding
from dgedit_engine.types import ModelError
from gemma3 import SHAPE
from published import CONFIG

MORE = Decoding(candidates=4, origins=("draft", "revised", "canvas", "sample"), canvases=(32, 16))


@pytest.mark.parametrize(
    "values",
    [
        {"candidates": 0},
        {"candidates": 1.5},
        {"origins": []},
        {"origins": ["guess"]},
        {"origins": ["warm"]},
        {"revision": 2},
        {"following": -0.1},
        {"heat": 0},
        {"repairs": -1},
        {"canvases": [2]},
        {"unknown": 1},
        ["candidates"],
    ],
)
def test_unusable_setting_is_named(tmp_path: Path, values: Any) -> None:
    (tmp_path / "decoding.json").write_text(json.dumps(values))
    with pytest.raises(ModelError) as caught:
        load_decoding(tmp_path)
    name = "decoding.json: not" if isinstance(values, list) else next(iter(values))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_settings_survive_the_file(tmp_path: Path) -> None:
    for settings in (Decoding(), MORE, replace(MORE, cuts=3, following=0.25, warm=True)):
        save_decoding(settings, tmp_path)
        assert load_decoding(tmp_path) == settings
    (tmp_path / "decoding.json").unlink()
    assert load_decoding(tmp_path) == Decoding()
    (tmp_path / "decoding.json").write_text("{")
    with pytest.raises(ModelError, match=r"decoding\.json"):
        load_decoding(tmp_path)


def test_model_without_settings_has_drafts_for_its_size(tmp_path: Path) -> None:
    small = replace(SHAPE, dim=1152)
    assert load_decoding(tmp_path, small) == Decoding(candidates=DRAFTS)
    assert load_decoding(tmp_path, replace(SHAPE, dim=1153)) == Decoding(candidates=FEW)
    assert load_decoding(tmp_path, CONFIG) == load_decoding(tmp_path) == Decoding()
    save_decoding(Decoding(candidates=3), tmp_path)
    assert load_decoding(tmp_path, small).candidates == 3
