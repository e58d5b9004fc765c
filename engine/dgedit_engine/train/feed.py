"""The batches of a run, in order: shapes take turns, and other processes may make them.

Batch k is a function of the feed and k alone, so a run goes on where it stopped and draws the same
with any number of workers. Each of N workers makes every N-th batch and waits with it until it is
wanted, so at most one batch a worker lies ready. A worker ends when its reader closes the pipe.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Generic, Protocol, TypeVar, cast

from tokenizers import Tokenizer

from dgedit_engine.train import vocabulary
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.examples import Batch, Draw
from dgedit_engine.train.excerpts import Texts

Shape = tuple[int, int]
Made = TypeVar("Made", covariant=True)


class BatchSource(Protocol, Generic[Made]):
    """The source of a run's batches; it is sent to the processes that make them."""

    def open(self) -> Callable[[int], Made]:
        """Open the files it names; returns a function that makes a batch by its number."""


@dataclass(frozen=True, slots=True)
class Feed:
    """The source of batches from a corpus, for a model trained from scratch."""

    corpus: Path
    """Folder of a built corpus."""
    tokenizer: Path
    """The tokenizer's file."""
    shapes: tuple[Shape, ...]
    """Prompt tokens and canvas slots, taken in turn."""
    tokens: int
    """Prompt tokens of a batch."""
    seed: int
    """Seed of the draws."""

    def open(self) -> Callable[[int], Batch]:
        """Open the files; returns a function that makes a batch by its number."""
        corpus, tokenizer = Corpus(self.corpus, "train"), vocabulary.load(self.tokenizer)
        return in_turn(corpus, tokenizer, self.shapes, tokens=self.tokens, seed=self.seed)


def in_turn(
    texts: Texts, tokenizer: Tokenizer, shapes: Sequence[Shape], *, tokens: int, seed: int
) -> Callable[[int], Batch]:
    """Return a function that makes a batch of texts by its number, in shapes that take turns, with
    so many prompt tokens.
    """
    draws = [Draw(texts, tokenizer, prompt, canvas) for prompt, canvas in shapes]

    def make(number: int) -> Batch:
        turn, shape = divmod(number, len(draws))
        rows = max(1, tokens // shapes[shape][0])
        return draws[shape].batch(rows, seed=seed + shape, number=turn)

    return make


def batches(
    feed: BatchSource[Made], *, start: int = 0, workers: int = 0
) -> Generator[Made, None, None]:
    """Yield batches without end, from number `start` on, made here or by `workers` processes.

    Close it to end the processes. Raises RuntimeError where a worker ends.
    """
    if workers < 1:
        yield from _every(feed, start, 1)
        return
    # not forked: a copy of a process with threads and a device is not a working one
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe(duplex=False) for _ in range(workers)]
    processes = [
        context.Process(target=_work, args=(feed, start + index, workers, sender), daemon=True)
        for index, (_, sender) in enumerate(pipes)
    ]
    try:
        for process, (_, sender) in zip(processes, pipes, strict=True):
            process.start()
            sender.close()  # the worker's alone now, so that its end is seen here
        while True:
            for process, (receiver, _) in zip(processes, pipes, strict=True):
                yield cast(Made, _received(receiver, process))
    finally:
        for process, (receiver, _) in zip(processes, pipes, strict=True):
            receiver.close()
            if process.pid is not None:
                process.terminate()
                process.join()


def _received(receiver: Connection, process: multiprocessing.process.BaseProcess) -> object:
    """Return the worker's next batch; raises what it raised."""
    try:
        found = receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"a data worker ended with exit code {process.exitcode}") from None
    if isinstance(found, Exception):
        raise found
    return found


def _work(feed: BatchSource[object], start: int, every: int, sender: Connection) -> None:
    """Make batches for another process until it closes its end."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # each worker has one core
    try:
        for batch in _every(feed, start, every):
            sender.send(batch)
    except (BrokenPipeError, KeyboardInterrupt):
        return
    except Exception as error:
        sender.send(error)


def _every(feed: BatchSource[Made], number: int, step: int) -> Iterator[Made]:
    """Yield batches `number`, `number + step` and so on."""
    make = feed.open()
    while True:
        yield make(number)
        number += step
