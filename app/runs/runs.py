"""Launch, find, read, edit and delete runs. Each function works inside the caller's transaction and never commits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.errors import Conflict, InvalidRequest, NotFound
from app.records import outbox
from app.records.models import HELD, Artifact, Attempt, Epoch, Run, Status, Submission
from app.records.outbox import OutboxEvent
from app.runs.recipes import Resolved, resolve_over
from trainer.recipe import Recipe, recipe_hash


@dataclass(frozen=True)
class RunLabels:
    """What people write on a run. Nothing here changes the result."""

    name: str = ""
    tags: list[str] = field(default_factory=list)
    notes: str = ""
    priority: int = 0


def launch(
    session: Session,
    resolved: Resolved,
    labels: RunLabels,
    now: datetime,
    *,
    repeats: int = 1,
    parent_id: int | None = None,
) -> list[Run]:
    """Queue the recipe `repeats` times, with seeds seed, seed+1, …; several runs get a common `group_id`."""
    launched: list[Run] = []
    for index in range(repeats):
        seed = resolved.recipe.seed + index
        if seed >= 2**32:
            raise InvalidRequest([("repeats", "the last seed would be above 4294967295: start from a smaller seed")])
        recipe = resolved.recipe.model_copy(update={"seed": seed})
        run = Run(
            name=labels.name or _default_name(resolved, recipe),
            tags=labels.tags,
            notes=labels.notes,
            priority=labels.priority,
            status=Status.QUEUED,
            recipe=recipe.model_dump(mode="json"),
            recipe_hash=recipe_hash(recipe),
            preset=resolved.preset,
            preset_version=resolved.preset_version,
            dataset=recipe.dataset.name,
            backend=recipe.backend,
            seed=seed,
            epochs=recipe.epochs,
            parent_id=parent_id,
            group_id=launched[0].id if launched else None,
            created_at=now,
        )
        session.add(run)
        session.flush()
        if repeats > 1 and not launched:
            run.group_id = run.id
        launched.append(run)
        outbox.store_status(session, run, now)
    return launched


def relaunch(
    session: Session,
    run: Run,
    datasets_dir: Path,
    now: datetime,
    changes: Mapping[str, Any],
    *,
    name: str = "",
    repeats: int = 1,
    parent_id: int | None = None,
) -> list[Run]:
    """Queue a run's recipe again, with the partial recipe `changes` merged over it. Raises InvalidRecipe."""
    resolved = resolve_over(run.recipe, run.preset, run.preset_version, dict(changes), datasets_dir)
    labels = RunLabels(name, list(run.tags), "", run.priority)
    return launch(session, resolved, labels, now, repeats=repeats, parent_id=parent_id)


def find(session: Session, run_id: int) -> Run:
    """Raises NotFound, also for ids beyond SQLite's 64 bits."""
    run = session.get(Run, run_id) if 0 < run_id < 2**63 else None
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    return run


def list_attempts(session: Session, run_id: int) -> Sequence[Attempt]:
    """Oldest first."""
    return session.scalars(select(Attempt).where(Attempt.run_id == run_id).order_by(Attempt.number)).all()


def shown_epochs(session: Session, run_id: int) -> Sequence[Epoch]:
    """The run's curve: for each epoch the row of the highest attempt, in order of epoch.

    A retry from scratch starts a new curve; the rows of the old one stay in the database.
    """
    since = select(Run.trail_from).where(Run.id == run_id).scalar_subquery()
    shown = (
        select(Epoch.epoch, func.max(Epoch.attempt).label("attempt"))
        .where(Epoch.run_id == run_id, Epoch.attempt >= since)
        .group_by(Epoch.epoch)
        .subquery()
    )
    return session.scalars(
        select(Epoch)
        .join(shown, (Epoch.epoch == shown.c.epoch) & (Epoch.attempt == shown.c.attempt))
        .where(Epoch.run_id == run_id)
        .order_by(Epoch.epoch)
    ).all()


def list_artifacts(session: Session, run_id: int) -> Sequence[Artifact]:
    """The newest file of each name, sorted by name."""
    return session.scalars(select(Artifact).where(Artifact.run_id == run_id).order_by(Artifact.name)).all()


def artifact_hashes(session: Session) -> set[tuple[str, str]]:
    """(run id, SHA-256) of every file of every run."""
    return {(str(run_id), sha256) for run_id, sha256 in session.execute(select(Artifact.run_id, Artifact.sha256))}


def find_artifact(session: Session, run_id: int, name: str) -> Artifact:
    """Raises NotFound."""
    find(session, run_id)
    found = session.get(Artifact, (run_id, name))
    if found is None:
        raise NotFound(f"run {run_id} has no file {name[:64]!r}")
    return found


def remove_artifact(session: Session, run_id: int, name: str) -> None:
    """Delete the row of a file; the caller deletes the file itself."""
    session.delete(find_artifact(session, run_id, name))
    session.flush()


def edit(session: Session, run_id: int, changes: dict[str, Any], now: datetime) -> Run:
    """Change name, tags, notes or priority. The recipe of a run never changes."""
    run = find(session, run_id)
    for key, value in changes.items():
        setattr(run, key, value)
    session.flush()
    outbox.store_status(session, run, now)
    return run


def remove(session: Session, run_id: int) -> None:
    """Delete a run and all its rows. Raises Conflict if a worker holds it."""
    run = find(session, run_id)
    if run.status in HELD:
        raise Conflict(f"run {run_id} is {run.status}: cancel it first")
    session.execute(delete(Run).where(Run.id == run_id))
    outbox.record(session, OutboxEvent(None, run_id, "deleted", {"id": run_id}))


def launch_once(
    session: Session, key: str | None, body_hash: str, launch: Callable[[], list[Run]], now: datetime
) -> list[Run]:
    """Call `launch`, or return the runs launched earlier under this Idempotency-Key. Without a key: always launch."""
    if key is None:
        return launch()
    if (launched := _launched_before(session, key, body_hash)) is None:
        launched = launch()
        ids = {"runs": [run.id for run in launched]}
        session.add(Submission(key=key, body_hash=body_hash, run_ids=ids, at=now))
    return launched


def _launched_before(session: Session, key: str, body_hash: str) -> list[Run] | None:
    """None if the key is new. Raises InvalidRequest if it was used with another body."""
    earlier = session.get(Submission, key)
    if earlier is None:
        return None
    if earlier.body_hash != body_hash:
        raise InvalidRequest([("Idempotency-Key", "was used before with another body: send a new key")])
    launched = [session.get(Run, run_id) for run_id in earlier.run_ids["runs"]]
    if None in launched:
        raise Conflict("the runs launched under this Idempotency-Key have been deleted since: send a new key")
    return [run for run in launched if run is not None]


def _default_name(resolved: Resolved, recipe: Recipe) -> str:
    return f"{resolved.preset or recipe.model.name} {recipe.dataset.name} seed {recipe.seed}"
