"""Response of the list of runs."""

from __future__ import annotations

from pydantic import BaseModel

from app.runs.schemas import RunResponse


class RunsPage(BaseModel):
    runs: list[RunResponse]
    next_cursor: str | None
