"""Inputs of any shape for a check, one after another, none of which may take long or much.

    make test                     some of each kind, always the same
    FUZZ_SECONDS=600 make fuzz    new ones of each kind, for so many seconds

What fails is made as short as it can be, and printed: it becomes a case of its own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
"""For how long each check gets new inputs; 0 for some that are always the same."""

_SECOND, _BYTES = 1.0, 300_000_000
"""Of work, and of memory, that an input may take."""


def inputs(*kinds: Any, amount: int = 200) -> Callable[[Callable[..., None]], None]:
    """Call a check with so many inputs, one after another, each within the bounds."""

    def fed(check: Callable[..., None]) -> None:
        count, until = 0, time.monotonic() + SECONDS

        def bounded(values: tuple[Any, ...]) -> None:
            nonlocal count
            count += 1
            work, memory = _cost(check, values)
            if work >= _SECOND:  # a first use of a library, or other tests' garbage, is paid once
                work, _ = _cost(check, values)
            assert work < _SECOND
            assert memory < _BYTES

        while not count or time.monotonic() < until:
            settings(
                max_examples=amount,
                deadline=None,
                derandomize=not SECONDS,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            )(given(st.tuples(*kinds))(bounded))()
        print(f"{check.__qualname__.partition('.')[0]}: {count:,} inputs")

    return fed


def _cost(check: Callable[..., None], values: tuple[Any, ...]) -> tuple[float, int]:
    """Seconds of work and bytes of memory that a check of the values takes."""
    before, began = _memory("VmRSS", anew=True), time.process_time()
    with ended_after(20):
        check(*values)
    return time.process_time() - began, _memory("VmHWM") - before


def _memory(what: str, *, anew: bool = False) -> int:
    """Bytes of memory that this process has, or has had at most since that began anew; 0 where the
    system does not say.
    """
    try:
        if anew:
            Path("/proc/self/clear_refs").write_text("5")
        said = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return 0
    return 1024 * int(said[1]) if said else 0


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """An end to what would take for ever."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


ANY_TEXT = st.text(st.characters(codec=None), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)


def mended(value: Any, draw: st.DrawFn) -> Any:
    """A JSON value with something else in one place or more."""
    choice = draw(st.integers(0, 9))
    if choice == 0:
        return draw(JSON)
    if isinstance(value, dict) and value:
        key = draw(st.sampled_from(sorted(value)))
        if choice == 1:
            return {name: one for name, one in value.items() if name != key}
        if choice == 2:
            return value | {draw(ANY_TEXT): draw(JSON)}
        return value | {key: mended(value[key], draw)}
    if isinstance(value, list) and value:
        at = draw(st.integers(0, len(value) - 1))
        if choice == 1:
            return value[:at] + value[at + 1 :]
        return [*value[:at], mended(value[at], draw), *value[at + 1 :]]
    return draw(JSON)


def changed(value: Any) -> st.SearchStrategy[Any]:
    whole = json.loads(json.dumps(value))
    return st.composite(lambda draw: mended(whole, draw))()


def edited(data: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with some others in some places, mostly near the beginning."""
    some = st.binary(max_size=9) | st.sampled_from([b"\0" * 8, b"\xff" * 8, b"[" * 9, b'"', b"9"])
    near = st.integers(0, min(3000, len(data))) | st.integers(0, len(data))
    cuts = st.lists(st.tuples(near, st.integers(0, 12), some), min_size=1, max_size=4)

    def cut(places: list[tuple[int, int, bytes]]) -> bytes:
        result = data
        for at, length, new in places:
            result = result[:at] + new + result[at + length :]
        return result

    return cuts.map(cut) | near.map(lambda at: data[:at])
