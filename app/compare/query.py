"""What is compared, as addresses name it: runs, groups, a field of their curves."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query

from app.compare import comparison
from app.errors import InvalidRequest

Names = list[Annotated[str, Query(max_length=2000)]]


Runs = Annotated[Names, Query(alias="runs", max_length=comparison.MAX_SIDES, description="Numbers: `1,2` or repeated")]


Groups = Annotated[
    Names, Query(max_length=comparison.MAX_SIDES, description="First letters of recipes' hashes, likewise")
]


Field = Literal[
    "counted_accuracy", "val_accuracy", "train_accuracy", "val_loss", "train_loss", "learning_rate", "seconds"
]


def numbers(asked: list[str]) -> list[int]:
    """`1,2` and `3` -> 1, 2, 3. Raises InvalidRequest naming `runs`."""
    found = words(asked)
    wrong = [word for word in found if not word.isdecimal() or len(word) > 18]
    if wrong:
        raise InvalidRequest([("runs", f"{wrong[0][:40]!r} is no number of a run")])
    return [int(word) for word in found]


def words(asked: list[str]) -> list[str]:
    return [word.strip().lstrip("#") for one in asked for word in one.split(",") if word.strip()]
