"""What `dgedit tune --demo` does: train the model of a domain again, from nothing.

Knows folders and words; the engine knows the domains.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dgedit.errors import Exit, InputError, UsageError
from dgedit.models import store, tuned

_KEPT = ("state.pt",)
"""Files of a run that its model does not need."""


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What is trained again, and where to."""

    demo: str
    """The domain."""
    place: Path
    """The new model's folder."""
    paths: tuple[Path, ...]
    """What is named to be trained on: of proteins a FASTA file."""
    minutes: float | None
    """Minutes of training; None: the domain's own."""
    seed: int
    """Decides first weights and noise."""


def train_demo(plan: DemoPlan, tell: Callable[[str], None], *, resume: bool) -> int:
    """Train the model of a domain; returns the exit code."""
    demo, place, paths = plan.demo, plan.place, plan.paths
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

        domain = domain_of(demo, minutes=plan.minutes, data=paths[0] if paths else None)
        domain = replace(domain, recipe=replace(domain.recipe, seed=plan.seed))
        run.mkdir(parents=True, exist_ok=True)
        train(domain, run, resume=resume, told=tell)
    for name in _KEPT:
        (run / name).unlink(missing_ok=True)
    os.rename(run, place)
    tell(f"kept as {place.name}; use it with  --model {place.name}")
    return Exit.OK
