"""Load a model's `Ability`: as its folder's `ability.json` declares, or else as its format implies.

Knows neither weights nor requests.
"""

from __future__ import annotations

from pathlib import Path

from dgedit_engine.files import small
from dgedit_engine.types import Ability, ModelError

FILE = "ability.json"
"""Name of the file, beside a checkpoint's others."""

_LONGEST = 20  # characters of a suffix
_MOST = 1000  # suffixes


def load_ability(folder: Path, *, instructions: bool, context: int, canvas: bool) -> Ability:
    """Load the ability that `folder/ability.json` declares: `languages`, a list of suffixes or
    null, and `instructions`, true or false. Without a value, any language is possible and
    `instructions` is as given here. Raises ModelError for unusable values.
    """
    path = folder / FILE
    said = small.table(path) or {}
    if strange := sorted(said.keys() - {"languages", "instructions"}):
        raise ModelError(f"{path}: {strange[0]!r:.50}; known are instructions, languages")
    if not isinstance(told := said.get("instructions", instructions), bool):
        raise ModelError(f"{path}: instructions must be true or false, not {told!r:.50}")
    languages = said.get("languages")
    if languages is not None and not (isinstance(languages, list) and _suffixes(languages)):
        raise ModelError(f"{path}: languages must be suffixes such as .py, not {languages!r:.50}")
    known = None if languages is None else frozenset(languages)
    return Ability(known, told, context, canvas)


def _suffixes(given: list[object]) -> bool:
    return 0 < len(given) <= _MOST and all(
        isinstance(one, str) and one.startswith(".") and 1 < len(one) <= _LONGEST for one in given
    )
