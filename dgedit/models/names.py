"""The reserved names of dgedit's own models."""

from __future__ import annotations

NANO = "nano"
"""The default model; its base is installed or fetched separately."""

TINY = "tiny"
"""The model that is part of the package."""

OURS = (NANO, TINY)
"""All reserved names."""
