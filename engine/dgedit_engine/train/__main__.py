"""`python -m dgedit_engine.train`: train nano, from scratch, from weights, or on from a checkpoint.

Build a corpus first (`python -m dgedit_engine.train.corpus --help`) and a vocabulary
(`python -m dgedit_engine.train.vocabulary --help`).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from tokenizers import Tokenizer

from dgedit_engine import checkpoint
from dgedit_engine.config import Config, LayerConfig, Sampling, load_config
from dgedit_engine.model import Model, init_weights
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.examples import Batch, batches
from dgedit_engine.train.loop import Recipe, Run
from dgedit_engine.types import ModelError

SAMPLING = Sampling(steps=16, entropy_bound=1.0, confidence=0.05)
"""For small canvases: fewer steps than released, each of which may accept more."""


def size(name: str, vocab: int) -> Config:
    """The shapes that we train: `cpu` (3.3M parameters with 4,096 tokens) and `gpu` (42M with
    8,192).
    """
    heads, dim, mlp, experts, depth, window = {
        "tiny": (2, 32, 48, 32, 3, 64),
        "cpu": (3, 192, 384, 192, 6, 256),
        "gpu": (8, 512, 1408, 704, 12, 512),
    }[name]
    width = dim // heads
    sliding = LayerConfig(True, max(1, heads // 2), width, 10_000.0, width // 2)
    full = LayerConfig(False, max(1, heads // 2), width, 100_000.0, width // 4)
    layers = tuple(full if index % 3 == 2 else sliding for index in range(depth))
    return Config(
        vocab=vocab,
        dim=dim,
        heads=heads,
        layers=layers,
        window=window,
        mlp=mlp,
        experts=1,
        active=1,
        expert_width=experts,
        canvas=64,
        context=4096,
    )


def main(arguments: list[str] | None = None) -> int:
    """Parse, train, save. Returns the exit code: 0, or 2 for unusable arguments."""
    options = _parser().parse_args(arguments)
    try:
        return _train(options)
    except (ModelError, FileNotFoundError, ValueError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2


def _train(options: argparse.Namespace) -> int:
    if options.threads:
        torch.set_num_threads(options.threads)
    if not options.tokenizer.is_file():
        raise FileNotFoundError(f"no tokenizer: {options.tokenizer} does not exist")
    tokenizer = Tokenizer.from_file(str(options.tokenizer))
    tokenizer.encode_special_tokens = True
    recipe = Recipe(
        minutes=options.minutes,
        steps=options.steps,
        seed=options.seed,
        lr=options.lr,
        copies=options.copies,
        causal=options.causal,
    )
    run = Run(_model(options, tokenizer.get_vocab_size()), recipe, device=options.device)
    if options.resume:
        run.resume(options.out)
    options.out.mkdir(parents=True, exist_ok=True)
    with suppress(shutil.SameFileError):  # a run goes on with its own
        shutil.copy(options.tokenizer, options.out / "tokenizer.json")
    parameters = sum(p.numel() for p in run.model.parameters())
    print(f"{parameters:,} parameters on {options.device}, {options.minutes:g} minutes", flush=True)
    saved = time.monotonic()
    for entry in run.train(_mixed(options, tokenizer, run.step), log=options.out / "log.jsonl"):
        print("  ".join(f"{key} {value:.4g}" for key, value in entry.items()), flush=True)
        if time.monotonic() - saved > 60 * options.save_every:
            run.save(options.out, sampling=SAMPLING)
            saved = time.monotonic()
    run.save(options.out, sampling=SAMPLING)
    return 0


def _model(options: argparse.Namespace, vocab: int) -> Model:
    """A new model, or the weights of `--from`; computing in bfloat16 unless told otherwise."""
    dtype = None if options.fp32 else torch.bfloat16
    config = load_config(options.start) if options.start else size(options.size, vocab)
    model = Model(config, activations=dtype)
    init_weights(model, seed=options.seed)
    if options.start:
        trained = checkpoint.load(config, options.start, dtype=torch.float32)
        model.load_state_dict(trained.state_dict())
    return model


def _mixed(options: argparse.Namespace, tokenizer: Tokenizer, done: int) -> Iterator[Batch]:
    """Batches whose shape changes from one to the next; batch k is a function of the seed and k
    alone.
    """
    corpus = Corpus(options.corpus, "train")
    shapes = options.shape
    streams = [
        batches(
            corpus,
            tokenizer,
            seed=options.seed + index,
            prompt_tokens=prompt,
            canvas=canvas,
            batch=max(1, options.tokens // prompt),
            start=-(-(done - index) // len(shapes)),
        )
        for index, (prompt, canvas) in enumerate(shapes)
    ]
    while True:
        yield next(streams[done % len(shapes)])
        done += 1


def _shape(text: str) -> tuple[int, int]:
    prompt, canvas = text.split("x")
    return int(prompt), int(canvas)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dgedit_engine.train", description=__doc__)
    add = parser.add_argument
    add("--corpus", type=Path, required=True, help="folder made by dgedit_engine.train.corpus")
    add("--tokenizer", type=Path, required=True, help="tokenizer.json")
    add("--out", type=Path, required=True, help="checkpoint folder, which dgedit can open")
    add("--minutes", type=float, default=24, help="wall-clock of the schedule (24)")
    add(
        "--steps",
        type=int,
        help="a schedule of so many steps instead, repeatable bit for bit on a CPU",
    )
    add("--size", choices=("tiny", "cpu", "gpu"), default="cpu", help="shape of a new model (cpu)")
    add("--from", dest="start", type=Path, help="start from the weights in this folder")
    add("--resume", action="store_true", help="continue the run in --out")
    add("--device", default="cpu", help="cpu or cuda")
    add("--threads", type=int, help="threads for the CPU")
    add("--fp32", action="store_true", help="compute in float32, not bfloat16")
    add("--seed", type=int, default=0)
    add("--lr", type=float, default=0.02, help="Muon's peak learning rate (0.02)")
    add("--copies", type=int, default=2, help="canvases noised for each prompt (2)")
    add(
        "--causal",
        type=float,
        default=1.0,
        help="weight of the causal loss beside the canvas's (1)",
    )
    add("--tokens", type=int, default=4096, help="prompt tokens in a step (4096)")
    add(
        "--shape",
        type=_shape,
        nargs="+",
        default=[(256, 32), (256, 64), (256, 16), (256, 128), (1024, 32)],
        help="prompt tokens x canvas slots, taken in turn (256x32 256x64 256x16 256x128 1024x32)",
    )
    add("--save-every", type=float, default=3, help="minutes between checkpoints (3)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
