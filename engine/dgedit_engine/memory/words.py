"""Sizes of memory in words, as errors and notes say them. Knows numbers."""

from __future__ import annotations


def rounded_up(size: int) -> str:
    """Gigabytes, rounded up."""
    return f"{-(-size // 10**8) / 10:.1f}"


def rounded_down(size: int) -> str:
    """Gigabytes, rounded down."""
    return f"{size // 10**8 / 10:.1f}"
