"""A model's settings for decoding: which candidates are made for an infill, and which one is shown.

They stand in a file of ours, `decoding.json`, since transformers refuses a `generation_config.json`
with keys that it does not know. A checkpoint without it is sampled as released: one candidate, from
noise.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from dgedit_engine.files import small
from dgedit_engine.model.shape import Config
from dgedit_engine.rules.forms import FORMS
from dgedit_engine.types import MOST_CANDIDATES, ModelError, Origin

FILE = "decoding.json"
"""Name of the file, beside a checkpoint's others."""
DRAFTS, FEW = 12, 4
"""Drafts side by side of a model that reads from left to right alone: of a small one, of others."""

_SMALL = 1152  # width of a small model, at most: Gemma 3 1B's

_MOST = 1 << 16  # slots of a canvas
_ORIGINS: tuple[Origin, ...] = ("canvas", "draft", "sample", "revised")


@dataclass(frozen=True, slots=True)
class Decoding:
    """The settings for decoding. Raises ModelError, naming the value, for unusable ones."""

    candidates: int = 1
    """Infills that compete, where the request does not say."""
    origins: tuple[Origin, ...] = ("canvas",)
    """Where the first, the second, … candidate comes from; beyond their number they come round
    again, each with other draws.
    """
    canvases: tuple[int, ...] = ()
    """Slots of the canvases from noise, in turn; none: the model's own number."""
    fitted: bool = False
    """Whether a lone hole without text gets a canvas from noise as wide as it seems to need, which
    grows where no end comes, instead of the `canvases` or the model's own (`widths.py`).
    """
    revision: float = 0.4
    """The share of a draft's slots that is noised before a canvas revises it."""
    heat: float = 0.8
    """Temperature of sampled drafts."""
    cuts: int = 0
    """Places at which a lone hole's draft may end that compete as candidates of their own."""
    following: float = 0.5
    """Weight, against the infill's own, of how well the text behind the hole follows from it."""
    ranked: bool = True
    """Whether the causal reading ranks; else the first candidate is shown."""
    veto: bool = True
    """Whether candidates with more syntax errors than another stand behind it."""
    repairs: int = 0
    """Rounds in which tokens under syntax errors are noised and refined again."""
    renoised: int = 0
    """Rounds in which the best infill is noised from the first token on that the causal reading
    would not have written, and refined again.
    """
    warm: bool = False
    """Whether, after an edit elsewhere, the last infill is revised as a candidate too."""
    confirmed: bool = False
    """Whether at last only those pieces look settled that the causal reading would have written."""
    canvas: bool = False
    """Whether drafts from the canvas join those read from left to right, where a base has one."""
    w8a8: bool = False
    """Whether products with matrices of e4m3 round the activations to e4m3 too, on a GPU that has
    tensor cores for it. What it gains is not measured.
    """
    form: str | None = None
    """The form in which a text of the model's one domain lies on its canvas, by its name in
    `rules/forms.py`; None: the model reads any text.
    """
    slots: int | None = None
    """Slots of the canvas of a lone hole, all of them text: an evaluation's length control."""

    def __post_init__(self) -> None:
        for name, least in (("candidates", 1), ("cuts", 0), ("repairs", 0), ("renoised", 0)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= MOST_CANDIDATES:
                span = f"from {least} to {MOST_CANDIDATES}"
                raise ModelError(f"{name} must be a whole number {span}, not {value!r}")
        for name in ("revision", "following"):
            if not 0 <= getattr(self, name) <= 1:
                raise ModelError(f"{name} must be between 0 and 1, not {getattr(self, name)!r}")
        if not 0 < self.heat < math.inf:
            raise ModelError(f"heat must be positive, not {self.heat!r}")
        for name in ("fitted", "w8a8"):
            if type(value := getattr(self, name)) is not bool:
                raise ModelError(f"{name} must be true or false, not {value!r:.100}")
        if not self.origins or not set(self.origins) <= set(_ORIGINS):
            raise ModelError(f"origins must be some of {_ORIGINS}, not {self.origins!r:.100}")
        if any(type(size) is not int or not 4 <= size <= _MOST for size in self.canvases):
            raise ModelError(f"canvases must have 4 to {_MOST} slots, not {self.canvases!r:.100}")
        if self.form is not None and self.form not in FORMS:
            raise ModelError(f"form must be one of {', '.join(FORMS)}, not {self.form!r:.100}")
        if self.slots is not None and not (type(self.slots) is int and 1 <= self.slots <= _MOST):
            raise ModelError(f"slots must be a whole number from 1 to {_MOST}, not {self.slots!r}")
        for name in ("origins", "canvases"):
            if len(getattr(self, name)) > MOST_CANDIDATES:
                raise ModelError(f"{name} must be at most {MOST_CANDIDATES}")


def default(config: Config | None = None) -> Decoding:
    """Return the settings of a model that has none: one that reads from left to right alone gets as
    many drafts as nano, a larger one fewer. It is oftener right at first, and on a GPU each draft
    has the prompt's keys for itself, which twelve of a 7B make 4 GB.
    """
    if config is None or not config.left_to_right:
        return Decoding()
    return Decoding(candidates=DRAFTS if config.dim <= _SMALL else FEW)


def load_decoding(folder: Path, config: Config | None = None) -> Decoding:
    """Load the settings in `folder/decoding.json`; the `default` of a model of that `config` where
    there is no file. Raises ModelError for unusable ones.
    """
    path = folder / FILE
    if (raw := small.table(path)) is None:
        return default(config)
    known = {field.name for field in fields(Decoding)}
    if strange := sorted(raw.keys() - known):
        raise ModelError(f"{path}: {strange[0]!r:.50}; known are {', '.join(sorted(known))}")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()
    }
    try:
        return Decoding(**values)
    except (ModelError, TypeError) as error:
        raise ModelError(f"{path}: {error}") from error


def save_decoding(decoding: Decoding, folder: Path) -> None:
    """Write the settings that are not the defaults to `folder/decoding.json`."""
    usual = asdict(Decoding())
    ours = {key: value for key, value in asdict(decoding).items() if value != usual[key]}
    (folder / FILE).write_text(json.dumps(ours, indent=2) + "\n", encoding="utf-8")
