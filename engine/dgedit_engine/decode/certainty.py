"""The probability that an infill is right as it is: a logistic regression on what its search found.

Fitted on held-out spans (`eval/calibrate.py`), where right means: what stood there, white space
aside. The model's own probability of a text says little of that, since a long right text is less
likely than a short wrong one; by how much it leads the other candidates, and how well the text
behind it follows, say more. Knows candidates of one hole; neither requests nor models.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dgedit_engine.decode.cuts import continues
from dgedit_engine.decode.endings import circle
from dgedit_engine.decode.joint import Scored
from dgedit_engine.files import small
from dgedit_engine.prompt.plain import Surroundings
from dgedit_engine.types import ModelError

FILE = "certainty.json"
"""Name of the file with a model's weights for it, beside a checkpoint's others."""

_LEAST = 1e-6  # probability of a piece, in a logarithm
_FAR = 12.0  # nats beyond which a lead says no more


@dataclass(frozen=True, slots=True)
class Certainty:
    """A model's weights of the logistic regression."""

    bias: float
    """Added to the weighted sum."""
    weights: Mapping[str, float]
    """The weight of each feature."""

    def of(self, features: Mapping[str, float]) -> float:
        """Return the probability, 0 to 1, of a candidate with these features."""
        total = self.bias + sum(self.weights[name] * value for name, value in features.items())
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, total))))


def features(found: Sequence[Scored], at: int, place: Surroundings, asked: int) -> dict[str, float]:
    """Return the features of the candidate `found[at]` for a hole in `place`; `found` are all
    candidates, `asked` is how many tokens of the text behind were scored.
    """
    one = found[at]
    joints = [other.joint for other in found]
    most = max(joints)
    total = math.log(sum(math.exp(joint - most) for joint in joints)) + most
    rivals = [
        other.joint
        for other in found
        if not other.text.startswith(one.text) and not one.text.startswith(other.text)
    ]
    lead = one.joint - max(rivals, default=one.joint - _FAR)
    sure = [math.log(max(piece, _LEAST)) for piece in one.draft.confidence] or [0.0]
    lines = one.text.strip("\n").count("\n")
    goes_on = continues(place.behind)
    return {
        "own": one.own,
        "piece": one.own / len(sure),
        "least": min(sure),
        "after": one.after / max(1, asked),
        "share": one.joint - total,
        "lead": max(-_FAR, min(_FAR, lead)),
        "lines": math.log1p(lines),
        "length": math.log1p(len(one.text.strip())),
        "repeats": float(one.repeats),
        "circle": float(circle(one.text) is not None),
        "starts line": float(not place.line.strip()),
        "line goes on": float(goes_on and not place.starts_line),
        "at an end": float(not place.behind.strip()),
    }


FEATURES = (
    *("own", "piece", "least", "after", "share", "lead", "lines", "length", "repeats", "circle"),
    *("starts line", "line goes on", "at an end"),
)
"""The features' names, in order."""


def load_certainty(folder: Path) -> Certainty | None:
    """Load the weights in `folder/certainty.json`; None where there is none. Raises ModelError for
    unusable ones.
    """
    path = folder / FILE
    said = small.table(path)
    if said is None:
        return None
    weights = said.get("weights")
    numbers = [said.get("bias"), *(weights.values() if isinstance(weights, dict) else [None])]
    if not all(type(one) in (int, float) and math.isfinite(one) for one in numbers):
        raise ModelError(f"{path}: bias and weights must be numbers")
    assert isinstance(weights, dict)
    if set(weights) != set(FEATURES):
        raise ModelError(f"{path}: the weights must be of {', '.join(FEATURES)}")
    return Certainty(float(said["bias"]), {name: float(weights[name]) for name in FEATURES})


def save_certainty(certainty: Certainty, folder: Path) -> None:
    """Write the weights to `folder/certainty.json`."""
    weights = {name: round(certainty.weights[name], 4) for name in FEATURES}
    table = {"bias": round(certainty.bias, 4), "weights": weights}
    (folder / FILE).write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
