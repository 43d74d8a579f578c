"""On an empty database: queue a short run on the embedded digits, so that the first live chart moves by itself.

Must not know what is in the recipe: that is the preset's.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from app.records.database import Records
from app.run_list import listing
from app.runs import runs
from app.runs.recipes import resolve

NOTES = "Pitwall queued this by itself, so that you see a run move. Delete it whenever you like."


def queue_first(records: Records, datasets_dir: Path, now: datetime) -> None:
    """Queue the quickstart, once in the life of a database: not again after it was deleted."""
    with records.write() as session:
        if not listing.has_no_launches(session):
            return
        resolved = resolve("quickstart", {}, datasets_dir, strict=True)
        labels = runs.RunLabels(name="Quickstart", tags=["quickstart"], notes=NOTES)
        runs.launch(session, resolved, labels, now)
