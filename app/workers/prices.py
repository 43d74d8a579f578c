"""The price of a worker's hour, as people set it, in a currency of their choice."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.records.models import Worker


def set_price(session: Session, name: str, per_hour: float | None) -> None:
    """None: not known. Raises NotFound."""
    worker = session.get(Worker, name)
    if worker is None:
        raise NotFound(f"there is no worker {name[:120]!r}")
    worker.price_per_hour = per_hour
    session.flush()


def load_prices(session: Session) -> dict[str, float]:
    """Per hour, by the names of the workers that have one."""
    priced = select(Worker.name, Worker.price_per_hour).where(Worker.price_per_hour.is_not(None))
    return {name: price for name, price in session.execute(priced) if price is not None}
