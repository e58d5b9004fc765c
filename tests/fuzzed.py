"""Inputs of any shape for a check, one after another, none of which may take long.

By default some, always the same; the slow run takes 100,000 new ones of each kind.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

amounts = pytest.mark.parametrize(
    "amount", [400, pytest.param(100_000, marks=pytest.mark.slow)], ids=["some", "many"]
)


def inputs(amount: int, *kinds: Any) -> Callable[[Callable[..., None]], None]:
    """Call a check with so many inputs, one after another; none may take a second of work."""

    def fed(check: Callable[..., None]) -> None:
        def timed(values: tuple[Any, ...]) -> None:
            began = time.thread_time()
            with ended_after(20):
                check(*values)
            assert time.thread_time() - began < 1

        settings(
            max_examples=amount,
            deadline=None,
            derandomize=amount < 10_000,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )(given(st.tuples(*kinds))(timed))()

    return fed


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
