"""The order of batches, and the processes that make them."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from dgedit_engine.train import feed
from dgedit_engine.train.corpus import Corpus
from dgedit_engine.train.examples import Batch, batches
from dgedit_engine.train.feed import Feed
from dgedit_engine.train.vocabulary import load

SHAPES = ((64, 16), (32, 32))


def given(data: Path, *, corpus: Path | None = None) -> Feed:
    return Feed(corpus or data, data / "tokenizer.json", SHAPES, tokens=128, seed=3)


def taken(source: Feed, count: int, *, start: int = 0, workers: int = 0) -> list[Batch]:
    with closing(feed.batches(source, start=start, workers=workers)) as made:
        return list(islice(made, count))


def assert_equal(one: list[Batch], other: list[Batch]) -> None:
    for mine, theirs in zip(one, other, strict=True):
        for name in ("prompt", "canvas", "pinned", "length", "kind"):
            assert np.array_equal(getattr(mine, name), getattr(theirs, name)), name


def test_batches_go_on_where_a_run_stopped(data: Path) -> None:
    whole = taken(given(data), 7)
    assert {batch.prompt.shape[1] for batch in whole} == {64, 32}
    for done in range(7):
        assert_equal(taken(given(data), 7 - done, start=done), whole[done:])


def test_batches_take_each_shape_in_turn(data: Path) -> None:
    tokenizer, found = load(data / "tokenizer.json"), taken(given(data), 6)
    for index, (prompt, canvas) in enumerate(SHAPES):
        made = batches(
            Corpus(data),
            tokenizer,
            seed=3 + index,
            prompt_tokens=prompt,
            canvas=canvas,
            batch=128 // prompt,
        )
        assert_equal(found[index::2], list(islice(made, 3)))


@pytest.mark.parametrize("start", [0, 3])
def test_workers_give_the_same_batches_in_order(data: Path, start: int) -> None:
    expected = taken(given(data), 7, start=start)
    assert_equal(taken(given(data), 7, start=start, workers=2), expected)
    assert not multiprocessing.active_children()


def test_workers_error_is_raised_here_and_ends_them_all(data: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train\.txt"):
        taken(given(data, corpus=tmp_path), 1, workers=2)
    assert not multiprocessing.active_children()


def test_worker_that_was_killed_is_told(data: Path) -> None:
    with closing(feed.batches(given(data), workers=1)) as made:
        next(made)
        for child in multiprocessing.active_children():
            child.kill()
        with pytest.raises(RuntimeError, match="exit code -9"):
            list(islice(made, 3))


ORPHANS = """
import multiprocessing, os, sys
from pathlib import Path
from dgedit_engine.train import feed
from dgedit_engine.train.corpus import Corpus

if __name__ == "__main__":
    data = Path(sys.argv[1])
    source = feed.Feed(data, data / "tokenizer.json", ((64, 16),), 128, 0)
    made = feed.batches(source, workers=2)
    next(made)
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    os._exit(9)  # no cleaning up
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_workers_end_with_a_parent_that_was_killed(data: Path, tmp_path: Path) -> None:
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    done = subprocess.run([sys.executable, script, data], stdout=subprocess.PIPE, check=False)
    workers = [Path("/proc", pid) for pid in done.stdout.decode().split()]
    assert done.returncode == 9 and len(workers) == 2
    for _ in range(100):
        if not any(map(_runs, workers)):
            return
        time.sleep(0.1)
    pytest.fail(f"{workers} outlive their parent by 10 seconds")


def _runs(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
