"""What a model's name means, which is the default, and what headers say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGUFWriter

from dgedit import config
from dgedit.engines import connect as backend
from dgedit.errors import DgeditError, EngineError, InputError, UsageError
from dgedit.models import sizes
from dgedit.models import store as models
from dgedit.models.names import OURS
from dgedit_engine.bench.shapes import released
from dgedit_engine.formats import describe
from dgedit_engine.model.model import Model
from dgedit_engine.types import ModelError
from dgedit_engine.weights.quantize import quantize
from published import CONFIG, numbers, write

BAD = ["", ".", "..", "../x", "a/b", "/etc", ".hidden", "-x", "a\\b", "a\0b", "a\nb", "x" * 300]


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of the test's own; returns the models folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("DGEDIT_MODEL", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "data" / "dgedit" / "models"


def model(folder: Path, settings: dict[str, Any] | None = None) -> Path:
    """A small model."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    write(folder, {name: one.bfloat16() for name, one in numbers().items()}, settings)
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_models_lie_where_xdg_says(
    homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert models.folder() == homes
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models.folder() == tmp_path / ".local" / "share" / "dgedit" / "models"


def test_name_is_nano_then_a_path_then_a_model(homes: Path, tmp_path: Path) -> None:
    (homes / "mine").mkdir(parents=True)
    assert models.resolve("mine") == str(homes / "mine")
    Path("nano").mkdir()
    assert models.resolve("nano") == "nano"
    Path("tiny").mkdir()
    assert models.resolve("tiny") == "tiny"
    Path("mine").mkdir()
    assert models.resolve("mine") == "mine"
    Path("x.gguf").touch()
    for path in ("x.gguf", "./x.gguf", str(tmp_path)):
        assert models.resolve(path) == path


def test_option_goes_before_environment_before_default(
    homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model(homes / "chosen")
    (homes / "told").mkdir()
    (homes / "meant").mkdir()
    assert models.resolve() == "nano"
    models.choose("chosen")
    assert models.resolve() == str(homes / "chosen")
    monkeypatch.setenv("DGEDIT_MODEL", "told")
    assert models.resolve() == str(homes / "told")
    assert models.resolve("meant") == str(homes / "meant")
    assert models.resolve("nano") == "nano"
    monkeypatch.setenv("DGEDIT_MODEL", "")
    assert models.resolve() == str(homes / "chosen")
    models.choose("nano")
    assert (models.resolve(), models.default()) == ("nano", "nano")
    models.choose("tiny")
    assert (models.resolve(), models.default()) == ("tiny", "tiny")


def test_default_is_a_name_and_never_a_path_from_here(homes: Path) -> None:
    model(homes / "chosen")
    models.choose("chosen")
    Path("chosen").mkdir()
    assert models.resolve() == str(homes / "chosen")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mime", "no such model: mime (did you mean mine? dgedit model list shows all, "),
        ("nono", "no such model: nono (did you mean nano? "),
        ("qqqqq", "no such model: qqqqq (dgedit model list"),
        ("file", "no model: file is neither a folder nor a GGUF file"),
        ("./circle", "no model: ./circle is a link to nothing"),
        ("./gone", "no such model: ./gone (nothing is there)"),
        ("google/big", "(nothing is there; dgedit model pull google/big fetches a repository)"),
        ("", "no name for a model: ''"),
        ("x" * 300, "no name for a model"),
    ],
)
def test_unknown_name_is_one_line_with_what_to_do(homes: Path, name: str, words: str) -> None:
    (homes / "mine").mkdir(parents=True)
    Path("file").touch()
    Path("circle").symlink_to("circle")
    with pytest.raises(DgeditError) as caught:
        models.resolve(name)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", BAD)
def test_name_that_leads_out_of_the_folder_is_refused_everywhere(homes: Path, name: str) -> None:
    (homes / "mine").mkdir(parents=True)
    for take in (models.placed, models.installed, models.choose, models.remove, models.findable):
        with pytest.raises(UsageError, match="no name for a model"):
            take(name)
    assert (homes / "mine").is_dir()


def test_ours_are_no_names_in_the_folder(homes: Path) -> None:
    for name in ("nano", "tiny"):
        for take in (models.placed, models.remove):
            with pytest.raises(UsageError, match=f"{name} is a model of dgedit's own"):
                take(name)
    assert models.path_of("tiny").joinpath("config.json").is_file()


@pytest.mark.parametrize("name", ["gone", "..", "", "./gone"])
def test_default_that_is_no_model_is_named(name: str) -> None:
    config.config_path().parent.mkdir(parents=True)
    config.config_path().write_text(f'model = "{name}"')
    if not name:
        assert models.resolve() == "nano"
        return
    with pytest.raises(
        EngineError, match=f"(default|no such) model.* {re.escape(name)} "
    ) as caught:
        models.resolve()
    assert "\n" not in str(caught.value)
    assert models.resolve("nano") == "nano"
    assert not any(entry.default for entry in models.entries())


def test_model_that_does_not_load_is_not_chosen(homes: Path, tmp_path: Path) -> None:
    broken = model(homes / "broken")
    (broken / "config.json").write_text("{")
    with pytest.raises(EngineError, match=r"broken does not load: .*config\.json"):
        models.choose("broken")
    with pytest.raises(EngineError, match="no such model: gone"):
        models.choose("gone")
    assert not (tmp_path / "config").exists()


def test_connect_opens_what_the_name_means(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr(
        "dgedit_engine.engine.open_engine", lambda *given, **more: opened.append(given)
    )
    (homes / "mine").mkdir(parents=True)
    backend.connect("mine", "cpu")
    backend.connect("tiny", None)
    monkeypatch.setattr("dgedit.models.nano.check", lambda: None)
    backend.connect(None, None)
    assert opened == [(str(homes / "mine"), "cpu"), ("tiny", None), ("nano", None)]
    with pytest.raises(EngineError, match="did you mean mine"):
        backend.connect("mind", None)


def test_names_are_resolved_without_the_engine() -> None:
    code = """
import sys
from dgedit.models import store as models
from dgedit.models.names import OURS
models.resolve()
print(sorted({"torch", "numpy", "rich", "huggingface_hub"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"[]\n"


def test_facts_come_from_headers(homes: Path) -> None:
    found = models.facts(model(homes / "mine"))
    assert (found.format, found.config) == ("BF16", CONFIG)
    assert found.bytes == sum(path.stat().st_size for path in (homes / "mine").iterdir())
    assert {"model.safetensors", "config.json"} <= {name for name, _ in found.files}
    assert models.fault(homes / "mine") is None


@pytest.mark.parametrize("config", [CONFIG, released()])
def test_parameters_are_those_of_the_model(config: Any) -> None:
    with torch.device("meta"):
        right = sum(part.numel() for part in Model(config).parameters())
    assert models.Facts("", config, ()).parameters == right


def test_released_model_has_its_published_sizes() -> None:
    found = models.Facts("", released(), ())
    assert found.parameters / 1e9 == pytest.approx(25.2, abs=0.1)
    assert found.active / 1e9 == pytest.approx(3.8, abs=0.2)


@pytest.mark.parametrize(("experts", "rest"), [("e2m1", None), ("int4", "int8"), ("e4m3", "e4m3")])
def test_room_for_a_quantised_model_is_told_closely(
    homes: Path, tmp_path: Path, experts: Any, rest: Any
) -> None:
    config = replace(CONFIG, dim=256, mlp=512, expert_width=256)
    (tmp_path / "source").mkdir()
    tensors = {name: one.bfloat16() for name, one in numbers(config).items()}
    write(tmp_path / "source", tensors, None, config=config)
    for _ in quantize(tmp_path / "source", tmp_path / "out", experts=experts, rest=rest):
        pass
    weights = (tmp_path / "out" / "model-00001.safetensors").stat().st_size
    told = sizes.quantised_bytes(config, experts=experts, rest=rest) - (1 << 20)
    assert weights * 0.98 <= told <= weights * 1.04


def test_too_little_room_is_said_with_both_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10**9}))
    models.check_room(tmp_path / "a" / "b", 10**9)
    with pytest.raises(InputError, match=r"a/b needs 1\.2 GB, the disk has 1\.0 GB free"):
        models.check_room(tmp_path / "a" / "b", 1_200_000_000)


def test_entries_hold_what_is_broken_too(homes: Path) -> None:
    model(homes / "b")
    model(homes / "a", {"quant_method": "awq"})
    (homes / "empty").mkdir()
    (homes / "lost").symlink_to("nowhere")
    (homes / "link").symlink_to(homes / "b")
    (homes / ".half.part").mkdir()
    (homes / ".half.part" / "x").write_bytes(b"12345")
    (homes / ".junk").mkdir()
    (homes / "file").touch()
    (model(homes / "mute") / "tokenizer.json").unlink()
    found = {entry.name: entry for entry in models.entries()}
    assert list(found) == [*OURS, "a", "b", "empty", "link", "lost", "mute", "half"]
    assert "quantised by 'awq'" in str(found["a"].error)
    assert "config.json does not exist" in str(found["empty"].error)
    assert found["lost"].error and found["link"].error is None
    assert (found["half"].bytes, found["half"].error) == (
        5,
        "a stopped pull; the same pull goes on with it",
    )
    assert found["mute"].error == f"{homes / 'mute'} has no tokenizer.json"
    assert found["b"].facts and found["b"].facts.format == "BF16"
    assert [entry.name for entry in found.values() if entry.default] == ["nano"]


def test_remove_takes_the_model_and_what_a_stopped_pull_left(homes: Path) -> None:
    for name in ("mine", ".mine.part", "mine2", ".mine2.part", "only", ".half.part"):
        (homes / name / "deep").mkdir(parents=True)
    assert models.remove("mine") is False
    assert {path.name for path in homes.iterdir()} == {"mine2", ".mine2.part", "only", ".half.part"}
    models.remove("half")
    assert not (homes / ".half.part").exists()
    with pytest.raises(EngineError, match="no such model: mine "):
        models.remove("mine")


def test_remove_returns_the_default_to_nano(homes: Path) -> None:
    model(homes / "mine")
    models.choose("mine")
    assert models.remove("mine") is True
    assert models.resolve() == "nano"


def test_remove_takes_a_link_and_not_what_it_leads_to(homes: Path, tmp_path: Path) -> None:
    (tmp_path / "kept" / "deep").mkdir(parents=True)
    homes.mkdir(parents=True)
    (homes / "link").symlink_to(tmp_path / "kept")
    (homes / "lost").symlink_to("nowhere")
    (homes / "mine").mkdir()
    (homes / "mine" / "inner").symlink_to(tmp_path / "kept")
    for name in ("link", "lost", "mine"):
        models.remove(name)
    assert not list(homes.iterdir())
    assert (tmp_path / "kept" / "deep").is_dir()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_folder_that_cannot_be_removed_is_named(homes: Path) -> None:
    (homes / "mine").mkdir(parents=True)
    homes.chmod(0o500)
    with pytest.raises(InputError, match=r"cannot change .*mine"):
        models.remove("mine")
    homes.chmod(0o700)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (None, "BF16"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "NVFP4 (ModelOpt)"),
        ({"quant_method": "dgedit", "experts": "e2m1", "rest": None}, "dgedit e2m1"),
        ({"quant_method": "dgedit", "experts": "int4", "rest": "int8"}, "dgedit int4 + int8"),
        ("float-quantized", "FP8 (compressed-tensors)"),
        ("nvfp4-pack-quantized", "NVFP4 (compressed-tensors)"),
        ("pack-quantized", "W4A16 (compressed-tensors)"),
        ("naive-quantized", "FP8 (compressed-tensors)"),
        ("new", "new (compressed-tensors)"),
        ({"quant_method": "compressed-tensors"}, "None (compressed-tensors)"),
    ],
)
def test_format_has_a_name(tmp_path: Path, settings: Any, name: str) -> None:
    if isinstance(settings, str):
        groups = {"a": {"format": settings, "weights": {"type": "float"}}, "b": {}}
        own = {"config_groups": groups, "format": settings}
        settings = {"quant_method": "compressed-tensors"} | own
        del groups["b"]
    assert describe(model(tmp_path / "m", settings)) == name


def test_format_of_an_unknown_method_and_of_missing_files_is_an_error(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", {"quant_method": "awq"})
    with pytest.raises(ModelError, match="quantised by 'awq'; known are none, modelopt"):
        describe(folder)
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="model-00001"):
        describe(folder)


@pytest.mark.parametrize(("file_type", "name"), [(15, "Q4_K_M"), (None, "F16"), (999, "F16")])
def test_format_of_a_gguf_file_is_its_mixture(
    tmp_path: Path, file_type: int | None, name: str
) -> None:
    file = tmp_path / "m.gguf"
    writer = GGUFWriter(file, "diffusion-gemma")
    if file_type is not None:
        writer.add_file_type(file_type)
    writer.add_tensor("large", torch.zeros(64, dtype=torch.float16).numpy())
    writer.add_tensor("small", torch.zeros(8).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert describe(file) == describe(tmp_path) == f"GGUF {name}"
    assert models.missing(file) is models.missing(tmp_path) is None  # the tokenizer is in it
