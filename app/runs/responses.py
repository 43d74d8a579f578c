"""A run as pages and API return it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.live.events import Hub
from app.live.leases import Leases
from app.records.models import HELD, Run
from app.runs import clocks, runs, schemas


def run_response(session: Session, run: Run, hub: Hub, leases: Leases) -> schemas.RunDetails:
    attempts = [schemas.AttemptResponse.model_validate(one) for one in runs.list_attempts(session, run.id)]
    head = schemas.RunResponse.model_validate(run)
    return schemas.RunDetails(
        **head.model_dump(),
        attempts=attempts,
        clocks=clocks.compute_clocks(head, attempts),
        artifacts=[schemas.ArtifactResponse.model_validate(one) for one in runs.list_artifacts(session, run.id)],
        resumed_from_epoch=attempts[-1].resumed_from_epoch if attempts else 0,
        step=hub.steps.get(run.id),
        is_silent=run.status in HELD and leases.is_silent(run.id, run.attempt),
    )
