"""Measure what makes the training of a small model quick: `python docs/training_speed.py`.

One thread, processor time, three steps of 64 Sudokus each way; tokens are the slots of canvases
and the tokens of prompts.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

import dgedit_kernels.norm as norms
from dgedit_engine.domains import sudoku
from dgedit_engine.model.model import Model, init_weights
from dgedit_engine.train.examples import Batch
from dgedit_engine.train.objective import losses
from dgedit_engine.train.recipe import Recipe, StepPlan

BOARDS, STEPS = 64, 3
CELLS = 81


@contextmanager
def norms_op_by_op() -> Iterator[None]:
    """Let PyTorch differentiate the norms, as it was before they had a written backward."""
    before, norms._trained = norms._trained, lambda x: False
    try:
        yield
    finally:
        norms._trained = before


def batch(*, prompt: bool) -> Batch:
    """A batch of 9x9 puzzles; with a prompt, they stand there too, as others lay them out."""
    domain, rng = sudoku.domain(), random.Random(0)
    boards = [sudoku.drawn(rng, CELLS, 36, sudoku.minimal(CELLS, 3, 9)) for _ in range(BOARDS)]
    made = domain.batch(boards)
    if not prompt:
        return made
    blank = domain.ids(".")[0]
    puzzles = np.where(made.pinned, made.canvas, blank)
    return replace(made, prompt=np.concatenate((made.prompt, puzzles), 1))


def speed(made: Batch, recipe: Recipe, plan: StepPlan) -> tuple[float, float]:
    """Return boards and tokens a second of processor time."""
    model = Model(sudoku.domain().config, activations=torch.bfloat16)
    init_weights(model, seed=0)
    spent = 0.0
    for step in range(STEPS + 1):
        started = time.process_time()
        generator = torch.Generator().manual_seed(step)
        losses(model, made, recipe, plan, generator, "cpu")[1].backward()
        model.zero_grad(set_to_none=True)
        spent += time.process_time() - started if step else 0.0  # the first one warms up
    passes = made.canvas.size * recipe.copies + made.prompt.size
    passes += made.canvas.size if recipe.causal else 0
    return BOARDS * STEPS / spent, passes * STEPS / spent


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    whole, alone = batch(prompt=True), batch(prompt=False)
    usual, ours = Recipe(), Recipe(copies=1, causal=0.0)
    twice, once = StepPlan(), StepPlan(conditioned=False)
    print("| way | boards a second | tokens a second |\n| --- | --- | --- |")
    with norms_op_by_op():
        row("puzzle in a prompt, causal loss, two canvases, norms op by op", whole, usual, twice)
    row("the same, norms with a written backward", whole, usual, twice)
    with norms_op_by_op():
        row("canvas alone, one of it, norms op by op", alone, ours, twice)
    row("the same, norms with a written backward", alone, ours, twice)
    row("the same, steps without self-conditioning", alone, ours, once)


def row(name: str, made: Batch, recipe: Recipe, plan: StepPlan) -> None:
    """Print a line of the table."""
    boards, tokens = speed(made, recipe, plan)
    print(f"| {name} | {boards:.0f} | {tokens:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
