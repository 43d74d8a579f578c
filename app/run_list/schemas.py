"""JSON of the list of runs."""

from __future__ import annotations

from pydantic import BaseModel

from app.runs.schemas import RunShown


class RunsPage(BaseModel):
    runs: list[RunShown]
    next_cursor: str | None
