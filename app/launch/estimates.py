"""What a recipe will take, by what runs like it took on each kind of hardware: time, money, memory. Nothing is guessed:
where nobody ran anything like it there is no estimate.

Like it: same data set and pictures per epoch, network, batch, precision and backend, and pictures changed by the same
operations in the same place. Schedule, seed, rates (dropout's, too) and the number of epochs change no second
of an epoch. Reads only. Must not know HTTP or HTML.
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

LOOKED_AT = 300  # runs, the newest
LIKE = ("batch_size", "precision", "augment_engine", "augment_when", "last_batch", "tta")
ENDS = (0.1, 0.9)  # of what runs took: where most of them were


@dataclass(frozen=True)
class Estimate:
    hardware: str
    runs: int  # that it is made from
    seconds: float  # of the whole recipe, validation and test-time augmentation included: the median
    low: float  # nine of ten runs took longer
    high: float  # nine of ten took less
    money: float | None  # None: no worker with this hardware has a price
    memory: int | None  # bytes: most that was in use on the device meanwhile, by anybody; None: not known


def estimate_cost(session: Session, recipe: Recipe) -> list[Estimate]:
    """The fastest hardware first."""
    shape = _shape(recipe.model_dump(mode="json"))
    taken = (
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
        .where(Run.id.in_(_newest(recipe)))
        .group_by(Run.id)
    )
    found = defaultdict(list)
    for row in session.execute(taken):
        if _shape(row.recipe) == shape:
            found[row.hardware].append(row)
    prices = {name: price for name, price in load_prices(session).items() if price}
    return sorted((_of(name, rows, recipe, prices) for name, rows in found.items()), key=lambda one: one.seconds)


def _newest(recipe: Recipe) -> Any:
    newest = select(Run.id).where(Run.dataset == recipe.dataset.name, Run.last_epoch > 0)
    return newest.order_by(Run.id.desc()).limit(LOOKED_AT)


def _of(hardware: str, rows: list[Any], recipe: Recipe, prices: Mapping[str, float]) -> Estimate:
    seconds = recipe.epochs * np.array([row.seconds for row in rows])
    low, median, high = np.quantile(seconds, [ENDS[0], 0.5, ENDS[1]]).tolist()
    known = [prices[row.worker] for row in rows if row.worker in prices]
    memory = [row.memory for row in rows if row.memory is not None]
    money = median / 3600 * float(np.median(known)) if known else None
    return Estimate(hardware, len(rows), median, low, high, money, max(memory, default=None))


def _shape(recipe: Mapping[str, Any]) -> str:
    """What decides how long an epoch takes, as text."""
    data = {key: value for key, value in recipe["dataset"].items() if key != "name"}
    net = {key: value for key, value in recipe["model"].items() if not isinstance(value, float)}  # a rate has no shape
    operations = [one["op"] for one in recipe["augment"]]
    knobs = {key: recipe.get(key) for key in LIKE}
    rest = (data, net, operations, recipe.get("mixup") is not None, recipe.get("ema") is not None)
    return json.dumps([knobs, rest], sort_keys=True)
