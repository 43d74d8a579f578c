"""Settles: two recipes are repeated in turn until the verdict on them is decided, or both have the most seeds allowed.

Everything is in the database. A step looks at the runs and does what is next, in one transaction. It may be taken at
any time and any number of times, so an app that is killed loses nothing and queues nothing twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.board.samples import DIVERGED
from app.board.verdicts import Answer, Question, answer, to_json
from app.errors import Conflict, InvalidRequest, NotFound, Trouble
from app.live.leases import Leases
from app.records import outbox
from app.records.models import ENDED, HELD, Run, Settle, Status
from app.records.outbox import OutboxEvent
from app.runs import lifecycle, runs
from app.web.deps import State
from app.workers.listing import find_suitable, list_known

DECISIONS = {"better", "worse", "equivalent"}
MIN_IN_PROGRESS = 2  # runs queued or running, so that no worker waits for the look after a run
MAX_STREAK = 3  # runs in a row that do not count, of one recipe or of both
POLL_S = 15.0  # for what has no event: workers that came or went
COMING = (Status.QUEUED, *HELD)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """Where a settle stands, beside its verdict."""

    runs: Sequence[Run]  # that it queued, oldest first
    in_progress: list[Run]
    waits_for: str | None  # why none of its runs can start now
    seconds_per_run: float | None  # from its start to its end; None: not known yet
    seconds_left: float | None  # estimated, until it stops; None: not known, or it has ended
    is_bound: bool  # whether `seconds_left` is the most that it can take


def start(session: Session, question: Question, here: State) -> Settle:
    """Begin, with the first runs queued. Raises NotFound, InvalidRequest, and Conflict where it cannot run now."""
    found = answer(session, question)
    if found.verdict is None:
        raise InvalidRequest([("candidate", found.sentence[:1].lower() + found.sentence[1:].rstrip("."))])
    hashes = (found.baseline.recipe_hash, found.candidate.recipe_hash)
    if running := find_running(session, hashes, found.metric.name):
        raise Conflict(
            f"settle {running.id} already repeats these two recipes for {found.metric.title.lower()}: "
            "follow that one, or cancel it first"
        )
    if found.outcome not in DECISIONS:
        if min(found.included) >= question.max_seeds:
            raise InvalidRequest([("max_seeds", f"both recipes already have {min(found.included)} seeds: choose more")])
        if missing := find_missing_worker(session, here.leases, (found.baseline, found.candidate), found.hardware):
            raise Conflict(missing)
    settle = Settle(
        baseline=hashes[0],
        candidate=hashes[1],
        metric=found.metric.name,
        target=found.target,
        dataset=found.baseline.dataset,
        hardware=found.hardware or "",
        fingerprint=found.fingerprint or "",
        margin=question.margin,
        max_seeds=question.max_seeds,
        comparisons=found.comparisons,
        status="running",
        created_at=here.now(),
    )
    session.add(settle)
    session.flush()
    step(session, settle, here)
    return settle


def step(session: Session, settle: Settle, here: State) -> None:
    """Look at the verdict, then stop or queue what is next. Does nothing once it has ended."""
    if settle.status != "running":
        return
    own = load_runs(session, settle)
    try:
        found = answer(session, to_question(settle))
    except NotFound:
        _end(session, settle, "failed", here, "all runs of one of the recipes have been deleted")
        return
    # Where neither recipe had a run, the first one sets the place.
    settle.hardware = settle.hardware or found.hardware or ""
    settle.fingerprint = settle.fingerprint or found.fingerprint or ""
    if settle.verdict != (told := to_json(found)):
        settle.verdict = told
    if found.outcome in DECISIONS:
        _end(session, settle, "decided", here)
    elif found.outcome == "not_comparable":
        _end(session, settle, "failed", here, found.sentence.rstrip("."))
    elif trouble := _find_trouble(settle, own):
        _end(session, settle, trouble[0], here, trouble[1])
    elif min(found.included) >= settle.max_seeds:
        _end(session, settle, "undecided", here)
    else:
        _queue_more(session, settle, own, found, here)


def cancel(session: Session, settle_id: int, here: State) -> Settle:
    """Its queued runs are cancelled; a running one may finish. Raises NotFound, Conflict if it has ended."""
    settle = find(session, settle_id)
    if settle.status != "running":
        raise Conflict(f"settle {settle_id} has ended ({settle.status}): there is nothing to cancel")
    _end(session, settle, "cancelled", here)
    return settle


def find(session: Session, settle_id: int) -> Settle:
    """Raises NotFound."""
    settle = session.get(Settle, settle_id) if 0 < settle_id < 2**63 else None
    if settle is None:
        raise NotFound(f"there is no settle {settle_id}")
    return settle


def find_running(session: Session, hashes: tuple[str, str], metric: str) -> Settle | None:
    """The settle that repeats these two recipes, whichever is the baseline."""
    of_both = (Settle.baseline.in_(hashes), Settle.candidate.in_(hashes))
    return session.scalar(select(Settle).where(Settle.status == "running", Settle.metric == metric, *of_both))


def load_recent(
    session: Session, *, dataset: str | None = None, status: str | None = None, limit: int = 10
) -> Sequence[Settle]:
    """Newest first."""
    query = select(Settle).order_by(Settle.id.desc()).limit(limit)
    query = query if dataset is None else query.where(Settle.dataset == dataset)
    return session.scalars(query if status is None else query.where(Settle.status == status)).all()


def load_runs(session: Session, settle: Settle) -> Sequence[Run]:
    """The runs that it queued, oldest first."""
    return session.scalars(select(Run).where(Run.settle_id == settle.id).order_by(Run.id)).all()


def describe_progress(session: Session, settle: Settle, leases: Leases) -> Progress:
    own = load_runs(session, settle)
    in_progress = [run for run in own if run.status not in ENDED]
    if settle.status != "running":
        return Progress(own, in_progress, None, _seconds_per_run(settle, own), None, False)
    newest = [found for recipe in (settle.baseline, settle.candidate) if (found := _newest_run(session, recipe))]
    is_training = any(run.status in HELD for run in own)
    missing = None if is_training else find_missing_worker(session, leases, newest, settle.hardware or None)
    seconds, verdict = _seconds_per_run(settle, own), settle.verdict or {}
    seeds, looks = verdict.get("seeds_needed"), verdict.get("looks_left")
    left = looks if seeds is None else min(2 * seeds, looks or 0)
    workers = max(_count_workers(session, leases, settle, newest), 1)
    seconds_left = None if seconds is None or left is None else seconds * left / workers
    return Progress(own, in_progress, missing, seconds, seconds_left, seeds is None)


def to_question(settle: Settle) -> Question:
    return Question(
        settle.baseline,
        settle.candidate,
        settle.metric,
        settle.target,
        margin=settle.margin,
        family=settle.comparisons,
        max_seeds=settle.max_seeds,
        hardware=settle.hardware or None,
        fingerprint=settle.fingerprint or None,
    )


def find_missing_worker(session: Session, leases: Leases, recipes: Sequence[Run], hardware: str | None) -> str | None:
    """Why the recipes (one run of each) cannot run now on the hardware (None: any), in a sentence; None if they can."""
    present = [worker for worker in list_known(session, leases) if worker.present and not worker.trouble]
    if not present:
        return "no worker is connected: start one"
    for backend in sorted({run.backend for run in recipes}):
        if not any(backend in worker.backends for worker in present):
            others = ", ".join(sorted({name for worker in present for name in worker.backends})) or "none"
            return f"no connected worker has the backend {backend} (their backends: {others}): start one that has it"
        if not find_suitable(session, leases, backend, hardware):
            before = session.scalars(select(Run.worker).where(Run.hardware == hardware).distinct().limit(3)).all()
            names = " or ".join(sorted(filter(None, before)))
            return (
                f"no connected worker has the hardware of the earlier runs, {hardware}: start "
                f"{names or 'a worker there'} again, which ran them"
            )
    return None


def counts(settle: Settle, run: Run) -> bool:
    """Whether the ended run is part of the sample: as on the board, a diverged one is."""
    is_included = run.status == Status.SUCCEEDED or (run.status == Status.FAILED and run.failure == DIVERGED)
    return is_included and settle.hardware in ("", run.hardware) and settle.fingerprint in ("", run.fingerprint)


def _newest_run(session: Session, recipe: str) -> Run | None:
    return session.scalar(select(Run).where(Run.recipe_hash == recipe).order_by(Run.id.desc()).limit(1))


def _seconds_per_run(settle: Settle, own: Sequence[Run]) -> float | None:
    """The median of its own runs, or before one has ended the mean training time of earlier ones."""
    took = [
        (run.ended_at - run.started_at).total_seconds()
        for run in own
        if run.ended_at and run.started_at and counts(settle, run)
    ]
    earlier = [seconds for seconds in (settle.verdict or {}).get("seconds_per_run", []) if seconds]
    return median(took) if took else fmean(earlier) if earlier else None


def _find_trouble(settle: Settle, own: Sequence[Run]) -> tuple[str, str] | None:
    """The status to end with, and why, if its runs do not give what it needs."""
    ended = [run for run in own if run.status in ENDED]
    ended.sort(key=lambda run: (run.ended_at or run.created_at, run.id))
    for run in ended:
        if run.status == Status.SUCCEEDED and settle.fingerprint not in ("", run.fingerprint):
            return "failed", f"run {run.id} was trained on another version of the data than the earlier runs"
    for recipe in (None, settle.baseline, settle.candidate):
        last = [run for run in ended if recipe in (None, run.recipe_hash)][-MAX_STREAK:]
        if len(last) == MAX_STREAK and not any(counts(settle, run) for run in last):
            return _describe_streak(settle, last)
    return None


def _describe_streak(settle: Settle, last: Sequence[Run]) -> tuple[str, str]:
    if all(run.status == Status.CANCELLED for run in last):
        return "cancelled", f"{MAX_STREAK} of its runs in a row were cancelled"
    newest = next(run for run in reversed(last) if run.status != Status.CANCELLED)
    if newest.status == Status.SUCCEEDED:
        return "failed", (
            f"{MAX_STREAK} runs in a row do not count: the last one, run {newest.id}, ran on {newest.hardware} and the "
            f"earlier ones on {settle.hardware}. Stop the workers with other hardware and start it again"
        )
    why = (newest.reason or newest.failure or "its log says why").rstrip(".")
    return "failed", f"{MAX_STREAK} runs in a row failed. The last one, run {newest.id}: {why}"


def _queue_more(session: Session, settle: Settle, own: Sequence[Run], found: Answer, here: State) -> None:
    """Keep as many runs in progress as workers can take. Both recipes in turn, so that a drift of the machine hits
    both; both runs of a pair have the same seed, which neither recipe had before.
    """
    recipes = {settle.baseline: found.baseline, settle.candidate: found.candidate}
    wanted = max(MIN_IN_PROGRESS, _count_workers(session, here.leases, settle, list(recipes.values())))
    in_progress = sum(run.status not in ENDED for run in own)
    rows = session.execute(
        select(Run.recipe_hash, Run.seed, Run.status, Run.settle_id).where(Run.recipe_hash.in_(recipes))
    ).all()
    used = {recipe: {row.seed for row in rows if row.recipe_hash == recipe} for recipe in recipes}
    sample = Counter(dict(zip(recipes, found.included, strict=True)))  # with the runs that will soon be part of it
    sample.update(row.recipe_hash for row in rows if row.status in COMING or _is_paused(row, settle))
    good = [run for run in own if run.status not in ENDED or counts(settle, run)]
    turns = Counter(run.recipe_hash for run in good)
    seeds = {recipe: {run.seed for run in good if run.recipe_hash == recipe} for recipe in recipes}
    while in_progress < wanted:
        open_to = [recipe for recipe in recipes if sample[recipe] < settle.max_seeds]
        if not open_to:
            return
        recipe = min(open_to, key=lambda one: turns[one])  # the baseline first
        other = settle.candidate if recipe == settle.baseline else settle.baseline
        seed = min(seeds[other] - used[recipe], default=max(used[recipe] | used[other]) + 1)
        if trouble := _queue(session, settle, recipes[recipe], seed, here):
            _end(session, settle, "failed", here, f"its next run could not be queued: {trouble}")
            return
        in_progress += 1
        sample[recipe] += 1
        turns[recipe] += 1
        used[recipe].add(seed)
        seeds[recipe].add(seed)


def _is_paused(row: Any, settle: Settle) -> bool:
    return bool(row.status == Status.PAUSED and row.settle_id == settle.id)


def _queue(session: Session, settle: Settle, earlier: Run, seed: int, here: State) -> str | None:
    """Queue the recipe of an earlier run with the seed. Returns why that was not possible."""
    try:
        made = runs.relaunch(
            session, earlier, here.settings.datasets_dir, here.now(), {"seed": seed}, name=earlier.name
        )
    except InvalidRequest as problem:
        return problem.detail
    made[0].settle_id = settle.id
    session.flush()
    if made[0].recipe_hash != earlier.recipe_hash:
        return "its recipe is of an older version and would run differently today"
    return None


def _count_workers(session: Session, leases: Leases, settle: Settle, recipes: Sequence[Run]) -> int:
    found = [find_suitable(session, leases, run.backend, settle.hardware or None) for run in recipes]
    return len({worker.name for workers in found for worker in workers})


def _end(session: Session, settle: Settle, status: str, here: State, reason: str | None = None) -> None:
    """Its runs that no worker has yet are cancelled; a running one may finish."""
    settle.status, settle.reason, settle.ended_at = status, reason, here.now()
    session.flush()
    for run in load_runs(session, settle):
        if run.status in {Status.QUEUED, Status.PAUSED}:
            lifecycle.cancel(session, run.id, here.now())
    outbox.record(session, OutboxEvent(None, 0, "settle", {"settle": settle.id, "status": status}))


async def watch(state: State) -> None:
    """Step every settle whenever a run ends. Runs as long as the app; no failure stops it."""
    with state.hub.end_waker() as waker:
        while not state.hub.closing:
            waker.clear()
            await asyncio.to_thread(step_all, state)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(waker.wait(), POLL_S)


def step_all(state: State) -> None:
    """Each in a transaction of its own."""
    try:
        with state.records.read() as session:
            running = session.scalars(select(Settle.id).where(Settle.status == "running")).all()
    except Trouble as trouble:
        logger.warning("settles delayed: %s", trouble.detail)
        return
    except Exception:
        logger.exception("settles delayed by an unexpected error")
        return
    for settle_id in running:
        try:
            with state.records.write() as session:
                step(session, find(session, settle_id), state)
        except Trouble as trouble:
            logger.warning("settle %d delayed: %s", settle_id, trouble.detail)
        except Exception:
            logger.exception("settle %d delayed by an unexpected error", settle_id)
