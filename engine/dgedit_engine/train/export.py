"""`python -m dgedit_engine.train.export`: copy a run's weights to a folder that dgedit can open.

    python -m dgedit_engine.train.export --run FOLDER --out FOLDER [--int8] [--shards]

This is how tiny's weights come into the package. Takes and writes bfloat16 or int8, in one file or
shards.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from dgedit_engine.decode.decoding import load_decoding, save_decoding
from dgedit_engine.model.config import load_config, load_sampling, save_config
from dgedit_engine.types import ModelError
from dgedit_engine.weights import checkpoint


def main(arguments: Sequence[str] | None = None) -> int:
    """Copy and say how large it became. Returns the exit code: 0, 2 for a folder that is no run."""
    parser = argparse.ArgumentParser(
        prog="python -m dgedit_engine.train.export", description=__doc__
    )
    parser.add_argument("--run", type=Path, required=True, help="folder that the trainer wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--int8", action="store_true", help="store matrices as int8")
    parser.add_argument("--shards", action="store_true", help="in files under 16 MiB")
    options = parser.parse_args(arguments)
    try:
        export(options.run, options.out, int8=options.int8, shards=options.shards)
    except (ModelError, OSError, ValueError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 2
    nbytes = sum(file.stat().st_size for file in options.out.glob("model*.safetensors"))
    print(f"{options.out}: {nbytes / 1e6:.1f} MB of weights")
    return 0


def export(run: Path, out: Path, *, int8: bool = False, shards: bool = False) -> None:
    """Write to `out` what the engine needs of `run`: weights, config, tokenizer. The
    `decoding.json` in `out` stays. Raises ValueError where both are one folder, ModelError for an
    unusable run.
    """
    if run.resolve() == out.resolve():
        raise ValueError(f"{out} is the run itself")
    tokenizer = run / "tokenizer.json"
    if not tokenizer.is_file():
        raise ModelError(f"no tokenizer: {tokenizer} does not exist")
    config, sampling = load_config(run), load_sampling(run)
    model = checkpoint.load(config, run, dtype=torch.float32)
    out.mkdir(parents=True, exist_ok=True)
    decoding = load_decoding(out)
    checkpoint.save(model, out if shards else out / checkpoint.SINGLE, int8=int8)
    save_config(config, sampling, out)
    save_decoding(decoding, out)
    shutil.copyfile(tokenizer, out / "tokenizer.json")


if __name__ == "__main__":
    sys.exit(main())
