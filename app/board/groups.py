"""Repeats: runs of one recipe that differ in their seed alone, on one kind of hardware and the same pictures.

Reads only; which runs count is samples.py's, the formulas are statistics.py's. Must not know HTTP, HTML or charts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.board import samples
from app.board.metrics import HOUR, reaches
from app.board.ranking import prices_of
from app.board.samples import Sample
from app.errors import InvalidRequest, NotFound
from app.metrics import accuracy, statistics
from app.metrics.curves import Curve, of_runs
from app.records.models import ENDED, Run

SHORTEST = 8  # letters of a recipe's hash that name a group
MAX_CURVES = 200


@dataclass(frozen=True)
class Numbers:
    """Of the runs that count; None where no run has them."""

    final: statistics.Spread | None
    plain_final: statistics.Spread | None  # without TTA; None: the recipe has none, the other is plain
    best: statistics.Spread | None
    plain_best: statistics.Spread | None
    reached: statistics.Reached | None
    median_time: float | None  # seconds to the target; None: half of the runs or more missed it
    times: statistics.Spread | None  # of the runs that reached it
    energy: statistics.Spread | None  # Wh of whole runs
    cost: statistics.Spread | None  # of whole runs, in whatever money the workers' prices are


@dataclass(frozen=True)
class Group:
    """What repeats of a recipe say."""

    recipe_hash: str
    runs: Sequence[Run]  # all of them, newest first
    hardware: dict[str, int]  # runs on each kind
    sample: Sample  # on the kind that was asked for, or that most runs had
    target: float  # share
    curves: dict[int, Curve]  # of runs that count, or are under way
    numbers: Numbers


def load_group(session: Session, name: str, hardware: str | None = None, target: float | None = None) -> Group:
    """The group of a recipe's hash, or of its first letters. Raises NotFound, InvalidRequest."""
    runs = runs_of(session, name)
    recipe_hash = runs[0].recipe_hash
    rows = samples.read(session, Run.recipe_hash == recipe_hash)
    known = [row for row in rows if row.hardware and samples.counts(row)]
    kinds = Counter(row.hardware for row in known if row.hardware)
    if hardware is not None and hardware not in kinds:
        there = ", ".join(sorted(kinds)) or "none yet"
        raise InvalidRequest([("hardware", f"no run of this recipe ended on {hardware[:120]!r}; there is {there}")])
    on = hardware or (kinds.most_common(1)[0][0] if kinds else None)
    prints = Counter(row.fingerprint for row in known if row.hardware == on)
    pictures = prints.most_common(1)[0][0] if prints else None
    mine = [row for row in rows if on is None or (row.hardware in (on, None) and row.fingerprint in (pictures, None))]
    found = samples.sorted_out(mine)
    sample = next((one for one in found if one.hardware == on), Sample(recipe_hash, on))
    sample.excluded = sum(one.excluded for one in found)  # some ended before they had any hardware
    live = [row.id for row in mine if row.status not in ENDED]
    sample.under_way = len(live)
    aim = float(runs[0].recipe["target_accuracy"]) if target is None else target
    shown = [row.id for row in sample.counted] + live
    return Group(
        recipe_hash,
        runs,
        dict(kinds),
        sample,
        aim,
        of_runs(session, shown[:MAX_CURVES]),
        _numbers(session, sample, aim, has_tta=accuracy.has_tta(runs[0].recipe)),
    )


def runs_of(session: Session, name: str) -> Sequence[Run]:
    """All runs of it, newest first. Raises NotFound."""
    return session.scalars(select(Run).where(Run.recipe_hash == _whole(session, name)).order_by(Run.id.desc())).all()


def _whole(session: Session, name: str) -> str:
    letters = name.lower()
    if len(letters) < SHORTEST or set(letters) - set("0123456789abcdef"):
        raise NotFound(f"there is no group {name[:64]!r}")
    beyond = letters + "g"  # a range, so that the index is used
    found = session.scalars(
        select(Run.recipe_hash).where(Run.recipe_hash >= letters, Run.recipe_hash < beyond).distinct().limit(2)
    ).all()
    if len(found) != 1:
        raise NotFound(f"there is no group {name[:64]!r}" if not found else f"{name[:64]!r} begins several groups")
    return found[0]


def _numbers(session: Session, sample: Sample, target: float, *, has_tta: bool) -> Numbers:
    rows, finished = sample.counted, sample.finished
    plain = samples.plain(session, finished) if has_tta else []
    times = [reach.elapsed if reach else None for reach in reaches(rows, target)]
    known = [time for time in times if time is not None]
    prices = prices_of(session)
    costs = [prices[row.worker] * row.elapsed_seconds / HOUR for row in rows if row.worker in prices]
    return Numbers(
        final=statistics.spread_of_known([row.last_val_accuracy for row in finished]),
        plain_final=statistics.spread_of_known([one.last for one in plain]),
        best=statistics.spread_of_known([row.best_val_accuracy for row in finished]),
        plain_best=statistics.spread_of_known([one.best for one in plain]),
        reached=statistics.reached(len(known), len(rows)) if rows else None,
        median_time=statistics.median_time(times),
        times=statistics.spread_of_known(known),
        energy=statistics.spread_of_known([row.energy_wh for row in rows]),
        cost=statistics.spread_of_known(costs),
    )
