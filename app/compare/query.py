"""Query parameters of a comparison: runs, groups, and a field of their curves."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query

from app.compare import comparison
from app.errors import InvalidRequest

Names = list[Annotated[str, Query(max_length=2000)]]
Runs = Annotated[
    Names, Query(alias="runs", max_length=comparison.MAX_SIDES, description="Run numbers: `1,2`, or repeated")
]
Groups = Annotated[
    Names,
    Query(
        max_length=comparison.MAX_SIDES,
        description="Recipe hashes, or at least the first 8 characters of each; comma-separated or repeated",
    ),
]
Field = Literal[
    "counted_accuracy", "val_accuracy", "train_accuracy", "val_loss", "train_loss", "learning_rate", "seconds"
]
YRange = Literal["all", "end", "best"]


def parse_run_ids(parameters: list[str], field: str = "runs") -> list[int]:
    """`1,2` and `3` -> 1, 2, 3. Raises InvalidRequest for the field."""
    names = parse_names(parameters)
    wrong = [word for word in names if not word.isdecimal() or len(word) > 18]
    if wrong:
        raise InvalidRequest([(field, f"{wrong[0][:40]!r} is not a run number")])
    return [int(word) for word in names]


def parse_names(parameters: list[str]) -> list[str]:
    return [word.strip().lstrip("#") for one in parameters for word in one.split(",") if word.strip()]
