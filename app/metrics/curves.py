"""The curves of many runs in one query, as arrays, and their mean and spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.metrics import accuracy
from app.records.models import Epoch, Run

Floats = NDArray[np.float64]
FIELDS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "counted_accuracy", "learning_rate", "seconds")


@dataclass(frozen=True)
class Curve:
    """The epochs of one run. Every array is (n,); NaN: not measured."""

    run_id: int
    epoch: Floats
    elapsed: Floats  # seconds on the training clock at the end of each epoch
    train_loss: Floats
    train_accuracy: Floats  # share
    val_loss: Floats
    val_accuracy: Floats  # share, without TTA
    counted_accuracy: Floats  # share, used for ranking; named as the API's query value
    learning_rate: Floats
    seconds: Floats


def load_curves(session: Session, run_ids: Sequence[int]) -> dict[int, Curve]:
    """By run, of the runs that have epochs; each epoch of the highest attempt since the last retry from scratch."""
    columns = [accuracy.RANKING_ACCURACY if field == "counted_accuracy" else getattr(Epoch, field) for field in FIELDS]
    query = (
        select(Epoch.run_id, Epoch.epoch, *columns)
        .join(Run, Run.id == Epoch.run_id)
        .where(Epoch.run_id.in_(run_ids), Epoch.attempt >= Run.trail_from)
        .order_by(Epoch.run_id, Epoch.epoch, Epoch.attempt)
    )
    rows = np.array([tuple(row) for row in session.execute(query)], dtype=np.float64).reshape(-1, 2 + len(FIELDS))
    if not len(rows):
        return {}
    is_last = np.ones(len(rows), bool)  # whether a row is the highest attempt at its run and epoch
    is_last[:-1] = (rows[1:, 0] != rows[:-1, 0]) | (rows[1:, 1] != rows[:-1, 1])
    rows = rows[is_last]
    starts = np.flatnonzero(np.r_[True, rows[1:, 0] != rows[:-1, 0]])
    return {int(part[0, 0]): _curve(part) for part in np.split(rows, starts[1:])}


def _curve(part: Floats) -> Curve:
    fields = dict(zip(FIELDS, part[:, 2:].T, strict=True))
    return Curve(int(part[0, 0]), part[:, 1], np.cumsum(fields["seconds"]), **fields)


@dataclass(frozen=True)
class Band:
    """One field over several runs, epoch by epoch; arrays (n,). `sd` is NaN for fewer than two runs."""

    epoch: Floats
    elapsed: Floats  # mean over the runs that have the epoch
    n: NDArray[np.int64]
    mean: Floats
    sd: Floats  # of the sample
    low: Floats  # smallest
    high: Floats


def compute_band(curves: Sequence[Curve], field: str = "counted_accuracy") -> Band:
    """Each epoch over the runs that have a value there; epochs without any value are left out."""
    longest = max((int(curve.epoch[-1]) for curve in curves), default=0)
    values, elapsed = np.full((len(curves), longest), np.nan), np.full((len(curves), longest), np.nan)
    for row, curve in enumerate(curves):
        columns = curve.epoch.astype(int) - 1
        values[row, columns], elapsed[row, columns] = getattr(curve, field), curve.elapsed
    n = np.sum(~np.isnan(values), axis=0)
    used = np.flatnonzero(n)
    values, elapsed, n = values[:, used], elapsed[:, used], n[used]
    sd = np.full(len(used), np.nan)
    if len(several := np.flatnonzero(n > 1)):
        sd[several] = np.nanstd(values[:, several], axis=0, ddof=1)
    return Band(
        epoch=(used + 1).astype(np.float64),
        elapsed=np.nanmean(elapsed, axis=0),
        n=n,
        mean=np.nanmean(values, axis=0),
        sd=sd,
        low=np.nanmin(values, axis=0),
        high=np.nanmax(values, axis=0),
    )
