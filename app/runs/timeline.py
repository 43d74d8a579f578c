"""What happened to a run, newest first, a line each: from the stored events. Must not know HTML or HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.records.models import Event
from app.web.labels import FAILURES

MAX_ENTRIES = 100  # lines; the log and the epochs have the rest
HIDDEN_KINDS = ("epoch", "evidence", "artifact")  # they have parts of their own on the page
REQUESTS = {"cancel": "asked to cancel", "pause": "asked to pause"}
STATUSES = {
    "queued": "waits for a worker",
    "starting": "taken by a worker",
    "running": "trains",
    "paused": "paused",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}


@dataclass(frozen=True)
class Entry:
    at: datetime
    status: str  # whose mark stands before it; empty: none
    attempt: int | None
    words: str


def run_timeline(session: Session, run_id: int) -> list[Entry]:
    """Newest first. A status that is said again (somebody edited the notes) is no moment of its own."""
    wanted = (Event.run_id == run_id, Event.kind.not_in(HIDDEN_KINDS))
    rows = session.scalars(select(Event).where(*wanted).order_by(Event.id.desc()).limit(2 * MAX_ENTRIES)).all()
    return _without_repeats([_entry(row) for row in rows])[:MAX_ENTRIES]


def _without_repeats(moments: Sequence[Entry]) -> list[Entry]:
    kept: list[Entry] = []
    standing: tuple[str, int | None] | None = None
    for moment in reversed(moments):
        if moment.status:
            now = (moment.words, moment.attempt)
            if now == standing:
                continue
            standing = now
        kept.append(moment)
    return kept[::-1]


def _entry(row: Event) -> Entry:
    return Entry(row.at, str(row.data.get("status", "")), row.attempt, _describe(row.kind, row.data))


def _describe(kind: str, data: dict[str, Any]) -> str:
    match kind:
        case "status":
            said = REQUESTS.get(data.get("requested") or "") or STATUSES.get(data["status"], data["status"])
            why = FAILURES.get(data.get("failure") or "", "") if data["status"] == "failed" else ""
            return f"{said}: {why}" if why else said
        case "started":
            epoch, warm = data.get("resumed_from_epoch"), " in a warm process" if data.get("is_warm") else ""
            return f"began to train{warm}" + (f", going on after epoch {epoch}" if epoch else "")
        case "checkpoint":
            return f"checkpoint{_position(data)}"
        case "not_saved":
            return f"no checkpoint{_position(data)}: {data.get('message', '')}"
        case "failed":
            return f"said why: {data.get('message', '')}"
        case "finished":
            return f"finished {data.get('epochs')} epochs"
    return kind.replace("_", " ")


def _position(data: dict[str, Any]) -> str:
    step = f", step {data['step']} of the next" if data.get("step") else ""
    return f" after epoch {data.get('epoch', 0)}{step}"
