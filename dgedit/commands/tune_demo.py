"""What `dgedit tune --demo` does: train the model of a domain again, from nothing.

Knows folders and words; the engine knows the domains.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from dgedit.errors import Exit, InputError, UsageError
from dgedit.models import store, tuned

_KEPT = ("state.pt",)
"""Files of a run that its model does not need."""


def train_demo(
    demo: str,
    place: Path,
    paths: Sequence[Path],
    *,
    minutes: float | None,
    seed: int,
    resume: bool,
    tell: Callable[[str], None],
) -> int:
    """Train the model of a domain into the folder `place`; proteins are read from the one path.
    Returns the exit code.
    """
    run = tuned.unfinished(place)
    if resume and not run.is_dir():
        raise InputError(f"no run of {place.name} to go on with: leave --resume out")
    if run.exists() and not resume:
        words = f"--resume goes on, dgedit model rm {place.name} removes it"
        raise UsageError(f"a run of {place.name} was stopped: {words}")
    if len(paths) > 1 or (paths and demo != "protein"):
        raise UsageError(f"--demo {demo} is trained on no {paths[-1]}")
    with store.engine():
        from dgedit_engine.domains.known import domain_of
        from dgedit_engine.domains.training import train

        domain = domain_of(demo, minutes=minutes, data=paths[0] if paths else None)
        domain = replace(domain, recipe=replace(domain.recipe, seed=seed))
        run.mkdir(parents=True, exist_ok=True)
        train(domain, run, resume=resume, told=tell)
    for name in _KEPT:
        (run / name).unlink(missing_ok=True)
    os.rename(run, place)
    tell(f"kept as {place.name}; use it with  --model {place.name}")
    return Exit.OK
