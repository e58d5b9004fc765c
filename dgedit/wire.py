"""Requests, steps and infills as JSON-able dicts: one JSON line each, read back as it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

from dgedit_engine.types import (
    Candidate,
    Draft,
    Hole,
    Infill,
    InfillRequest,
    ModelError,
    Passage,
    Step,
)

VERSION = 1
"""Of the messages between a client and an engine; another one is not spoken to."""

ERRORS: Mapping[str, type[Exception]] = {"value": ValueError, "model": ModelError}
"""What a message calls the errors that an engine raises on purpose."""

_INTEGERS = {"seed", "candidates", "steps"}
_OPTIONAL = {"candidates", "steps", "entropy_bound"}


def request_to_json(request: InfillRequest) -> dict[str, Any]:
    """The request's fields, under their own names; a hole is an object among texts."""
    return asdict(request)


def request_from_json(data: object) -> InfillRequest:
    """The request that `request_to_json` was given. Raises ValueError, naming the field, for
    anything else: whoever sent it need not be one of us.
    """
    fields_given = _table(data, {one.name for one in fields(InfillRequest)}, "the request")
    passages = fields_given.pop("passages", None)
    for name, value in fields_given.items():
        if not _fits(name, value):
            raise ValueError(f"the request's {name} cannot be {value!r:.50}")
    return InfillRequest(tuple(map(_passage, _list(passages, "passages"))), **fields_given)


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


def _passage(data: object) -> Passage:
    table = _table(data, {"path", "parts"}, "a passage")
    if not isinstance(path := table.get("path"), str):
        raise ValueError("a passage's path must be a text")
    return Passage(path, tuple(map(_part, _list(table.get("parts"), "a passage's parts"))))


def _part(data: object) -> str | Hole:
    if isinstance(data, str):
        return data
    if not isinstance(text := _table(data, {"text"}, "a hole").get("text"), str):
        raise ValueError("a hole's text must be a text")
    return Hole(text)


def _fits(name: str, value: object) -> bool:
    if name == "instruction":
        return isinstance(value, str)
    kind = int if name in _INTEGERS else int | float
    number = isinstance(value, kind) and not isinstance(value, bool)
    return number or (value is None and name in _OPTIONAL)


def _table(data: object, names: set[str], what: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError(f"{what} must be an object")
    if strange := sorted(map(str, data.keys() - names)):
        raise ValueError(f"{what} has no {strange[0]!r:.50}")
    return dict(data)


def _list(data: object, what: str) -> list[object]:
    if not isinstance(data, list | tuple):
        raise ValueError(f"{what} must be a list")
    return list(data)
