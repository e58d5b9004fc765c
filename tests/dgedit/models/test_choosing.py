"""Which GGUF file of a repository is taken, by what a machine has free and what each needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dgedit.errors import EngineError, UsageError
from dgedit.models import hub
from dgedit.models.choosing import Chooser
from dgedit_engine.bench.shapes import small
from dgedit_engine.memory.plan import check, need
from fakehub import Hub, serving
from headers import header_only

REPO = "someone/little"
SHAPE = replace(small(), vocab=512, experts=64, expert_width=128)
"""Nearly all of it are experts, as of the released one."""
RECIPES = ("BF16", "Q8_0", "Q6_K", "Q4_K_M", "Q4_0")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("written")
    for recipe in RECIPES:
        (folder / recipe).mkdir()
        header_only(folder / recipe / f"m-{recipe}.gguf", SHAPE, recipe)
    return {recipe: folder / recipe / f"m-{recipe}.gguf" for recipe in RECIPES}


@pytest.fixture
def server(written: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    files = {one.name: one.read_bytes() for one in written.values()}
    files |= {"mmproj-F16.gguf": b"GGUF" + bytes(1000), "tokenizer.json": b"{}"}
    with serving(files) as server:
        server.become_the_hub(monkeypatch)
        card = torch.device("cuda")  # which need not be there
        monkeypatch.setattr("dgedit_engine.memory.devices.device_of", lambda _: card)
        yield server


def free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("dgedit_engine.memory.devices.free_bytes", lambda _: size)


def least(file: Path) -> int:
    """The fewest bytes with which a file is opened as it is."""
    size = need(file, context=3072, device="cuda").total
    while check(file, size, device="cuda").narrow is not None:
        size += 1 << 16
    return size


def test_the_largest_that_fits_as_it_is_is_taken_and_said(
    server: Hub, written: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = Chooser()
    free(monkeypatch, 1 << 40)
    assert hub.plan(REPO, choose=choose).files[-1].name == "m-BF16.gguf"
    assert choose.said.startswith("m-BF16.gguf, of 6 GGUF files: it needs ")
    assert choose.said.endswith("cuda has 1099.5 GB free (--file fetches another)")
    assert hub.plan(REPO, choose=choose, file="m-Q4_0.gguf").files[-1].name == "m-Q4_0.gguf"


def test_what_is_narrowed_is_worth_no_more_than_it_becomes(
    server: Hub, written: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for Q4_K_M as it is, a larger file that would lose its bits is not fetched."""
    choose = Chooser()
    free(monkeypatch, least(written["Q4_K_M"]))
    assert hub.plan(REPO, choose=choose).files[-1].name == "m-Q4_K_M.gguf"
    assert "in 4 bits" not in choose.said
    del server.files["m-Q4_K_M.gguf"], server.files["m-Q4_0.gguf"]
    assert hub.plan(REPO, choose=choose).files[-1].name == "m-Q6_K.gguf"
    assert ", in 4 bits, cuda has" in choose.said


def test_little_of_a_file_is_fetched_to_know(
    server: Hub, written: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, padding = "m-Q4_0.gguf", 40 << 20
    server.files[name] += bytes(padding)
    server.files = {one: server.files[one] for one in (name, "m-BF16.gguf", "tokenizer.json")}
    free(monkeypatch, 1 << 40)
    asked: list[int] = []
    import dgedit.models.choosing as choosing

    header = choosing._header

    def counted(*given: object) -> bytes | None:
        found = header(*given)  # type: ignore[arg-type]
        asked.append(len(found or b""))
        return found

    monkeypatch.setattr(choosing, "_header", counted)
    hub.plan(REPO, choose=Chooser())
    assert asked and max(asked) < 8 << 20


def test_nothing_that_fits_is_one_line(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for size, why in ((9_000_000, "has 23.2 MB"), (400_000_000, "needs 0.6 GB (weights 0.1, ")):
        free(monkeypatch, size)
        with pytest.raises(EngineError) as caught:
            hub.plan(REPO, choose=Chooser())
        words = str(caught.value)
        assert words.startswith(f"no GGUF file of {REPO} fits: m-Q4_0.gguf {why}"), words
        assert words.endswith("(--file fetches one all the same)")
        assert "\n" not in words and "/tmp" not in words


def test_what_is_no_model_leaves_the_choice_to_the_user(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 1 << 40)
    whole = server.files["m-Q4_0.gguf"]
    server.files = {
        "a.gguf": b"x" * 3000,
        "b.gguf": whole[:1000],
        "..gguf": whole,
        "c.gguf": whole[:20] + b"\xff" * 8 + whole[28:],
    }
    choose = Chooser()
    with pytest.raises(UsageError, match="has 4 GGUF files, choose one by --file"):
        hub.plan(REPO, choose=choose)
    assert choose.said == ""
