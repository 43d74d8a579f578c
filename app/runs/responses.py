"""A run as pages and API return it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.live.events import Hub
from app.live.leases import Leases
from app.metrics.accuracy import accuracy_without_tta, ranking_accuracy
from app.records.models import HELD, Artifact, Epoch, Run
from app.runs import clocks, runs, schemas


def run_response(session: Session, run: Run, hub: Hub, leases: Leases) -> schemas.RunDetails:
    attempts = [schemas.AttemptResponse.model_validate(one) for one in runs.list_attempts(session, run.id)]
    head = schemas.RunResponse.model_validate(run)
    return schemas.RunDetails(
        **head.model_dump(),
        attempts=attempts,
        clocks=clocks.compute_clocks(head, attempts),
        artifacts=[artifact_response(session, run, one) for one in runs.list_artifacts(session, run.id)],
        resumed_from_epoch=attempts[-1].resumed_from_epoch if attempts else 0,
        step=hub.steps.get(run.id),
        is_silent=run.status in HELD and leases.is_silent(run.id, run.attempt),
    )


def artifact_response(session: Session, run: Run, artifact: Artifact) -> schemas.ArtifactResponse:
    """A file of a run with the accuracy of its epoch, as trained by the file's attempt or one that this resumed."""
    trained = session.scalar(
        select(Epoch)
        .where(Epoch.run_id == run.id, Epoch.epoch == artifact.epoch)
        .where(Epoch.attempt >= run.trail_from, Epoch.attempt <= artifact.attempt)
        .order_by(Epoch.attempt.desc())
        .limit(1)
    )
    known = {
        "accuracy": ranking_accuracy(trained) if trained else None,
        "plain_accuracy": accuracy_without_tta(trained) if trained else None,
        "is_best": artifact.epoch == run.best_epoch,
        "is_last": 0 < artifact.epoch == run.last_epoch,
    }
    return schemas.ArtifactResponse.model_validate(artifact).model_copy(update=known)
