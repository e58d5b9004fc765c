"""Read fields of a message's parameters. Raises RpcError, naming the field, for invalid ones."""

from __future__ import annotations

from typing import Any, NamedTuple

from dgedit.protocol.rpc import INVALID_PARAMS, RpcError


class LspPosition(NamedTuple):
    """A position as a client counts it."""

    line: int
    """The line, from 0."""
    units: int
    """The units before it in its line."""

    @property
    def as_sent(self) -> dict[str, int]:
        """The position as an object of the protocol."""
        return {"line": self.line, "character": self.units}


def field_at(params: object, *names: str) -> Any:
    """Return a field within fields; None if any of them is missing."""
    for name in names:
        params = params.get(name) if isinstance(params, dict) else None
    return params


def text_at(params: object, *names: str) -> str:
    """Return a text."""
    if not isinstance(value := field_at(params, *names), str):
        raise _wrong(names, "a text")
    return value


def position_at(params: object, *names: str) -> LspPosition:
    """Return a position."""
    return LspPosition(_count(params, *names, "line"), _count(params, *names, "character"))


def range_at(params: object, *names: str) -> tuple[LspPosition, LspPosition]:
    """Return a range's start and end."""
    start, end = position_at(params, *names, "start"), position_at(params, *names, "end")
    if end < start:
        raise _wrong(names, "a range whose start comes first")
    return start, end


def list_at(params: object, *names: str) -> list[Any]:
    """Return a list."""
    if not isinstance(value := field_at(params, *names), list):
        raise _wrong(names, "a list")
    return value


def has(params: object, *names: str) -> bool:
    """Say whether a capability is there: true, or an object."""
    value = field_at(params, *names)
    return value is True or isinstance(value, dict)


def _count(params: object, *names: str) -> int:
    value = field_at(params, *names)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _wrong(names, "a whole number from 0")
    return value


def _wrong(names: tuple[str, ...], wanted: str) -> RpcError:
    return RpcError(INVALID_PARAMS, f"{'.'.join(names)} must be {wanted}")
