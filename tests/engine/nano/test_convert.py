"""A base's file brought into the form that is opened, and what that fills."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.config import load_config
from dgedit_engine.model.head import bitmap
from dgedit_engine.nano.convert import convert
from dgedit_engine.train.adapter import AdapterSettings, TrainedAdapter
from dgedit_engine.types import Hole, ModelError
from dgedit_engine.weights import checkpoint, shortlist
from dgedit_kernels.packed import available
from small_base import VOCAB, request, tokenizer, write

pytestmark = pytest.mark.oracle
KNOWN = [*range(300), *range(340, 400)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A converted folder, and transformers' model."""
    folder = tmp_path_factory.mktemp("base")
    theirs = write(folder / "base.gguf")
    (folder / "out").mkdir()
    convert(folder / "base.gguf", bitmap(KNOWN, VOCAB), folder / "out")
    return folder / "out", theirs


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The folder as a larger model is opened: its matrices stay as they are stored."""
    monkeypatch.setattr("dgedit_engine.model.products.has_bfloat16", lambda: True)
    monkeypatch.setattr("dgedit_engine.memory.counted._WIDE", 0)
    monkeypatch.setattr("dgedit_engine.engine._THREADED", 0)
    return open_engine(str(folder), "cpu")


def mapped_files(address: int) -> str:
    """What the page at an address is mapped from."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(one, 16) for one in line.split()[0].split("-"))
        if start <= address < end:
            return line
    return ""


def test_folder_is_all_that_opens(made: tuple[Path, Any]) -> None:
    folder, _ = made
    names = {"config.json", "tokenizer.json", checkpoint.INDEX, shortlist.FILE}
    shards = {path.name for path in folder.glob("model-*-of-*.safetensors")}
    assert shards and {path.name for path in folder.iterdir()} == names | shards
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in folder.glob("*.safetensors"))
    raw = json.loads((folder / "config.json").read_text())
    assert (raw["architectures"], raw["dtype"]) == (["Gemma3ForCausalLM"], "bfloat16")
    assert load_config(folder) == load_config(folder.parent / "base.gguf")


def test_tokenizer_reads_as_the_header_s(made: tuple[Path, Any]) -> None:
    found = Tokenizer.from_file(str(made[0] / "tokenizer.json"))
    found.encode_special_tokens = True
    for text in ("def f(a):\n    return total\n", "日本語😀 \t\t\r\n\n\n", "<eos><bos>"):
        ids = found.encode(text, add_special_tokens=False).ids
        assert ids == tokenizer().encode(text)
    assert found.get_vocab_size() == len(tokenizer())


def test_weights_are_the_base_s_in_bfloat16(made: tuple[Path, Any]) -> None:
    folder, theirs = made
    model = checkpoint.load(load_config(folder), folder, dtype=torch.float32)
    ids = torch.arange(280, 310)[None]
    with torch.no_grad():
        found = model.logits(model.encode(ids, KVCache(model.config, dtype=torch.float32)))
        right = deepcopy(theirs).bfloat16().float()(ids).logits
    assert float((found - right).abs().max()) < 1e-2 < float(right.std())


def test_adapter_is_in_the_weights(made: tuple[Path, Any], tmp_path: Path) -> None:
    folder, base = made[0], made[0].parent / "base.gguf"
    adapted = TrainedAdapter(
        checkpoint.load(load_config(folder), folder), AdapterSettings(rank=2), seed=1
    )
    with torch.no_grad():
        for part in adapted.parameters():
            part.add_(0.5)
    adapted.save(tmp_path / "encode", base="small")
    (tmp_path / "out").mkdir()
    convert(base, bitmap(KNOWN, VOCAB), tmp_path / "out", adapter=tmp_path / "encode")
    merged, plain = (
        checkpoint.load(load_config(one), one, dtype=torch.float32)
        for one in (tmp_path / "out", folder)
    )
    change = merged.layers[0].qkv - plain.layers[0].qkv  # type: ignore[operator]
    name = "base_model/model/model/layers/0/self_attn/q_proj/lora_"
    a, b = adapted.parts[f"{name}A"], adapted.parts[f"{name}B"]
    wanted = 8 * (b @ a).detach()  # alpha / r
    torch.testing.assert_close(change[: len(wanted)], wanted, rtol=2e-2, atol=2e-2)
    assert torch.equal(merged.layers[0].down, plain.layers[0].down)  # type: ignore[arg-type]
    head = shortlist.load(tmp_path / "out", VOCAB, 64)
    assert head is not None
    torch.testing.assert_close(head.rows()[:16].float(), merged.embedding[:16])


def test_shortlist_is_the_bitmap_s_rows(made: tuple[Path, Any]) -> None:
    folder, theirs = made
    head = shortlist.load(folder, VOCAB, 64)
    assert head is not None and head.ids is not None and head.ids.tolist() == KNOWN
    rows = theirs.get_input_embeddings().weight[KNOWN].bfloat16()
    assert torch.equal(head.rows(), rows)


@pytest.mark.skipif(not available(), reason="this CPU has no such products")
def test_opened_folder_maps_its_embedding_and_fills_a_hole(
    made: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened(made[0], monkeypatch)
    embedding = engine.model.embedding
    assert embedding.dtype == torch.bfloat16
    assert mapped_files(embedding.data_ptr()).endswith(".safetensors")
    assert engine.model.head is not None and engine.model.head.ids is not None
    monkeypatch.setattr("dgedit_engine.decode.search.LONGEST", 24)
    steps = list(engine.infill(request("def f(a):\n    ret", Hole(), "\n日本語😀 = a\n")))
    assert steps[-1].last and steps[-1].forwards > 24
    assert engine.model.head.rows().shape[0] > len(KNOWN)  # the text's own tokens
    assert mapped_files(embedding.data_ptr()).endswith(".safetensors")


def test_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError):
        convert(tmp_path / "x.gguf", b"", tmp_path)
