"""Tell how a base is tuned: which part of it is trained, and by which recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from dgedit_engine.engine import open_tokenizer
from dgedit_engine.model.config import load_config
from dgedit_engine.prompt.prompt import chat, plain
from dgedit_engine.train.both_recipe import BothRecipe
from dgedit_engine.train.lora_recipe import LoraRecipe
from dgedit_engine.train.recipe import Recipe
from dgedit_engine.tune import adapted, both
from dgedit_engine.tune.adapted import AdapterLearner
from dgedit_engine.tune.both import BothLearner
from dgedit_engine.tune.learner import Learner, Span, TunePlan
from dgedit_engine.tune.whole import WholeLearner
from dgedit_engine.types import ModelError

Kind = Literal["adapter", "whole", "both"]

_LEARNERS: dict[Kind, Callable[[TunePlan, Sequence[tuple[str, str]], Sequence[Span]], Learner]] = {
    "adapter": AdapterLearner,
    "whole": WholeLearner,
    "both": BothLearner,
}


def kind_of(base: Path) -> Kind:
    """Return which part of a base is trained. Raises ModelError, which says why, for one that is
    not tuned, or is no model.
    """
    config = load_config(base)
    if config.diffusion:
        if plain(words := open_tokenizer(base)):
            raise ModelError("the tokenizer has neither tiny's markers nor Gemma's turns")
        return "both" if chat(words) else "whole"
    if config.family == "gemma4":
        raise ModelError("a Gemma 4 without canvases is not tuned")
    if not config.closed and config.conditioned:
        raise ModelError("a model of one domain alone: dgedit tune --demo trains such a one")
    if config.softcap is not None:
        raise ModelError(f"logits with a soft cap, {config.softcap:g}, are not trained")
    return "adapter"


def recipe_of(base: Path, *, minutes: float, seed: int) -> LoraRecipe | Recipe | BothRecipe:
    """Return the recipe by which a base is tuned. Raises ModelError as `kind_of` does."""
    kind = kind_of(base)
    given: dict[str, Any] = {"minutes": minutes, "seed": seed}
    if kind == "whole":
        return Recipe(lr=0.006, **given)
    if kind == "both":
        return BothRecipe(**given)
    return LoraRecipe(rank=16, alpha=16.0, projections="all", lr=3e-4, rows=8, limit=384, **given)


def needed(base: Path, device: str, *, minutes: float, seed: int) -> str:
    """Say what tuning takes of a device's memory; empty where that is not planned. Raises TooLarge,
    with figures, where it surely does not fit, and ModelError as `kind_of` does.
    """
    recipe = recipe_of(base, minutes=minutes, seed=seed)
    if isinstance(recipe, BothRecipe):
        return both.needed(base, recipe, device)
    if isinstance(recipe, LoraRecipe):
        adapted.check_room(base, device)
    return ""


def learner_of(plan: TunePlan, train: Sequence[tuple[str, str]], held: Sequence[Span]) -> Learner:
    """Open the base of a plan for training on some texts, to be measured on held-out spans. Raises
    ModelError as `kind_of` does.
    """
    return _LEARNERS[kind_of(plan.base)](plan, train, held)
