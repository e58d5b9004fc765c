"""Describe a model for `dgedit model info`: its shape, its files, and the memory that it needs.

Reads no weight. What fits a smaller card with experts in host memory is told beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dgedit.commands.options import Keys
from dgedit.errors import EngineError
from dgedit.files.disk import in_units
from dgedit.models import sizes, store
from dgedit.models.store import Facts

_CARDS, _FREE = (8, 12, 16), 0.96
"""Smaller cards, in GB, for which it is told what would stay in host memory, and what is free of
them.
"""


def described(path: Path, facts: Facts) -> dict[str, Any]:
    """Return a model's shape and its files."""
    from dgedit.models.hub import origin

    config = facts.config
    found = origin(path)
    return {
        "format": facts.format,
        "parameters": facts.parameters,
        "active": facts.active,
        "layers": len(config.layers),
        "width": config.dim,
        "experts": config.experts,
        "active_experts": config.active,
        "vocabulary": config.vocab,
        "canvas": config.canvas,
        "context": config.context,
        "origin": f"{found['repo']}@{found['commit']}" if found["repo"] else None,
        "bytes": facts.bytes,
        "files": dict(facts.files),
    }


def memory(
    path: Path, facts: Facts, context: int | None, kv: Keys, device: str | None
) -> dict[str, Any]:
    """Return the memory that a model needs, or why that is unknown."""
    try:
        with store.engine():
            from dgedit_engine.memory.devices import device_of
            from dgedit_engine.memory.plan import hosted, need, usual

            context = context or usual(facts.config)
            place = device or ("cuda" if kv is Keys.FP8 else device_of(None).type)
            found = need(path, context=context, kv=kv.value, device=place)
            on_gpu = place.startswith("cuda") and facts.config.experts
            smaller = {
                card: fit.hosting
                for card in (_CARDS if on_gpu else ())
                if (fit := hosted(path, int(card * _FREE * 10**9), context=context, kv=kv.value))
            }
    except EngineError as error:
        return {"memory": None, "error": str(error)}
    parts = {"weights": found.weights, "cache": found.cache, "work": found.work}
    where = {"device": place, "context": context, "kv": kv.value}
    cards = [
        {"card": card * 10**9, "layers": one.layers, "copied": one.copied, "words": one.words}
        for card, one in smaller.items()
        if one is not None
    ]
    told = parts | {"total": found.total, "smaller_cards": cards} | where
    return {"memory": told, "error": store.missing(path)}


def rows(said: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the description for people, one line each."""
    yield "format", said["format"]
    if said["origin"]:
        yield "from", said["origin"]
    yield (
        "parameters",
        f"{sizes.in_words(said['parameters'])}, {sizes.in_words(said['active'])} for a token",
    )
    yield "layers", f"{said['layers']}, {said['width']:,} wide"
    if said["experts"]:
        yield "experts", f"{said['experts']}, {said['active_experts']} for a token"
    yield "vocabulary", f"{said['vocabulary']:,}"
    yield "canvas", f"{said['canvas']:,}"
    yield "context", f"{said['context']:,}"
    needs = said["memory"]
    if needs:
        parts = ", ".join(f"{key} {in_units(needs[key])}" for key in ("weights", "cache", "work"))
        where = f"{needs['device']}, {needs['context']:,} tokens, {needs['kv']} keys"
        yield "memory", f"{in_units(needs['total'])} ({parts}; {where})"
        for one in needs["smaller_cards"]:
            yield f"{one['card'] // 10**9} GB card", one["words"]
    yield "disk", in_units(said["bytes"])
    for name, length in said["files"].items():
        yield "", f"{name}  {in_units(length)}"
    if said["error"]:
        yield "does not load", said["error"]
