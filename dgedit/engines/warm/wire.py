"""Convert requests and steps to JSON-able dicts and back without loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, get_args

from dgedit_engine.types import (
    Ability,
    Candidate,
    Draft,
    Hole,
    InfillRequest,
    ModelError,
    Origin,
    Passage,
    Phase,
    Step,
    Stopped,
)

VERSION = 3
"""The version of the messages; client and engine must have the same."""

ERRORS: Mapping[str, type[Exception]] = {"value": ValueError, "model": ModelError}
"""The errors that an engine raises on purpose, by their names in a message."""

_INTEGERS = {"seed", "candidates", "steps", "refresh"}
_OPTIONAL = {"candidates", "steps", "entropy_bound"}


def request_to_json(request: InfillRequest) -> dict[str, Any]:
    """Return the request's fields under their own names; a hole is an object among texts. One that
    is no template has its text alone, as an engine of an older version knows it.
    """
    data = asdict(request)
    for passage in data["passages"]:
        passage["parts"] = [_without_template(part) for part in passage["parts"]]
    return data


def request_from_json(data: object) -> InfillRequest:
    """Parse a request. Raises ValueError, naming the field, for invalid data, as the sender need
    not be a dgedit client.
    """
    fields_given = _table(data, {one.name for one in fields(InfillRequest)}, "the request")
    passages = fields_given.pop("passages", None)
    for name, value in fields_given.items():
        if not _fits(name, value):
            raise ValueError(f"the request's {name} cannot be {value!r:.50}")
    return InfillRequest(tuple(map(_passage, _list(passages, "passages"))), **fields_given)


def ability_to_json(ability: Ability) -> dict[str, Any]:
    """Return the ability's fields under their own names."""
    known = ability.languages
    return asdict(ability) | {"languages": None if known is None else sorted(known)}


def ability_from_json(data: object) -> Ability:
    """Parse an ability. Raises ValueError for invalid data."""
    table = _whole(data, Ability, "an ability")
    kinds = {"instructions": bool, "context": int, "canvas": bool, "note": str}
    for name, kind in kinds.items():
        _check(table[name], kind, f"an ability's {name}")
    if table["languages"] is not None:
        table["languages"] = frozenset(_all(table["languages"], str, "languages"))
    return Ability(**table)


def step_to_json(step: Step) -> dict[str, Any]:
    """Return the step's fields under their own names."""
    return asdict(step)


def step_from_json(data: object) -> Step:
    """Parse a step. Raises ValueError for invalid data."""
    table = _whole(data, Step, "a step")
    drafts, candidates = table.pop("drafts"), table.pop("candidates")
    if table["stopped"] is not None and table["stopped"] not in get_args(Stopped):
        raise ValueError(f"a step cannot have stopped: {table['stopped']!r:.50}")
    if table["phase"] not in get_args(Phase):
        raise ValueError(f"a step's phase cannot be {table['phase']!r:.50}")
    for name in ("index", "total", "last", "score", "forwards"):
        _check(table[name], {"last": bool, "score": float}.get(name, int), f"a step's {name}")
    offered = tuple(map(_candidates, _list(candidates, "candidates")))
    return Step(**table, drafts=_drafts(drafts), candidates=offered)


def text_in(table: Mapping[str, Any], name: str) -> str:
    """Return the text under a name of an object. Raises ValueError if it is not a text."""
    if not isinstance(text := table.get(name), str):
        raise ValueError(f"{name} must be a text")
    return text


def _candidates(data: object) -> tuple[Candidate, ...]:
    return tuple(map(_candidate, _list(data, "a hole's candidates")))


def _candidate(data: object) -> Candidate:
    table = _whole(data, Candidate, "a candidate")
    if table["origin"] not in get_args(Origin):
        raise ValueError(f"a candidate's origin cannot be {table['origin']!r:.50}")
    _check(table["score"], float, "a candidate's score")
    for name, kind in (("faults", int), ("certainty", float)):
        if table[name] is not None:
            _check(table[name], kind, f"a candidate's {name}")
    return Candidate(**table | {"draft": _draft(table["draft"])})


def _drafts(data: object) -> tuple[Draft, ...]:
    return tuple(map(_draft, _list(data, "drafts")))


def _draft(data: object) -> Draft:
    table = _whole(data, Draft, "a draft")
    pieces = _all(table["pieces"], str, "pieces")
    confidence = _all(table["confidence"], float, "confidences")
    settled = _all(table["settled"], bool, "settled pieces")
    if not len(pieces) == len(confidence) == len(settled):
        raise ValueError("a draft needs a confidence for every piece")
    return Draft(pieces, confidence, settled)


def _passage(data: object) -> Passage:
    table = _table(data, {one.name for one in fields(Passage)}, "a passage")
    parts = tuple(map(_part, _list(table.get("parts"), "a passage's parts")))
    beside = (text_in({name: ""} | table, name) for name in ("above", "below"))
    return Passage(text_in(table, "path"), parts, *beside)


def _part(data: object) -> str | Hole:
    if isinstance(data, str):
        return data
    table = _table(data, {one.name for one in fields(Hole)}, "a hole")
    if not isinstance(text := table.get("text"), str):
        raise ValueError("a hole's text must be a text")
    blanks = _all(table.get("blanks", ()), int, "a hole's blanks")
    return Hole(text, blanks, text_in({"alphabet": ""} | table, "alphabet"))


def _without_template(part: Any) -> Any:
    if isinstance(part, str) or part["blanks"]:
        return part
    return {"text": part["text"]}


def _fits(name: str, value: object) -> bool:
    if name in ("exact", "together"):
        return isinstance(value, bool)
    if name in ("instruction", "reading"):
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


def _whole(data: object, kind: type, what: str) -> dict[str, Any]:
    """Return the fields of an object, which must have all of them. Raises ValueError."""
    names = {one.name for one in fields(kind)}
    table = _table(data, names, what)
    if missing := sorted(names - table.keys()):
        raise ValueError(f"{what} lacks {missing[0]}")
    return table


def _all(data: object, kind: type, what: str) -> tuple[Any, ...]:
    values = tuple(_list(data, what))
    for value in values:
        _check(value, kind, what)
    return values


def _check(value: object, kind: type, what: str) -> None:
    """Raise ValueError for a value of another type; an integer counts as a float."""
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ValueError(f"{what} cannot be {value!r:.50}")


def _list(data: object, what: str) -> list[object]:
    if not isinstance(data, list | tuple):
        raise ValueError(f"{what} must be a list")
    return list(data)
