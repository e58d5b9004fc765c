"""`python -m dgedit_engine.train`: train tiny, from scratch, from weights, or on from a checkpoint.

Build a corpus first (`python -m dgedit_engine.train.corpus --help`) and a vocabulary
(`python -m dgedit_engine.train.vocabulary --help`).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from contextlib import closing, suppress
from itertools import chain, islice
from pathlib import Path

import torch

from dgedit_engine.model.config import Config, LayerConfig, Sampling, load_config
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.train import feed, vocabulary
from dgedit_engine.train.feed import Feed
from dgedit_engine.train.loop import TrainingRun, compile_parts
from dgedit_engine.train.recipe import Recipe, add_options, from_options
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint

SAMPLING = Sampling(steps=16, entropy_bound=1.0, t_min=0.2, t_max=0.6, confidence=0.05)
"""The sampler's settings for small canvases: fewer and colder steps than released, each of which
may accept more.
"""

NO_ROOM = 4
"""The exit code where a batch does not fit the device's memory: fewer --tokens may."""


def size(name: str, vocab: int, *, experts: int = 1, active: int = 1) -> Config:
    """Return a shape that we train: `cpu` (6.1M parameters with 4,096 tokens) or `gpu` (43.0M with
    8,192); `tiny` is for tests. Several experts are that much narrower that the active ones cost
    what one does.

    The windows of `gpu` hold its longest prompt with a canvas, so that no pass over both needs a
    mask: masked attention has no fast kernel.
    """
    heads, dim, mlp, width, depth, window, canvas = {
        "tiny": (2, 32, 48, 32, 3, 64, 64),
        "cpu": (4, 256, 512, 256, 6, 256, 64),
        "gpu": (8, 512, 1024, 512, 12, 1152, 128),
    }[name]
    head = dim // heads
    sliding = LayerConfig(True, max(1, heads // 2), head, 10_000.0, head // 2)
    full = LayerConfig(False, max(1, heads // 2), head, 100_000.0, head // 4)
    layers = tuple(full if index % 3 == 2 else sliding for index in range(depth))
    return Config(
        vocab=vocab,
        dim=dim,
        heads=heads,
        layers=layers,
        window=window,
        mlp=mlp,
        experts=experts,
        active=active,
        expert_width=max(1, width // max(1, active)),
        canvas=canvas,
        context=4096,
    )


def main(arguments: list[str] | None = None) -> int:
    """Parse, train, save. Returns the exit code: 0, 2 for unusable arguments, or NO_ROOM."""
    options = _parser().parse_args(arguments)
    try:
        return _train(options)
    except (ModelError, FileNotFoundError, ValueError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    except torch.OutOfMemoryError as error:
        reason = str(error).split(". ", 1)[0]
        print(f"train: a batch of {options.tokens} tokens does not fit: {reason}", file=sys.stderr)
        return NO_ROOM


def _train(options: argparse.Namespace) -> int:
    if options.threads:
        torch.set_num_threads(options.threads)
    if torch.device(options.device).type == "cuda":
        torch.set_float32_matmul_precision("high")
    if not options.tokenizer.is_file():
        raise FileNotFoundError(f"no tokenizer: {options.tokenizer} does not exist")
    recipe = from_options(options)
    run = TrainingRun(_model(options, recipe), recipe, device=options.device)
    if options.resume:
        run.resume(options.out)
    if options.compile:
        compile_parts(run.model)
    source = _feed(options, recipe)
    with closing(feed.batches(source, start=run.step, workers=options.workers)) as batches:
        first = next(batches)  # starts the workers: they are ready when the clock starts
        if options.compile or options.device != "cpu":
            started = time.monotonic()
            run.warm_up(islice(feed.batches(source), len(source.shapes)))
            print(f"warm after {time.monotonic() - started:.0f} seconds", flush=True)
        options.out.mkdir(parents=True, exist_ok=True)
        with suppress(shutil.SameFileError):  # a run goes on with its own
            shutil.copy(options.tokenizer, options.out / "tokenizer.json")
        parameters = sum(p.numel() for p in run.model.parameters())
        print(
            f"{parameters:,} parameters on {options.device}, {recipe.minutes:g} minutes", flush=True
        )
        saved = time.monotonic()
        for entry in run.train(chain((first,), batches), log=options.out / "log.jsonl"):
            print("  ".join(f"{key} {value:.4g}" for key, value in entry.items()), flush=True)
            if time.monotonic() - saved > 60 * options.save_every:
                _save(run, options)
                saved = time.monotonic()
        _save(run, options)
    return 0


def _save(run: TrainingRun, options: argparse.Namespace) -> None:
    kinds = {"file": (False, False), "shards": (True, False), "int8": (True, True)}
    shards, int8 = kinds[options.weights]
    run.save(options.out, sampling=SAMPLING, shards=shards, int8=int8)


def _model(options: argparse.Namespace, recipe: Recipe) -> Model:
    """Make a new model, or take the weights of `--from`; it computes in bfloat16 unless told
    otherwise.
    """
    dtype = None if options.fp32 else torch.bfloat16
    if options.start:
        if (options.experts, options.active) != (1, 1):
            raise ValueError(f"{options.experts} experts are for a new model, not for --from")
        config = load_config(options.start)
    else:
        vocab = vocabulary.load(options.tokenizer).get_vocab_size()
        config = size(options.size, vocab, experts=options.experts, active=options.active)
    model = Model(config, activations=dtype)
    init_weights(model, seed=recipe.seed)
    if options.start:
        trained = checkpoint.load(config, options.start, dtype=torch.float32)
        model.load_state_dict(trained.state_dict())
    return model


def _feed(options: argparse.Namespace, recipe: Recipe) -> Feed:
    """Return the source of the batches, whose shapes change from one to the next."""
    shapes = tuple(options.shape)
    return Feed(options.corpus, options.tokenizer, shapes, options.tokens, recipe.seed)


def _shape(text: str) -> tuple[int, int]:
    prompt, canvas = text.split("x")
    return int(prompt), int(canvas)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.train", description=__doc__)
    add = parser.add_argument
    add("--corpus", type=Path, required=True, help="folder made by dgedit_engine.train.corpus")
    add("--tokenizer", type=Path, required=True, help="tokenizer.json")
    add("--out", type=Path, required=True, help="checkpoint folder, which dgedit can open")
    add_options(parser)
    add("--size", choices=("tiny", "cpu", "gpu"), default="cpu", help="shape of a new model (cpu)")
    add("--experts", type=int, default=1, help="experts in each layer of a new model (1)")
    add("--active", type=int, default=1, help="experts for each token (1)")
    add("--from", dest="start", type=Path, help="start from the weights in this folder")
    add("--resume", action="store_true", help="continue the run in --out")
    add("--device", default="cpu", help="cpu or cuda")
    add("--threads", type=int, help="threads for the CPU")
    add("--workers", type=int, default=0, help="processes that make batches; 0: this one (0)")
    add("--compile", action="store_true", help="compile the layers: a minute or two, then faster")
    add("--fp32", action="store_true", help="compute in float32, not bfloat16")
    add("--tokens", type=int, default=4096, help="prompt tokens in a step (4096)")
    add(
        "--shape",
        type=_shape,
        nargs="+",
        default=[(256, 32), (256, 64), (256, 16), (256, 128), (1024, 32)],
        help="prompt tokens x canvas slots, taken in turn (256x32 256x64 256x16 256x128 1024x32)",
    )
    add("--save-every", type=float, default=3, help="minutes between checkpoints (3)")
    add(
        "--weights",
        choices=("file", "shards", "int8"),
        default="file",
        help="a bfloat16 file, shards of it under 16 MiB, or such shards of int8 (file)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
