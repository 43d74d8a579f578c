"""How the numbers of a comparison came about: what a reviewer of a paper asks about its results.

The questions are those of the NeurIPS paper checklist: n, error bars, compute, how the best was chosen, and what was
left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.board.baselines import find_baseline
from app.board.metrics import HOUR
from app.board.samples import Row, Sample, group_into_samples, has_finished
from app.compare import tries
from app.compare.choice import Choice, Contestant, Place, judge_recipes
from app.compare.comparison import Comparison, Side, count
from app.compare.tries import DatasetTries, Fates, Machinery
from app.metrics.accuracy import describe_tta
from app.records.models import Run
from app.workers.prices import load_prices


@dataclass(frozen=True)
class Line:
    """What the accuracies of a side were measured on."""

    name: str
    runs: str
    seeds: str
    images: str
    epoch: str
    tta: str


@dataclass(frozen=True)
class Compute:
    """Of some runs. `energy` is in Wh, `cost` in the currency of the prices; each of so many runs."""

    title: str
    runs: int
    seconds: float  # of training, epochs of lost attempts included
    energy: float
    energy_runs: int
    cost: float
    cost_runs: int


@dataclass(frozen=True)
class Provenance:
    lines: list[Line]
    error_bars: list[str]
    hardware: str
    software: str
    compute: list[Compute]
    choice: Choice
    singles: int  # sides that are one run each, which were not tested
    fates: list[tuple[str, str, Fates]]  # name and hash of each recipe
    totals: Fates
    datasets: list[tuple[str, DatasetTries, DatasetTries]]  # all of it, and the part that is not in the comparison
    deleted: int  # runs of any data set


def trace(session: Session, found: Comparison) -> Provenance:
    """A query for each kind of number, however many sides there are."""
    pinned = {side.run.dataset: find_baseline(session, side.run.dataset) for side in found.sides}
    own = {side.recipe_hash for side in found.sides}
    baselines = {name for name in pinned.values() if name}
    all_rows = tries.load_tries(session, own | baselines)
    rows: dict[str, list[Row]] = {}
    for row in all_rows:
        rows.setdefault(row.recipe_hash, []).append(row)
    machinery = tries.load_machinery(session, own)
    shown = {run_id for side in found.sides for run_id in side.included}
    tried = [row for row in all_rows if row.recipe_hash in own]
    contestants = _contestants(found.sides, rows)
    for name in baselines - {one.recipe_hash for one in contestants}:
        newest = session.get_one(Run, rows[name][-1].id) if name in rows else None
        contestants += _baseline_contestants(newest, rows[name], contestants) if newest else []
    named = {side.recipe_hash: side.run for side in found.sides}
    fates = {name: tries.count_fates(rows[name], shown) for name in named}
    datasets = tries.load_dataset_tries(session)
    prices = load_prices(session)
    kept = [row for row in tried if row.id in shown]
    return Provenance(
        lines=[_line(side, rows[side.recipe_hash]) for side in found.sides],
        error_bars=describe_error_bars(found.sides),
        hardware=_counted(Counter(row.hardware or "not started" for row in kept)),
        software=_counted(Counter(_describe_software(machinery[row.id]) for row in kept)),
        compute=[
            add_up("Runs in this document", kept, machinery, prices),
            add_up("All runs of these recipes", tried, machinery, prices),
        ],
        choice=judge_recipes(contestants, {dataset: name for dataset, name in pinned.items() if name}),
        singles=sum(not side.is_group for side in found.sides),
        fates=[(run.name, name[:8], fates[name]) for name, run in named.items()],
        totals=_sum(list(fates.values())),
        datasets=[_left_out(dataset, datasets[dataset], named, kept, machinery) for dataset in pinned],
        deleted=tries.count_deleted(session, datasets.values()),
    )


def describe_error_bars(sides: Sequence[Side]) -> list[str]:
    """What the error bars of these sides are, and where there are none."""
    said = []
    if any(side.sd is not None for side in sides):
        said += [
            "± is the standard deviation of the sample (n − 1) of the final accuracies over the seeds of a line. It "
            "says how far one seed is from the next, not how sure the mean is.",
            "The 95 % confidence interval of a mean is Student's t over the seeds. Its standard deviation is at least "
            "that of counting the validation images, √(p (1 − p) / images).",
        ]
    if any(side.stats and side.stats.reached for side in sides):
        said += [
            "The 95 % confidence interval of a share (runs that reached the target) is Clopper and Pearson's.",
            "The time to target of several seeds is their median, with a miss longer than any time. Its 95 % "
            "confidence interval is by order statistics, which need six runs or more.",
        ]
    if any(len(side.curves) > 1 for side in sides):
        said.append(
            "A band in a chart is one standard deviation (n − 1) above and below the mean of each epoch, over the runs "
            "that have that epoch: also diverged ones, and those in progress."
        )
    if any(side.n == 1 for side in sides):
        said.append("A line of one run (n = 1) has no error bar: nothing is known about other seeds.")
    if any(side.n > 1 for side in sides):
        said.append("All of these tell of other seeds on the same validation images, not of other images.")
    return said


def add_up(title: str, rows: Sequence[Row], machinery: Mapping[int, Machinery], prices: Mapping[str, float]) -> Compute:
    """`prices`: of an hour, by the names of the workers that have one."""
    energies = [row.energy_wh for row in rows if row.energy_wh is not None]
    spent = [(row.worker or "", machinery[row.id].spent_seconds) for row in rows]
    costs = [prices[worker] * seconds / HOUR for worker, seconds in spent if worker in prices]
    seconds = sum(seconds for _, seconds in spent)
    return Compute(title, len(rows), seconds, sum(energies), len(energies), sum(costs), len(costs))


def describe_seeds(seeds: Collection[int]) -> str:
    """`0 to 4, 7`."""
    ordered = sorted(set(seeds))
    starts = [seed for seed in ordered if seed - 1 not in set(ordered)]
    ends = [seed for seed in ordered if seed + 1 not in set(ordered)]
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True))


def describe_images(run: Run) -> str:
    """`10,000: the published test split`, `5,000 held out from training`."""
    if not run.val_images:
        return "not known yet"
    data = run.recipe["dataset"]
    limit, held_out = data.get("val_limit"), data.get("val_from_train")
    is_part = limit is not None and run.val_images == limit and limit != held_out
    if held_out and not is_part:
        return f"{run.val_images:,} held out from training"
    whole = "the test split" if run.dataset.startswith("folder:") else "the published test split"
    if held_out:
        whole = f"{held_out:,} held out from training"
    return f"{run.val_images:,}: {f'the first of {whole}' if is_part else whole}"


def _line(side: Side, rows: Sequence[Row]) -> Line:
    ids = set(side.included)
    own = [row for row in rows if row.id in ids]
    diverged = sum(row.status == "failed" and not has_finished(row) for row in own) if side.is_group else 0
    runs = str(len(own))
    if diverged:
        runs += f": {diverged} diverged" + (f", so ± is of {len(own) - diverged}" if side.sd is not None else "")
    last, planned = side.last_epoch, side.run.epochs
    epoch = f"last, {planned}" if side.is_group or last == planned else f"last, {last} of {planned}" if last else "none"
    return Line(
        side.name,
        runs,
        describe_seeds([row.seed for row in own]) or "–",
        describe_images(side.run),
        epoch,
        describe_tta(side.run.recipe),
    )


def _contestants(sides: Sequence[Side], rows: Mapping[str, Sequence[Row]]) -> list[Contestant]:
    """Of the sides that are groups, with all their runs at the side's place. The same recipe comes once a place."""
    groups: dict[tuple[str, Place], set[int]] = {}
    runs: dict[str, Run] = {}
    for side in sides:
        if side.is_group:
            groups.setdefault((side.recipe_hash, _place(side.run)), set()).update(side.included)
            runs[side.recipe_hash] = side.run
    names = Counter(run.name for run in runs.values())
    return [
        Contestant(
            run.name if names[run.name] == 1 else f"{run.name} ({name[:8]})",
            name,
            place,
            _sample_at(place, rows[name]),
            len(shown),
        )
        for (name, place), shown in groups.items()
        for run in [runs[name]]
    ]


def _baseline_contestants(newest: Run, rows: Sequence[Row], others: Sequence[Contestant]) -> list[Contestant]:
    """The pinned baseline at each place where it can be compared with a recipe of the comparison."""
    places = {one.place for one in others} & {
        _place(newest)._replace(hardware=row.hardware, fingerprint=row.fingerprint) for row in rows
    }
    return [
        Contestant(newest.name, newest.recipe_hash, place, _sample_at(place, rows), 0)
        for place in sorted(places, key=str)
    ]


def _place(run: Run) -> Place:
    data = run.recipe["dataset"]
    return Place(run.dataset, data.get("val_from_train"), data.get("val_limit"), run.hardware, run.fingerprint)


def _sample_at(place: Place, rows: Sequence[Row]) -> Sample:
    here = [row for row in rows if (row.hardware, row.fingerprint) == (place.hardware, place.fingerprint)]
    return next(iter(group_into_samples(here)), Sample("", place.hardware))


def _describe_software(one: Machinery) -> str:
    if one.version is None:
        return f"{one.backend}, not started"
    return f"Pitwall {one.version}, {one.backend}, {one.precision or 'precision not known'}"


def _counted(counts: Counter[str]) -> str:
    """`cpu: Some CPU (5 runs); Some GPU (1 run)`."""
    return "; ".join(f"{name} ({count(number, 'run')})" for name, number in counts.most_common())


def _sum(fates: Sequence[Fates]) -> Fates:
    return Fates(**{field: sum(getattr(one, field) for one in fates) for field in Fates.__dataclass_fields__})


def _left_out(
    dataset: str,
    tried: DatasetTries,
    named: Mapping[str, Run],
    kept: Sequence[Row],
    machinery: Mapping[int, Machinery],
) -> tuple[str, DatasetTries, DatasetTries]:
    own = [row for row in kept if named[row.recipe_hash].dataset == dataset]
    recipes = sum(run.dataset == dataset for run in named.values())
    seconds = sum(machinery[row.id].spent_seconds for row in own)
    rest = DatasetTries(tried.recipes - recipes, tried.runs - len(own), max(tried.seconds - seconds, 0.0))
    return dataset, tried, rest
