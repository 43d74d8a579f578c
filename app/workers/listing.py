"""The workers that are known, and what each does now."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.json_shapes import PROBLEM
from app.live.leases import Leases
from app.records.models import HELD, Attempt, Run, Worker
from app.runs import schemas
from app.web.deps import Here


class WorkerResponse(BaseModel):
    name: str
    device: str
    backends: list[str]
    present: bool
    seen_at: datetime
    run: int | None
    trouble: str | None = Field(description="Why it takes no runs")
    price_per_hour: float | None = Field(description="As you set it; null: not known")


def list_known(session: Session, leases: Leases) -> list[WorkerResponse]:
    """Every worker that ever asked for work; present ones first."""
    holding = (
        select(Run.id, Attempt.worker)
        .join(Attempt, (Attempt.run_id == Run.id) & (Attempt.number == Run.attempt))
        .where(Run.status.in_(HELD))
    )
    busy = {worker: run_id for run_id, worker in session.execute(holding)}
    found = [
        WorkerResponse(
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


def other_backends(session: Session, leases: Leases, run: schemas.RunDetails) -> list[str]:
    """What the workers that are there can run, where that is not what this run asks for; else nothing."""
    present = [set(worker.backends) for worker in session.scalars(select(Worker)) if leases.present(worker.name)]
    found = set().union(*present)
    return [] if run.recipe["backend"] in found else sorted(found)


router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})


@router.get("/workers", tags=["workers"])
def list_workers(here: Here) -> list[WorkerResponse]:
    """Every worker that ever asked for work, and what it does now."""
    with here.records.read() as session:
        return list_known(session, here.leases)
