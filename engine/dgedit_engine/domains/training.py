"""Train a domain's model from nothing, into a folder that the engine opens.

Batches are drawn from their number, so a run that was stopped goes on with what would have come.
The loop, the noise and the optimiser are those of `train`.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE

from dgedit_engine.decode.decoding import Decoding, save_decoding
from dgedit_engine.domains.domain import Domain
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.prompt.layout import SPECIALS
from dgedit_engine.train.examples import Batch
from dgedit_engine.train.loop import TrainingRun, compile_layers
from dgedit_engine.train.schedule import STATE
from dgedit_engine.train.vocabulary import save as save_vocabulary


def character_tokenizer(characters: str) -> Tokenizer:
    """Make a vocabulary of single characters behind the special tokens."""
    words = {name: token for token, name in enumerate((*SPECIALS, *characters))}
    tokenizer = Tokenizer(BPE(vocab=words, merges=[]))
    tokenizer.add_special_tokens(list(SPECIALS))
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def train(
    domain: Domain,
    folder: Path,
    *,
    resume: bool = False,
    compiled: bool = False,
    save_every: float = 3.0,
    stop: int | None = None,
    told: Callable[[str], None] = print,
) -> Model:
    """Train a domain's model, and write it to `folder` every few minutes. Returns it with its
    averaged weights. It may `stop` after so many steps, and `resume` later.
    """
    model = Model(domain.config, activations=torch.bfloat16)
    init_weights(model, seed=domain.recipe.seed)
    run = TrainingRun(model, domain.recipe)
    if resume and (folder / STATE).exists():
        run.resume(folder)
    if compiled:
        compile_layers(model)
    folder.mkdir(parents=True, exist_ok=True)
    save_vocabulary(character_tokenizer(domain.characters), folder / "tokenizer.json")
    count = sum(one.numel() for one in model.parameters())
    told(f"{domain.name}: {count:,} parameters, {domain.recipe.minutes:g} minutes")
    next(_batches(domain, run))  # what is made once is made before the clock starts
    saved = time.monotonic()
    batches = islice(_batches(domain, run), None if stop is None else stop - run.step)
    for entry in run.train(batches, log=folder / "log.jsonl"):
        told("  ".join(f"{key} {value:.4g}" for key, value in entry.items()))
        if time.monotonic() - saved > 60 * save_every:
            _write(run, domain, folder)
            saved = time.monotonic()
    _write(run, domain, folder)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(run.average[name])
    return model.eval()


def _write(run: TrainingRun, domain: Domain, folder: Path) -> None:
    """Write the model, and what the engine needs to know of it."""
    run.save(folder, sampling=domain.sampling)
    save_decoding(Decoding(form=domain.name, ranked=False), folder)
    ability = {"languages": domain.suffixes, "instructions": False}
    (folder / "ability.json").write_text(json.dumps(ability, indent=2) + "\n", encoding="utf-8")


def _batches(domain: Domain, run: TrainingRun) -> Iterator[Batch]:
    """Yield the batch of each step."""
    while True:
        rng = random.Random(domain.recipe.seed * 1_000_003 + run.step)
        yield domain.batch(domain.draw(rng, run.progress))
