"""Tell a masked diffusion model from one that reads from left to right, by its files.

Some name their mask in `config.json`, some only in the tokenizer's settings, where a published
architecture is plain Qwen2: so the mask decides, never the architecture's name. Only those that
read a whole window bidirectionally are known, which are of Qwen2's shape; a mask in another shape
is a model that reads block by block, and refused. Knows files and key names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dgedit_engine.files import small

DREAM = "Dream"
"""The `model_type` of Dream, DreamOn, Dream-Coder and DiffuCoder, which are Qwen2s."""
EXPAND = "<|expand|>"
"""DreamOn's token where two are missing."""
BEGINNING = "<|beginoftext|>"
"""The first token of a text in Dream's vocabulary."""

_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")
_LARGEST = 64_000_000  # bytes of a tokenizer.json


def with_masks(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what a config.json says with `mask_token_id` and `expand_token_id`, where the files
    beside it name such tokens.
    """
    found = dict(raw)
    generation = small.table(folder / "generation_config.json") or {}
    for key in ("mask_token_id", "expand_token_id"):
        if found.get(key) is None and generation.get(key) is not None:
            found[key] = generation[key]
    settings = [small.table(folder / name, most=_LARGEST) or {} for name in _SETTINGS]
    if found.get("mask_token_id") is None:
        name = next((one for one in map(_mask, settings) if one), None)
        if name is None:
            return found
        found["mask_token_id"] = _id(name, folder)
        if found["mask_token_id"] is None:
            raise ValueError(f"mask_token {name!r:.50}, which the tokenizer does not have")
    if found.get("expand_token_id") is None:
        found["expand_token_id"] = _id(EXPAND, folder)
    return found


def _mask(settings: dict[str, Any]) -> str | None:
    """Return the name of the mask that a tokenizer's settings have."""
    said = settings.get("mask_token")
    name = said.get("content") if isinstance(said, dict) else said
    return name if isinstance(name, str) and name else None


def _id(name: str, folder: Path) -> int | None:
    """Return the id of a token that a tokenizer's files add to its vocabulary."""
    added = (small.table(folder / _SETTINGS[0], most=_LARGEST) or {}).get("added_tokens_decoder")
    for token, one in (added if isinstance(added, dict) else {}).items():
        if isinstance(one, dict) and one.get("content") == name:
            return int(token)
    listed = small.table(folder / "tokenizer.json", most=_LARGEST) or {}
    for one in listed.get("added_tokens") or ():
        if isinstance(one, dict) and one.get("content") == name:
            return int(one["id"])
    token = (small.table(folder / "added_tokens.json", most=_LARGEST) or {}).get(name)
    return token if type(token) is int else None
