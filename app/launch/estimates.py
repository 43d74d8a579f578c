"""Estimates of a recipe's time, cost and memory for each kind of hardware, from similar runs. Without any, no estimate.

Similar: the same data set and images per epoch, model, batch size, precision, backend, and augmentation operations.
Schedule, seed, rates (dropout included) and the number of epochs do not change the duration of an epoch.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.records.models import Epoch, Run
from app.workers.prices import load_prices
from trainer.recipe import Recipe

MAX_RUNS = 300  # the newest
SAME_SETTINGS = ("batch_size", "precision", "augment_engine", "augment_when", "last_batch", "tta")
QUANTILES = (0.1, 0.9)  # of the durations of similar runs


@dataclass(frozen=True)
class Estimate:
    hardware: str
    runs: int  # that it is based on
    seconds: float  # median for the whole recipe, validation and test-time augmentation included
    low: float  # nine of ten runs took longer
    high: float  # nine of ten took less
    money: float | None  # None: no worker with this hardware has a price
    memory: int | None  # bytes: peak use of the device by all of its processes; None: not known


def estimate_cost(session: Session, recipe: Recipe) -> list[Estimate]:
    """Estimates by hardware, fastest first."""
    key = _cost_key(recipe.model_dump(mode="json"))
    measured = (
        select(
            Run.id,
            Run.hardware,
            Run.worker,
            Run.recipe,
            func.avg(Epoch.seconds + Epoch.val_seconds + Epoch.tta_seconds).label("seconds"),
            func.max(Epoch.memory_bytes).label("memory"),
        )
        .join(Epoch, (Epoch.run_id == Run.id) & (Epoch.attempt == Run.attempt))
        .where(Run.dataset == recipe.dataset.name, Run.backend == recipe.backend, Run.hardware.is_not(None))
        .where(Run.id.in_(_newest_runs(recipe)))
        .group_by(Run.id)
    )
    rows_of = defaultdict(list)
    for row in session.execute(measured):
        if _cost_key(row.recipe) == key:
            rows_of[row.hardware].append(row)
    prices = {name: price for name, price in load_prices(session).items() if price}
    return sorted(
        (_estimate(name, rows, recipe, prices) for name, rows in rows_of.items()), key=lambda one: one.seconds
    )


def _newest_runs(recipe: Recipe) -> Any:
    newest = select(Run.id).where(Run.dataset == recipe.dataset.name, Run.last_epoch > 0)
    return newest.order_by(Run.id.desc()).limit(MAX_RUNS)


def _estimate(hardware: str, rows: list[Any], recipe: Recipe, prices: Mapping[str, float]) -> Estimate:
    seconds = recipe.epochs * np.array([row.seconds for row in rows])
    low, median, high = np.quantile(seconds, [QUANTILES[0], 0.5, QUANTILES[1]]).tolist()
    known = [prices[row.worker] for row in rows if row.worker in prices]
    memory = [row.memory for row in rows if row.memory is not None]
    money = median / 3600 * float(np.median(known)) if known else None
    return Estimate(hardware, len(rows), median, low, high, money, max(memory, default=None))


def _cost_key(recipe: Mapping[str, Any]) -> str:
    """All that decides the duration of an epoch, as text."""
    data = {key: value for key, value in recipe["dataset"].items() if key != "name"}
    model = {key: value for key, value in recipe["model"].items() if not isinstance(value, float)}  # rates cost nothing
    operations = [one["op"] for one in recipe["augment"]]
    settings = {key: recipe.get(key) for key in SAME_SETTINGS}
    rest = (data, model, operations, recipe.get("mixup") is not None, recipe.get("ema") is not None)
    return json.dumps([settings, rest], sort_keys=True)
