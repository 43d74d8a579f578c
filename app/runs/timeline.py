"""The timeline of a run: a line for each stored event, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.records.models import Event
from app.web.labels import CONCERNS, FAILURES

MAX_ENTRIES = 100  # lines
HIDDEN_KINDS = ("epoch", "evidence", "artifact")  # shown elsewhere on the page
REQUESTS = {"cancel": "cancel requested", "pause": "pause requested"}
STATUSES = {"starting": "claimed by a worker", "succeeded": "finished"}  # other statuses are shown as stored


@dataclass(frozen=True)
class Entry:
    at: datetime
    status: str  # empty: not a change of status
    attempt: int | None
    text: str


def run_timeline(session: Session, run_id: int) -> list[Entry]:
    """Newest first. Status events that repeat the status, such as after an edit of the notes, are left out."""
    wanted = (Event.run_id == run_id, Event.kind.not_in(HIDDEN_KINDS))
    rows = session.scalars(select(Event).where(*wanted).order_by(Event.id.desc()).limit(2 * MAX_ENTRIES)).all()
    return _without_repeats([_entry(row) for row in rows])[:MAX_ENTRIES]


def _without_repeats(entries: Sequence[Entry]) -> list[Entry]:
    kept: list[Entry] = []
    latest: tuple[str, int | None] | None = None
    for entry in reversed(entries):
        if entry.status:
            current = (entry.text, entry.attempt)
            if current == latest:
                continue
            latest = current
        kept.append(entry)
    return kept[::-1]


def _entry(row: Event) -> Entry:
    return Entry(row.at, str(row.data.get("status", "")), row.attempt, _describe(row.kind, row.data))


def _describe(kind: str, data: dict[str, Any]) -> str:
    match kind:
        case "status":
            text = REQUESTS.get(data.get("requested") or "") or STATUSES.get(data["status"], data["status"])
            failure = FAILURES.get(data.get("failure") or "", "") if data["status"] == "failed" else ""
            remark = failure or CONCERNS.get(data.get("concern") or "", "")
            return f"{text}: {remark}" if remark else text
        case "started":
            epoch, warm = data.get("resumed_from_epoch"), " in a warm process" if data.get("is_warm") else ""
            return f"training started{warm}" + (f", resumed after epoch {epoch}" if epoch else "")
        case "checkpoint":
            return f"checkpoint{_position(data)}"
        case "not_saved":
            return f"checkpoint failed{_position(data)}: {data.get('message', '')}"
        case "failed":
            return f"error: {data.get('message', '')}"
        case "finished":
            return f"finished {data.get('epochs')} epochs"
    return kind.replace("_", " ")


def _position(data: dict[str, Any]) -> str:
    step = f", step {data['step']} of the next" if data.get("step") else ""
    return f" after epoch {data.get('epoch', 0)}{step}"
