"""Which runs count: one for each seed of a recipe on the same hardware, data and version; the others are replays.

Read by the board and by pages of groups. A diverged run counts, as a miss; cancelled runs and those that failed for
another reason do not, and their number is kept. Must not know rankings, HTTP or HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Engine, and_, func, or_, select
from sqlalchemy.orm import Session

from app.records.models import Run, Status

DIVERGED = "diverged"
COUNTS = or_(Run.status == Status.SUCCEEDED, and_(Run.status == Status.FAILED, Run.failure == DIVERGED))


class Row(NamedTuple):
    """A run's columns of these names."""

    id: int
    recipe_hash: str
    seed: int
    status: str
    failure: str | None
    hardware: str | None
    fingerprint: str | None
    version: str | None
    worker: str | None
    train_images: int | None
    is_resumed: bool
    last_epoch: int
    last_val_accuracy: float | None
    best_val_accuracy: float | None
    elapsed_seconds: float
    energy_wh: float | None
    milestones: bytes


COLUMNS = [getattr(Run, name) for name in Row._fields]


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
        return [row for row in self.counted if has_finished(row)]


def read(session: Session, *conditions: ColumnElement[bool]) -> list[Row]:
    """Oldest first. The driver's own tuples: a tenth of the time that whole runs take, and no column needs more."""
    found = session.connection().execute(select(*COLUMNS).where(*conditions))
    rows = map(partial(tuple.__new__, Row), found.cursor.fetchall())  # Row._make counts columns
    return sorted(rows, key=itemgetter(0))  # here: the database would sort milestones along


class Plain(NamedTuple):
    """A run's accuracies without test-time augmentation."""

    last: float | None
    best: float | None


def plain(session: Session, rows: Iterable[Row]) -> list[Plain]:
    """Of some rows, where another accuracy counts. Not among a row's columns: they lie behind the milestones, and to
    read them of every run takes as long as all the others together.
    """
    query = select(Run.last_plain_accuracy, Run.best_plain_accuracy).where(Run.id.in_([row.id for row in rows]))
    return [Plain(*found) for found in session.execute(query)]


def kinds(session: Session, dataset: str) -> dict[tuple[str, str | None], int]:
    """How many runs that count there are of each (pictures, hardware)."""
    query = (
        select(Run.fingerprint, Run.hardware, func.count())
        .where(Run.dataset == dataset, Run.fingerprint.is_not(None), COUNTS)
        .group_by(Run.fingerprint, Run.hardware)
    )
    return {(pictures, hardware): number for pictures, hardware, number in session.execute(query) if pictures}


def has_finished(row: Row) -> bool:
    """Not diverged: that is a miss, whatever was reached on the way."""
    return row.status == "succeeded"


def counts(row: Row) -> bool:
    return row.status == "succeeded" or (row.status == "failed" and row.failure == DIVERGED)


def sorted_out(rows: Iterable[Row]) -> list[Sample]:
    """One for each recipe and hardware, in the order of their first runs."""
    found: dict[tuple[str, str | None], Sample] = {}
    seen: dict[tuple[object, ...], bool] = {}
    for row in rows:
        key = (row.recipe_hash, row.hardware)
        sample = found.get(key) or found.setdefault(key, Sample(*key))
        if counts(row):
            of = (*key, row.seed, row.fingerprint, row.version)
            (sample.replays if of in seen else sample.counted).append(row)
            seen[of] = True
        elif row.status in {"cancelled", "failed"}:
            sample.excluded += 1
        else:
            sample.under_way += 1
    return list(found.values())


BOARDS = 2  # that are kept, the latest asked for: a board of 20,000 runs is some 30 MB


Key = tuple[str, str | None, str | None]


Stamp = Sequence[Any]


_kept: WeakKeyDictionary[Engine, dict[Key, tuple[Stamp, list[Sample]]]] = WeakKeyDictionary()


_lock = Lock()


def load_samples(session: Session, dataset: str, pictures: str | None, hardware: str | None) -> list[Sample]:
    """Of the runs on these pictures (a fingerprint) and this hardware (None: on all). Not to be changed."""
    key, engine = (dataset, pictures, hardware), session.get_bind().engine
    conditions = [Run.dataset == dataset, Run.fingerprint == pictures]
    conditions += [] if hardware is None else [Run.hardware == hardware]
    # An ended run stays as it is until it is deleted, or tried again, which is another attempt; these only rise.
    sums = (func.count(), func.sum(Run.id), func.sum(Run.attempt))
    stamp = session.execute(select(Run.status, *sums).where(*conditions).group_by(Run.status)).all()
    with _lock:
        known = _kept.get(engine, {}).get(key)
    if known and known[0] == stamp:
        return known[1]
    found = sorted_out(read(session, *conditions))
    with _lock:
        boards = _kept.setdefault(engine, {})
        boards.pop(key, None)
        boards[key] = (stamp, found)
        while len(boards) > BOARDS:
            del boards[next(iter(boards))]
    return found
