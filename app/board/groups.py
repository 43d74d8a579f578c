"""Groups: runs of one recipe that differ in their seed alone, on one kind of hardware and one version of the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.board import samples
from app.board.metrics import HOUR, find_target_hits, find_val_images
from app.board.samples import Sample
from app.errors import InvalidRequest, NotFound
from app.metrics import accuracy, statistics
from app.metrics.curves import Curve, load_curves
from app.metrics.sampling_error import standard_error
from app.metrics.statistics import Spread
from app.records.models import ENDED, Run
from app.workers.prices import load_prices

MIN_HASH_LETTERS = 8  # of a recipe's hash, to name a group
MAX_CURVES = 200
MAX_OTHERS = 100  # recipes to choose from


@dataclass(frozen=True)
class GroupStatistics:
    """Statistics over the included runs; None if no run has the value."""

    final: Spread | None
    final_without_tta: Spread | None  # None also if the recipe uses no TTA
    best: Spread | None
    best_without_tta: Spread | None  # None also if the recipe uses no TTA
    reached: statistics.ReachRate | None
    median_time: float | None  # seconds to the target; None: half of the runs or more missed it
    median_interval: tuple[float, float | None] | None  # 95 % of it; an end of None: longer than any time
    times: Spread | None  # of the runs that reached it
    energy: Spread | None  # Wh of whole runs
    cost: Spread | None  # of whole runs, in the currency of the workers' prices


@dataclass(frozen=True)
class Group:
    recipe_hash: str
    runs: Sequence[Run]  # all runs of the recipe, newest first
    hardware: dict[str, int]  # runs on each kind
    sample: Sample  # on the requested kind of hardware, or that of most runs
    target: float  # share
    curves: dict[int, Curve]  # by run: included and in progress
    stats: GroupStatistics

    @property
    def images(self) -> int | None:
        """Validation images of the newest finished run; None: not known."""
        return next((row.val_images for row in reversed(self.sample.finished)), None)

    @property
    def sampling_error(self) -> float | None:
        """Of the mean final accuracy, from being measured on these images."""
        return standard_error(self.stats.final.mean if self.stats.final else None, self.images)


def load_group(session: Session, name: str, hardware: str | None = None, target: float | None = None) -> Group:
    """`name`: a recipe's hash or its first letters. Raises NotFound, InvalidRequest."""
    runs = load_group_runs(session, name)
    recipe_hash = runs[0].recipe_hash
    rows = samples.load_rows(session, Run.recipe_hash == recipe_hash)
    known = [row for row in rows if row.hardware and samples.is_included(row)]
    kinds = Counter(row.hardware for row in known if row.hardware)
    if hardware is not None and hardware not in kinds:
        there = ", ".join(sorted(kinds)) or "none yet"
        raise InvalidRequest(
            [("hardware", f"no run of this recipe ended on {hardware[:120]!r}; hardware with runs: {there}")]
        )
    device = hardware or (kinds.most_common(1)[0][0] if kinds else None)
    fingerprints = Counter(row.fingerprint for row in known if row.hardware == device)
    fingerprint = fingerprints.most_common(1)[0][0] if fingerprints else None
    matching = [
        row
        for row in rows
        if device is None or (row.hardware in (device, None) and row.fingerprint in (fingerprint, None))
    ]
    found = samples.group_into_samples(matching)
    sample = next((one for one in found if one.hardware == device), Sample(recipe_hash, device))
    sample.excluded = sum(one.excluded for one in found)  # some ended before they had any hardware
    live = [row.id for row in matching if row.status not in ENDED]
    sample.in_progress = len(live)
    chosen_target = float(runs[0].recipe["target_accuracy"]) if target is None else target
    drawn = [row.id for row in sample.included] + live
    return Group(
        recipe_hash,
        runs,
        dict(kinds),
        sample,
        chosen_target,
        load_curves(session, drawn[:MAX_CURVES]),
        compute_statistics(session, sample, chosen_target, has_tta=accuracy.has_tta(runs[0].recipe)),
    )


def load_group_runs(session: Session, name: str) -> Sequence[Run]:
    """All runs of the recipe, newest first. Raises NotFound."""
    recipe_hash = _resolve_hash(session, name)
    return session.scalars(select(Run).where(Run.recipe_hash == recipe_hash).order_by(Run.id.desc())).all()


def list_others(session: Session, run: Run) -> list[tuple[str, str]]:
    """(hash, name) of the other recipes of the run's data set, the latest first."""
    newest = func.max(Run.id)  # SQLite takes the name from the same row
    query = select(Run.recipe_hash, Run.name, newest).where(
        Run.dataset == run.dataset, Run.recipe_hash != run.recipe_hash
    )
    found = session.execute(query.group_by(Run.recipe_hash).order_by(newest.desc()).limit(MAX_OTHERS))
    return [(recipe, name) for recipe, name, _ in found]


def _resolve_hash(session: Session, name: str) -> str:
    letters = name.lower()
    if len(letters) < MIN_HASH_LETTERS or set(letters) - set("0123456789abcdef"):
        raise NotFound(f"there is no group {name[:64]!r}")
    beyond = letters + "g"  # a range, so that the index is used
    found = session.scalars(
        select(Run.recipe_hash).where(Run.recipe_hash >= letters, Run.recipe_hash < beyond).distinct().limit(2)
    ).all()
    if len(found) != 1:
        raise NotFound(f"there is no group {name[:64]!r}" if not found else f"several groups begin with {name[:64]!r}")
    return found[0]


def compute_statistics(session: Session, sample: Sample, target: float, *, has_tta: bool) -> GroupStatistics:
    """`target`: a share. `has_tta`: whether the recipe uses test-time augmentation."""
    rows, finished = sample.included, sample.finished
    without_tta = samples.load_accuracies_without_tta(session, finished) if has_tta else []
    times = [hit.elapsed if hit else None for hit in find_target_hits(rows, target)]
    known = [time for time in times if time is not None]
    prices = load_prices(session)
    costs = [prices[row.worker] * row.elapsed_seconds / HOUR for row in rows if row.worker in prices]
    images = find_val_images(rows)
    return GroupStatistics(
        final=_accuracies([row.last_val_accuracy for row in finished], images),
        final_without_tta=_accuracies([one.last for one in without_tta], images),
        best=_accuracies([row.best_val_accuracy for row in finished], images),
        best_without_tta=_accuracies([one.best for one in without_tta], images),
        reached=statistics.compute_reach_rate(len(known), len(rows)) if rows else None,
        median_time=statistics.median_time(times),
        median_interval=statistics.median_interval(times),
        times=_amounts(known),
        energy=_amounts([row.energy_wh for row in rows]),
        cost=_amounts(costs),
    )


def _accuracies(values: Sequence[float | None], images: int | None) -> Spread | None:
    known = [value for value in values if value is not None]
    return statistics.compute_accuracy_spread(known, images) if known else None


def _amounts(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return statistics.compute_time_spread(known) if known else None
