"""Pull a model and quantise it in one go: what of it, what that takes, and where it lies.

The original is a model of its own in the models folder until the quantised one is whole and loads,
so that whatever stops this the next go has nothing to fetch again. Knows no terminal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dgedit.errors import DgeditError, EngineError
from dgedit.files.disk import in_units
from dgedit.models import hub, sizes, store
from dgedit.models.sizes import Bits

if TYPE_CHECKING:
    from dgedit_engine.model.config import Config
    from dgedit_engine.weights.quantize import Experts, QuantizeProgress, Rest

_WITH_EXPERTS: dict[Bits, tuple[Experts, Rest]] = {
    "int8": ("e4m3", "int8"),
    "int4": ("int4", "int8"),
}
_QUANT = "quant"  # a key of the file that says where a model is from


@dataclass(frozen=True, slots=True)
class Quantising:
    """A model of a hub that is to become a quantised one here."""

    plan: hub.Download
    """What is fetched."""
    whole: Path
    """Where the original lies, or will."""
    target: Path
    """Where the quantised one will."""
    bits: Bits
    """What it becomes."""
    device: str
    """Where it is to run."""

    @property
    def is_made(self) -> bool:
        """Whether the target is there already, made of this very state of the repository."""
        found = hub.origin(self.target)
        mine = (self.plan.repo, self.plan.commit, self.bits)
        return (found["repo"], found["commit"], found.get(_QUANT)) == mine

    def fetched(self) -> Iterator[hub.Progress]:
        """Fetch the original, unless it is there. Once its shape is known, raises EngineError and
        InputError as `check` does; what was there of a stopped pull stays.
        """
        if os.path.lexists(self.whole):
            if not self.plan.is_at(self.whole):
                raise EngineError(f"{self.whole.name} is another model, or another state of it")
            self.check(store.shape(self.whole), 0)
            return
        part = store.partial(self.whole)
        begun, checked = os.path.lexists(part), False
        shapes: list[Config] = []
        for progress in hub.pull(
            self.plan, self.whole, check=lambda place: shapes.append(store.shape(place))
        ):
            if shapes and not checked:
                try:
                    self.check(shapes[0], progress.total - progress.done)
                except DgeditError:
                    if not begun:
                        store.discard(part)
                    raise
                checked = True
            yield progress

    def check(self, config: Config, left: int) -> None:
        """Raise InputError where the disk has no room for what is `left` of the original and for
        the quantised model beside it, EngineError for a model that cannot become that, or does not
        fit the device then.
        """
        experts, rest = recipe(config, self.bits)
        size = sizes.quantised_bytes(config, experts=experts or "int4", rest=rest)
        store.check_room(self.target, left + size)
        needed, free = self._memory(config)
        if needed > free:
            raise EngineError(
                f"{self.plan.repo} as {self.bits} needs {in_units(needed)}, {self.device} has"
                f" {in_units(free)} free: without --quant it is fetched all the same"
            )

    def _memory(self, config: Config) -> tuple[int, int]:
        """Return the bytes that it takes with a usual context, and those that are free."""
        with store.engine():
            from dgedit_engine.memory.devices import device_of, free_bytes
            from dgedit_engine.memory.passes import cached, worked
            from dgedit_engine.memory.plan import fitting, usual

            kinds = recipe(config, self.bits)
            every = fitting(config, sys.maxsize, device=self.device)
            fit = next((one.fit for one in every if (one.experts, one.rest) == kinds), None)
            if fit is None:
                raise EngineError(f"{self.plan.repo}: its widths are not made of groups of 32")
            context = usual(config)
            beside = cached(fit.setting, context, "bf16") + worked(fit.setting, context)
            return fit.need.weights + beside, free_bytes(device_of(self.device))

    def made(self) -> Iterator[QuantizeProgress]:
        """Quantise the original, and note where it is from. Raises EngineError where that cannot
        be done, or does not load; then the original stays.
        """
        with store.engine():
            from dgedit_engine.memory.devices import device_of
            from dgedit_engine.weights.quantize import quantize

            experts, rest = recipe(store.shape(self.whole), self.bits)
            place = device_of(self.device)
            yield from quantize(self.whole, self.target, experts=experts, rest=rest, device=place)
        if words := store.fault(self.target):
            raise EngineError(f"{self.target.name} does not load: {words}")
        said = {"repo": self.plan.repo, "commit": self.plan.commit, "files": {}, _QUANT: self.bits}
        (self.target / hub.ORIGIN).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def recipe(config: Config, bits: Bits) -> tuple[Experts | None, Rest]:
    """Return the kinds of the experts' codes, None where there are none, and of the others'. Beside
    experts the rest is a small part, and keeps 8 bits.
    """
    return _WITH_EXPERTS[bits] if config.experts else (None, bits)
