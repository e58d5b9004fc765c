"""Compile launches in parallel processes; the results stay in Triton's cache, where launches look.

Each process loads torch and Triton anew, since neither survives a fork, and takes launches from the
end of one list. Knows no model.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from dgedit_kernels.compiled import compile_launch
from dgedit_kernels.dispatch import Launch


@dataclass(frozen=True, slots=True)
class Compiled:
    """How far compiling is."""

    done: int
    """Kernels that are compiled."""
    total: int
    """All of them."""


def folder() -> Path:
    """Return the folder of Triton's cache. Raises ImportError without Triton."""
    from triton import knobs  # type: ignore[import-untyped]

    return Path(knobs.cache.dir)


def compile_all(
    launches: Sequence[Launch],
    target: int,
    *,
    failed: list[str],
    workers: int | None = None,
) -> Generator[Compiled, None, None]:
    """Compile launches for a card of that capability, and yield the progress; the names of those
    that do not compile are added to `failed`. Closing the iterator stops it; what is compiled
    stays.
    """
    count = 0
    yield Compiled(0, len(launches))
    if not launches:
        return
    workers = min(workers or os.cpu_count() or 1, len(launches))
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
    try:
        # products take longest, and begin first
        order = sorted(launches, key=lambda one: -len(one.constants))
        left = {pool.submit(_one, one, target): one for one in order}
        while left:
            ready, _ = wait(left, return_when=FIRST_COMPLETED)
            for future in ready:
                one = left.pop(future)
                count += 1
                if not _ended(future):
                    failed.append(one.kernel)
            yield Compiled(count, len(launches))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ended(future: Future[None]) -> bool:
    """Say whether a kernel was compiled. An error of the pool itself is raised."""
    error = future.exception()
    if isinstance(error, (OSError, MemoryError)):
        raise error
    return error is None


def _one(launch: Launch, target: int) -> None:
    compile_launch(launch, target)
