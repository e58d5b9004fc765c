"""The reserved names of dgedit's own models."""

from __future__ import annotations

NANO = "nano"
"""The default model; its base is installed or fetched separately."""

TINY = "tiny"
"""The model for tests, a part of the package."""

DOMAINS = ("sudoku", "graph", "protein")
"""The models of one domain each, parts of the package."""

EMBEDDED = (TINY, *DOMAINS)
"""The models that are part of the package."""

OURS = (NANO, *EMBEDDED)
"""All reserved names."""
