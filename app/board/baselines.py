"""Pinned baselines: for a data set, the recipe that the others are compared with. Everybody sees the same one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.board import groups
from app.errors import InvalidRequest
from app.records.models import Baseline, Run


def find_baseline(session: Session, dataset: str) -> str | None:
    """Its recipe hash."""
    found = load_baseline(session, dataset)
    return found.recipe_hash if found else None


def load_baseline(session: Session, dataset: str) -> Baseline | None:
    """None also if all runs of the recipe have been deleted."""
    found = session.get(Baseline, dataset)
    if found and session.scalar(select(Run.id).where(Run.recipe_hash == found.recipe_hash).limit(1)) is None:
        return None
    return found


def pin_baseline(session: Session, dataset: str, name: str, now: datetime) -> Baseline:
    """`name`: a recipe's hash or its first letters. Raises NotFound, InvalidRequest."""
    runs = groups.load_group_runs(session, name)
    if runs[0].dataset != dataset:
        raise InvalidRequest([("recipe_hash", f"is a recipe of {runs[0].dataset}: pin one of {dataset}")])
    return session.merge(Baseline(dataset=dataset, recipe_hash=runs[0].recipe_hash, pinned_at=now))


def unpin_baseline(session: Session, dataset: str) -> None:
    """Nothing happens if none is pinned."""
    if found := session.get(Baseline, dataset):
        session.delete(found)
