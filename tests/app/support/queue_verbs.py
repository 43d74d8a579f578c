"""What workers and people do to a run, on the records, and what its rows say afterwards."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from app.records.models import Attempt, Event, Run
from app.runs import lifecycle, runs
from app.web.deps import State
from app.workers import queue, reports
from tests.app.support.cast import NOW, claim, events, launch


def say(state: State, held: tuple[int, int], *said: dict[str, Any], first: int = 0) -> int:
    with state.records.write() as session:
        return reports.store_report(session, *held, first, events(*said), NOW)[0]


def finish(state: State, held: tuple[int, int], outcome: Any = "succeeded", **more: Any) -> None:
    with state.records.write() as session:
        queue.finish(session, *held, outcome, NOW, **more)


def beat(state: State, held: tuple[int, int]) -> str:
    with state.records.write() as session:
        if queue.command_for(session, *held) is None:
            queue.hold(session, *held, NOW)
        return queue.command_for(session, *held) or "lost"


def rescue(state: State, *held: tuple[int, int]) -> None:
    with state.records.write() as session:
        queue.rescue(session, held, NOW)


def cancel(state: State, run_id: int) -> None:
    with state.records.write() as session:
        lifecycle.cancel(session, run_id, NOW)


def pause(state: State, run_id: int) -> None:
    with state.records.write() as session:
        lifecycle.pause(session, run_id, NOW)


def resume(state: State, run_id: int) -> None:
    with state.records.write() as session:
        lifecycle.resume(session, run_id, NOW)


def retry(state: State, run_id: int, source: lifecycle.Source = "checkpoint") -> None:
    with state.records.write() as session:
        lifecycle.retry(session, run_id, source, NOW)


def found(state: State, run_id: int) -> Run:
    with state.records.read() as session:
        run = runs.find(session, run_id)
        session.expunge(run)
        return run


def attempt_of(state: State, run_id: int, number: int = 1) -> Attempt:
    with state.records.read() as session:
        attempt = session.get_one(Attempt, (run_id, number))
        session.expunge(attempt)
        return attempt


def kinds(state: State, run_id: int) -> list[str]:
    with state.records.read() as session:
        return list(session.scalars(select(Event.kind).where(Event.run_id == run_id).order_by(Event.id)))


def held_run(state: State, **recipe: Any) -> tuple[int, int]:
    launch(state, recipe)
    held = claim(state)
    assert held is not None
    return held
