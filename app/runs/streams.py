"""Server-sent events of one run, and of all runs."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.live.events import follow
from app.runs import runs
from app.web.deps import Here

router = APIRouter(prefix="/api/v1", tags=["streams"])

LastId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=40)]
After = Annotated[int | None, Query(ge=0, lt=2**62, description="Start after this event id; 0 replays all events")]


def _find(run_id: int, here: Here) -> None:
    with here.records.read() as session:
        runs.find(session, run_id)


# A dependency, because NotFound raised inside the generator would come after the response has started.
@router.get("/runs/{run_id}/events", response_class=EventSourceResponse, dependencies=[Depends(_find)])
async def stream_run(
    run_id: int, here: Here, last_event_id: LastId = None, after: After = None
) -> AsyncIterable[ServerSentEvent]:
    """Stream all events of a run from its beginning: `status`, `started`, `epoch`, `step`, `log`, …"""
    async for event in follow(here.hub, here.records, run_id, _start(last_event_id, after, 0)):
        yield event


@router.get("/events", response_class=EventSourceResponse)
async def stream_all(here: Here, last_event_id: LastId = None, after: After = None) -> AsyncIterable[ServerSentEvent]:
    """Stream the events of all runs, from now on unless `after` or Last-Event-ID is sent."""
    async for event in follow(here.hub, here.records, None, _start(last_event_id, after, None)):
        yield event


def _start(last_event_id: str | None, after: int | None, default: int | None) -> int | None:
    """Last-Event-ID wins: a browser that reconnects sends it together with the `after` of its first request."""
    if last_event_id and last_event_id.isdecimal():
        return int(last_event_id)
    return default if after is None else after
