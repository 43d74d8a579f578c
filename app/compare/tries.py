"""How many runs a comparison was chosen from: of its recipes, and of their data sets in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.board import samples
from app.board.samples import DIVERGED, Row
from app.records.models import ENDED, Run
from app.records.sqlite import last_id


@dataclass(frozen=True)
class Fates:
    """What became of the launched runs of a recipe. Each is counted once; diverged ones are among the first three."""

    shown: int  # their numbers are in the comparison
    duplicates: int  # of a seed on the same hardware, data and version
    others: int  # finished or diverged, but not chosen, or on other hardware or data
    failed: int  # for another reason than divergence
    cancelled: int
    in_progress: int  # or queued, or paused
    diverged: int

    @property
    def launched(self) -> int:
        return self.shown + self.duplicates + self.others + self.failed + self.cancelled + self.in_progress


class DatasetTries(NamedTuple):
    """All that was tried on a data set."""

    recipes: int
    runs: int
    seconds: float  # of training, epochs of lost attempts included


class Machinery(NamedTuple):
    """What a run was computed with, and for how long."""

    version: str | None  # Pitwall's; None: not started
    backend: str
    precision: str | None
    spent_seconds: float  # of training, epochs of lost attempts included


def load_tries(session: Session, recipe_hashes: Collection[str]) -> list[Row]:
    """All runs of these recipes, oldest first."""
    return samples.load_rows(session, Run.recipe_hash.in_(recipe_hashes))


def load_machinery(session: Session, recipe_hashes: Collection[str]) -> dict[int, Machinery]:
    """By run, of all runs of these recipes."""
    query = select(Run.id, Run.version, Run.backend, Run.precision, Run.spent_seconds)
    found = session.execute(query.where(Run.recipe_hash.in_(recipe_hashes)))
    return {row[0]: Machinery(*row[1:]) for row in found}


def load_dataset_tries(session: Session) -> dict[str, DatasetTries]:
    """By the names of the data sets that have runs."""
    counts = (func.count(Run.recipe_hash.distinct()), func.count(), func.sum(Run.spent_seconds))
    found = session.execute(select(Run.dataset, *counts).group_by(Run.dataset))
    return {row[0]: DatasetTries(*row[1:]) for row in found}


def count_deleted(session: Session, tries: Collection[DatasetTries]) -> int:
    """Runs that were deleted, of any data set: ids are never used again."""
    return max((last_id(session, "runs") or 0) - sum(one.runs for one in tries), 0)


def count_fates(rows: Sequence[Row], shown: Collection[int]) -> Fates:
    """`rows`: all runs of a recipe. `shown`: the ids of those in the comparison."""
    duplicates = {row.id for sample in samples.group_into_samples(rows) for row in sample.duplicates}
    counts = Counter(_fate(row, shown, duplicates) for row in rows)
    return Fates(
        shown=counts["shown"],
        duplicates=counts["duplicates"],
        others=counts["others"],
        failed=counts["failed"],
        cancelled=counts["cancelled"],
        in_progress=counts["in_progress"],
        diverged=sum(row.status == "failed" and row.failure == DIVERGED for row in rows),
    )


def _fate(row: Row, shown: Collection[int], duplicates: Collection[int]) -> str:
    if row.id in shown:
        return "shown"
    if row.status not in ENDED:
        return "in_progress"
    if not samples.is_included(row):
        return row.status  # failed or cancelled
    return "duplicates" if row.id in duplicates else "others"
