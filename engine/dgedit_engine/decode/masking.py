"""Choose tokens for masks, and which of them stay: the samplers of masked diffusion models.

As their authors code them (Dream, DreamOn, DiffuCoder; Open-dCoder's p2), for one text: `sampled`
chooses a token for each slot and says how confident that is, `kept` which slots take theirs, `many`
how many. Knows logits; neither slots, text nor models.

Letters: n slots, V tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from dgedit_engine.files import small
from dgedit_engine.model.shape import Config
from dgedit_engine.types import MOST_STEPS, ModelError

Alg = Literal["entropy", "maskgit_plus", "topk_margin", "origin", "p2"]
"""What stays first: the token whose distribution has the least entropy, the most probable one, the
one furthest ahead of the second; any, in random order; or by probability, chosen among all anew in
each step, so that a token may become a mask again.
"""

NOT_FINITE = "the model's logits are no finite numbers: damaged weights?"
"""What a user is told of a model whose probabilities are no numbers."""

_EPS = 1e-3  # where the schedule of times ends
_TINY = 1e-10  # keeps logarithms finite
_EDGE = 1e-20


@dataclass(frozen=True, slots=True)
class Masking:
    """A sampler's settings."""

    alg: Alg = "entropy"
    """What stays first."""
    temperature: float = 0.1
    """Of the tokens; 0 takes the most probable one."""
    top_p: float | None = 0.95
    """Tokens are drawn among the most probable ones that have this share together."""
    top_k: int | None = None
    """Tokens are drawn among so many of the most probable ones."""
    alg_temp: float = 0.0
    """Temperature at which slots are drawn by confidence; 0 takes the most confident ones."""
    steps: int | None = None
    """Steps from masks to a text; None: as many as there are masks."""
    slots: int = 64
    """Masks of a hole at the start of a model that chooses lengths, and at most."""

    def __post_init__(self) -> None:
        if self.alg not in get_args(Alg):
            raise ModelError(f"alg must be one of {', '.join(get_args(Alg))}, not {self.alg!r:.50}")
        for name, least, most in (("temperature", 0, 100), ("alg_temp", 0, 100), ("top_p", 0, 1)):
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise ModelError(f"{name} must be between {least} and {most}, not {value!r}")
        for name in ("steps", "top_k"):
            value = getattr(self, name)
            if value is not None and not (type(value) is int and 1 <= value <= MOST_STEPS):
                raise ModelError(f"{name} must be from 1 to {MOST_STEPS}, not {value!r}")


def load_masking(folder: Path, config: Config, *, dream: bool) -> Masking:
    """Load the settings in `folder/generation_config.json` if it names an `alg`: others are left
    from a model that reads from left to right. Else those of the published figures: DreamOn's of
    one that chooses lengths, else Dream-Coder's of a `dream`, LLaDA's of one that predicts tokens
    in their places, or Open-dCoder's. Raises ModelError for unusable ones.
    """
    assert config.masks is not None
    path = folder / "generation_config.json"
    raw = small.table(path) or {}
    usual = Masking() if dream else Masking("p2", temperature=0.6, steps=64)
    if config.masks.aligned:
        usual = Masking("maskgit_plus", temperature=0.0, top_p=None)
    if config.masks.expand is not None:
        usual = Masking(temperature=0.2, top_p=0.9)
    if raw.get("alg") is None:
        return usual
    names = ("alg", "temperature", "top_p", "top_k", "alg_temp", "steps")
    values: dict[str, Any] = {name: raw[name] for name in names if raw.get(name) is not None}
    try:
        return Masking(**values)
    except (ModelError, TypeError) as error:
        raise ModelError(f"{path}: {error}") from error


class SampledSlots(NamedTuple):
    """What is chosen for n slots."""

    tokens: Tensor
    """(n,) int64."""
    confidence: Tensor
    """(n,): the higher, the sooner a token stays."""
    probability: Tensor
    """(n,): of the token, at temperature 1 and among all."""


def sampled(logits: Tensor, masking: Masking, generator: torch.Generator | None) -> SampledSlots:
    """Choose a token for each row of logits (n, V), the most probable one where there is no
    `generator` to draw with or the temperature is 0.
    """
    plain = logits.softmax(-1)
    if bool(plain[..., 0].isnan().any()):  # a draw would fail the device
        raise ModelError(NOT_FINITE)
    heat = masking.temperature
    limited = _limited(logits / heat if heat > 0 else logits, masking)
    probs = limited.softmax(-1)  # (n, V)
    if heat > 0 and generator is not None:
        tokens = torch.multinomial(probs, 1, generator=generator)[:, 0]
    else:
        tokens = probs.argmax(-1)
    own = probs.gather(-1, tokens[:, None])[:, 0]
    if masking.alg == "entropy":
        confidence = (probs * (probs + _TINY).log()).sum(-1)
    elif masking.alg == "topk_margin":
        first, second = probs.topk(2, -1).values.unbind(-1)
        confidence = first - second
    elif masking.alg == "origin":
        confidence = torch.rand(own.shape, generator=generator, device=own.device)
    else:
        confidence = own
    return SampledSlots(tokens, confidence, plain.gather(-1, tokens[:, None])[:, 0])


def kept(
    confidence: Tensor, count: int, masking: Masking, generator: torch.Generator | None
) -> Tensor:
    """Return which `count` slots of confidences (n,) take their tokens: the most confident ones, or
    drawn by confidence without replacement.
    """
    if not masking.alg_temp or generator is None:
        return confidence.topk(count).indices
    weights = (confidence / masking.alg_temp).softmax(-1).clamp(min=_EDGE)
    return torch.multinomial(weights, count, generator=generator)


def many(left: int, step: int, steps: int) -> int:
    """Return how many of the masks that are `left` go in a step, counted from 0: as many as the
    linear schedule has for its time, and all at last.
    """
    if step >= steps - 1:
        return left
    times = torch.linspace(1, _EPS, steps + 1)
    return int(left * (1 - times[step + 1] / times[step]))


def masked_again(slots: int, step: int, steps: int) -> int:
    """Return how many of all slots are masks after a step of p2, counted from 0."""
    return int(torch.tensor(float(slots)) * (1 - (step + 1) / steps))  # rounded as in fp32


def _limited(logits: Tensor, masking: Masking) -> Tensor:
    """Return the logits (n, V) of the tokens among which is drawn; others have the least number."""
    least = torch.finfo(logits.dtype).min
    if masking.top_p is not None and masking.top_p < 1:
        ordered, places = logits.sort(-1, descending=True)
        behind = ordered.softmax(-1).cumsum(-1) > masking.top_p
        behind = behind.roll(1, -1)  # the token that passes the share is one of them
        behind[..., 0] = False
        logits = logits.masked_fill(behind.scatter(-1, places, behind), least)
    if masking.top_k is not None:
        top = min(masking.top_k, logits.shape[-1])
        logits = logits.masked_fill(logits < logits.topk(top, -1).values[..., -1:], least)
    return logits
