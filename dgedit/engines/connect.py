"""Connect to an engine: the only module that imports one, and only when one is needed."""

from __future__ import annotations

import os
from pathlib import Path

from dgedit.errors import UsageError
from dgedit.models import nano, store
from dgedit.models.names import NANO
from dgedit.models.second import drafter_of, verifier_of
from dgedit_engine.types import Backend


def connect(
    model: str | None,
    device: str | None,
    engine: str = "local",
    adapter: Path | None = None,
    verifier: str | None = None,
    drafter: str | None = None,
) -> Backend:
    """Connect to an engine.

    `model` is a name as for `store.resolve`, None for the default; `adapter` is an adapter's
    folder, `verifier` or `drafter` the name of a second model. A `device` of None lets the engine
    choose. `engine` is "local" (in this process), "warm" (in a process that stays), "auto" (warm
    or, where that is impossible, local), or a server's address.

    Raises EngineError, in one line, if the engine or its model is unavailable: NoBase if nano's
    base is missing.
    """
    if engine.startswith(("http://", "https://")):
        from dgedit.engines.remote.backend import connect as connect_to

        if adapter is not None:
            raise UsageError(f"--adapter changes a model here, not one of {engine}")
        if verifier is not None:
            raise UsageError(f"--verifier reads what a model here writes, not one of {engine}")
        if drafter is not None:
            raise UsageError(f"--drafter writes for a model here, not for one of {engine}")
        return connect_to(engine, model)
    if engine not in ("auto", "local", "warm"):
        raise UsageError(f"no engine {engine!r}: auto, local, warm or a server's http address")
    name, changes = store.resolve(model), store.adapter_of(adapter, model)
    also = verifier_of(verifier, model), drafter_of(drafter, model)
    if NANO in (name, *also):
        nano.check()
    if engine != "local":
        from dgedit.engines.warm.client import Daemon
        from dgedit.engines.warm.sockets import Unavailable

        try:
            return Daemon.open(name, device, changes, *also)
        except Unavailable:
            if engine == "warm":
                raise
    return open_here(name, device, changes, *also)


def open_here(
    name: str,
    device: str | None,
    adapter: str | None,
    verifier: str | None = None,
    drafter: str | None = None,
) -> Backend:
    """Open an engine in this process. `name` is a result of `store.resolve`, `adapter` one of
    `store.adapter_of`, `verifier` one of `verifier_of`, `drafter` one of `drafter_of`.
    """
    # Threads that wait by spinning starve each other on a busy machine: a step took 1.2 s, not
    # 45 ms, beside another computation on two cores. The library reads this once, when it is
    # loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with store.engine():
        from dgedit_engine.engine import open_engine

        changes = None if adapter is None else Path(adapter)
        return open_engine(name, device, adapter=changes, verifier=verifier, drafter=drafter)
