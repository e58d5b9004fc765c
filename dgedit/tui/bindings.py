"""Convert the keys of actions between the table, Textual, the user's settings and help texts.

If several actions of the screen share a key (Escape, Enter), they are tried in turn, and their
`needs` decide which one applies. Knows keys and settings; nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from textual.binding import Binding
from textual.keys import Keys, key_to_character

from dgedit.errors import UsageError, unknown
from dgedit.tui.keymap import ACTIONS, Action

NO_KEY = "unbound"
"""The name for no key at all; no terminal sends it."""

# Keys that some terminals send in place of another.
_STAND_INS = {
    "f14": "shift+f2",
    "f15": "shift+f3",
    "ctrl+underscore": "ctrl+slash",
    "ctrl+@": "ctrl+space",
    "alt+shift+slash": "alt+question_mark",
    "alt+shift+question_mark": "alt+question_mark",
}

# How keys are written whose names differ from what is printed on them.
_WRITTEN = {
    "backslash": "\\",
    "backspace": "Bksp",
    "delete": "Del",
    "escape": "Esc",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "slash": "/",
}

_MODIFIERS = {"ctrl", "shift", "alt", "super", "hyper", "meta"}
_NAMED = {key.value.rpartition("+")[2] for key in Keys}


def bindings(*, of_text: bool) -> list[Binding]:
    """Return the bindings of the text, or those of the screen.

    An action that closes a bar comes before one that ends an infill, as the bar was opened last.
    """
    actions = [action for action in ACTIONS if action.of_text is of_text]
    return [
        Binding(
            key=",".join(action.keys) or NO_KEY,
            action=action.binding,
            description=action.hint or action.words,
            show=bool(action.hint),
            tooltip=action.words,
            id=action.id,
        )
        for action in sorted(actions, key=lambda one: one.needs != "bar")
    ]


def rebound(known: Iterable[Action], wanted: Mapping[str, str]) -> list[Action]:
    """Return the actions with the user's keys. Raises UsageError for an unknown action or key, and
    for a key with two actions.
    """
    by_id = {action.id: action for action in known}
    for name, text in wanted.items():
        if name not in by_id:
            raise UsageError(f"[keys]: {unknown('action', name, by_id)}")
        keys = tuple(_key(name, key.strip()) for key in text.split(",")) if text.strip() else ()
        by_id[name] = replace(by_id[name], keys=keys)
    for name in wanted:
        for other in by_id.values():
            for key in by_id[name].keys:
                if other.id != name and key in other.keys:
                    raise UsageError(f"[keys]: {key} is for both {name!r} and {other.id!r}")
    return list(by_id.values())


def keymap(bound: Iterable[Action], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the user's keys as Textual expects them."""
    return {one.id: ",".join(one.keys) or NO_KEY for one in bound if one.id in wanted}


def written(keys: Iterable[str]) -> list[str]:
    """Return keys as people write them: `Ctrl+S`, `Alt+[`, `PgDn`. A key that only stands in for
    another one of them is left out.
    """
    given = list(keys)
    return [_written(key) for key in given if _STAND_INS.get(key) not in given]


def hints(bound: Iterable[Action], *ids: str) -> list[tuple[str, str]]:
    """Return the first key of some actions as people write it, with the action's words."""
    by_id = {action.id: action for action in bound}
    some = [by_id[name] for name in ids]
    return [(written(one.keys)[0], one.words) for one in some if one.keys]


def _key(name: str, key: str) -> str:
    """Check a key as Textual names it. Raises UsageError."""
    *modifiers, last = key.split("+") if key != "+" else ["+"]
    good = last in _NAMED or key_to_character(last) is not None
    if not good or not set(modifiers) <= _MODIFIERS:
        raise UsageError(f"[keys]: {name} = {key!r}: no such key; one is 'ctrl+s' or 'f5'")
    return key


def _written(key: str) -> str:
    *modifiers, last = key.split("+") if key != "+" else ["+"]
    sign = key_to_character(last) or ""
    name = _WRITTEN.get(last) or (sign if sign.isprintable() and sign.strip() else last)
    return "+".join(one.capitalize() if one.islower() else one for one in [*modifiers, name])
