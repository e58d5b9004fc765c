"""A pytest plugin that records how a package's own tests call its functions.

    RECORD=package OUT=calls.jsonl python -m pytest -p dgedit_engine.eval.recording tests

Each line is a call: module, function and its arguments, as source that makes them again. Calls with
other arguments than plain values are left out. `eval.functions` makes tasks of them. Imports the
standard library alone, since it runs where the package is installed and nothing else may be.
"""

from __future__ import annotations

import collections
import copy
import datetime
import decimal
import fractions
import functools
import importlib
import itertools
import json
import math
import os
import pkgutil
import sys
import types
from typing import Any

LONGEST = 400
"""Characters of a call's arguments, at most."""

MOST = 40
"""Calls of one function, at most."""

_PLAIN = (
    *(bool, int, float, complex, str, bytes, bytearray, range, slice, type(None), type(...)),
    *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta),
    *(decimal.Decimal, fractions.Fraction, itertools.count),
)
"""Types whose repr makes the value again."""

_ITERATORS = {type(iter([])), type(iter(())), type(iter("")), type(iter("é")), type(iter(range(0)))}
_CODE = (type(len), type(str.upper), type)

_calls: dict[tuple[str, str], dict[str, tuple[list[str], dict[str, str]]]] = {}


def pytest_configure(config: Any) -> None:
    """Replace each function of the package by one that records its calls."""
    package = os.environ["RECORD"]
    modules = [importlib.import_module(package)]
    for item in pkgutil.walk_packages(getattr(modules[0], "__path__", []), package + "."):
        try:
            modules.append(importlib.import_module(item.name))
        except (Exception, SystemExit):  # a part for another system, or a program
            continue
    wrapped: dict[int, Any] = {}
    for module in modules:
        for name, value in list(vars(module).items()):
            if isinstance(value, types.FunctionType) and _own(value, package):
                put = wrapped.setdefault(id(value), _recording(value))
                setattr(module, name, put)


def pytest_unconfigure(config: Any) -> None:
    """Write the calls to the file `OUT`."""
    with open(os.environ["OUT"], "a", encoding="utf-8") as out:
        for (module, name), calls in sorted(_calls.items()):
            for args, named in calls.values():
                row = {"module": module, "name": name, "args": args, "named": named}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


def source(value: Any, depth: int = 0) -> str | None:
    """Return an expression that makes the value again; None for a value that is not plain."""
    if depth > 6:
        return None
    kind = type(value)
    if kind is float and not math.isfinite(value):
        return f"float({str(value)!r})"
    if kind in _PLAIN:
        return repr(value)
    if kind in (list, tuple, set, frozenset, collections.deque):
        inner = [source(one, depth + 1) for one in list(value)]
        return None if None in inner else _group(kind, [one for one in inner if one is not None])
    if kind in (dict, collections.OrderedDict, collections.Counter):
        pairs = [(source(k, depth + 1), source(v, depth + 1)) for k, v in value.items()]
        if any(k is None or v is None for k, v in pairs):
            return None
        text = "{" + ", ".join(f"{k}: {v}" for k, v in pairs) + "}"
        return text if kind is dict else f"collections.{kind.__name__}({text})"
    if kind in _ITERATORS:
        items = source(list(itertools.islice(copy.copy(value), 50)), depth + 1)
        return items and f"iter({items})"
    if isinstance(value, _CODE):
        return _named(value)
    return None


def _group(kind: type, inner: list[str]) -> str:
    joined = ", ".join(inner)
    if kind is list:
        return f"[{joined}]"
    if kind is tuple:
        return f"({joined},)" if len(inner) == 1 else f"({joined})"
    if kind is set and inner:
        return "{" + joined + "}"
    prefix = "collections." if kind is collections.deque else ""
    return f"{prefix}{kind.__name__}([{joined}])"


def _named(value: Any) -> str | None:
    """Return a function or class of the standard library's few known modules, by its name."""
    module = (getattr(value, "__module__", None) or "builtins").lstrip("_")
    owner = getattr(value, "__objclass__", None)
    if owner is not None:
        return f"{owner.__name__}.{value.__name__}" if owner.__module__ == "builtins" else None
    name = getattr(value, "__qualname__", "")
    if module == "builtins" and name.isidentifier():
        return name
    if module in ("operator", "math", "collections") and name.isidentifier():
        return f"{module}.{name}"
    return None


def _own(value: types.FunctionType, package: str) -> bool:
    module = getattr(value, "__module__", None) or ""
    plain = value.__qualname__.isidentifier() and not hasattr(value, "__wrapped__")
    return plain and (module == package or module.startswith(package + "."))


def _recording(function: types.FunctionType) -> Any:
    calls = _calls.setdefault((function.__module__, function.__name__), {})

    @functools.wraps(function)
    def recorded(*args: Any, **named: Any) -> Any:
        if len(calls) < MOST:
            _record(calls, args, named)
        return function(*args, **named)

    return recorded


def _record(calls: dict[str, Any], args: tuple[Any, ...], named: dict[str, Any]) -> None:
    limit = sys.getrecursionlimit()
    try:
        places = [source(one) for one in args]
        names = {name: source(one) for name, one in named.items()}
    except Exception:  # a value whose repr or copy fails
        return
    finally:
        sys.setrecursionlimit(limit)
    if None in places or None in names.values():
        return
    key = ", ".join([*map(str, places), *(f"{name}={text}" for name, text in names.items())])
    if len(key) <= LONGEST:
        calls.setdefault(key, (places, names))
