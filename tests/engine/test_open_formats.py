"""Every format opens by its path alone and fills a hole; the model in it is transformers' of the
same worth.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from as_on_a_card import through_kernels
from dgedit_engine.decode.canvas import seed_canvas
from dgedit_engine.decode.causal import encode
from dgedit_engine.decode.loop import EagerRefiner, Start, refine
from dgedit_engine.decode.loop_cuda import GraphRefiner
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.model import products
from dgedit_engine.model.cache import KVCache
from dgedit_engine.model.cache_cuda import DeviceCache
from dgedit_engine.model.config import Sampling, load_config, save_config
from dgedit_engine.types import Hole, Infill, InfillRequest, Passage, collect
from dgedit_kernels.quantised import Quantised
from every_format import FORMATS, SHAPE, made, tokenizer

PROMPT = list(range(100, 130))
CODED = [name for name in FORMATS if name != "plain"]


@pytest.fixture(autouse=True)
def unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers alone: codes beside them are another test's."""
    monkeypatch.setattr("dgedit_engine.weights.cpu_int8.available", lambda: False)


class Stored(NamedTuple):
    """A model, and what its weights are worth."""

    folder: Path
    worth: dict[str, Tensor]


@pytest.fixture(autouse=True)
def one_canvas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps a random model, which hardly ever says an end, from going on."""
    monkeypatch.setattr("dgedit_engine.decode.phases.CANVASES", 1)


@pytest.fixture(scope="module", params=FORMATS)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    folder = tmp_path_factory.mktemp("formats") / request.param
    return Stored(folder, made(request.param, folder))


def twin(stored: Stored, folder: Path) -> Path:
    """The same worth in fp32, with the same tokens that end a text."""
    folder.mkdir()
    save_config(load_config(stored.folder), Sampling(), folder)
    whole = {name: one.float().contiguous() for name, one in stored.worth.items()}
    save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer(folder)
    return folder


def fill(engine: Engine, **more: Any) -> Infill:
    passage = Passage("a.py", ("def f(x):\n    return ", Hole("the end"), "\n\nprint(f(1))\n"))
    return collect(engine.infill(InfillRequest((passage,), **({"steps": 3, "seed": 7} | more))))


@pytest.mark.parametrize("native", [True, False])
def test_model_opens_by_its_path_and_fills(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    """On CPUs with and without bfloat16 instructions."""
    monkeypatch.setattr(products, "has_bfloat16", lambda: native)
    engine = open_engine(str(stored.folder), "cpu", context=2048)
    assert engine.name == stored.folder.name and engine.model.config.context == 2048
    found = fill(engine, strength=0.5)
    assert found.steps == 2 and len(found.texts) == 1 and found.texts[0]
    assert fill(engine, strength=0.5).texts == found.texts


def test_fills_are_those_of_the_same_worth(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In fp32 codes are worth exactly their numbers, so that the same draws give the same texts, in
    any format: not a token may differ.
    """
    monkeypatch.setattr(products, "has_bfloat16", lambda: False)
    ours = open_engine(str(stored.folder), "cpu")
    theirs = open_engine(str(twin(stored, tmp_path / "twin")), "cpu")
    for strength in (0.5, 1.0):
        assert fill(ours, strength=strength).texts == fill(theirs, strength=strength).texts


@pytest.mark.oracle
def test_canvases_are_the_references_of_the_same_worth(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits within 1e-3, where two ways of summing fp32 are 1e-5 apart: a code read wrongly, or a
    scale of bfloat16 that is rounded once more, is off by 4e-3 of a weight. Then every step's
    canvas, token for token.
    """
    from transformers import DiffusionGemmaForBlockDiffusion

    monkeypatch.setattr(products, "has_bfloat16", lambda: False)
    ours = open_engine(str(stored.folder), "cpu").model
    folder = twin(stored, tmp_path / "twin")
    theirs = DiffusionGemmaForBlockDiffusion.from_pretrained(folder, dtype=torch.float32).eval()
    cache, canvas = KVCache(SHAPE, dtype=torch.float32), torch.arange(40, 40 + SHAPE.canvas)[None]
    encode(ours, cache, PROMPT)
    with torch.inference_mode():
        expected = theirs(input_ids=torch.tensor([PROMPT]), decoder_input_ids=canvas).logits
        torch.testing.assert_close(
            ours.logits(ours.denoise(canvas, cache)), expected, rtol=0, atol=1e-3
        )
    sampling = Sampling(steps=6, entropy_bound=6.0)
    generator = torch.Generator().manual_seed(5)
    refiner = EagerRefiner(ours, cache)
    steps = refine(refiner, [start(generator, 6)], sampling, generator, shrinking=False)
    assert [one.best for (one,) in steps] == drafts(theirs, sampling, seed=5)


@pytest.mark.parametrize("name", ["ours", "q8_0"])
def test_a_step_on_codes_through_every_kernel(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step that a GPU replays, in Triton's interpreter, against PyTorch's, in fp32."""
    monkeypatch.setattr(products, "has_bfloat16", lambda: False)
    made(name, tmp_path / "model")
    model = open_engine(str(tmp_path / "model"), "cpu").model
    assert isinstance(next(model.stack()).experts_down, Quantised)
    cache = DeviceCache(SHAPE, device="cpu", dtype=torch.float32)
    encode(model, cache, PROMPT)
    begun = start(torch.Generator().manual_seed(5), 1).seed.canvas
    found = []
    for kernels in (False, True):
        if kernels:
            through_kernels(monkeypatch)
        step = GraphRefiner(model, cache).step(1, SHAPE.canvas)
        step.ids.copy_(begun.ids)
        step.heat.fill_(0.8)
        step.settings.copy_(torch.tensor([0.5, 0.3, 1.0]))
        found.append((step.run()[0].clone(), step.soft.clone()))
    (expected, right), (report, soft) = found
    slots = SHAPE.canvas
    assert report[-1] == 1 and torch.equal(report[:slots], expected[:slots])
    sure = slice(slots, 2 * slots)
    torch.testing.assert_close(
        report[sure].view(torch.float32), expected[sure].view(torch.float32), rtol=1e-3, atol=1e-4
    )
    torch.testing.assert_close(soft, right, rtol=1e-3, atol=1e-3)


def start(generator: torch.Generator, steps: int) -> Start:
    slots, vocab = [SHAPE.canvas], SHAPE.vocab
    seed = seed_canvas([[]], [[]], slots, end=1, vocab=vocab, strength=1.0, generator=generator)
    return Start(seed, steps)


def drafts(theirs: Any, sampling: Sampling, *, seed: int) -> list[list[int]]:
    """The reference's drafts of a run on the global generator."""
    from transformers import DiffusionGemmaGenerationConfig
    from transformers.models.diffusion_gemma.generation_diffusion_gemma import (
        EntropyBoundSamplerConfig,
    )

    seen: list[list[int]] = []

    class Streamer:
        def put(self, value: Tensor) -> None: ...

        def put_draft(self, value: Tensor) -> None:
            seen.append(value[0].tolist())

        def end(self) -> None: ...

    config = DiffusionGemmaGenerationConfig(
        max_new_tokens=SHAPE.canvas,
        max_denoising_steps=sampling.steps,
        sampler_config=EntropyBoundSamplerConfig(entropy_bound=sampling.entropy_bound),
        t_min=sampling.t_min,
        t_max=sampling.t_max,
        stability_threshold=sampling.stability,
        confidence_threshold=sampling.confidence,
        cache_implementation="dynamic",
        disable_compile=True,
        pad_token_id=0,
    )
    torch.manual_seed(seed)
    theirs.generate(torch.tensor([PROMPT]), generation_config=config, streamer=Streamer())
    return seen
