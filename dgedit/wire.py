"""Steps and infills as JSON-able dicts: one JSON line per step, read back as it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from dgedit_engine.types import Candidate, Draft, Infill, Step


def step_to_json(step: Step) -> dict[str, Any]:
    """The step's fields, under their own names."""
    return asdict(step)


def step_from_json(data: Mapping[str, Any]) -> Step:
    """The step that `step_to_json` was given."""
    candidates = _candidates(data["candidates"])
    return Step(**{**data, "drafts": _drafts(data["drafts"]), "candidates": candidates})


def infill_to_json(infill: Infill) -> dict[str, Any]:
    """The infill's fields, under their own names."""
    return asdict(infill)


def infill_from_json(data: Mapping[str, Any]) -> Infill:
    """The infill that `infill_to_json` was given."""
    texts, candidates = tuple(data["texts"]), _candidates(data["candidates"])
    return Infill(**{**data, "texts": texts, "candidates": candidates})


def _candidates(data: Iterable[Mapping[str, Any]]) -> tuple[Candidate, ...]:
    return tuple(Candidate(**{**one, "drafts": _drafts(one["drafts"])}) for one in data)


def _drafts(data: Iterable[Mapping[str, Any]]) -> tuple[Draft, ...]:
    return tuple(
        Draft(tuple(one["pieces"]), tuple(one["confidence"]), tuple(one["settled"])) for one in data
    )
