"""Which runs statistics include: for each seed the earliest run of a recipe on the same hardware, data and version.

Later runs of the same seed are duplicates. A diverged run is included, as a miss. Runs that were cancelled or
failed for another reason are excluded; only their number is kept. Used by the board and by pages of groups.
"""

from __future__ import annotations

from collections import Counter
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
from app.records.sqlite import constant_json_value

DIVERGED = "diverged"
INCLUDED = or_(Run.status == Status.SUCCEEDED, and_(Run.status == Status.FAILED, Run.failure == DIVERGED))
CACHE_SIZE = 2  # boards, the latest requested: one of 20,000 runs takes some 30 MB

CacheKey = tuple[str, str | None, str | None]  # dataset, fingerprint, hardware
CacheVersion = Sequence[Any]  # sums over the runs of a board that change whenever one of its ended runs does


class Row(NamedTuple):
    """The columns of a run that statistics need, named as in the database."""

    id: int
    recipe_hash: str
    seed: int
    status: str
    failure: str | None
    hardware: str | None
    fingerprint: str | None
    version: str | None
    worker: str | None
    images_per_epoch: int | None
    val_images: int | None
    is_resumed: bool
    concern: str | None
    last_epoch: int
    last_val_accuracy: float | None
    best_val_accuracy: float | None
    elapsed_seconds: float
    energy_wh: float | None
    target_accuracy: float  # that the recipe asks for, a share
    milestones: bytes


TARGET = constant_json_value(Run.recipe, "target_accuracy")
COLUMNS = [TARGET if name == "target_accuracy" else getattr(Run, name) for name in Row._fields]


@dataclass
class Sample:
    """The runs of one recipe on one kind of hardware."""

    recipe_hash: str
    hardware: str | None
    included: list[Row] = field(default_factory=list)  # the earliest of each seed and version
    targets: Counter[float] = field(default_factory=Counter)  # how many of them have each target
    duplicates: list[Row] = field(default_factory=list)
    excluded: int = 0  # cancelled, or failed for a reason that is not the recipe's
    in_progress: int = 0

    @property
    def finished(self) -> list[Row]:
        """Without diverged runs, whose last accuracy means nothing."""
        return [row for row in self.included if has_finished(row)]

    @property
    def concerns(self) -> dict[str, int]:
        """Number of finished runs by concern (app.metrics.concerns)."""
        return Counter(row.concern for row in self.finished if row.concern)


class AccuraciesWithoutTta(NamedTuple):
    last: float | None
    best: float | None


_cache: WeakKeyDictionary[Engine, dict[CacheKey, tuple[CacheVersion, list[Sample]]]] = WeakKeyDictionary()
_cache_lock = Lock()


def load_samples(
    session: Session,
    dataset: str,
    fingerprint: str | None,
    hardware: str | None,
    filters: Sequence[ColumnElement[bool]] = (),
) -> list[Sample]:
    """`hardware` None: all kinds. `filters`: more conditions. The list is shared between callers: do not change it."""
    key, engine = (dataset, fingerprint, hardware), session.get_bind().engine
    conditions = [Run.dataset == dataset, Run.fingerprint == fingerprint]
    conditions += [] if hardware is None else [Run.hardware == hardware]
    if filters:
        return group_into_samples(load_rows(session, *conditions, *filters))
    # An ended run changes only by deletion or by a retry, which raises its attempt: then these sums differ.
    sums = (func.count(), func.sum(Run.id), func.sum(Run.attempt))
    version = session.execute(select(Run.status, *sums).where(*conditions).group_by(Run.status)).all()
    with _cache_lock:
        cached = _cache.get(engine, {}).get(key)
    if cached and cached[0] == version:
        return cached[1]
    found = group_into_samples(load_rows(session, *conditions))
    with _cache_lock:
        boards = _cache.setdefault(engine, {})
        boards.pop(key, None)
        boards[key] = (version, found)
        while len(boards) > CACHE_SIZE:
            del boards[next(iter(boards))]
    return found


def load_rows(session: Session, *conditions: ColumnElement[bool]) -> list[Row]:
    """Oldest first. Uses the driver's own tuples: loading Run objects takes ten times as long."""
    found = session.connection().execute(select(*COLUMNS).where(*conditions))
    rows = map(partial(tuple.__new__, Row), found.cursor.fetchall())  # Row._make would count the columns of each
    return sorted(rows, key=itemgetter(0))  # in Python: the database would sort the milestones along


def load_accuracies_without_tta(session: Session, rows: Iterable[Row]) -> list[AccuraciesWithoutTta]:
    """Only for recipes with TTA. Not among a row's columns: they are stored behind the milestones, and reading them
    for every run takes as long as reading all the other columns.
    """
    query = select(Run.last_plain_accuracy, Run.best_plain_accuracy).where(Run.id.in_([row.id for row in rows]))
    return [AccuraciesWithoutTta(*found) for found in session.execute(query)]


def count_included_runs(session: Session, dataset: str) -> dict[tuple[str, str | None], int]:
    """Number of runs by (fingerprint, hardware)."""
    query = (
        select(Run.fingerprint, Run.hardware, func.count())
        .where(Run.dataset == dataset, Run.fingerprint.is_not(None), INCLUDED)
        .group_by(Run.fingerprint, Run.hardware)
    )
    return {(fingerprint, hardware): count for fingerprint, hardware, count in session.execute(query) if fingerprint}


def has_finished(row: Row) -> bool:
    """False for a diverged run: a miss, even if it reached the target before."""
    return row.status == "succeeded"


def is_included(row: Row) -> bool:
    """INCLUDED for a loaded row."""
    return row.status == "succeeded" or (row.status == "failed" and row.failure == DIVERGED)


def group_into_samples(rows: Iterable[Row]) -> list[Sample]:
    """One sample for each recipe and hardware, in the order of their first runs."""
    samples: dict[tuple[str, str | None], Sample] = {}
    seen: set[tuple[object, ...]] = set()
    for row in rows:
        key = (row.recipe_hash, row.hardware)
        sample = samples.get(key) or samples.setdefault(key, Sample(*key))
        if is_included(row):
            repeat = (*key, row.seed, row.fingerprint, row.version)
            if repeat in seen:
                sample.duplicates.append(row)
            else:
                sample.included.append(row)
                sample.targets[row.target_accuracy] += 1
            seen.add(repeat)
        elif row.status in {"cancelled", "failed"}:
            sample.excluded += 1
        else:
            sample.in_progress += 1
    return list(samples.values())
