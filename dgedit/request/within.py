"""Take the steps of an infill that come within a time, and the best of them as its end.

The backend is asked in a thread of its own, since a step may take longer than there is time: a
large model on a CPU, a file of megabytes that is judged. Knows no files.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from queue import Empty, SimpleQueue

from dgedit_engine.types import Step, Stopped


def within(steps: Iterator[Step], seconds: float) -> Generator[Step]:
    """Yield the steps until the time is over, then the best one so far as the last; the first is
    waited for at any rate. The iterator is closed at once between two steps, else when the one that
    it is at is done: none is asked for before it is wanted.

    It counts as settled only if every hole has candidates: otherwise nothing was ranked or checked
    for syntax errors. Raises what the iterator raises.
    """
    until = time.monotonic() + seconds
    came: SimpleQueue[Step | BaseException] = SimpleQueue()
    wanted, over = threading.Semaphore(0), threading.Event()
    # a process must not end while a thread of its own computes; one that waits for another may
    torch = "torch" in sys.modules
    threading.Thread(target=_read, args=(steps, came, wanted, over), daemon=not torch).start()
    best: Step | None = None
    index = 0
    try:
        while True:
            wanted.release()
            step = _next(came, None if best is None else until - time.monotonic())
            if step is None:
                break
            best, index = better(best, step), step.index
            if not step.last and time.monotonic() >= until:
                break
            yield step
            if step.last:
                return
        if best is not None:
            stopped: Stopped = "settled" if best.candidates and all(best.candidates) else "cap"
            yield replace(best, index=index, last=True, stopped=stopped)
    finally:
        over.set()
        wanted.release()


def _next(came: SimpleQueue[Step | BaseException], seconds: float | None) -> Step | None:
    """Return the next step; None where none comes within the time. Raises the error that came."""
    try:
        step = came.get(timeout=None if seconds is None else max(0.0, seconds))
    except Empty:
        return None
    if isinstance(step, BaseException):
        raise step
    return step


def better(best: Step | None, step: Step) -> Step:
    """Return the better of the best step so far and the next one: the latest with candidates, else
    the one with the better score or, while a draft grows, the longer.
    """
    keeps = best is not None and step.score < best.score and not _goes_on(best, step)
    return best if best is not None and keeps and not any(step.candidates) else step


def _read(
    steps: Iterator[Step],
    came: SimpleQueue[Step | BaseException],
    wanted: threading.Semaphore,
    over: threading.Event,
) -> None:
    """Put each step that is wanted in the queue, and an error behind them, until it is over."""
    try:
        while _granted(wanted) and not over.is_set():
            came.put(next(steps))
    except StopIteration:
        came.put(RuntimeError("the stream of steps ended without a last step"))
    except BaseException as error:
        came.put(error)
    finally:
        getattr(steps, "close", lambda: None)()


def _granted(wanted: threading.Semaphore) -> bool:
    """Wait until a step is wanted; return False if the process ends before."""
    while not wanted.acquire(timeout=1.0):
        if not threading.main_thread().is_alive():
            return False
    return True


def _goes_on(before: Step, step: Step) -> bool:
    pairs = zip(before.drafts, step.drafts, strict=True)
    return all(new.text.startswith(old.text) for old, new in pairs)
