"""`dgedit model pull NAME --quant …`: what is made, what stays, and what is refused before it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from byte_base import fields
from dgedit import cli
from dgedit.errors import Exit, InputError
from dgedit.models import hub, store
from dgedit_engine.formats import vocabulary
from dgedit_engine.model.config import load_config
from dgedit_engine.weights import quantize as program
from fakebase import without_base
from fakehub import COMMIT, Hub, serving
from llama import random_llama
from published import CONFIG, numbers, write

Capture = pytest.CaptureFixture[str]
REPO = "someone/little"
WIDE = {"hidden_size": 96, "intermediate_size": 128, "vocab_size": 1024}


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The models folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    without_base(monkeypatch)
    return tmp_path / "data" / "dgedit" / "models"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("published")
    random_llama(folder, "qwen2", tie_word_embeddings=False, **WIDE)
    vocabulary.made(fields("qwen2")).save(str(folder / "tokenizer.json"))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def server(published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(published, REPO) as server:
        server.become_the_hub(monkeypatch)
        yield server


def run(capfd: Capture, *words: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = cli.run(["model", "pull", *words])
    return code, *capfd.readouterr()


def names(homes: Path) -> list[str]:
    return sorted(one.name for one in homes.iterdir()) if homes.exists() else []


@pytest.mark.parametrize("bits", ["int4", "int8"])
def test_model_is_fetched_quantised_and_its_original_removed(
    server: Hub, homes: Path, capfd: Capture, bits: str
) -> None:
    code, out, err = run(capfd, REPO, "--quant", bits)
    assert code == 0, err
    assert re.fullmatch(
        rf"dgedit: {REPO}: all [\d.]+ [kM]B are fetched and written anew in {bits}; the original,"
        r" little, is removed once the new one loads\n",
        err,
    ), err
    first, second = out.splitlines()
    assert first.startswith(f"little-{bits}: dgedit {bits}, ") and "on a GPU" in first
    assert re.fullmatch(r"little, its original, is removed: [\d.]+ [kM]B", second), second
    assert names(homes) == [f"little-{bits}"]
    assert store.fault(homes / f"little-{bits}") is None
    assert hub.origin(homes / f"little-{bits}")["commit"] == COMMIT
    given = sum(server.given.values())
    assert run(capfd, REPO, "--quant", bits)[:2] == (0, f"little-{bits} is here already\n")
    assert sum(server.given.values()) == given
    other = "int8" if bits == "int4" else "int4"
    code, _, err = run(capfd, REPO, "--quant", other, "--name", f"little-{bits}")
    assert code == Exit.ENGINE and f"little-{bits} is another state of {REPO}; take an" in err


def test_original_stays_where_it_is_to_or_was_before(
    server: Hub, homes: Path, capfd: Capture
) -> None:
    code, out, err = run(capfd, REPO, "--quant", "int8", "--keep", "--name", "narrow")
    assert (code, len(out.splitlines())) == (0, 1) and "little, stays" in err
    assert names(homes) == ["little", "narrow"]
    assert json.loads((homes / "narrow" / "config.json").read_text())["quantization_config"]
    given = sum(server.given.values())
    code, out, err = run(capfd, REPO, "--quant", "int4")
    assert code == 0 and out.splitlines()[1] == (
        "little was here before and stays: dgedit model rm little removes it"
    )
    assert names(homes) == ["little", "little-int4", "narrow"]
    assert sum(server.given.values()) == given  # nothing was fetched again


def test_what_stops_it_leaves_the_original(
    server: Hub, homes: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaking(*given: object, **more: object) -> Iterator[None]:
        yield from ()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(program, "quantize", breaking)
    code, out, err = run(capfd, REPO, "--quant", "int4")
    assert (code, out) == (Exit.ENGINE, "") and "No space left" in err.splitlines()[-1]
    assert names(homes) == ["little"] and store.fault(homes / "little") is None


def test_no_room_is_said_once_the_shape_is_known(
    server: Hub, homes: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def full(place: Path, size: int) -> None:
        asked.append(size)
        if place.name == "little-int4":
            raise InputError(f"{place.name} needs {size}")

    monkeypatch.setattr("dgedit.models.store.check_room", full)
    code, out, err = run(capfd, REPO, "--quant", "int4")
    assert (code, out) == (Exit.INPUT, "") and err.endswith(f"little-int4 needs {asked[-1]}\n")
    weights = len(server.files["model.safetensors"])
    assert weights < asked[-1] < 1.6 * weights + 2 * (1 << 20)  # both are there at the end
    assert not server.given["model.safetensors"] and names(homes) == []


def test_pull_that_was_stopped_before_is_kept(
    server: Hub, homes: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (homes / ".little.part").mkdir(parents=True)
    monkeypatch.setattr("dgedit_engine.memory.devices.free_bytes", lambda device: 1 << 10)
    code, out, err = run(capfd, REPO, "--quant", "int4")
    assert (code, out) == (Exit.ENGINE, "")
    assert re.search(rf"{REPO} as int4 needs [\d.]+ MB, cpu has 1\.0 kB free: without --quant", err)
    assert names(homes) == [".little.part"] and not server.given["model.safetensors"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--keep", "--keep is of --quant"),
        ("--quant int3", "int3"),
        ("--quant int4 --name little", "--name little is the original's: take another"),
        ("--quant int4 --name a/b", "no name for a model"),
    ],
)
def test_misuse_is_one_line(
    server: Hub, homes: Path, capfd: Capture, words: str, said: str
) -> None:
    code, out, err = run(capfd, REPO, *words.split())
    assert (code, out) == (Exit.USAGE, "") and said in err
    assert names(homes) == [] and not server.given["model.safetensors"]


@pytest.mark.parametrize("files", [("a.gguf",), ("a.gguf", "b.gguf")])
def test_gguf_files_are_quantised_already(
    homes: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...]
) -> None:
    with serving(dict.fromkeys(files, b"GGUF"), REPO) as server:
        server.become_the_hub(monkeypatch)
        code, out, err = run(capfd, REPO, "--quant", "int4")
    assert (code, out) == (Exit.USAGE, "") and "has GGUF files, which are quantised already" in err


def test_experts_have_a_kind_of_their_own(
    homes: Path, tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CONFIG
    write(tmp_path / "in", {n: one.bfloat16() for n, one in numbers(config).items()}, None)
    (tmp_path / "in" / "tokenizer.json").write_text("{}")
    files = {path.name: path.read_bytes() for path in (tmp_path / "in").iterdir()}
    with serving(files, REPO) as server:
        server.become_the_hub(monkeypatch)
        code, out, err = run(capfd, REPO, "--quant", "int8")
    assert code == 0, err
    assert out.startswith("little-int8: dgedit e4m3 + int8, ")
    assert load_config(homes / "little-int8").experts == config.experts
