"""Make a recipe's fields options of a command: one each, so that an ablation is one option.

Knows dataclasses and parsers; no recipe.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

Recipe = TypeVar("Recipe")


def add(parser: argparse.ArgumentParser, recipe: type[Any], words: Mapping[str, str]) -> None:
    """Add an option for each field; `words` are their help texts."""
    hints = get_type_hints(recipe)
    for field in fields(recipe):
        hint = hints[field.name]
        choices = get_args(hint) if get_origin(hint) is Literal else None
        known = [one for one in get_args(hint) or (hint,) if one is not type(None)]
        default = "" if field.default is None else f" ({field.default})"
        parser.add_argument(
            "--" + field.name.replace("_", "-"),
            type=str if choices else known[0],
            choices=choices,
            default=field.default,
            help=words[field.name] + default,
        )


def read(options: argparse.Namespace, recipe: type[Recipe]) -> Recipe:
    """Return the recipe of the options. Raises ValueError, naming the value, for an
    unusable one.
    """
    kind: Any = recipe
    return recipe(**{field.name: getattr(options, field.name) for field in fields(kind)})
