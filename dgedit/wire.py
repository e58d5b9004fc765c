"""Steps and infills as JSON-able dicts: one JSON line per step, read back as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dgedit_engine.types import Draft, Infill, Step


def step_to_json(step: Step) -> dict[str, Any]:
    """The step's fields, under their own names."""
    return asdict(step)


def step_from_json(data: Mapping[str, Any]) -> Step:
    """The step that `step_to_json` was given."""
    drafts = tuple(
        Draft(tuple(d["pieces"]), tuple(d["confidence"]), tuple(d["settled"]))
        for d in data["drafts"]
    )
    return Step(**{**data, "drafts": drafts})


def infill_to_json(infill: Infill) -> dict[str, Any]:
    """The infill's fields, under their own names."""
    return asdict(infill)


def infill_from_json(data: Mapping[str, Any]) -> Infill:
    """The infill that `infill_to_json` was given."""
    return Infill(**{**data, "texts": tuple(data["texts"])})
