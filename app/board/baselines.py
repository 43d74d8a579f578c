"""Pinned baselines: for a data set, the recipe that the others are compared with. Everybody sees the same one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from app.board import groups
from app.errors import InvalidRequest
from app.records.models import Baseline


def find_baseline(session: Session, dataset: str) -> str | None:
    """Its recipe hash."""
    found = load_baseline(session, dataset)
    return found.recipe_hash if found else None


def load_baseline(session: Session, dataset: str) -> Baseline | None:
    return session.get(Baseline, dataset)


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
