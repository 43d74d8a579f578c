"""What a preset is: a named recipe, a paragraph about it, and the family under which it is shown.

Must not know which presets there are (presets.py), or any ML framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.recipe import Recipe

Family = Literal["start", "seed", "trial", "step", "page"]

FAMILIES: dict[Family, str] = {  # headings, in the order shown
    "start": "Start here",
    "seed": "The original experiment",
    "trial": "Its trials",
    "step": "Half cycles of 2 to 10 epochs",
    "page": "Published recipes",
}


@dataclass(frozen=True)
class Preset:
    name: str
    version: int  # rises when the recipe changes
    title: str
    description: str  # a paragraph of a few sentences: where it comes from, what to expect
    family: Family
    recipe: Recipe
    small_of: str | None = None  # the preset that this one is made small from

    @property
    def card(self) -> str:
        """The paragraph's first sentence, which stands alone."""
        first, dot, _ = self.description.partition(". ")
        return first + dot.strip()


def varied(recipe: Recipe, **parts: object) -> Recipe:
    """The recipe with whole parts replaced, and checked anew."""
    return Recipe.model_validate({**dict(recipe), **parts})
