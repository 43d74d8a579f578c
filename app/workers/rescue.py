"""Watches the leases: a run whose worker stops responding goes back to the queue."""

from __future__ import annotations

import asyncio
import logging
import time

from app.errors import Trouble
from app.records.outbox import OutboxEvent
from app.web.deps import State
from app.workers import queue

SWEEP_S = 0.5  # how often leases are checked
SUSPENDED_S = 1.0  # a check later than that: this process was suspended, and could not receive heartbeats

logger = logging.getLogger(__name__)


async def watch(state: State) -> None:
    """Rescue the runs of workers that stopped responding, and publish which workers are silent."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(SWEEP_S)
        if (late := time.monotonic() - began - SWEEP_S) > SUSPENDED_S:
            state.leases.extend_all(late)
        for run_id, attempt in state.leases.pop_changed_silence():
            data = {"run": run_id, "attempt": attempt}
            state.hub.publish([OutboxEvent(None, run_id, "silent", data)])
        if lapsed := state.leases.lapsed():
            try:
                await asyncio.to_thread(_rescue, state, lapsed)
            except Exception as error:
                if isinstance(error, Trouble):
                    logger.warning("could not rescue %s: %s", lapsed, error.detail)
                else:
                    logger.exception("could not rescue %s; trying again", lapsed)
                for held in lapsed:
                    state.leases.give_back(*held, seconds=SWEEP_S)


def _rescue(state: State, lapsed: list[tuple[int, int]]) -> None:
    with state.records.write() as session:
        lapsed = [
            held for held in lapsed if not state.leases.holds(*held)
        ]  # a heartbeat came while we waited for the lock
        queue.rescue(session, lapsed, state.now())
    for run_id, attempt in lapsed:
        logger.warning("run %d: the worker of attempt %d stopped responding", run_id, attempt)
