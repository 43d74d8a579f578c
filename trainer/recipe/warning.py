"""A remark about a recipe or about what became of it: the sentence, the knob, and the change that mends it.

Never stops anybody. Must not know who finds it or who shows it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RecipeWarning:
    code: str  # its name, the same in every language and version
    path: str  # the knob that it is about, as a recipe writes it: `augment.2`
    text: str  # what is odd, and why that matters
    mend: str = ""  # what the fix does, in a few words; empty where there is none
    fix: dict[str, Any] = field(default_factory=dict)  # a partial recipe to lay over this one
