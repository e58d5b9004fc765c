"""The names of dgedit's own models, which no folder can take."""

from __future__ import annotations

NANO = "nano"
"""The default model: its base is installed or fetched beside us."""

TINY = "tiny"
"""The embedded model."""

OURS = (NANO, TINY)
"""Both."""
