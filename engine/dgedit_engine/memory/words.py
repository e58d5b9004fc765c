"""Sizes of memory in words, as errors and notes say them. Knows numbers."""

from __future__ import annotations


def rounded_up(size: int) -> str:
    """Gigabytes, rounded up."""
    return f"{-(-size // 10**8) / 10:.1f}"


def rounded_down(size: int) -> str:
    """Gigabytes, rounded down."""
    return f"{size // 10**8 / 10:.1f}"


def described(weights: int, cache: int, work: int, context: int) -> str:
    """What a model takes, and of what that consists."""
    parts = f"weights {rounded_up(weights)}, {context:,} tokens {rounded_up(cache)}"
    return f"{rounded_up(weights + cache + work)} GB ({parts}, work {rounded_up(work)})"


def narrowed(what: str, whole: int, device: str, free: int) -> str:
    """What takes 4 bits of a file that has more, and why."""
    which = "its experts take" if what == "experts" else "its matrices take"
    return (
        f"{which} 4 bits, fewer than the file has: whole it needs {rounded_up(whole)} GB,"
        f" {device} has {rounded_down(free)} GB free"
    )
