"""Which runs count: one for each seed of a recipe on the same hardware, data and version; the others are replays.

Read by the board and by pages of groups. A diverged run counts, as a miss; cancelled runs and those that failed for
another reason do not, and their number is kept. Must not know rankings, HTTP or HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from app.models import Run, Status

COLUMNS = (
    Run.id,
    Run.recipe_hash,
    Run.seed,
    Run.status,
    Run.failure,
    Run.hardware,
    Run.fingerprint,
    Run.version,
    Run.worker,
    Run.train_images,
    Run.is_resumed,
    Run.last_epoch,
    Run.last_val_accuracy,
    Run.best_val_accuracy,
    Run.elapsed_seconds,
    Run.spent_seconds,
    Run.energy_wh,
    Run.milestones,
)
DIVERGED = "diverged"
COUNTS = or_(Run.status == Status.SUCCEEDED, and_(Run.status == Status.FAILED, Run.failure == DIVERGED))

Row = Any  # of COLUMNS


@dataclass
class Sample:
    """The runs of one recipe on one kind of hardware."""

    recipe_hash: str
    hardware: str | None
    counted: list[Row] = field(default_factory=list)  # the earliest of each seed and version
    replays: list[Row] = field(default_factory=list)
    excluded: int = 0  # cancelled, or failed for a reason that is not the recipe's
    under_way: int = 0

    @property
    def finished(self) -> list[Row]:
        """Without those that diverged: they have no last accuracy worth the name."""
        return [row for row in self.counted if row.status == Status.SUCCEEDED]


def read(session: Session, *conditions: ColumnElement[bool]) -> Sequence[Row]:
    """Single columns of runs, oldest first: a fifth of the time that whole rows take."""
    return session.execute(select(*COLUMNS).where(*conditions).order_by(Run.id)).all()


def kinds(session: Session, dataset: str) -> dict[tuple[str, str | None], int]:
    """How many runs that count there are of each (pictures, hardware)."""
    query = (
        select(Run.fingerprint, Run.hardware, func.count())
        .where(Run.dataset == dataset, Run.fingerprint.is_not(None), COUNTS)
        .group_by(Run.fingerprint, Run.hardware)
    )
    return {(pictures, hardware): number for pictures, hardware, number in session.execute(query) if pictures}


def counts(row: Row) -> bool:
    return bool(row.status == Status.SUCCEEDED or (row.status == Status.FAILED and row.failure == DIVERGED))


def sorted_out(rows: Iterable[Row]) -> list[Sample]:
    """One for each recipe and hardware, in the order of their first runs."""
    found: dict[tuple[str, str | None], Sample] = {}
    seen = set()
    for row in rows:
        key = (row.recipe_hash, row.hardware)
        if (sample := found.get(key)) is None:
            sample = found[key] = Sample(*key)
        if counts(row):
            of = (key, row.seed, row.fingerprint, row.version)
            (sample.replays if of in seen else sample.counted).append(row)
            seen.add(of)
        elif row.status in {Status.CANCELLED, Status.FAILED}:
            sample.excluded += 1
        else:
            sample.under_way += 1
    return list(found.values())
