"""Queues a short run on the embedded digits in a new database, so that the first visitor sees a live run."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from app.records.database import Records
from app.run_list import listing
from app.runs import runs
from app.runs.recipes import resolve

NOTES = "Pitwall queued this run at its first start, so that you can watch one. Delete it at any time."


def queue_quickstart(records: Records, datasets_dir: Path, now: datetime) -> None:
    """Queue the quickstart once per database: not again after it was deleted."""
    with records.write() as session:
        if not listing.has_no_launches(session):
            return
        resolved = resolve("quickstart", {}, datasets_dir, strict=True)
        labels = runs.RunLabels(name="Quickstart", tags=["quickstart"], notes=NOTES)
        runs.launch(session, resolved, labels, now)
