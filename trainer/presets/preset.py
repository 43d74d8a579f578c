"""A preset: a named recipe with a description, in one of several families."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.recipe import Recipe

Family = Literal["start", "seed", "trial", "step", "page"]

FAMILIES: dict[Family, str] = {  # headings, in display order
    "start": "Start here",
    "seed": "The original experiment",
    "trial": "Trials of the original experiment",
    "step": "Half cycles of 2 to 10 epochs",
    "page": "Published recipes",
}


@dataclass(frozen=True)
class Preset:
    name: str
    version: int  # incremented when the recipe changes
    title: str
    description: str  # a few sentences: where it comes from, what to expect
    family: Family
    recipe: Recipe
    small_of: str | None = None  # name of the preset that this is the small version of

    @property
    def card(self) -> str:
        """The first sentence of the description, shown alone on the preset's card."""
        first, dot, _ = self.description.partition(". ")
        return first + dot.strip()


def with_parts(recipe: Recipe, **parts: object) -> Recipe:
    """A copy of the recipe with whole parts replaced. Raises ValidationError."""
    return Recipe.model_validate({**dict(recipe), **parts})
