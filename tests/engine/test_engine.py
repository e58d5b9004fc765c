"""Opening a model, keeping it warm, cancelling; and what is said of one that cannot be opened."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.memory import available as room
from dgedit_engine.memory.devices import free_bytes
from dgedit_engine.memory.plan import need
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.nano.names import TINY
from dgedit_engine.types import Hole, InfillRequest, ModelError, Passage, collect


def request(before: str = "def f(x):\n", after: str = "\nf(1)\n", **more: Any) -> InfillRequest:
    passage = Passage("a.py", (before, Hole("return x"), after))
    return InfillRequest((passage,), **({"steps": 4, "strength": 0.9} | more))


class Counted:
    """Counts what a model is made to read."""

    def __init__(self, engine: Engine) -> None:
        self.encoded: list[int] = []
        self.denoised = 0
        self._encode, self._denoise = engine.model.encode, engine.model.denoise
        engine.model.encode = self.encode  # type: ignore[method-assign]
        engine.model.denoise = self.denoise  # type: ignore[method-assign]

    def encode(self, ids: Tensor, cache: Any) -> Tensor:
        self.encoded.append(ids.shape[1])
        return self._encode(ids, cache)

    def denoise(self, *args: Any, **more: Any) -> Tensor:
        self.denoised += 1
        return self._denoise(*args, **more)


@pytest.fixture(autouse=True)
def one_canvas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps a random model, which hardly ever says an end, from going on."""
    monkeypatch.setattr("dgedit_engine.decode.phases.CANVASES", 1)


def refused(model: str, device: str | None = "cpu") -> str:
    with pytest.raises(ModelError) as caught:
        open_engine(model, device)
    words = str(caught.value)
    assert words and "\n" not in words
    return words


@pytest.fixture
def broken(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the model, to be damaged."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "broken"))


def test_engine_says_what_it_is(tiny: Engine, tiny_folder: Path) -> None:
    assert (tiny.name, tiny.device) == (tiny_folder.name, "cpu")


@pytest.mark.parametrize("native", [True, False])
def test_cpu_keeps_bf16_matrices_only_where_it_multiplies_them(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    monkeypatch.setattr("dgedit_engine.model.products.has_bfloat16", lambda: native)
    monkeypatch.setattr("dgedit_engine.weights.cpu_int8.available", lambda: False)
    engine = open_engine(str(tiny_folder), "cpu")
    matrices = torch.bfloat16 if native else torch.float32
    for name, tensor in engine.model.state_dict().items():
        assert tensor.dtype == (matrices if tensor.dim() > 1 else torch.float32), name
    assert engine.cache.dtype == matrices
    assert collect(engine.infill(request())).steps == 4


@pytest.mark.parametrize(("limit", "threads"), [(0, 3), (1 << 60, 1)])
def test_small_model_computes_in_one_thread(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, limit: int, threads: int
) -> None:
    monkeypatch.setattr("dgedit_engine.engine._THREADED", limit)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        open_engine(str(tiny_folder), "cpu")
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_engine_answers_the_same_warm_or_cold(tiny: Engine, tiny_folder: Path) -> None:
    """The cache of an unchanged prefix changes nothing but the time."""
    cold = open_engine(str(tiny_folder), "cpu")
    expected = list(cold.infill(request("def f(x):\n    y = 1\n")))
    list(tiny.infill(request(after="\nfoo\n")))
    list(tiny.infill(request("def f(x):\n")))
    found = list(tiny.infill(request("def f(x):\n    y = 1\n")))
    assert [step.drafts[0].pieces for step in found] == [s.drafts[0].pieces for s in expected]
    for mine, other in zip(found, expected, strict=True):
        assert mine.drafts[0].confidence == pytest.approx(other.drafts[0].confidence, abs=1e-4)


def test_second_request_encodes_only_what_is_new(tiny: Engine) -> None:
    counted = Counted(tiny)
    before = "x = 1\n" * 20
    list(tiny.infill(request(before)))
    first = sum(counted.encoded)
    counted.encoded.clear()
    list(tiny.infill(request(before + "if")))
    assert 1 <= sum(counted.encoded) <= 3 < 60 < first
    counted.encoded.clear()
    list(tiny.infill(request(before + "if", seed=1)))
    assert counted.encoded == []


def test_encode_makes_the_cache_hold_exactly_the_ids(tiny: Engine) -> None:
    counted = Counted(tiny)
    for ids, new in (([5, 6, 7], 3), ([5, 6, 8, 9], 2), ([5, 6], 0), ([5, 6, 7], 1)):
        counted.encoded.clear()
        encode(tiny.model, tiny.cache, ids)
        assert tiny.cache.ids == ids
        assert sum(counted.encoded) == new


def test_closed_stream_stops_the_model(tiny: Engine, tiny_folder: Path) -> None:
    counted = Counted(tiny)
    steps = tiny.infill(request(steps=16))
    assert counted.denoised == 0 and counted.encoded == []
    next(steps)
    assert counted.denoised == 1
    steps.close()  # type: ignore[attr-defined]
    assert counted.denoised == 1
    fresh = open_engine(str(tiny_folder), "cpu")
    asked = request("def g(y):\n", seed=3)
    assert collect(tiny.infill(asked)).texts == collect(fresh.infill(asked)).texts


def test_fault_13_what_a_request_took_is_given_back_when_it_ends(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    monkeypatch.setattr(room, "give_back", lambda: given.append("back"))
    list(tiny.infill(request()))
    assert given == ["back"]
    stream = tiny.infill(request(before="def g(y):\n"))
    next(stream)
    assert given == ["back"]
    stream.close()
    assert given == ["back"] * 2
    with pytest.raises(ValueError, match="9 holes"):
        list(tiny.infill(InfillRequest((Passage("", ("a", Hole()) * 9),))))
    assert given == ["back"] * 3


def test_forwards_are_as_many_as_steps(tiny: Engine) -> None:
    counted = Counted(tiny)
    result = collect(tiny.infill(request(steps=4, strength=1.0)))
    assert counted.denoised == result.steps == 4


def test_request_that_does_not_fit_is_refused_and_the_engine_goes_on(tiny: Engine) -> None:
    holes = ("a", Hole()) * 9
    with pytest.raises(ValueError, match="9 holes"):
        list(tiny.infill(InfillRequest((Passage("", holes),))))
    assert collect(tiny.infill(request())).steps == 4


def test_too_little_memory_is_said_before_a_weight_is_read(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dgedit_engine.engine.free_bytes", lambda device: 1 << 20)
    monkeypatch.setattr("dgedit_engine.weights.checkpoint.load", None)
    words = refused(str(tiny_folder))
    assert f"model {tiny_folder} needs" in words and "cpu has 0.0 GB free" in words


def test_context_is_what_is_asked_for_or_what_fits(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = open_engine(str(tiny_folder), "cpu")
    most = whole.model.config.context
    asked = open_engine(str(tiny_folder), "cpu", context=most - 1)
    assert asked.model.config.context == asked.cache.config.context == most - 1
    free = need(tiny_folder, context=most).total - 1
    monkeypatch.setattr("dgedit_engine.engine.free_bytes", lambda device: free)
    fits = open_engine(str(tiny_folder), "cpu").model.config.context
    assert fits < most and fits % 1024 == 0
    with pytest.raises(ModelError, match=f"a context of {fits:,} needs"):
        open_engine(str(tiny_folder), "cpu", context=most)


def test_keys_of_eight_bits_need_a_gpu(tiny_folder: Path) -> None:
    with pytest.raises(ModelError, match="fp8 need a GPU"):
        open_engine(str(tiny_folder), "cpu", kv="fp8")
    assert open_engine(str(tiny_folder), "cpu", kv="bf16").device == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kv", ["bf16", "fp8"])
def test_keys_are_kept_on_a_gpu_as_asked(kv: Any) -> None:
    engine = open_engine("tiny", "cuda", kv=kv)
    assert isinstance(engine.cache, DeviceCache)
    assert engine.cache.stored.itemsize == (1 if kv == "fp8" else 2)
    before = free_bytes(torch.device("cuda"))
    taken = need(TINY, context=engine.model.config.context, kv=kv, device="cuda")
    assert collect(engine.infill(request())).texts
    assert before - free_bytes(torch.device("cuda")) < taken.cache + taken.work


@pytest.mark.parametrize("name", ["nonexistent", "", "/dev/null", "a\tb", "none.gguf"])
def test_no_such_model_is_named(name: str) -> None:
    assert repr(name)[1:-1] in repr(refused(name))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_missing_file_is_named(broken: Path, name: str) -> None:
    (broken / name).unlink()
    assert str(broken / name) in refused(str(broken))


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path) in refused(str(tmp_path))


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "cpu:x", "meta device", "meta", "xpu"])
def test_bad_device_is_named(tiny_folder: Path, device: str) -> None:
    assert device in refused(str(tiny_folder), device)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_damaged_weights_are_said_in_a_line(exact: Engine, value: float) -> None:
    exact.model.embedding[4000, 0] = value
    with pytest.raises(ModelError, match="logits are no finite numbers"):
        list(exact.infill(request()))


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_weights_of_another_dtype_are_used(
    broken: Path, monkeypatch: pytest.MonkeyPatch, native: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr("dgedit_engine.model.products.has_bfloat16", lambda: native)
    file = broken / "model.safetensors"
    save_file({name: tensor.to(dtype) for name, tensor in load_file(file).items()}, file)
    assert collect(open_engine(str(broken), "cpu").infill(request())).steps == 4


def test_id_outside_the_vocabulary_is_said_before_the_model_runs(tiny: Engine) -> None:
    counted = Counted(tiny)
    tiny.tokenizer.encode = lambda text: [5000] if text else []  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="an id 5000, the model 4096 tokens"):
        list(tiny.infill(request()))
    assert counted.encoded == []


def test_tokenizer_larger_than_the_vocabulary_is_refused(broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    config["text_config"]["vocab_size"] = 4000
    (broken / "config.json").write_text(json.dumps(config))
    words = refused(str(broken))
    assert "4096" in words and "4000" in words


def test_file_that_another_config_describes_is_refused(broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    config["text_config"]["moe_intermediate_size"] += 1
    (broken / "config.json").write_text(json.dumps(config))
    assert "experts" in refused(str(broken))


def test_sessions_share_the_model_but_not_what_was_asked(tiny: Engine, tiny_folder: Path) -> None:
    """Clients that take turns get what each would get alone."""
    asked = [[request(f"{name} = {n}\n", strength=1.0) for n in (1, 2)] for name in ("a", "b")]
    expected = []
    for requests in asked:
        alone = open_engine(str(tiny_folder), "cpu")
        alone.decoding = Decoding(warm=True)
        expected.append([collect(alone.infill(one)) for one in requests])
    tiny.decoding = Decoding(warm=True)
    sessions = [tiny.session(), tiny.session()]
    found = [[collect(sessions[k].infill(asked[k][n])) for k in (0, 1)] for n in (0, 1)]
    for k, n in ((0, 0), (1, 0), (0, 1), (1, 1)):
        assert found[n][k].texts == expected[k][n].texts
        assert found[n][k].candidates[0][0].origin == ("warm" if n else "canvas")
    assert sessions[0].cache is tiny.cache and sessions[0].model is tiny.model


def test_kernels_run_on_the_gpu_that_is_named(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton launches on the current device, whatever device the pointers are of."""

    class Set(Exception):
        pass

    def set_device(device: torch.device) -> None:
        raise Set(device)

    monkeypatch.setattr("dgedit_engine.engine.device_of", torch.device)
    monkeypatch.setattr(torch.cuda, "set_device", set_device)
    with pytest.raises(Set, match="cuda:1"):
        open_engine(str(tiny_folder), "cuda:1")
