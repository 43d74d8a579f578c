"""A warning about a recipe or about what a run measured. Warnings never stop a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RecipeWarning:
    code: str  # stable identifier
    path: str  # of the setting, such as `augment.2`
    text: str  # the problem and why it matters
    mend: str = ""  # label of the fix; empty if there is none
    fix: dict[str, Any] = field(default_factory=dict)  # a partial recipe to merge into this one
