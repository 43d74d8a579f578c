"""Rows of the records in the shapes that pages and JSON share. Reads only; must not know HTML or routes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.live.leases import Leases
from app.records.models import HELD, Attempt, Epoch, Run, Worker
from app.runs import clocks, runs, schemas
from app.web.deps import State


def whole(session: Session, run: Run, here: State) -> schemas.RunWhole:
    """One run with its attempts and, while somebody works on it, its latest step and whether they are heard of."""
    attempts = [schemas.AttemptShown.model_validate(one) for one in runs.attempts_of(session, run.id)]
    head = schemas.RunShown.model_validate(run)
    return schemas.RunWhole(
        **head.model_dump(),
        attempts=attempts,
        clocks=clocks.of(head, attempts),
        artifacts=[schemas.ArtifactShown.model_validate(one) for one in runs.artifacts_of(session, run.id)],
        resumed_from_epoch=attempts[-1].resumed_from_epoch if attempts else 0,
        step=here.hub.steps.get(run.id),
        is_silent=run.status in HELD and here.leases.is_silent(run.id, run.attempt),
    )


def curve(rows: Sequence[Epoch]) -> list[schemas.EpochShown]:
    """Epoch rows with the training clock added up."""
    elapsed, shown = 0.0, []
    for row in rows:
        elapsed += row.seconds
        columns = {key: getattr(row, key) for key in schemas.EpochShown.model_fields if key != "elapsed_seconds"}
        shown.append(schemas.EpochShown(**columns, elapsed_seconds=elapsed))
    return shown


def workers(session: Session, leases: Leases) -> list[schemas.WorkerShown]:
    """Every worker that ever asked for work; present ones first."""
    holding = (
        select(Run.id, Attempt.worker)
        .join(Attempt, (Attempt.run_id == Run.id) & (Attempt.number == Run.attempt))
        .where(Run.status.in_(HELD))
    )
    busy = {worker: run_id for run_id, worker in session.execute(holding)}
    found = [
        schemas.WorkerShown(
            name=worker.name,
            device=worker.device,
            backends=worker.backends,
            present=leases.present(worker.name),
            seen_at=worker.seen_at,
            run=busy.get(worker.name),
            trouble=worker.trouble,
            price_per_hour=worker.price_per_hour,
        )
        for worker in session.scalars(select(Worker).order_by(Worker.name))
    ]
    return sorted(found, key=lambda worker: not worker.present)


def other_backends(session: Session, leases: Leases, run: schemas.RunWhole) -> list[str]:
    """What the workers that are there can run, where that is not what this run asks for; else nothing."""
    present = [set(worker.backends) for worker in session.scalars(select(Worker)) if leases.present(worker.name)]
    found = set().union(*present)
    return [] if run.recipe["backend"] in found else sorted(found)
