"""The known workers, with the run that each is working on."""

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
    price_per_hour: float | None = Field(description="null: not set")


def list_known(session: Session, leases: Leases) -> list[WorkerResponse]:
    """All workers that ever connected; connected ones first."""
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
            present=leases.is_present(worker.name),
            seen_at=worker.seen_at,
            run=busy.get(worker.name),
            trouble=worker.trouble,
            price_per_hour=worker.price_per_hour,
        )
        for worker in session.scalars(select(Worker).order_by(Worker.name))
    ]
    return sorted(found, key=lambda worker: not worker.present)


def other_backends(session: Session, leases: Leases, run: schemas.RunDetails) -> list[str]:
    """Backends of the connected workers, if none of them has the backend of this run; else empty."""
    present = [set(worker.backends) for worker in session.scalars(select(Worker)) if leases.is_present(worker.name)]
    found = set().union(*present)
    return [] if run.recipe["backend"] in found else sorted(found)


def find_suitable(session: Session, leases: Leases, backend: str, hardware: str | None) -> list[WorkerResponse]:
    """The connected workers that can run the backend on the kind of hardware (None: any).

    A worker's hardware is that of its latest run. Of one without runs only the kind of its device is known.
    """
    found = [one for one in list_known(session, leases) if one.present and not one.trouble and backend in one.backends]
    return [one for one in found if hardware is None or _has_hardware(session, one, hardware)]


def _has_hardware(session: Session, worker: WorkerResponse, hardware: str) -> bool:
    latest = select(Run.hardware).where(Run.worker == worker.name, Run.hardware.is_not(None))
    known = session.scalar(latest.order_by(Run.id.desc()).limit(1))
    return known == hardware if known else (worker.device == "cpu") == hardware.startswith("cpu: ")


router = APIRouter(prefix="/api/v1", responses={"4XX": PROBLEM})


@router.get("/workers", tags=["workers"])
def list_workers(here: Here) -> list[WorkerResponse]:
    """List all workers that ever connected, with the run that each is working on."""
    with here.records.read() as session:
        return list_known(session, here.leases)
