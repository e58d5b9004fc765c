"""All keys of the editor by the ids of their actions: as they are, and as the user wants them.

Every class declares its own keys; here they are gathered from the classes themselves, so that what
help says cannot differ from what a key does. An action without an id is called by its own name:
`delete_line` is `delete-line`, `cursor_up(True)` is `cursor-up-select`, as selecting is what True
means there; with other arguments the id is made of what the key is said to do.

Of two classes of one widget the more special has the key. The rooms of the screen are equals: where
two have the same key (Escape, Enter), both are asked in turn, and `check_action` says whose it is.

Knows bindings and settings; nothing of files. Gathering takes some 2 ms, once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import Keys, key_to_character

from dgedit.config import unknown
from dgedit.errors import UsageError

NO_KEY = "unbound"
"""Stands for no key at all; no terminal sends it."""

# Keys that Textual's text area has for what has other keys as well; here they do something else.
_FREED = {"ctrl+w", "f6", "f7"}

# Ids for actions whose names do not say enough, or too much.
_IDS = {
    "app.turn(1)": "next-file",
    "app.turn(-1)": "previous-file",
    "delete_to_end_of_line_or_delete_line": "delete-to-end-of-line",
}

# What some terminals send in the place of another key.
_STAND_INS = {"f14": "shift+f2", "f15": "shift+f3", "ctrl+underscore": "ctrl+slash"}

# How keys are written that are not called what is on them.
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


@dataclass(frozen=True, slots=True)
class Action:
    """Something a key does."""

    id: str
    """What the user's settings call it."""
    keys: tuple[str, ...]
    """The keys for it."""
    words: str
    """What it does."""
    action: str
    """As Textual calls it."""
    concern: str
    """Whose it is, in words."""
    binding: Binding
    """One of its bindings."""
    of_text: bool
    """Whether it is the text's that has the cursor, not the screen's."""


def rooms(app: type[DOMNode], last: type[DOMNode]) -> list[Binding]:
    """The bindings of a screen's rooms, up to the last of its classes."""
    mro = [cls for cls in app.__mro__ if issubclass(cls, last)]
    return [named(binding) for cls in mro for binding in _own(cls)]


def widget(cls: type[DOMNode]) -> list[Binding]:
    """The bindings of a widget and of what it inherits from."""
    return [named(binding) for _, binding in _inherited(cls)]


def actions(
    app: type[DOMNode], last: type[DOMNode], widgets: Iterable[type[DOMNode]]
) -> list[Action]:
    """All actions: the rooms' first, then the widgets'."""
    mro = [cls for cls in app.__mro__ if issubclass(cls, last)]
    pairs = [(cls, named(binding)) for cls in mro for binding in _own(cls)]
    count = len(pairs)
    pairs += [(cls, named(one)) for text in widgets for cls, one in _inherited(text)]
    found: dict[str, Action] = {}
    for at, (cls, binding) in enumerate(pairs):
        assert binding.id is not None
        words = binding.tooltip or binding.description or binding.id.replace("-", " ")
        of_text = at >= count
        concern = "The text" if of_text else _concern(cls)
        new = Action(binding.id, (), words.lower(), binding.action, concern, binding, of_text)
        one = found.setdefault(binding.id, new)
        if binding.key not in one.keys:
            found[binding.id] = replace(one, keys=(*one.keys, binding.key))
    return list(found.values())


def grouped(known: Iterable[Action]) -> dict[str, list[Action]]:
    """The actions by their concern; those of one concern may come from several classes."""
    groups: dict[str, list[Action]] = {}
    for action in known:
        groups.setdefault(action.concern, []).append(action)
    return groups


def rebound(known: Iterable[Action], wanted: Mapping[str, str]) -> list[Action]:
    """The actions with the user's keys. Raises UsageError for an unknown action or key, and for a
    key that would do two things.
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
    """What Textual is to be told of the user's keys."""
    return {one.id: ",".join(one.keys) or NO_KEY for one in bound if one.id in wanted}


def written(keys: Iterable[str]) -> list[str]:
    """Keys as people write them: `Ctrl+S`, `Alt+[`, `PgDn`; none that only stands in for another of
    them.
    """
    given = list(keys)
    return [_written(key) for key in given if _STAND_INS.get(key) not in given]


def named(binding: Binding) -> Binding:
    """The binding with an id."""
    if given := binding.id or _IDS.get(binding.action):
        return replace(binding, id=given)
    name, _, arguments = binding.action.partition("(")
    name = name.rpartition(".")[2]
    if arguments == "True)" and name.startswith("cursor_"):
        name += "-select"
    elif arguments:
        name = binding.description or binding.action
    return replace(binding, id="-".join(re.findall(r"[a-z0-9]+", name.lower())))


def _key(name: str, key: str) -> str:
    """A key as Textual calls it."""
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


def _own(cls: type[DOMNode]) -> list[Binding]:
    return list(Binding.make_bindings(cls.__dict__.get("BINDINGS", ())))


def _inherited(cls: type[DOMNode]) -> Iterator[tuple[type[DOMNode], Binding]]:
    """As Textual merges them, by the key; with the class that has it."""
    found: dict[str, list[tuple[type[DOMNode], Binding]]] = {}
    for one in reversed([one for one in cls.__mro__ if issubclass(one, DOMNode)]):
        own: dict[str, list[tuple[type[DOMNode], Binding]]] = {}
        textual = one.__module__.startswith("textual.")
        for binding in _own(one):
            if not (textual and binding.key in _FREED):
                own.setdefault(binding.key, []).append((one, binding))
        found.update(own)
    for pairs in found.values():
        yield from pairs


def _concern(cls: type[DOMNode]) -> str:
    """The first sentence of what a class says of itself."""
    return (cls.__doc__ or cls.__name__).strip().partition("\n")[0].rstrip(".")
