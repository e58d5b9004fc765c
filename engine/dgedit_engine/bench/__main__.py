"""`dgedit bench`, `python -m dgedit_engine.bench`: measure how fast a model answers here.

With --shape, measures the parts of a denoise step in some shape instead (`stages.py`); with
--end-to-end too, whole fills in it (`end_to_end.py`), with --training a training step
(`training.py`), which of the 26b is skipped without a GPU. With --growth, says how times and memory
grow with what is asked for (`curves.py`). Medians of interleaved rounds, so that a busy machine
slows both sides of a ratio alike. A short table for people, then one JSON line. Where transformers
is installed, its decoder runs the same weights in the same rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import torch

from dgedit_engine.bench import curves, end_to_end, picture
from dgedit_engine.bench.reference import reference_times
from dgedit_engine.bench.shapes import SHAPES, Quant, random_model
from dgedit_engine.bench.stages import measure, table
from dgedit_engine.bench.training import measure_training
from dgedit_engine.decode.causal import encode
from dgedit_engine.engine import Engine, open_engine
from dgedit_engine.memory.devices import device_of
from dgedit_engine.nano.names import located
from dgedit_engine.types import Hole, InfillRequest, ModelError, Passage
from dgedit_engine.weights.w8a8 import round_activations

PROMPT, CANVAS = 1024, 64


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit code: 0, or 5 where the model cannot be opened."""
    options = _parser().parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        if options.growth:
            return _growth(options)
        if options.end_to_end:
            return _end_to_end(options)
        if options.training:
            return _training(options)
        return _shape(options) if options.shape else _model(options)
    except (ModelError, torch.OutOfMemoryError) as error:
        print(f"bench: {str(error).splitlines()[0]}", file=sys.stderr)
        return 5


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.bench", description=__doc__)
    add = parser.add_argument
    add("--model", help="nano (the default), tiny or a folder")
    add("--adapter", type=Path, help="folder of low-rank changes of the model")
    add("--device", help="cpu, cuda, …")
    add("--rounds", type=int, default=30, help="rounds of each stage (30)")
    add("--threads", type=int, help="threads for the CPU; the engine's choice, if not given")
    add("--shape", choices=SHAPES, help="a step taken apart, on random weights in this shape")
    add("--weights", choices=("random",), default="random", help="what the shape is filled with")
    add("--quant", choices=get_args(Quant), default="bf16", help="the experts' weights (bf16)")
    add("--w8a8", action="store_true", help="round the shape's activations to e4m3 beside e4m3")
    add("--kv", choices=("bf16", "fp8"), default="bf16", help="the prompt's keys (bf16)")
    add("--no-reference", action="store_true", help="do not time transformers beside the shape")
    add("--end-to-end", action="store_true", help="whole fills in the shape, not a step's parts")
    add("--training", action="store_true", help="a training step in the shape")
    add("--growth", action="store_true", help="how times and memory grow: nano, tiny, 26b by plan")
    add("--out", type=Path, help="a picture of the growth, an .svg or another kind")
    add("--prompt", type=int, default=2048, help="tokens of the shape's prompt (2048)")
    add("--minutes", type=float, default=2.0, help="budget of the shape's stages (2)")
    return parser


def _shape(options: argparse.Namespace) -> int:
    device = device_of(options.device)
    if device.type == "cpu" and not options.threads:
        torch.set_num_threads(1)  # what is small enough for a CPU waits longer for a second one
    found = {"shape": options.shape, "quant": options.quant, "kv": options.kv}
    found |= {"device": _named(device)}
    if device.type == "cuda" and not options.no_reference:
        # First, and alone: two models of 50 GB are on no card.
        found |= reference_times(SHAPES[options.shape](), device, options.prompt)
    model = random_model(SHAPES[options.shape](), options.quant, device=device)
    if options.w8a8:
        found["w8a8"] = round_activations(model)
        if not found["w8a8"]:
            raise ModelError(f"--w8a8 is for matrices of e4m3, there are none in {options.quant}")
    stored = torch.float8_e4m3fn if options.kv == "fp8" else None
    found |= measure(model, prompt=options.prompt, minutes=options.minutes, stored=stored)
    for name in ("transformers_eager_ms", "transformers_compiled_ms"):
        if found.get(name):
            found[name.replace("_ms", "_speedup")] = found[name] / found["step_ms"]
    for line in table(found):
        print(line)
    print(json.dumps(found))
    return 0


def _training(options: argparse.Namespace) -> int:
    shape, device = options.shape or "26b", device_of(options.device)
    found = {"shape": shape, "quant": options.quant, "device": _named(device)}
    if shape == "26b" and device.type != "cuda":
        found["skipped"] = f"a training step of the 26b needs a GPU, not {device}"
        print(found["skipped"])
    else:
        model = random_model(SHAPES[shape](), options.quant, device=device)
        found |= measure_training(model, prompt=options.prompt, minutes=options.minutes)
        for name, value in found.items():
            print(f"{name:32} {value:,.1f}" if isinstance(value, float) else f"{name:32} {value}")
    print(json.dumps(found))
    return 0


def _growth(options: argparse.Namespace) -> int:
    points: list[curves.GrowthPoint] = []
    for name in [options.model] if options.model else ["nano", "tiny"]:
        try:
            engine = open_engine(name, options.device)
        except ModelError as error:
            print(f"bench: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        if options.threads:
            torch.set_num_threads(options.threads)
        points += _told(curves.measured(engine, rounds=min(3, options.rounds)))
    points += _told(curves.planned())
    if options.out:
        try:
            picture.draw(points, options.out)
        except ImportError as error:
            raise ModelError(f"{error}: pip install 'dgedit[train]'") from None
    print(json.dumps({"load": os.getloadavg()[0], "points": [asdict(one) for one in points]}))
    return 0


def _told(points: Iterable[curves.GrowthPoint]) -> Iterator[curves.GrowthPoint]:
    """Pass points on, and print a line for each curve as it is whole."""
    for _, row in groupby(points, key=lambda one: (one.model, one.growing)):
        whole = list(row)
        for line in curves.report(whole):
            print(line, flush=True)
        yield from whole


def _end_to_end(options: argparse.Namespace) -> int:
    shape, device = options.shape or "26b", device_of(options.device)
    found = {"shape": shape, "quant": options.quant, "device": _named(device)}
    found |= end_to_end.run(shape, options.quant, device, minutes=options.minutes)
    print(json.dumps(found))
    return 0


def _named(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _model(options: argparse.Namespace) -> int:
    engine = open_engine(options.model, options.device, adapter=options.adapter)
    if options.threads:
        torch.set_num_threads(options.threads)
    figures: dict[str, Any] = {"model": engine.name, "device": engine.device}
    figures |= {"threads": torch.get_num_threads(), "rounds": options.rounds}
    figures |= step_times(engine, located(options.model), options.rounds)
    figures |= refill_times(engine, max(5, options.rounds // 5))
    figures |= line_times(engine, max(5, options.rounds // 5))
    figures |= start_times(options.model)
    for name, value in figures.items():
        print(f"{name:32} {value:.2f}" if isinstance(value, float) else f"{name:32} {value}")
    print(json.dumps(figures))
    return 0


def step_times(engine: Engine, folder: Path, rounds: int) -> dict[str, float]:
    """Time one forward pass of a 64-slot canvas behind 1,024 prompt tokens with its logits, ours
    and transformers': medians in ms.
    """
    model = engine.model
    generator = torch.Generator().manual_seed(0)
    prompt = torch.randint(model.config.vocab, (1, PROMPT), generator=generator)
    canvas = torch.randint(model.config.vocab, (1, CANVAS), generator=generator).to(engine.device)
    last = torch.randn(1, CANVAS, model.config.vocab, generator=generator).to(engine.device)
    encode(model, engine.cache, prompt[0].tolist())

    def ours() -> None:
        soft = model.soft_embed(last.softmax(-1))
        model.logits(model.denoise(canvas, engine.cache, soft))

    sides: dict[str, Callable[[], None]] = {"denoise_ms": ours}
    for dtype in (torch.float32, torch.bfloat16):
        theirs = _transformers(folder, engine.device, dtype, prompt, canvas, last)
        if theirs is not None:
            sides[f"transformers_{str(dtype).removeprefix('torch.')}_ms"] = theirs
    medians = _medians(sides, rounds, engine.device)
    others = [value for name, value in medians.items() if name.startswith("transformers")]
    if others:
        medians["denoise_speedup"] = min(others) / medians["denoise_ms"]
    return medians


def refill_times(engine: Engine, rounds: int) -> dict[str, float]:
    """Time the first step, in ms: of a cold prompt, and again after an edit near its end."""
    line = "    total = total + price * quantity  # line {}\n"
    lines = [line.format(number) for number in range(400)]
    first: list[float] = []
    again: list[float] = []
    for turn in range(rounds):
        for edited, times in ((False, first), (True, again)):
            before = "".join(lines) + ("    edited = True\n" if edited else f"    turn = {turn}\n")
            if not edited:
                engine.cache.truncate(0)
            started = time.perf_counter()
            steps = engine.infill(_request(before, "\n    return total\n"))
            next(steps)
            times.append((time.perf_counter() - started) * 1000)
            steps.close()  # type: ignore[attr-defined]
    medians = {"first_fill_ms": statistics.median(first), "refill_ms": statistics.median(again)}
    return medians | {"refill_speedup": medians["first_fill_ms"] / medians["refill_ms"]}


def line_times(engine: Engine, rounds: int, candidates: int = 4) -> dict[str, float]:
    """Time the filling of one line of our own source with so many candidates, in ms, the prompt
    read anew.
    """
    text = Path(__file__).read_text()
    lines = [line for line in text.splitlines() if line.startswith("    ")][:rounds]
    times = []
    for turn, line in enumerate(lines):
        before, after = text.split(line, 1)
        request = replace(_request(before, after), seed=turn, candidates=candidates)
        engine.cache.truncate(0)
        started = time.perf_counter()
        for _ in engine.infill(request):
            pass
        times.append((time.perf_counter() - started) * 1000)
    return {f"line_{candidates}_candidates_ms": statistics.median(times)}


def start_times(model: str | None, rounds: int = 3) -> dict[str, float]:
    """Time cold processes, in seconds: the help, and one line filled; empty where either fails."""
    command = [sys.executable, "-m", "dgedit"]
    text = "def mean(values):\n    <FILL>\n\n\nprint(mean([1, 2, 3]))\n"
    fill = [*command, "pipe", "--stdin-filename", "mean.py", *(["--model", model] if model else [])]
    times: dict[str, list[float]] = {"help_s": [], "cold_fill_s": []}
    for _ in range(rounds):
        for name, arguments in (("help_s", [*command, "--help"]), ("cold_fill_s", fill)):
            started = time.perf_counter()
            done = subprocess.run(
                arguments, input=text, text=True, capture_output=True, check=False
            )
            if done.returncode not in (0, 6):
                return {}
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def _transformers(
    folder: Path,
    device: str,
    dtype: torch.dtype,
    prompt: torch.Tensor,
    canvas: torch.Tensor,
    last: torch.Tensor,
) -> Callable[[], None] | None:
    """Return a call of transformers' decoder and head on the same weights, or None where it is not
    installed.
    """
    try:
        from transformers import DiffusionGemmaForBlockDiffusion, logging
    except ImportError:
        return None
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model: Any = DiffusionGemmaForBlockDiffusion
    model = model.from_pretrained(folder, dtype=dtype).eval().to(device)
    with torch.inference_mode():
        past = model.model.encoder(input_ids=prompt.to(device)).past_key_values

    def forward() -> None:
        hidden = model.model.decoder(
            decoder_input_ids=canvas, past_key_values=past, self_conditioning_logits=last
        ).last_hidden_state
        cap = model.final_logit_softcapping
        torch.tanh(model.lm_head(hidden).float() / cap) * cap

    return forward


def _medians(sides: dict[str, Callable[[], None]], rounds: int, device: str) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in sides}
    with torch.inference_mode():
        for turn in range(rounds + 3):
            for name, call in sides.items():
                _wait(device)
                started = time.perf_counter()
                call()
                _wait(device)
                if turn >= 3:  # the first ones warm up
                    times[name].append((time.perf_counter() - started) * 1000)
    return {name: statistics.median(values) for name, values in times.items()}


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _request(before: str, after: str) -> InfillRequest:
    return InfillRequest((Passage("bench.py", (before, Hole(), after)),))


if __name__ == "__main__":
    sys.exit(main())
