"""Recipes that were stored before a setting was added are compared as what they still mean."""

from __future__ import annotations

from typing import Any

from app.runs.recipes import complete, differing_settings
from trainer.recipe import Recipe
from trainer.recipe.schedule import Sine


def stored_before() -> dict[str, Any]:
    recipe = Recipe(schedule=Sine()).model_dump(mode="json")
    del recipe["schedule"]["scale_mode"]
    return recipe


def test_a_recipe_from_before_a_setting_does_not_differ_in_it():
    now = Recipe(schedule=Sine()).model_dump(mode="json")
    assert differing_settings([stored_before(), now]) == []
    assert complete(stored_before()) == now


def test_a_changed_setting_differs_from_a_recipe_that_was_stored_before_it():
    now = Recipe(schedule=Sine(scale_mode="iterations")).model_dump(mode="json")
    assert differing_settings([stored_before(), now]) == [("schedule.scale_mode", ["cycle", "iterations"])]


def test_a_key_that_is_left_out_stays_out():
    group = {key: value for key, value in stored_before().items() if key != "seed"}
    assert "seed" not in complete(group)
