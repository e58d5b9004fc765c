"""The ways of filling a hole that an evaluation compares.

`fill` is what `dgedit fill` does, `fill-fitted` the same with the other setting of `fitted`.
`canvas` is one canvas from noise, as wide as the model's own, `fitted` one as wide as its hole;
`causal` the same weights read token by token, the most probable one each time, which any figure of
a diffusion model must be shown beside; `oracle` a canvas that is told the gold text's length;
`warm` one that starts from the infill before an edit, to be compared with `canvas`; `empty` fills
with nothing, and shows what a rate of files that parse is worth. The others switch off one idea of
the decoding each. Each reads its prompt anew, so that times compare.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from dgedit_engine.decode.decoding import Decoding
from dgedit_engine.decode.starts import Memory
from dgedit_engine.engine import Engine
from dgedit_engine.infill import infill
from dgedit_engine.types import InfillRequest, Step, Stopped

DEFAULT = ("fill", "one", "canvas", "causal", "oracle", "empty")
"""The ways that are measured unless others are asked for."""


@dataclass(frozen=True, slots=True)
class FillerOutput:
    """The infill of one hole by one way of filling."""

    pieces: tuple[str, ...]
    """The text, token by token."""
    steps: int
    """Steps that were shown."""
    ms: float
    """Milliseconds, the reading of the prompt included."""
    stopped: Stopped
    """Why it ended."""
    origin: str = ""
    """Where the shown candidate came from."""
    certainty: float | None = None
    """The probability that it is right, by the model's `Certainty`; None where it has none."""

    @property
    def text(self) -> str:
        """What to put into the hole."""
        return "".join(self.pieces)


Filler = Callable[[InfillRequest, int], FillerOutput]
"""Fills a request; the number is the gold text's tokens, which the oracle alone may look at."""


def fillers(engine: Engine) -> dict[str, Filler]:
    """Return all ways of filling with this engine, by name."""
    ours = engine.decoding
    canvases = tuple(origin for origin in ours.origins if origin == "canvas") or ("canvas",)
    ways = {
        "fill": ours,
        "one": replace(ours, candidates=1),
        "canvas": Decoding(),
        "fitted": Decoding(fitted=True),
        "fill-fitted": replace(ours, fitted=not ours.fitted),
        "causal": Decoding(origins=("draft",)),
        "no-length": replace(ours, canvases=()),
        "no-cuts": replace(ours, cuts=0),
        "no-ranking": replace(ours, ranked=False, veto=False),
        "no-following": replace(ours, following=0.0),
        "no-veto": replace(ours, veto=False),
        "no-repair": replace(ours, repairs=0),
        "renoised": replace(ours, renoised=2),
        "canvas-renoised": replace(Decoding(), renoised=2),
        "no-draft": replace(ours, origins=canvases),
        "no-revision": replace(
            ours, origins=tuple("draft" if one == "revised" else one for one in ours.origins)
        ),
    }
    found: dict[str, Filler] = {name: _decoded(engine, way) for name, way in ways.items()}
    canvas = replace(Decoding(), warm=True)
    return {**found, "warm": _warm(engine, canvas), "oracle": _oracle(engine), "empty": _empty}


def _decoded(engine: Engine, decoding: Decoding) -> Filler:
    """Return the way that fills with other settings."""

    def fill(request: InfillRequest, gold_tokens: int) -> FillerOutput:
        return folded(_steps(engine, request, decoding))

    return fill


def _oracle(engine: Engine) -> Filler:
    """Return the way that fills a canvas with a slot for each gold token and no end: the worth of
    the length alone.
    """

    def fill(request: InfillRequest, gold_tokens: int) -> FillerOutput:
        return folded(_steps(engine, request, Decoding(slots=max(1, gold_tokens))))

    return fill


def _warm(engine: Engine, decoding: Decoding) -> Filler:
    """Return the way that starts a canvas from what filled the hole before the line above it was
    typed.
    """

    def fill(request: InfillRequest, gold_tokens: int) -> FillerOutput:
        memory = Memory()
        folded(_steps(engine, without_line_above(request), decoding, memory))
        return folded(_steps(engine, request, decoding, memory))

    return fill


def without_line_above(request: InfillRequest) -> InfillRequest:
    """Return the request for the same hole before the last whole line in front of it was typed."""
    passage = request.passages[0]
    before = passage.parts[0]
    if not isinstance(before, str) or before.count("\n") < 2:
        return request
    whole, _, rest = before.rpartition("\n")
    cut = whole.rfind("\n") + 1
    parts = (before[:cut] + rest, *passage.parts[1:])
    return replace(request, passages=(replace(passage, parts=parts), *request.passages[1:]))


def folded(steps: Iterator[Step]) -> FillerOutput:
    """Fold the steps of any backend into its output, and time them. Raises RuntimeError without a
    last step.
    """
    started = time.perf_counter()
    last: Step | None = None
    for step in steps:
        last = step
    if last is None or not last.last:
        raise RuntimeError("the stream of steps ended without a last step")
    ms = 1000 * (time.perf_counter() - started)
    first = last.candidates[0][0] if last.candidates else None
    return FillerOutput(
        last.drafts[0].pieces,
        last.index,
        ms,
        last.stopped or "settled",
        first.origin if first else "",
        first.certainty if first else None,
    )


def _steps(
    engine: Engine, request: InfillRequest, decoding: Decoding, memory: Memory | None = None
) -> Iterator[Step]:
    engine.cache.truncate(0)
    return infill(
        engine.model,
        engine.tokenizer,
        engine.cache,
        engine.sampling,
        request,
        decoding=decoding,
        memory=memory,
        certainty=engine.certainty,
    )


def _empty(request: InfillRequest, gold_tokens: int) -> FillerOutput:
    """Fill with nothing, at no cost."""
    return FillerOutput((), 0, 0.0, "unchanged")
