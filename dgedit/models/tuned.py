"""Read and write what makes a folder a tuned model: an adapter, and the name of its base.

    NAME/adapter_config.json, adapter_model.safetensors    the changes, in PEFT's format
    NAME/tuned.json                                        the base's name, and how it was judged
    NAME/TUNED.md                                          the same for people

Of tiny all weights are tuned: in place of the changes there is a whole model, which needs no base.

Knows folders; neither how names are resolved nor how a model is tuned.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dgedit.errors import EngineError, InputError
from dgedit.files import small

FILE = "tuned.json"
"""Name of the file that makes an adapter's folder a model."""

_LARGEST = 1_000_000
_WHOLE = "config.json"  # of a model by itself


def base_of(place: Path) -> str | None:
    """Return the name or path of the base of a model that is an adapter; None for a folder that is
    none. Raises EngineError for a damaged file.
    """
    file = place / FILE
    if not file.is_file() or (place / _WHOLE).is_file():
        return None
    try:
        found = json.loads(small.text(file, most=_LARGEST) or "")
        base = found["base"]
    except (InputError, ValueError, TypeError, KeyError):
        base = None
    if not isinstance(base, str) or not base:
        raise EngineError(f"{file} names no base")
    return base


def unfinished(place: Path) -> Path:
    """Return the folder of the run that is to become the model at `place`."""
    return place.with_name(f".{place.name}.tune")


def finish(run: Path, place: Path, base: str, facts: Mapping[str, Any]) -> None:
    """Make the model at `place` of a run's folder: all of it, or nothing. It can repeat what it
    was trained on, so that its owner alone may read it.
    """
    made = run / "model"
    (made / FILE).write_text(json.dumps({"base": base, **facts}, indent=1) + "\n", encoding="utf-8")
    (made / "TUNED.md").write_text(_card(base, facts), encoding="utf-8")
    for name in ("log.jsonl", "spans.jsonl"):
        if (run / name).is_file():
            (run / name).replace(made / name)
    made.chmod(0o700)
    os.rename(made, place)


def _card(base: str, facts: Mapping[str, Any]) -> str:
    found = facts["verdict"]
    low, high = found["gain"][1:]
    rows: Sequence[tuple[str, float, float]] = (
        ("held-out holes, nats a token", found["before"], found["after"]),
        ("other people's text, nats a token", *found["elsewhere"]),
    )
    table = "".join(f"| {name} | {one:.3f} | {other:.3f} |\n" for name, one, other in rows)
    return (
        f"# A model of one project, on {base}\n\n"
        f"{facts['files']} files, {facts['bytes']:,} bytes, commit {facts['commit'] or 'none'}; "
        f"{facts['steps']} steps; {found['blend']:g} of the change.\n\n"
        f"| | before | after |\n|---|---|---|\n{table}\n"
        f"Gain of {found['spans']} spans of {found['files']} files: {found['gain'][0]:.3f} nats, "
        f"95% interval {low:.3f} to {high:.3f}.\n\n"
        "It may repeat what it was trained on: share it as you would share that.\n"
    )
