"""What the routes work with, put together once and found on the app: no globals. Must not do anything itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request

from app.images.augmentation import Previews
from app.live.device_load import Gauges
from app.live.events import Hub
from app.live.leases import Leases
from app.live.tasks import Tasks
from app.records.database import Records
from app.settings import Settings
from app.timing import DEFAULT_TIMING, Timing
from app.web.tokens import Tokens


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class State:
    """The parts of one running app. `now` is the wall clock, for people; leases have their own."""

    settings: Settings
    records: Records
    hub: Hub
    leases: Leases
    tokens: Tokens
    previews: Previews
    gauges: Gauges = field(default_factory=Gauges)
    tasks: Tasks = field(default_factory=Tasks)
    timing: Timing = DEFAULT_TIMING
    now: Callable[[], datetime] = utc_now


async def of(request: Request) -> State:
    state: State = request.app.state.pitwall
    return state


Here = Annotated[State, Depends(of)]
