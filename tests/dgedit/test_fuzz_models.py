"""Models of others, damaged or made to do harm: facts, or one error in words, at once."""

from __future__ import annotations

import json
import re
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import strategies as st

from dgedit.errors import EngineError
from dgedit.models import store as models
from fuzzed import changed, edited, ended_after, inputs


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of several formats."""
    from every_format import FORMATS

    place = tmp_path_factory.mktemp("published")
    for name in ("plain", "modelopt", "nvfp4", "w4a16", "ours", "q8_0"):
        (place / name).mkdir()
        FORMATS[name](place / name)
    return place


@pytest.mark.parametrize("name", ["plain", "modelopt", "nvfp4", "w4a16", "ours", "q8_0"])
def test_models_have_facts_or_an_engine_error(published: Path, tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    shutil.copytree(published / name, place)
    assert models.facts(place).parameters > 0
    suffix = ".gguf" if name == "q8_0" else ".safetensors"
    (weights,) = (file for file in place.iterdir() if file.suffix == suffix)
    kinds: list[st.SearchStrategy[tuple[Path, bytes]]] = [
        edited(weights.read_bytes()).map(lambda data: (weights, data))
    ]
    if name != "q8_0":
        settings_ = place / "config.json"
        table = json.loads(settings_.read_text())
        kinds.append(changed(table).map(lambda one: (settings_, json.dumps(one).encode())))
        kinds.append(edited(settings_.read_bytes()).map(lambda data: (settings_, data)))

    @inputs(st.one_of(kinds), amount=50)
    def check(change: tuple[Path, bytes]) -> None:
        file, data = change
        before = file.read_bytes()
        file.write_bytes(data)
        try:
            found = models.facts(place)
            assert isinstance(found.parameters, int) and found.bytes > 0 and found.format
        except EngineError as error:
            assert str(error)
        finally:
            models.fault(place)
            file.write_bytes(before)


NESTED = "[" * 100_000


@pytest.mark.parametrize(
    "name", ["config.json", "hf_quant_config.json", "model.safetensors.index.json"]
)
def test_settings_of_a_model_that_never_end_are_refused(
    published: Path, tmp_path: Path, name: str
) -> None:
    place = tmp_path / "model"
    shutil.copytree(published / "plain", place)
    if name.endswith("index.json"):
        (place / "model.safetensors").unlink()
    (place / name).write_text(NESTED)
    with pytest.raises(EngineError, match=name.replace(".", "[.]")):
        models.facts(place)


@pytest.mark.parametrize(
    ("name", "key", "value", "words"),
    [
        ("plain", "text_config.intermediate_size", 10**40, "no tensor is as large"),
        ("plain", "text_config.vocab_size", 2**62, "no tensor is as large"),
        ("ours", "quantization_config.experts", ["e2m1"], "codes of kind"),
        ("w4a16", "quantization_config.format", {"a": 1}, "known are|group"),
    ],
)
def test_settings_of_a_model_that_cannot_be_are_a_fault(
    published: Path, tmp_path: Path, name: str, key: str, value: object, words: str
) -> None:
    place = tmp_path / "model"
    shutil.copytree(published / name, place)
    table = json.loads((place / "config.json").read_text())
    part, last = key.split(".")
    table[part][last] = value
    for group in table[part].get("config_groups", {}).values():
        group.pop("format", None)
    (place / "config.json").write_text(json.dumps(table))
    assert re.search(words, models.fault(place) or "")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("general.alignment", struct.pack("<IIQ8x", 9, 4, 2)),
        ("general.file_type", struct.pack("<IIQQx", 9, 8, 1, 1)),
        ("general.name", struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 20_000),
        ("general.name", struct.pack("<IIQ", 9, 8, 2**60)),
        ("general.name", struct.pack("<IIQ", 9, 0, 2**63)),
    ],
)
def test_header_of_gguf_that_means_harm_is_refused_at_once(
    published: Path, tmp_path: Path, key: str, kind: bytes
) -> None:
    data = (published / "q8_0" / "model.gguf").read_bytes()
    count = struct.pack("<Q", struct.unpack_from("<Q", data, 16)[0] + 1)
    field = struct.pack("<Q", len(key)) + key.encode() + kind
    (tmp_path / "m.gguf").write_bytes(data[:16] + count + field + data[24:])
    with ended_after(2), pytest.raises(EngineError, match=r"m\.gguf"):
        models.facts(tmp_path / "m.gguf")
