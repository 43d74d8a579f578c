"""The state of a running app, and the dependency that hands it to routes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request

from app.images.augmentation import AugmentationPreviews
from app.live.device_load import DeviceLoads
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
    """The parts of a running app. `now` is the wall clock; leases use a clock of their own."""

    settings: Settings
    records: Records
    hub: Hub
    leases: Leases
    tokens: Tokens
    previews: AugmentationPreviews
    gauges: DeviceLoads = field(default_factory=DeviceLoads)
    tasks: Tasks = field(default_factory=Tasks)
    timing: Timing = DEFAULT_TIMING
    now: Callable[[], datetime] = utc_now


async def get_state(request: Request) -> State:
    state: State = request.app.state.pitwall
    return state


Here = Annotated[State, Depends(get_state)]
