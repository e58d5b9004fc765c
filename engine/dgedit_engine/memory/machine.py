"""Report what a machine has for an engine, and whether a model fits it, as JSON.

A process for callers that should not load torch themselves: `python -m dgedit_engine.memory.machine
'{"model": …, "device": …}'` prints one line for each part as soon as it is known, so that what
comes before a crash is not lost. No weight is read and nothing is kept on a device.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

Facts = dict[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Print what is known of torch, of its kernels, and of the model that the argument names."""
    asked = json.loads(arguments[0])
    parts: dict[str, Callable[[], Facts]] = {
        "torch": torch_facts,
        "kernels": kernel_facts,
        "model": lambda: model_facts(**asked),
    }
    for name, part in parts.items():
        try:
            facts = part()
        except Exception as error:  # what a broken installation raises, nobody can list
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            facts = {"error": reason}
        print(json.dumps({name: facts}), flush=True)
    return 0


def torch_facts() -> Facts:
    """Return torch's version, what it was built for, and the GPUs that it sees, memory in bytes."""
    import torch

    gpus = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            major, minor = torch.cuda.get_device_capability(index)
            gpus.append(
                {
                    "name": torch.cuda.get_device_name(index),
                    "free": free,
                    "total": total,
                    "capability": f"{major}.{minor}",
                }
            )
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "mps": torch.backends.mps.is_available(),
        "gpus": gpus,
    }


def kernel_facts() -> Facts:
    """Return the version of the kernels' compiler. Raises ImportError without it: then their
    references run.
    """
    import triton  # type: ignore[import-untyped]

    return {"triton": triton.__version__}


def model_facts(model: str, device: str | None) -> Facts:
    """Return how a model would be opened, sizes in bytes, if that is known without writing. Raises
    ModelError where it does not fit.
    """
    from dgedit_engine.formats import describe
    from dgedit_engine.memory.devices import device_of, free_bytes
    from dgedit_engine.memory.plan import check
    from dgedit_engine.nano import prepared
    from dgedit_engine.nano.names import NANO, located

    if model == NANO and prepared.found() is None:  # to make it would write
        prepared.check()
        return {"prepared": False}
    path = located(model)
    place = device_of(device)
    free = free_bytes(place)
    fit = check(path, free, device=str(place))
    return {
        "format": describe(path),
        "device": str(place),
        "context": fit.context,
        "needs": fit.need.total,
        "free": free,
        "note": fit.note,
    }


if __name__ == "__main__":
    # Of 1.9 s of a core, 0.2 went to looking for garbage while torch is loaded, 0.4 to its end.
    gc.disable()
    code = main(sys.argv[1:])
    os._exit(code)
