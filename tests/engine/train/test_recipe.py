"""What each step draws, and that every field of the recipe is an option."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace

import pytest

from dgedit_engine.train.recipe import Recipe, add_options, from_options, plan


def parsed(*arguments: str) -> Recipe:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return from_options(parser.parse_args(arguments))


def test_options_default_to_the_recipe() -> None:
    assert parsed() == Recipe()


def test_every_field_is_an_option() -> None:
    for field in fields(Recipe):
        given = {"noise": "masked"}.get(field.name, "1")
        found = getattr(parsed("--" + field.name.replace("_", "-"), given), field.name)
        assert str(found) in (given, "1.0")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"full": 1.5}, "full is a share from 0 to 1, not 1.5"),
        ({"copies": 0}, "copies must be positive, not 0"),
        ({"clean": -0.1}, "clean is a weight from 0 on, not -0.1"),
        ({"noise": "pink"}, "noise is uniform or masked, not pink"),
    ],
)
def test_unusable_value_is_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Recipe(**change)  # type: ignore[arg-type]


def test_plan_follows_from_the_seed_and_the_step() -> None:
    recipe = Recipe(conditioned=0.5, on_policy=0.5)
    plans = [plan(recipe, 0.1, step) for step in range(50)]
    assert plans == [plan(recipe, 0.1, step) for step in range(50)]
    assert plans != [plan(replace(recipe, seed=1), 0.1, step) for step in range(50)]


def test_plan_draws_the_recipes_shares() -> None:
    recipe = Recipe(conditioned=0.6, on_policy=0.2, shifted=0.1, last_phase=0.3)
    early = [plan(recipe, 0.69, step) for step in range(4000)]
    late = [plan(recipe, 0.71, step) for step in range(4000)]
    for plans, conditioned, own in ((early, 0.6, 0.12), (late, 0.95, 0.475)):
        twice = sum(one.conditioned for one in plans) / len(plans)
        assert twice == pytest.approx(conditioned, abs=0.03)
        drafts = sum(one.bound is not None for one in plans) / len(plans)
        assert drafts == pytest.approx(own, abs=0.03)
        assert all(one.conditioned for one in plans if one.bound is not None)
    assert {one.shifted for one in early} == {0.0} and {one.shifted for one in late} == {0.1}


def test_plan_draws_bounds_evenly_by_their_logarithm() -> None:
    recipe = Recipe(conditioned=1.0, on_policy=1.0)
    bounds = [one.bound for one in (plan(recipe, 0.1, step) for step in range(2000)) if one.bound]
    assert 0.05 <= min(bounds) < 0.06 and 18 < max(bounds) <= 20
    assert sum(bound < 1 for bound in bounds) / len(bounds) == pytest.approx(0.5, abs=0.04)
