"""`dgedit model …` of GGUF files: what a card needs, and which of several is fetched."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dgedit import cli
from dgedit_engine.bench.shapes import small
from every_format import q8_0
from fakebase import without_base
from fakehub import serving
from headers import header_only

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    without_base(monkeypatch)
    return tmp_path / "data" / "dgedit" / "models"


def run(capfd: Capture, *words: str) -> tuple[int, str, str]:
    code = cli.run(["model", *words])
    out, err = capfd.readouterr()
    return code, out, err


def test_list_says_what_it_takes_of_a_card(homes: Path, capfd: Capture) -> None:
    (homes / "six").mkdir(parents=True)
    header_only(homes / "six" / "model.gguf", small(), "Q6_K")
    row = run(capfd, "list")[1].splitlines()[-1]
    memory = r"[\d.]+ MB, or [\d.]+ MB in 4 bits"
    assert re.fullmatch(rf"   six +GGUF Q6_K +8\.7 MB +9\.3M +{memory}", row), row
    entry = json.loads(run(capfd, "list", "--json")[1])[-1]["gpu_memory"]
    told = run(capfd, "info", "six", "--device", "cuda", "--json")[1]
    assert json.loads(told)["memory"]["total"] == entry["whole"] > entry["narrowed"]


def test_pull_takes_one_of_several_and_says_which(
    homes: Path, tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    q8_0(tmp_path)
    data = (tmp_path / "model.gguf").read_bytes()
    with serving({"m-Q8_0.gguf": data, "m-IQ9.gguf": b"x" * 99, "README.md": b""}) as server:
        server.become_the_hub(monkeypatch)
        code, out, err = run(capfd, "pull", "someone/little")
        assert code == 0, err
        assert re.fullmatch(
            r"dgedit: m-Q8_0\.gguf, of 2 GGUF files: it needs [\d.]+ MB, cpu has [\d.]+ GB free"
            r" \(--file fetches another\)\n",
            err,
        ), err
        start = r"m-Q8_0: GGUF Q8_0, [\d.]+K parameters, [\d.]+ kB; on a GPU "
        assert re.fullmatch(start + r"[\d.]+ MB, or [\d.]+ MB in 4 bits\n", out), out
    assert [one.name for one in homes.iterdir()] == ["m-Q8_0"]


def test_pull_of_what_cannot_be_planned_asks_as_before(
    homes: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({"\x1b[2Ja.gguf": b"x", "b.gguf": b"x"}) as server:
        server.become_the_hub(monkeypatch)
        code, out, err = run(capfd, "pull", "someone/little")
    assert (code, out) == (2, "") and "choose one by --file: ␛[2Ja.gguf (1 B), b.gguf (1 B)" in err
