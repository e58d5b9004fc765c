"""Check which of the published models fits this machine best."""

from __future__ import annotations

from dgedit.doctor.checks import Facts, Finding
from dgedit.models import known

_GB = 1e9


def models(facts: Facts) -> Finding:
    """Name the known model with the best published score that fits what is free; `facts` are
    torch's.
    """
    from dgedit_engine.memory import available

    gpus = facts.get("gpus") or []
    free = max((one["free"] for one in gpus), default=0) or available.least() or 0
    found = known.fitting(free / _GB, gpu=bool(gpus))
    if not found:
        return Finding("models", "ok", f"none of the larger ones fits {free / _GB:.1f} GB: nano")
    one = found[0]
    where = "the GPU" if gpus else "the CPU"
    said = f"{one.score:g}% of single lines pass ({one.source})"
    others = len(found) - 1
    more = f"; {others} more in dgedit model list --available" if others else ""
    taken = f"{one.memory4:g} GB at 4 bits" if one.bits(free / _GB) == "int4" else ""
    what = f"{one.name} fits {where} best, {taken or f'{one.memory8:g} GB at 8 bits'}: {said}{more}"
    return Finding("models", "ok", what)
